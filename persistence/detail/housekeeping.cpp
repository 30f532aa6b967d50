#include "housekeeping.hpp"

#include <rocksdb/db.h>
#include <rocksdb/transaction_log.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "store_place.hpp"

namespace cow::detail {
namespace {

// The number of a log "000123.log"; 0 if `name` is none.
std::uint64_t log_number(const std::string& name) {
  std::uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, number);
  return error == std::errc{} && std::string_view(rest, static_cast<std::size_t>(end - rest)) == ".log" ? number : 0;
}

/// Logs and database files that the database does not need now; also those that it is about to need, for they are being written.
std::vector<std::string> obsolete_files(const std::filesystem::path& directory, const RocksDbHandle& handle) {
  std::uint64_t oldest_log = 0;
  handle->GetIntProperty(handle.metadata(), rocksdb::DB::Properties::kMinLogNumberToKeep, &oldest_log);
  std::vector<rocksdb::LiveFileMetaData> live;
  handle->GetLiveFilesMetaData(&live);
  std::set<std::string> needed;
  for (const rocksdb::LiveFileMetaData& file : live)
    needed.insert(std::filesystem::path(file.name).filename().string());
  std::vector<std::string> found = names_in(directory);
  std::erase_if(found, [&](const std::string& name) {
    if (name.ends_with(".sst")) return needed.contains(name);
    const std::uint64_t number = log_number(name);
    return number == 0 || number >= oldest_log;
  });
  return found;
}

void merge_runs(const RocksDbHandle& handle, rocksdb::ColumnFamilyHandle* family,
                std::vector<rocksdb::SstFileMetaData> files) {
  std::ranges::sort(files, {}, &rocksdb::SstFileMetaData::smallestkey);
  rocksdb::CompactRangeOptions all;
  all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  for (std::size_t begin = 0; begin < files.size();) {
    std::size_t end = begin;
    while (end < files.size() && files[end].size < kSmallBytes) ++end;
    if (end - begin >= kRun) {
      const rocksdb::Slice first(files[begin].smallestkey);
      const rocksdb::Slice last(files[end - 1].largestkey);
      handle->CompactRange(all, family, &first, &last).PermitUncheckedError();
    }
    begin = end + 1;
  }
}

}  // namespace

void remove_empty_logs(const std::filesystem::path& directory, const RocksDbHandle& handle) noexcept {
  try {
    std::unique_ptr<rocksdb::LogFile> current;
    if (!handle->GetCurrentWalFile(&current).ok() || !current) return;
    for (const std::string& name : names_in(directory)) {
      const std::uint64_t number = log_number(name);
      if (number == 0 || number >= current->LogNumber()) continue;
      std::error_code failure;
      const std::filesystem::path log = directory / name;
      if (std::filesystem::file_size(log, failure) == 0 && !failure) std::filesystem::remove(log, failure);
    }
  } catch (const std::exception&) {
    // The next open tries again.
  }
}

void remove_obsolete_files(const std::filesystem::path& directory, const RocksDbHandle& handle) noexcept {
  try {
    // The one that enables deletions looks for all files that nothing needs.
    if (!handle->DisableFileDeletions().ok()) return;
    handle->EnableFileDeletions(/*force=*/false).PermitUncheckedError();
    std::vector<std::string> awaited = obsolete_files(directory, handle);
    for (int i = 0; i < 400 && !awaited.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const std::vector<std::string> left = obsolete_files(directory, handle);
      std::erase_if(awaited, [&](const std::string& name) { return std::ranges::count(left, name) == 0; });
    }
  } catch (const std::exception&) {
    // The next open removes them.
  }
}

void merge_small_files(const RocksDbHandle& handle) noexcept {
  try {
    for (rocksdb::ColumnFamilyHandle* family : handle.families()) {
      rocksdb::ColumnFamilyMetaData files;
      handle->GetColumnFamilyMetaData(family, &files);
      for (const rocksdb::LevelMetaData& level : files.levels) {
        if (level.files.size() >= kRun) merge_runs(handle, family, level.files);
      }
    }
  } catch (const std::exception&) {
    // No memory for the list: the next close tries again.
  }
}

}  // namespace cow::detail
