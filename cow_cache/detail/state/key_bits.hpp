// Keys: what a state's header says about whose state it is. One comparison of 64 bits answers "is this the state of that
// object, of that type, in my cache, and alive?".
//
//   bit 63: dead | bits 51..62: cache | bits 40..50: type | bits 0..39: oid
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. Key 0 is a free slot; no live key is 0, for no object has oid 0.
//  2. Two types have the same bits only where both have `kUnnumberedType`, which no reference has (`reference_bits`). So a
//     state whose key matches a reference, by its hint or by oid, needs no type check.
//  3. Two caches alive at the same time have different bits. Those of a cache that has ended are used again: it has left
//     no state alive.
#pragma once

#include <cstdint>
#include <string_view>

#include "cow_cache/detail/spelled_name.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

inline constexpr unsigned kTypeBits = 11, kCacheBits = 12;
static_assert(kOidBits + kTypeBits + kCacheBits == 63);

/// Set in the key of a dead state until its slot is free.
inline constexpr std::uint64_t kDeadMark = std::uint64_t{1} << 63;

/// The bits of a key that name the type.
inline constexpr std::uint64_t kTypeMask = ((std::uint64_t{1} << kTypeBits) - 1) << kOidBits;

/// The oid in a key, or in the part of a key that a reference holds.
constexpr Oid oid_in(std::uint64_t key) noexcept { return Oid{key & kMaxOid.value}; }

/// What types share that come after the first two thousand: they are found by oid only.
inline constexpr std::uint64_t kUnnumberedType = kTypeMask;

/// The numbers of types. A template, so that it can be defined elsewhere (key.hpp): most that name a type need no more.
template <class Unit>
struct COW_CACHE_ONE_PER_PROCESS TypeNumbers {
  /// Bits for a type of the process: the same for all shared libraries that have it. They know it by its name, since each
  /// may have a `type_bits<T>` of its own.
  static std::uint64_t number_of(std::string_view spelled);
};

/// The type's bits in keys. They differ from run to run: never store them. T may be incomplete.
template <class T>
std::uint64_t type_bits() {
  static const std::uint64_t bits = TypeNumbers<void>::number_of(spelled_type_name<T>());
  return bits;
}

/// The type's bits in references. Type 0 is none: a reference to objects of a type without a number matches no key of a state.
template <class T>
std::uint64_t reference_bits() {
  static const std::uint64_t bits = type_bits<T>() == kUnnumberedType ? 0 : type_bits<T>();
  return bits;
}

}  // namespace cow::detail
