// The records in the witness file (witness.hpp): fixed-width fields, and a checksum over all of them.
//
//   magic (16) | version (4) | state (4) | store id (8) | sequence (8) | tid (8) | checksum of its entry (8) | next oid (8) |
//   oid limit (8) | number, size and hash of the MANIFEST (24) | log (8) | checksum of all this (8)
//
// Thread safety: plain values and pure functions.
//
// Invariants:
//  1. What is not as it was written is no record.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "encoding.hpp"
#include "manifest_claim.hpp"
#include "transaction_record.hpp"

namespace cow::detail {

/// What a store is known to hold.
struct WitnessRecord {
  enum class State : std::uint32_t {
    creating = 1,  ///< no transaction was ever accepted; the database may not be there yet
    open = 2,      ///< at least what it says is there
    clean = 3,     ///< exactly what it says is there, and nobody writes
  };

  std::uint64_t store_id = 0;
  std::uint64_t sequence = 0;
  State state = State::creating;
  ChainEnd end;                 ///< the last transaction that is known to be on the device
  std::uint64_t next_oid = 0;   ///< clean: the first oid that was not given away
  std::uint64_t oid_limit = 0;  ///< all oids below are reserved
  ManifestClaim manifest;       ///< the beginning of RocksDB's MANIFEST; all of it if clean
  std::uint64_t log = 0;        ///< the number of a log file that is there unless it is obsolete; 0: nothing is known

  static constexpr std::string_view kMagic = "witness of cow\r\n";
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::size_t kSize = 112;
  static_assert(kMagic.size() + 2 * sizeof(std::uint32_t) + 11 * sizeof(std::uint64_t) == kSize);

  void encode(char* out) const noexcept;
  std::string encode() const;
  /// The record that `bytes` begin with, or nothing if they are not what was written.
  static std::optional<WitnessRecord> decode(std::string_view bytes) noexcept;

  friend bool operator==(const WitnessRecord&, const WitnessRecord&) = default;
};

inline constexpr std::size_t kWitnessBlock = 4096;
inline constexpr std::size_t kWitnessBlocks = 3;

/// The record in a block, given the whole content of the file; nothing if there is no sound one.
inline std::optional<WitnessRecord> record_in_block(std::string_view file, std::size_t block) noexcept {
  if (file.size() <= block * kWitnessBlock) return std::nullopt;
  return WitnessRecord::decode(file.substr(block * kWitnessBlock));
}

inline void WitnessRecord::encode(char* out) const noexcept {
  char* next = std::copy(kMagic.begin(), kMagic.end(), out);
  store_int(next, kVersion);
  store_int(next + 4, static_cast<std::uint32_t>(state));
  next += 8;
  for (std::uint64_t value : {store_id, sequence, end.tid.value, end.checksum, next_oid, oid_limit, manifest.number,
                              manifest.size, manifest.hash, log}) {
    store_int(next, value);
    next += 8;
  }
  store_int(next, hash_bytes({out, kSize - 8}, 0));
}

inline std::string WitnessRecord::encode() const {
  std::string bytes(kSize, '\0');
  encode(bytes.data());
  return bytes;
}

inline std::optional<WitnessRecord> WitnessRecord::decode(std::string_view bytes) noexcept {
  if (bytes.size() < kSize || !bytes.starts_with(kMagic)) return std::nullopt;
  const char* next = bytes.data() + kMagic.size();
  if (fetch_int<std::uint64_t>(bytes.data() + kSize - 8) != hash_bytes(bytes.substr(0, kSize - 8), 0)) {
    return std::nullopt;
  }
  const auto state = fetch_int<std::uint32_t>(next + 4);
  if (fetch_int<std::uint32_t>(next) != kVersion || state < 1 || state > 3) return std::nullopt;
  WitnessRecord record;
  record.state = static_cast<State>(state);
  next += 8;
  for (std::uint64_t* value :
       {&record.store_id, &record.sequence, &record.end.tid.value, &record.end.checksum, &record.next_oid,
        &record.oid_limit, &record.manifest.number, &record.manifest.size, &record.manifest.hash, &record.log}) {
    *value = fetch_int<std::uint64_t>(next);
    next += 8;
  }
  return record;
}

/// The record that counts, given the whole content of the file; nothing if no block has a sound one.
inline std::optional<WitnessRecord> newest_record(std::string_view file) noexcept {
  std::optional<WitnessRecord> newest;
  for (std::size_t block = 0; block < kWitnessBlocks; ++block) {
    const std::optional<WitnessRecord> record = record_in_block(file, block);
    if (record && (!newest || record->sequence > newest->sequence)) newest = record;
  }
  return newest;
}

}  // namespace cow::detail
