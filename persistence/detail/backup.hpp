// A copy of a store that is open, as of some moment while it is made: a store by itself.
//
// Thread safety: pure functions; commits, loads and packs of the store go on.
//
// Invariants:
//  1. What stands under the name that was asked for is whole, and on the device. Until then it has another name, and no witness, without
//     which it is no store (store_directory.hpp).
//  2. The copy's witness claims what was committed before the copy began, so a copy that lacks some of it is refused.
#pragma once

#include <cstdint>
#include <filesystem>

#include "cow_cache/types.hpp"
#include "file_keepers.hpp"
#include "rocksdb_handle.hpp"
#include "transaction_record.hpp"

namespace cow::detail {

/// What the store holds before the copy begins.
struct BackedUp {
  std::uint64_t store_id = 0;
  ChainEnd end;
  std::uint64_t oid_limit = 0;
};

/// Makes `target`, which must not exist. Returns its bytes. Database files are shared with the store, as hard links, where both are on one
/// file system, and copied otherwise; the rest is copied. It is one of `keepers`, the store's, while it copies. It leaves processor and
/// device to commits: a thread of low priority works in slices, and rests between them. Throws StoreExistsError, StoreFullError, StoreError.
std::uint64_t make_backup(const std::filesystem::path& store, const RocksDbHandle& handle, FileKeepers& keepers,
                          const BackedUp& content, const std::filesystem::path& target);

}  // namespace cow::detail
