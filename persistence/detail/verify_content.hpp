// Checks an open store, and says all that is wrong.
//
// Thread safety: pure functions on a database that others may write to meanwhile. No pack may go on.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cow_cache/types.hpp"
#include "cow_cache/verify_report.hpp"
#include "rocksdb_handle.hpp"

namespace cow::detail {

/// All that is wrong with an open store: its chain, its witness, its revisions. `last`: its last transaction. Throws StoreError if the device
/// cannot be read.
VerifyReport verify_store(const std::filesystem::path& path, const RocksDbHandle& handle, std::uint64_t store_id,
                          Tid last, const VerifyOptions& options);

}  // namespace cow::detail
