#include "store_sources.hpp"

#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/table_properties.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <system_error>
#include <thread>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "persistence/rocksdb_options.hpp"
#include "rocksdb_status.hpp"
#include "store_env.hpp"
#include "store_place.hpp"

namespace cow::detail {
namespace {

class NoLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// What is the matter with this process, not with the store: no permission, no descriptors left.
bool is_of_this_process(const rocksdb::Status& status) {
  if (!status.IsIOError()) return false;
  const std::string text = status.ToString();
  return std::ranges::any_of(std::array{EACCES, EPERM, EMFILE, ENFILE}, [&](int error) {
    return text.find(std::generic_category().message(error)) != std::string::npos;
  });
}

constexpr std::array<const char*, 3> kFamilyNames{"default", kTransactionsFamily, kRevisionsFamily};

rocksdb::Options reading_options() {
  RocksDbOptions small;
  small.block_cache_bytes = std::size_t{8} << 20;
  rocksdb::Options rocks = make_rocksdb_options(small);
  rocks.env = store_env();
  rocks.info_log = std::make_shared<NoLogger>();
  return rocks;
}

rocksdb::ReadOptions scanning(bool from_memory_only = false) {
  rocksdb::ReadOptions read;
  read.total_order_seek = true;
  if (from_memory_only) read.read_tier = rocksdb::kMemtableTier;
  return read;
}

std::optional<StoreSources::Family> family_named(std::string_view name) {
  for (std::size_t i = 0; i < kFamilyNames.size(); ++i) {
    if (name == kFamilyNames[i]) return static_cast<StoreSources::Family>(i);
  }
  return std::nullopt;
}

std::string range_text(StoreSources::Family family, std::string_view smallest, std::string_view largest) {
  if (family == StoreSources::Family::metadata || smallest.size() < 8 || largest.size() < 8) return {};
  const Tid first = TransactionKey::tid_of(smallest.data()), last = TransactionKey::tid_of(largest.data());
  return std::string(family == StoreSources::Family::revisions ? "oids " : "tids ") + std::to_string(first.value) +
         " to " + std::to_string(last.value);
}

// The names and sizes of the files: what a writer changes when it replaces some.
std::map<std::string, std::uintmax_t> listing(const std::filesystem::path& directory) {
  std::map<std::string, std::uintmax_t> files;
  std::error_code ignored;
  for (const std::string& name : names_in(directory))
    files[name] = std::filesystem::file_size(directory / name, ignored);
  return files;
}

}  // namespace

StoreSources::StoreSources(const std::filesystem::path& directory, Report report)
    : directory_(directory), report_(std::move(report)) {
  constexpr int kAttempts = 20;
  rocksdb::Status status;
  for (int attempt = 0;; ++attempt) {
    const auto before = listing(directory_);
    status = open_whole();
    if (status.ok()) return;
    if (status.IsInvalidArgument()) {
      throw StoreFormatError(store_message(directory_, "open", "another program's database: " + status.ToString()));
    }
    if (is_of_this_process(status)) throw StoreError(store_message(directory_, "open", status.ToString()));
    // What nobody changes is not going to be better.
    if (attempt == kAttempts || listing(directory_) == before) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (open_parts(status.ToString())) return;
  open_all_files();
}

rocksdb::Status StoreSources::open_database(int max_open_files, bool paranoid) {
  rocksdb::Options rocks = reading_options();
  rocks.max_open_files = max_open_files;
  rocks.paranoid_checks = paranoid;
  const rocksdb::ColumnFamilyOptions plain = make_rocksdb_plain_family_options(rocks);
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors{
      {kFamilyNames[0], plain}, {kFamilyNames[1], plain}, {kFamilyNames[2], rocks}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::OpenForReadOnly(rocks, directory_.string(), descriptors, &handles, &db);
  if (!status.ok()) return status;
  handle_.emplace(db, std::move(handles));
  return status;
}

rocksdb::Status StoreSources::open_whole() {
  rocksdb::Status status = open_database(-1, true);
  whole_ = status.ok();
  return status;
}

bool StoreSources::open_parts(const std::string& why) {
  if (!open_database(16, false).ok()) {
    report_("the list of files (MANIFEST, CURRENT)", why);
    return false;
  }
  open_live_files();
  return true;
}

void StoreSources::open_live_files() {
  has_files_ = true;
  std::vector<rocksdb::LiveFileMetaData> live;
  (*handle_)->GetLiveFilesMetaData(&live);
  for (const rocksdb::LiveFileMetaData& file : live) {
    const auto family = family_named(file.column_family_name);
    if (family) add_file(file.relative_filename, family, range_text(*family, file.smallestkey, file.largestkey));
  }
}

void StoreSources::open_all_files() {
  has_files_ = true;
  bool any_log = false;
  for (const std::string& name : names_in(directory_)) {
    std::error_code ignored;
    const std::filesystem::path file = directory_ / name;
    if (file.extension() == ".sst") add_file(name, std::nullopt, {});
    any_log = any_log || (file.extension() == ".log" && std::filesystem::file_size(file, ignored) > 0);
  }
  if (any_log) report_("the log (*.log), and in it the last transactions", "it is read with the list of files only");
  if (files_.empty()) throw StoreCorruptError(store_message(directory_, "open", "none of its files can be read"));
}

// `family`: nothing if only the file itself says whose it is.
void StoreSources::add_file(const std::string& name, std::optional<Family> family, const std::string& range) {
  File file{name, family.value_or(Family::metadata), std::make_unique<rocksdb::SstFileReader>(reading_options()), 0};
  const rocksdb::Status status = file.reader->Open((directory_ / name).string());
  if (!status.ok()) {
    report_(range.empty() ? name : name + " (" + range + ")", status.ToString());
    return;
  }
  const std::shared_ptr<const rocksdb::TableProperties> properties = file.reader->GetTableProperties();
  if (!family) family = family_named(properties->column_family_name);
  if (!family) return;
  file.family = *family;
  file.keys = properties->num_entries;
  files_.push_back(std::move(file));
}

std::vector<TolerantCursor::Source> StoreSources::parts(Family family) const {
  std::vector<TolerantCursor::Source> sources;
  if (handle_) {
    rocksdb::ColumnFamilyHandle* const handle = handle_->families()[static_cast<std::size_t>(family)];
    sources.push_back({"the log", std::unique_ptr<rocksdb::Iterator>((*handle_)->NewIterator(scanning(true), handle))});
  }
  for (const File& file : files_) {
    if (file.family != family) continue;
    sources.push_back({file.name, std::unique_ptr<rocksdb::Iterator>(file.reader->NewIterator(scanning()))});
  }
  return sources;
}

TolerantCursor StoreSources::cursor(Family family) {
  const char* const unit = family == Family::revisions ? "oids " : "tids ";
  auto report = [this, unit](const UnreadableRange& range) {
    std::string part = unit + std::to_string(range.first);
    if (range.last != range.first) part += " to " + std::to_string(range.last);
    report_(range.source.empty() ? part : part + " in " + range.source, range.why);
  };
  if (!whole_ || has_files_) return {parts(family), std::move(report)};
  std::vector<TolerantCursor::Source> database;
  rocksdb::ColumnFamilyHandle* const handle = handle_->families()[static_cast<std::size_t>(family)];
  database.push_back({"", std::unique_ptr<rocksdb::Iterator>((*handle_)->NewIterator(scanning(), handle))});
  return {std::move(database), std::move(report), [this, family] {
            if (!has_files_) open_live_files();
            return parts(family);
          }};
}

std::optional<std::string> StoreSources::metadata(std::string_view key) const {
  // The newest value is in memory if it is in the log; else in the newest of the files, which have ascending numbers.
  if (handle_) {
    rocksdb::ReadOptions read;
    std::string value;
    const rocksdb::Status status = (*handle_)->Get(read, handle_->metadata(), to_slice(key), &value);
    if (status.ok()) return value;
    if (status.IsNotFound() && whole_) return std::nullopt;
    if (whole_) report_("the metadata", status.ToString());
  }
  std::optional<std::string> found;
  std::string from;
  for (const File& file : files_) {
    if (file.family != Family::metadata || file.name < from) continue;
    const std::unique_ptr<rocksdb::Iterator> it(file.reader->NewIterator(scanning()));
    it->Seek(to_slice(key));
    if (it->Valid() && it->key() == to_slice(key)) {
      found = it->value().ToString();
      from = file.name;
    }
  }
  return found;
}

std::uint64_t StoreSources::estimated_keys(Family family) const {
  std::uint64_t keys = 0;
  if (handle_) {
    (*handle_)->GetIntProperty(handle_->families()[static_cast<std::size_t>(family)],
                               rocksdb::DB::Properties::kEstimateNumKeys, &keys);
    if (whole_) return keys;
    keys = 0;
  }
  for (const File& file : files_) {
    if (file.family == family) keys += file.keys;
  }
  return keys;
}

}  // namespace cow::detail
