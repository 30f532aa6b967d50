// Checks the history against itself.
//
// Thread safety: pure functions on a database that others may write to meanwhile.
//
// Invariants:
//  1. All is read from one RocksDB snapshot, so commits that go on do not confuse the check.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "pack_mark.hpp"
#include "rocksdb_handle.hpp"
#include "transaction_record.hpp"

namespace cow::detail {

/// What a check has read.
struct VerifiedHistory {
  ChainEnd end;
  std::uint64_t committed_at_us = 0;  ///< when the last transaction was committed
  std::uint64_t transactions = 0;
  std::optional<PackMark> mark;  ///< nothing: the store was never packed
};

/// Walks the transactions, newest first: each entry is whole, names its predecessor, and every record that it wrote is
/// there, with the right checksum. Ends after `max_reads` (>= 1) entries and records; if that does not stop it, it also
/// checks that the chain begins at `Tid{0}`, or where the last pack has left it, and that there are no other revisions: those up to the
/// pack's tid are the ones that its mark counts (pack_mark.hpp). Throws StoreCorruptError naming tid and oid, or StoreError.
/// `on_read`: called again and again with how many entries, records and revisions were read: all together each entry once, and
/// each revision twice, but once if the pack has left it.
VerifiedHistory verify_history(const std::filesystem::path& path, const RocksDbHandle& handle, std::uint64_t max_reads,
                               const std::function<void(std::uint64_t)>& on_read = {});

}  // namespace cow::detail
