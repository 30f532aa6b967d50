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
#include <optional>
#include <string>
#include <string_view>

#include "cow_cache/types.hpp"
#include "transaction_record.hpp"
#include "witness.hpp"

namespace cow::detail {

/// Keys of the metadata column family.
inline constexpr std::string_view kFormatKey = "format";  // and kPackKey, in pack_mark.hpp
inline constexpr std::string_view kOidsKey = "oids";

/// What makes a RocksDB database a store.
struct StoreFormat {
  static constexpr std::uint32_t kVersion = 3;                ///< transactions may have notes
  static constexpr std::uint32_t kPackedVersion = 4;          ///< the store was packed: there is a mark (pack_mark.hpp)
  static constexpr std::uint32_t kVersionWithoutWitness = 1;  ///< 2: there is one, and no notes yet

  std::uint64_t store_id = 0;  ///< random; tells the marks in this store's log from those of others
  std::uint32_t version = kVersion;

  /// The entry of a store of `version`.
  std::string encode() const;
  /// Throws StoreFormatError if `bytes` is not a format entry of a version up to `kPackedVersion`, StoreCorruptError if damaged.
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

/// How to look into a directory.
struct Inspection {
  bool accept_loss = false;        ///< go on although there is less than the witness or a mark says
  std::uint64_t verify_reads = 1;  ///< how much of the history is checked, see `verify_history`
};

/// What is in a directory.
struct DirectoryContent {
  bool is_store = false;                 ///< false: nothing, or a creation that was interrupted
  StoreFormat format;                    ///< if it is a store
  ChainEnd end;                          ///< the last transaction that recovery will bring back
  std::uint64_t oids_lost_below = 0;     ///< a loss was accepted: oids below this may have been given away
  std::optional<WitnessRecord> witness;  ///< nothing: there is none, or none that counts
};

/// Looks into `directory`. Recovers in memory, and compares the outcome with the witness (witness.hpp), with the marks in
/// the log (log_mark.hpp) and with itself: all of it if it is a store without a witness, or if a loss is accepted.
/// Throws StoreFormatError (another program's files, another database, an unknown version), StoreCorruptError,
/// StoreError.
DirectoryContent inspect_directory(const std::filesystem::path& directory, const Inspection& inspection);

}  // namespace cow::detail
