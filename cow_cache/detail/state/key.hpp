// Keys: what a state's header says about whose state it is. One comparison of 64 bits answers "is this the state of that
// object, of that type, in my cache, and alive?".
//
//   bit 63: dead | bits 51..62: cache | bits 40..50: type | bits 0..39: oid
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. Key 0 is a free slot; no live key is 0, for no object has oid 0.
//  2. Two types have the same bits only where both have `kUnnumberedType`, which no hint is ever set for (ref.hpp). So a
//     hint whose key matches needs no type check.
//  3. Two caches alive at the same time have different bits. Those of a cache that has ended are used again: it has left
//     no state alive.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cow_cache/detail/spelled_name.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/errors.hpp"
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

/// Bits for a type of the process: the same for all shared libraries that have it. They know it by its name, since each
/// may have a `type_bits<T>` of its own.
COW_CACHE_ONE_PER_PROCESS inline std::uint64_t number_of_type(std::string_view spelled) {
  static std::mutex mutex;
  static std::uint64_t last = 0;
  static auto* const known = new std::unordered_map<std::string, std::uint64_t>;  // outlives every static
  std::scoped_lock lock(mutex);
  const bool shared = names_one_type(spelled);
  if (shared) {
    if (auto found = known->find(std::string(spelled)); found != known->end()) return found->second;
  }
  const std::uint64_t bits = last == kUnnumberedType ? last : last + (std::uint64_t{1} << kOidBits);
  if (shared) known->emplace(spelled, bits);
  return last = bits;
}

/// The type's bits in keys. They differ from run to run: never store them. T may be incomplete.
template <class T>
std::uint64_t type_bits() {
  static const std::uint64_t bits = number_of_type(spelled_type_name<T>());
  return bits;
}

/// The cache's bits in keys, held for as long as the cache lives.
class COW_CACHE_ONE_PER_PROCESS CacheTag {
 public:
  /// Throws LimitError when there are 4,094 of them.
  CacheTag() {
    std::scoped_lock lock(pool().mutex);
    if (!pool().returned.empty()) {
      bits_ = pool().returned.back();
      pool().returned.pop_back();
      return;
    }
    if (pool().used == kMost) throw LimitError("caches in one process", kMost);
    pool().returned.reserve(pool().used + 1);  // so that giving back cannot fail
    bits_ = ++pool().used << (kOidBits + kTypeBits);
  }
  /// REQUIRES: no state has a key with these bits.
  ~CacheTag() {
    std::scoped_lock lock(pool().mutex);
    pool().returned.push_back(bits_);
  }
  CacheTag(const CacheTag&) = delete;
  CacheTag& operator=(const CacheTag&) = delete;

  std::uint64_t bits() const noexcept { return bits_; }
  /// True for the key of a live state of this cache.
  bool owns(std::uint64_t key) const noexcept { return (key & ~(kTypeMask | kMaxOid.value)) == bits_; }

 private:
  static constexpr std::uint64_t kMost = (std::uint64_t{1} << kCacheBits) - 2;

  struct Pool {
    std::mutex mutex;
    std::uint64_t used = 0;
    std::vector<std::uint64_t> returned;
  };
  static Pool& pool() {
    static Pool* const pool = new Pool;  // outlives every cache
    return *pool;
  }

  std::uint64_t bits_;
};

/// The bits of no cache: what an ended transaction compares keys with.
inline constexpr std::uint64_t kNoCache = ((std::uint64_t{1} << kCacheBits) - 1) << (kOidBits + kTypeBits);

}  // namespace cow::detail
