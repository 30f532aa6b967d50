// The directory of a store, before RocksDB may change anything in it: whose it is, and whether all that was
// acknowledged is still there.
//
// Thread safety: plain values; `inspect_directory` is called by the thread that holds the directory's lock.
//
// Invariants:
//  1. `inspect_directory` writes nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "cow_cache/types.hpp"

namespace cow::detail {

/// Keys of the metadata column family.
inline constexpr std::string_view kFormatKey = "format";
inline constexpr std::string_view kOidsKey = "oids";

/// What makes a RocksDB database a store.
struct StoreFormat {
  static constexpr std::uint32_t kVersion = 1;

  std::uint64_t store_id = 0;  ///< random; tells the marks in this store's log from those of others

  std::string encode() const;
  /// Throws StoreFormatError if `bytes` is not a format entry of version `kVersion`, StoreCorruptError if damaged.
  static StoreFormat decode(const std::filesystem::path& directory, std::string_view bytes);
};

/// The oid reservation. All below `limit` are reserved; those from `next` on were not given away, as a clean close
/// remembered.
struct OidReservation {
  std::uint64_t next = kRootOid.value + 1;
  std::uint64_t limit = kRootOid.value + 1;

  std::string encode() const;
  /// Throws StoreCorruptError.
  static OidReservation decode(const std::filesystem::path& directory, std::string_view bytes);
};

/// What is in a directory.
struct DirectoryContent {
  bool is_store = false;  ///< false: nothing, or a creation that was interrupted
  Tid last_tid;           ///< what recovery will bring back
};

/// Looks into `directory`. Recovers in memory, and compares the outcome with the marks in the log (log_mark.hpp).
/// Throws StoreFormatError (another program's files, another database, an unknown version), StoreCorruptError,
/// StoreError.
DirectoryContent inspect_directory(const std::filesystem::path& directory);

}  // namespace cow::detail
