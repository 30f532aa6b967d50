#include "housekeeping.hpp"

#include <rocksdb/db.h>
#include <rocksdb/transaction_log.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
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
