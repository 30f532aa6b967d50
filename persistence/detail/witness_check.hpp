// Compares what a store holds with what its witness says.
//
// Thread safety: pure functions; nobody writes to the directory meanwhile.
//
// Invariants:
//  1. Nothing is written.
//  2. What a crash or a power failure can leave is never refused: a witness claims only what was on the device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "rocksdb_handle.hpp"
#include "transaction_record.hpp"
#include "witness.hpp"

namespace cow::detail {

/// What the database holds, opened for reading.
struct FoundContent {
  std::uint64_t store_id = 0;
  ChainEnd end;
  std::uint64_t next_oid = 0;
  std::uint64_t oid_limit = 0;
  Tid packed;  ///< entries of transactions up to this one may be gone
};

/// What of the claims of `witness` does not hold, in words; empty if all do. `handle` has all families. Throws StoreError
/// or StoreCorruptError if something cannot be read.
std::string contradiction_of_witness(const std::filesystem::path& directory, const RocksDbHandle& handle,
                                     const WitnessRecord& witness, const FoundContent& found);

}  // namespace cow::detail
