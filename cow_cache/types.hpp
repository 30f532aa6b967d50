// Strong types for the two numbers that every layer speaks of: object ids and transaction ids.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace cow {

/// The name of one object, for ever: never reused, handed out by the store in blocks. `Oid{0}` means "none".
/// Oids are dense small integers; the cache accepts values up to `kMaxOid`.
struct Oid {
  std::uint64_t value = 0;

  explicit constexpr operator bool() const noexcept { return value != 0; }
  friend constexpr auto operator<=>(Oid, Oid) = default;
};

/// The name of one committed transaction. Tids grow with commits; `Tid{0}` is before the first commit.
struct Tid {
  std::uint64_t value = 0;

  friend constexpr auto operator<=>(Tid, Tid) = default;
};

/// The `end` of a revision that no commit has superseded.
inline constexpr Tid kInfinity{~std::uint64_t{0}};

/// Largest oid that a cache accepts (about 10^12 objects): the bits above it name the cache that owns a state.
inline constexpr unsigned kOidBits = 40;
inline constexpr Oid kMaxOid{(std::uint64_t{1} << kOidBits) - 1};

/// The oid of the root object, which names the entry points of a database.
inline constexpr Oid kRootOid{1};

/// The type of the MessagePack extension that a reference is in a record.
inline constexpr std::int8_t kReferenceExtension = 79;  // 'O', for object

// Templates, so that those who print nothing need not know streams.
template <class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out, Oid oid) {
  return out << "oid " << oid.value;
}
template <class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out, Tid tid) {
  return tid == kInfinity ? out << "tid infinity" : out << "tid " << tid.value;
}

}  // namespace cow

template <>
struct std::hash<cow::Oid> {
  // Oids are dense; multiplying by the golden ratio spreads them over a power-of-two table (Knuth, TAOCP 3, 6.4).
  std::size_t operator()(cow::Oid oid) const noexcept { return oid.value * 0x9E3779B97F4A7C15u; }
};
