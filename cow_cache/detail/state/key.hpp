// Keys, and who gives their bits to types and caches: what key_bits.hpp needs no more of than their names.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants: those of key_bits.hpp.
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
#include "key_bits.hpp"

namespace cow::detail {

template <class Unit>
std::uint64_t TypeNumbers<Unit>::number_of(std::string_view spelled) {
  static std::mutex mutex;
  static std::uint64_t last = 0;
  // A type of our own: RocksDB has maps of strings and numbers, and in a build with ThreadSanitizer would call ours (tests/tsan.supp).
  struct Bits {
    std::uint64_t value;
  };
  static auto* const known = new std::unordered_map<std::string, Bits>;  // outlives every static
  std::scoped_lock lock(mutex);
  const bool shared = names_one_type(spelled);
  if (shared) {
    if (auto found = known->find(std::string(spelled)); found != known->end()) return found->second.value;
  }
  const std::uint64_t bits = last == kUnnumberedType ? last : last + (std::uint64_t{1} << kOidBits);
  if (shared) known->emplace(spelled, Bits{bits});
  return last = bits;
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
    if (pool().used == kMax) throw LimitError("caches in one process", kMax);
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
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << kCacheBits) - 2;

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
