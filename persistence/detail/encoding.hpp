// How RocksDbStore writes keys and values: fixed-width integers and checksums.
//
//   revision key     oid (8, big endian) | ~tid (8, big endian)      newest revision of an object first
//   revision value   record | checksum (4)                           no record: a tombstone
//   transaction key  tid (8, big endian)
//
// Thread safety: pure functions.
//
// Invariants:
//  1. The byte order of keys is the order of (oid, descending tid), and of tids.
//  2. The checksum of a record depends on its oid and tid, so a record that turns up under another key is noticed.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "cow_cache/types.hpp"

namespace cow::detail {

static_assert(std::endian::native == std::endian::little, "stored integers are little endian");

/// Appends or reads an integer in the machine's (little endian) order.
template <class Int>
void store_int(char* out, Int value) noexcept {
  std::memcpy(out, &value, sizeof value);
}
template <class Int>
Int fetch_int(const char* in) noexcept {
  Int value;
  std::memcpy(&value, in, sizeof value);
  return value;
}

inline std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

/// The key of one revision.
class RevisionKey {
 public:
  static constexpr std::size_t kSize = 16;
  static constexpr std::size_t kPrefixSize = 8;

  RevisionKey(Oid oid, Tid tid) noexcept {
    store_int(bytes_.data(), __builtin_bswap64(oid.value));
    store_int(bytes_.data() + kPrefixSize, __builtin_bswap64(~tid.value));
  }
  std::string_view bytes() const noexcept { return {bytes_.data(), bytes_.size()}; }

  static Oid oid_of(const char* key) noexcept { return Oid{__builtin_bswap64(fetch_int<std::uint64_t>(key))}; }
  static Tid tid_of(const char* key) noexcept {
    return Tid{~__builtin_bswap64(fetch_int<std::uint64_t>(key + kPrefixSize))};
  }

 private:
  std::array<char, kSize> bytes_;
};

/// The key of one transaction.
class TransactionKey {
 public:
  static constexpr std::size_t kSize = 8;

  explicit TransactionKey(Tid tid) noexcept { store_int(bytes_.data(), __builtin_bswap64(tid.value)); }
  std::string_view bytes() const noexcept { return {bytes_.data(), bytes_.size()}; }

  static Tid tid_of(const char* key) noexcept { return Tid{__builtin_bswap64(fetch_int<std::uint64_t>(key))}; }

 private:
  std::array<char, kSize> bytes_;
};

inline constexpr std::size_t kRecordChecksumSize = 4;

/// The checksum that ends the value of a revision.
inline std::uint32_t record_checksum(Oid oid, Tid tid, std::string_view record) noexcept {
  const std::uint64_t seed = oid.value * 0x9E3779B97F4A7C15u ^ tid.value;
  return static_cast<std::uint32_t>(hash_bytes(record, seed));
}

/// The checksum stored in the value of a revision. REQUIRES: at least `kRecordChecksumSize` bytes.
inline std::uint32_t stored_checksum(std::string_view value) noexcept {
  return fetch_int<std::uint32_t>(value.data() + value.size() - kRecordChecksumSize);
}

/// The record in the value of a revision (empty: a tombstone), or nothing if the bytes are not what was written.
inline std::optional<std::string_view> record_in(Oid oid, Tid tid, std::string_view value) noexcept {
  if (value.size() < kRecordChecksumSize) return std::nullopt;
  const std::string_view record = value.substr(0, value.size() - kRecordChecksumSize);
  if (record_checksum(oid, tid, record) != stored_checksum(value)) return std::nullopt;
  return record;
}

}  // namespace cow::detail
