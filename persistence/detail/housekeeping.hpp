// Keeps the number of a store's files from growing with the number of times that it is opened and closed.
//
// RocksDB leaves two things behind. An open that finds nothing to recover makes a new log, and keeps the old, empty one.
// And a session that writes a little leaves a small database file in each column family: where keys ascend from session
// to session nothing overlaps, so compactions move the files down a level as they are, and never merge them.
//
// Thread safety: called by the thread that opens or closes the store, while no other uses it; but for `remove_obsolete_files`.
//
// Invariants:
//  1. What is removed has no bytes, and is older than the log that is written to.
//  2. What is merged is small, so a close stays short: runs of `kRun` or more files of less than `kSmallBytes` each that
//     are neighbours in their level. No such run outlives a clean close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "rocksdb_handle.hpp"

namespace cow::detail {

inline constexpr std::size_t kRun = 32;
inline constexpr std::uint64_t kSmallBytes = std::uint64_t{256} << 10;

/// Removes the empty logs of earlier sessions. Never throws: what cannot be removed stays.
void remove_empty_logs(const std::filesystem::path& directory, const RocksDbHandle& handle) noexcept;

/// Removes the logs and database files that the database has no use for any more, and waits (a second or two at most) for those that
/// RocksDB's threads are removing. One that somebody reads goes when he is done. Never throws.
void remove_obsolete_files(const std::filesystem::path& directory, const RocksDbHandle& handle) noexcept;

/// Merges small neighbours in each column family. A failure leaves them as they are.
void merge_small_files(const RocksDbHandle& handle) noexcept;

}  // namespace cow::detail
