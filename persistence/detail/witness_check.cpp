#include "witness_check.hpp"

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

std::string tid_text(Tid tid) { return "tid " + std::to_string(tid.value); }

// Recovery needs this log and all later ones; RocksDB has deleted those before, or is about to.
std::uint64_t oldest_needed_log(const RocksDbHandle& handle) {
  std::uint64_t number = 0;
  handle->GetIntProperty(handle.metadata(), rocksdb::DB::Properties::kMinLogNumberToKeep, &number);
  return number;
}

bool has_log(const std::filesystem::path& directory, std::uint64_t wanted) {
  // By number, whatever its digits: RocksDB writes six of them at least.
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && std::string_view(end) == ".log" && number == wanted) return true;
  }
  return false;
}

std::string contradiction_of_end(const std::filesystem::path& directory, const RocksDbHandle& handle,
                                 const WitnessRecord& witness, const ChainEnd& end, Tid packed) {
  const bool clean = witness.state == WitnessRecord::State::clean;
  if (end.tid < witness.end.tid || (clean && end.tid != witness.end.tid)) {
    return tid_text(witness.end.tid) + " was committed last, and it can be read up to " + tid_text(end.tid);
  }
  if (witness.end.tid == Tid{}) return {};
  const TransactionKey key(witness.end.tid);
  std::string bytes;
  const rocksdb::Status status = handle->Get({}, handle.transactions(), to_slice(key.bytes()), &bytes);
  if (status.IsNotFound() && witness.end.tid <= packed) return {};
  if (status.IsNotFound()) return tid_text(witness.end.tid) + " is lost";
  require_ok(directory, "compare with the witness", status);
  const std::optional<TransactionRecord> record = TransactionRecord::decode(witness.end.tid, bytes);
  if (!record || record->checksum != witness.end.checksum) {
    return tid_text(witness.end.tid) + " is not what was committed";
  }
  return {};
}

}  // namespace

std::string contradiction_of_witness(const std::filesystem::path& directory, const RocksDbHandle& handle,
                                     const WitnessRecord& witness, const FoundContent& found) {
  const bool clean = witness.state == WitnessRecord::State::clean;
  if (witness.store_id != found.store_id) return "it is the witness of another store";
  if (std::string why = contradiction_of_end(directory, handle, witness, found.end, found.packed); !why.empty())
    return why;
  const bool same_oids = found.oid_limit == witness.oid_limit && found.next_oid == witness.next_oid;
  if (found.oid_limit < witness.oid_limit || (clean && !same_oids)) {
    return "oids below " + std::to_string(witness.oid_limit) + " were reserved, and " +
           std::to_string(found.oid_limit) + " is what can be read";
  }
  if (std::string why = contradiction_of_manifest(directory, witness.manifest, clean); !why.empty()) return why;
  if (witness.log >= oldest_needed_log(handle) && witness.log != 0 && !has_log(directory, witness.log)) {
    return "the log number " + std::to_string(witness.log) + " is missing";
  }
  return {};
}

}  // namespace cow::detail
