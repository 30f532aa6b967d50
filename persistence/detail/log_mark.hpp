// Marks in RocksDB's write-ahead log that bear witness to what was durable before them.
//
// RocksDB ends recovery at the first bad byte of its log (kPointInTimeRecovery) and cannot tell the torn end that an
// ordinary power failure leaves from a bit that flipped in the middle: in both cases it opens without a word, and
// everything behind the bad byte is gone (https://github.com/facebook/rocksdb/wiki/WAL-Recovery-Modes). But a store
// that syncs each commit writes nothing before the previous commit is on the device. So each batch begins with a
// mark, which goes to the log only and says up to where the store was durable; if any mark in the log files speaks of
// a transaction or of oids that recovery did not bring back, then acknowledged data was lost.
//
// What the marks find: a cut of the log behind which the mark of a later batch is still readable. A mark that straddles
// two of the log's 32 KiB blocks is broken up by a frame header and not recognised; its neighbours are. What they cannot
// find is a log that ends early, or is gone: a mark speaks of the batches before it, and whatever lies behind the cut,
// one batch or a thousand, takes its marks along. That is what the witness is for (witness.hpp).
//
// What neither finds:
//  - With `durable`, after the end of a process (a kill, an abort): nothing. The witness names the last commit that was
//    acknowledged, so any loss is noticed, that of the last batch too.
//  - With `durable`, after a power failure: every batch behind a cut that was committed since the witness was last on the
//    device, if the log lost its end to something else than the power failure. The system writes the witness back within
//    some seconds (30 on Linux unless it is told otherwise), and it is synced when a buffer is flushed and when the store
//    is opened. The end of the log itself is not lost to a power failure: it was synced.
//  - Without `durable`: every batch behind a cut of the log. Nothing says that they were on the device, so their loss is
//    no error; the same goes for the records of a log that ends early. A log file that is gone is noticed if it was there
//    when the store was opened or when a buffer was last flushed.
//  - A whole directory, witness included, that is replaced by an older copy of itself.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. A mark only ever speaks of what was on the device before the mark was written; so an honest crash never
//     contradicts one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "cow_cache/types.hpp"

namespace cow::detail {

/// What was durable when a batch was written.
struct LogMark {
  Tid synced;                   ///< no transaction up to this one can be missing
  std::uint64_t oid_limit = 0;  ///< all oids below are reserved
};

inline constexpr std::size_t kLogMarkSize = 32;

/// The bytes of a mark. `store_id` keeps apart marks of other stores, which a record may well contain.
std::array<char, kLogMarkSize> encode_log_mark(const LogMark& mark, std::uint64_t store_id) noexcept;

/// What all the marks in the log files of a directory say together.
struct LogTestimony {
  bool any = false;           ///< something that begins like a mark was found, of this store or another
  LogMark newest;             ///< the highest values of the marks of this store
  std::filesystem::path log;  ///< the file that holds the highest `synced`
};

/// Reads all `*.log` files in `directory`, at the speed of the device. Throws StoreError if one cannot be read.
LogTestimony read_log_marks(const std::filesystem::path& directory, std::uint64_t store_id);

}  // namespace cow::detail
