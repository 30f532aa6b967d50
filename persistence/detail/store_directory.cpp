#include "store_directory.hpp"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <vector>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "log_mark.hpp"
#include "persistence/rocksdb_options.hpp"
#include "rocksdb_handle.hpp"
#include "rocksdb_status.hpp"
#include "store_place.hpp"

namespace cow::detail {
namespace {

constexpr std::string_view kFormatMagic = "cow_cache store\n";

// By default RocksDB writes its LOG even into a database that it opens for reading.
class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

[[noreturn]] void throw_format(const std::filesystem::path& directory, const std::string& why) {
  throw StoreFormatError(store_message(directory, "open", why));
}

// Refuses a directory without a database unless it is empty, but for what an interrupted creation may leave.
void require_vacant(const std::filesystem::path& directory) {
  for (const std::string& name : names_in(directory)) {
    if (!is_leftover_of_creation(name)) throw_format(directory, "not a store: no database in it, but '" + name + "'");
  }
}

bool is_empty(const std::filesystem::path& directory, const RocksDbHandle& handle) {
  for (rocksdb::ColumnFamilyHandle* family : handle.families()) {
    const std::unique_ptr<rocksdb::Iterator> it(handle->NewIterator({}, family));
    it->SeekToFirst();
    require_ok(directory, "open", it->status());
    if (it->Valid()) return false;
  }
  return true;
}

// Opens what says all about a store but the (big) revisions: those are replayed once only, when the store is opened.
RocksDbHandle open_for_reading(const std::filesystem::path& directory, const std::vector<std::string>& families) {
  RocksDbOptions small;
  small.block_cache_bytes = std::size_t{1} << 20;
  rocksdb::Options rocks = make_rocksdb_options(small);
  rocks.info_log = std::make_shared<SilentLogger>();
  rocks.max_open_files = 16;  // do not touch each file of a big database
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors{
      {rocksdb::kDefaultColumnFamilyName, make_rocksdb_plain_family_options(rocks)}};
  if (std::ranges::count(families, kTransactionsFamily) > 0) {
    descriptors.emplace_back(kTransactionsFamily, make_rocksdb_plain_family_options(rocks));
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(rocks, directory.string(), descriptors, &handles, &db);
  if (status.IsInvalidArgument()) throw_format(directory, "another program's database: " + status.ToString());
  require_ok(directory, "open", status);
  return {db, std::move(handles)};
}

void require_nothing_lost(const std::filesystem::path& directory, const StoreFormat& format, Tid last_tid,
                          const OidReservation& oids) {
  const LogTestimony testimony = read_log_marks(directory, format.store_id);
  if (testimony.newest.synced > last_tid) {
    throw StoreCorruptError(store_message(
        directory, "open",
        "the log is damaged: " + testimony.log.filename().string() + " shows that tid " +
            std::to_string(testimony.newest.synced.value) + " was committed, but it can be read up to tid " +
            std::to_string(last_tid.value) + " only; the files were left as they are"));
  }
  if (testimony.newest.oid_limit > oids.limit) {
    throw StoreCorruptError(store_message(directory, "open",
                                          "the log is damaged: oids up to " +
                                              std::to_string(testimony.newest.oid_limit) +
                                              " were reserved, but it can be read up to a reservation of " +
                                              std::to_string(oids.limit) + " only; the files were left as they are"));
  }
}

Tid last_key(const std::filesystem::path& directory, const RocksDbHandle& handle) {
  const std::unique_ptr<rocksdb::Iterator> it(handle->NewIterator({}, handle.transactions()));
  it->SeekToLast();
  require_ok(directory, "open", it->status());
  if (!it->Valid()) return Tid{0};
  if (it->key().size() != TransactionKey::kSize) {
    throw StoreCorruptError(store_message(directory, "open", "a transaction's key is damaged"));
  }
  return TransactionKey::tid_of(it->key().data());
}

}  // namespace

std::string StoreFormat::encode() const {
  std::string bytes(kFormatMagic);
  bytes.resize(kFormatMagic.size() + 20);
  char* next = bytes.data() + kFormatMagic.size();
  store_int(next, kVersion);
  store_int(next + 4, store_id);
  store_int(next + 12, hash_bytes({bytes.data(), bytes.size() - 8}, 0));
  return bytes;
}

StoreFormat StoreFormat::decode(const std::filesystem::path& directory, std::string_view bytes) {
  if (!bytes.starts_with(kFormatMagic) || bytes.size() < kFormatMagic.size() + 4) {
    throw_format(directory, "not a store: another program's database");
  }
  // The version comes first, so that any later format can say at least that.
  const char* next = bytes.data() + kFormatMagic.size();
  const auto version = fetch_int<std::uint32_t>(next);
  if (version != kVersion) {
    throw_format(directory, "format version " + std::to_string(version) + "; this build reads and writes version " +
                                std::to_string(kVersion));
  }
  if (bytes.size() != kFormatMagic.size() + 20 ||
      fetch_int<std::uint64_t>(next + 12) != hash_bytes(bytes.substr(0, bytes.size() - 8), 0)) {
    throw StoreCorruptError(store_message(directory, "open", "the format entry is damaged"));
  }
  return {fetch_int<std::uint64_t>(next + 4)};
}

std::string OidReservation::encode() const {
  std::string bytes(24, '\0');
  store_int(bytes.data(), next);
  store_int(bytes.data() + 8, limit);
  store_int(bytes.data() + 16, hash_bytes({bytes.data(), 16}, 0));
  return bytes;
}

OidReservation OidReservation::decode(const std::filesystem::path& directory, std::string_view bytes) {
  if (bytes.size() != 24 || fetch_int<std::uint64_t>(bytes.data() + 16) != hash_bytes(bytes.substr(0, 16), 0)) {
    throw StoreCorruptError(store_message(directory, "open", "the oid reservation is damaged"));
  }
  return {fetch_int<std::uint64_t>(bytes.data()), fetch_int<std::uint64_t>(bytes.data() + 8)};
}

DirectoryContent inspect_directory(const std::filesystem::path& directory) {
  std::error_code failure;
  if (!std::filesystem::exists(directory / "CURRENT", failure)) {
    if (failure) throw StoreError(store_message(directory, "look for CURRENT", failure.message()));
    require_vacant(directory);
    return {};
  }
  std::vector<std::string> families;
  require_ok(directory, "open", rocksdb::DB::ListColumnFamilies({}, directory.string(), &families));
  const RocksDbHandle handle = open_for_reading(directory, families);
  std::string bytes;
  const rocksdb::Status status = handle->Get({}, handle.metadata(), to_slice(kFormatKey), &bytes);
  if (status.IsNotFound()) {
    // The format entry is flushed to a database file before the first commit, so without it there are no marks.
    const bool known = std::ranges::all_of(families, [](const std::string& name) {
      return name == rocksdb::kDefaultColumnFamilyName || name == kTransactionsFamily || name == kRevisionsFamily;
    });
    if (!known || !is_empty(directory, handle)) throw_format(directory, "not a store: another program's database");
    if (read_log_marks(directory, 0).any) {
      throw StoreCorruptError(store_message(directory, "open", "the format entry is lost, the log is not"));
    }
    return {};
  }
  require_ok(directory, "open", status);
  const StoreFormat format = StoreFormat::decode(directory, bytes);
  if (families.size() != 3 || handle.families().size() != 2) {
    throw StoreCorruptError(store_message(directory, "open", "the column families are not those of a store"));
  }
  OidReservation oids;
  const rocksdb::Status found = handle->Get({}, handle.metadata(), to_slice(kOidsKey), &bytes);
  if (!found.IsNotFound()) {
    require_ok(directory, "open", found);
    oids = OidReservation::decode(directory, bytes);
  }
  const Tid last_tid = last_key(directory, handle);
  require_nothing_lost(directory, format, last_tid, oids);
  return {true, last_tid};
}

}  // namespace cow::detail
