// From RocksDB's statuses to the library's exceptions.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. Every message names the store's directory, the operation and RocksDB's own words.
#pragma once

#include <rocksdb/slice.h>
#include <rocksdb/status.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "cow_cache/errors.hpp"

namespace cow::detail {

inline rocksdb::Slice to_slice(std::string_view bytes) noexcept { return {bytes.data(), bytes.size()}; }

inline std::string store_message(const std::filesystem::path& path, std::string_view operation,
                                 std::string_view cause) {
  return "RocksDB store '" + path.string() + "': " + std::string(operation) + ": " + std::string(cause);
}

/// True if the file system has no room for what was to be written: it is full, or a quota is used up.
inline bool is_no_room(const rocksdb::Status& status) {
  // RocksDB knows the error number of a full file system only, and passes the system's words on.
  return status.IsNoSpace() ||
         (status.IsIOError() && status.ToString().find(std::generic_category().message(EDQUOT)) != std::string::npos);
}

/// Throws the exception for `status`. REQUIRES: not ok.
[[noreturn]] inline void throw_status(const std::filesystem::path& path, std::string_view operation,
                                      const rocksdb::Status& status) {
  const std::string message = store_message(path, operation, status.ToString());
  if (status.IsCorruption()) throw StoreCorruptError(message);
  if (is_no_room(status)) throw StoreFullError(message);
  // RocksDB has no code for a lock that is held; it says so in words, or has the system say EAGAIN.
  if (status.IsIOError() && (message.find("lock hold by current process") != message.npos ||
                             message.find("While lock file") != message.npos)) {
    throw StoreLockedError(message);
  }
  throw StoreError(message);
}

inline void require_ok(const std::filesystem::path& path, std::string_view operation, const rocksdb::Status& status) {
  if (!status.ok()) throw_status(path, operation, status);
}

}  // namespace cow::detail
