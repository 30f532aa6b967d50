// The free space that a store keeps in reserve.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. The check comes before the write: what it refuses has left no trace.
#pragma once

#include <sys/statvfs.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "cow_cache/errors.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {

/// Throws StoreFullError unless the file system of `path` has `reserve` bytes free beyond what writing `bytes` takes:
/// they are written twice before their log is deleted, to the log and by a flush. About 0.5 us. Throws StoreError if
/// the file system does not answer.
inline void require_disk_space(const std::filesystem::path& path, const char* operation, std::uint64_t reserve,
                               std::size_t bytes) {
  if (reserve == 0) return;
  struct statvfs disk = {};
  if (::statvfs(path.c_str(), &disk) != 0) {
    throw StoreError(store_message(path, operation, std::string("statvfs: ") + std::generic_category().message(errno)));
  }
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  const std::uint64_t needed = 2 * std::uint64_t{bytes};
  if (free >= reserve && free - reserve >= needed) return;
  throw StoreFullError(store_message(path, operation,
                                     "the disk is full: " + std::to_string(free) + " bytes are free, " +
                                         std::to_string(reserve) + " of them in reserve, and " +
                                         std::to_string(needed) + " are needed; nothing was written"));
}

}  // namespace cow::detail
