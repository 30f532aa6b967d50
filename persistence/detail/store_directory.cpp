#include "store_directory.hpp"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <system_error>
#include <vector>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "log_mark.hpp"
#include "persistence/rocksdb_options.hpp"
#include "rocksdb_handle.hpp"
#include "rocksdb_status.hpp"
#include "store_env.hpp"
#include "store_place.hpp"
#include "verify_chain.hpp"
#include "witness_check.hpp"

namespace cow::detail {
namespace {

constexpr std::string_view kFormatMagic = "cow_cache store\n";

constexpr std::string_view kHowToAccept =
    "; the files were left as they were. RocksDbOptions::accept_loss opens what can be read, and deletes the rest: "
    "copy the directory first";

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

// Opens what there is of a store's families.
RocksDbHandle open_for_reading(const std::filesystem::path& directory, const std::vector<std::string>& families) {
  RocksDbOptions small;
  small.block_cache_bytes = std::size_t{1} << 20;
  rocksdb::Options rocks = make_rocksdb_options(small);
  rocks.env = store_env();
  rocks.info_log = std::make_shared<SilentLogger>();
  rocks.max_open_files = 16;  // do not touch each file of a big database
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors{
      {rocksdb::kDefaultColumnFamilyName, make_rocksdb_plain_family_options(rocks)}};
  if (std::ranges::count(families, kTransactionsFamily) > 0) {
    descriptors.emplace_back(kTransactionsFamily, make_rocksdb_plain_family_options(rocks));
  }
  if (std::ranges::count(families, kRevisionsFamily) > 0) descriptors.emplace_back(kRevisionsFamily, rocks);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(rocks, directory.string(), descriptors, &handles, &db);
  if (status.IsInvalidArgument()) throw_format(directory, "another program's database: " + status.ToString());
  if (status.IsCorruption()) {
    throw StoreCorruptError(store_message(
        directory, "open", "RocksDB cannot read it: " + status.ToString() + "; the files were left as they were"));
  }
  require_ok(directory, "open", status);
  return {db, std::move(handles)};
}

// What the marks in the log say that recovery does not bring back, in words; empty if nothing.
std::string contradiction_of_marks(const LogTestimony& testimony, Tid last_tid, const OidReservation& oids) {
  if (testimony.newest.synced > last_tid) {
    return "the log is damaged: " + testimony.log.filename().string() + " shows that tid " +
           std::to_string(testimony.newest.synced.value) + " was committed, and it can be read up to tid " +
           std::to_string(last_tid.value);
  }
  if (testimony.newest.oid_limit > oids.limit) {
    return "the log is damaged: oids below " + std::to_string(testimony.newest.oid_limit) + " were reserved, and " +
           std::to_string(oids.limit) + " is what can be read";
  }
  return {};
}

// The witness of a store of today's format. With `accept_loss`, nothing instead of a damaged one.
std::optional<WitnessRecord> usable_witness(const std::filesystem::path& directory, bool accept_loss) {
  try {
    return read_witness(directory);
  } catch (const StoreCorruptError& error) {
    if (accept_loss) return std::nullopt;
    throw StoreCorruptError(error.what() + std::string(kHowToAccept));
  }
}

[[noreturn]] void throw_lost_database(const std::filesystem::path& directory, const WitnessRecord& witness,
                                      const std::string& why) {
  throw StoreCorruptError(
      store_message(directory, "open",
                    why + ", but " + std::string(kWitnessName) + " shows that there was a store, up to tid " +
                        std::to_string(witness.end.tid.value) + "; the files were left as they were"));
}

// A database without a format entry: is it a store's creation that was interrupted?
void require_unfinished(const std::filesystem::path& directory, const std::vector<std::string>& families,
                        const RocksDbHandle& handle) {
  // The format entry is flushed to a database file before the first commit, so without it there are no marks.
  const bool known = std::ranges::all_of(families, [](const std::string& name) {
    return name == rocksdb::kDefaultColumnFamilyName || name == kTransactionsFamily || name == kRevisionsFamily;
  });
  if (!known || !is_empty(directory, handle)) throw_format(directory, "not a store: another program's database");
  if (read_log_marks(directory, 0).any) {
    throw StoreCorruptError(store_message(directory, "open", "the format entry is lost, the log is not"));
  }
}

OidReservation read_oids(const std::filesystem::path& directory, const RocksDbHandle& handle) {
  std::string bytes;
  const rocksdb::Status status = handle->Get({}, handle.metadata(), to_slice(kOidsKey), &bytes);
  if (status.IsNotFound()) return {};
  require_ok(directory, "open", status);
  return OidReservation::decode(directory, bytes);
}

// Fills in what a store holds, and refuses it if that is not all.
void inspect_store(const std::filesystem::path& directory, const RocksDbHandle& handle, const Inspection& inspection,
                   DirectoryContent& content) {
  const VerifiedHistory newest = verify_history(directory, handle, 1);
  if (newest.mark.has_value() != (content.format.version >= StoreFormat::kPackedVersion)) {
    throw StoreCorruptError(store_message(
        directory, "open",
        newest.mark ? "there is a pack's mark, and the format entry is older" : "the pack's mark is lost"));
  }
  content.end = newest.end;
  const OidReservation oids = read_oids(directory, handle);
  const LogTestimony testimony = read_log_marks(directory, content.format.store_id);
  std::string lost = contradiction_of_marks(testimony, content.end.tid, oids);
  const bool has_witness = content.format.version > StoreFormat::kVersionWithoutWitness;
  if (!has_witness) {
    content.witness.reset();
  } else if (!content.witness) {
    lost = std::string(kWitnessName) + " is missing: nothing shows that tid " + std::to_string(content.end.tid.value) +
           " is the last that was committed";
  } else if (lost.empty()) {
    const FoundContent found{content.format.store_id, content.end, oids.next, oids.limit,
                             newest.mark.value_or(PackMark{}).oldest};
    lost = contradiction_of_witness(directory, handle, *content.witness, found);
  }
  if (!lost.empty() && !inspection.accept_loss) {
    throw StoreCorruptError(store_message(directory, "open", lost + std::string(kHowToAccept)));
  }
  if (!lost.empty()) {
    const std::uint64_t witnessed = content.witness ? content.witness->oid_limit : 0;
    content.oids_lost_below = std::max({oids.limit, testimony.newest.oid_limit, witnessed});
    content.witness.reset();
  }
  const bool all = !has_witness || !lost.empty();
  verify_history(directory, handle, all ? std::numeric_limits<std::uint64_t>::max() : inspection.verify_reads);
}

}  // namespace

std::string StoreFormat::encode() const {
  std::string bytes(kFormatMagic);
  bytes.resize(kFormatMagic.size() + 20);
  char* next = bytes.data() + kFormatMagic.size();
  store_int(next, version);
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
  if (version < kVersionWithoutWitness || version > kPackedVersion) {
    throw_format(directory, "format version " + std::to_string(version) +
                                "; this build reads and writes versions up to " + std::to_string(kPackedVersion));
  }
  if (bytes.size() != kFormatMagic.size() + 20 ||
      fetch_int<std::uint64_t>(next + 12) != hash_bytes(bytes.substr(0, bytes.size() - 8), 0)) {
    throw StoreCorruptError(store_message(directory, "open", "the format entry is damaged"));
  }
  return {fetch_int<std::uint64_t>(next + 4), version};
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

DirectoryContent inspect_directory(const std::filesystem::path& directory, const Inspection& inspection) {
  DirectoryContent content;
  content.witness = usable_witness(directory, inspection.accept_loss);
  const bool was_store = content.witness && content.witness->state != WitnessRecord::State::creating;
  std::error_code failure;
  if (!std::filesystem::exists(directory / "CURRENT", failure)) {
    if (failure) throw StoreError(store_message(directory, "look for CURRENT", failure.message()));
    if (was_store) throw_lost_database(directory, *content.witness, "the file CURRENT is missing");
    require_vacant(directory);
    return content;
  }
  std::vector<std::string> families;
  require_ok(directory, "open", rocksdb::DB::ListColumnFamilies({}, directory.string(), &families));
  const RocksDbHandle handle = open_for_reading(directory, families);
  std::string bytes;
  const rocksdb::Status status = handle->Get({}, handle.metadata(), to_slice(kFormatKey), &bytes);
  if (status.IsNotFound()) {
    if (was_store) throw_lost_database(directory, *content.witness, "the database is empty");
    require_unfinished(directory, families, handle);
    return content;
  }
  require_ok(directory, "open", status);
  content.format = StoreFormat::decode(directory, bytes);
  content.is_store = true;
  if (families.size() != 3 || handle.families().size() != 3) {
    throw StoreCorruptError(store_message(directory, "open", "the column families are not those of a store"));
  }
  inspect_store(directory, handle, inspection, content);
  return content;
}

}  // namespace cow::detail
