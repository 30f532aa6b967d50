// Ghosts: which objects left the cache lately.
//
// Thread safety: none of its own; see policy.hpp.
//
// Invariants:
//  1. A cell holds an oid and the count of ghosts when it came: 40 and 24 bits. A ghost is remembered while fewer than
//     `limit` came after it.
//  2. Eight cells to a bucket, one cache line. A bucket that is full loses its oldest ghost: a ghost is a hint, and a lost
//     one costs an object its good start. So does, the other way round, one so old that the count has come round.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "cow_cache/types.hpp"

namespace cow::detail {

class Ghosts {
 public:
  /// Remembers an object, and from now on the latest `limit` ones only. Without memory for it, some are forgotten.
  void add(Oid oid, std::size_t limit) noexcept {
    limit_ = std::clamp<std::size_t>(limit, 1, kMax);
    fit();
    if (cells_.empty()) return;
    insert(oid.value << kStampBits | (++count_ & kStampMask));
  }

  /// Whether an object is remembered.
  bool has(Oid oid) noexcept {
    std::uint64_t* cell = cell_of(oid);
    return cell != nullptr && age_of(*cell) < limit_;
  }

  /// Whether an object is remembered; it is not any longer.
  bool take(Oid oid) noexcept {
    std::uint64_t* cell = cell_of(oid);
    if (cell == nullptr) return false;
    --occupied_;
    return age_of(std::exchange(*cell, 0)) < limit_;
  }

  /// How many are remembered, to within those that buckets lost.
  std::size_t size() const noexcept { return std::min(occupied_, limit_); }

  void clear() noexcept {
    cells_ = {};
    occupied_ = 0;
  }
  std::size_t bytes() const noexcept { return cells_.size() * sizeof(std::uint64_t); }

 private:
  static constexpr std::size_t kBucket = 8, kMax = std::size_t{1} << 22;
  static constexpr unsigned kStampBits = 64 - kOidBits;
  static constexpr std::uint64_t kStampMask = (std::uint64_t{1} << kStampBits) - 1;

  std::uint64_t age_of(std::uint64_t cell) const noexcept { return (count_ - cell) & kStampMask; }

  std::uint64_t* bucket_of(Oid oid) noexcept {
    std::size_t buckets = cells_.size() / kBucket;  // a power of two
    return &cells_[(std::hash<Oid>{}(oid) >> 32 & (buckets - 1)) * kBucket];
  }

  /// Null: there is none.
  std::uint64_t* cell_of(Oid oid) noexcept {
    if (cells_.empty()) return nullptr;
    std::uint64_t* bucket = bucket_of(oid);
    std::uint64_t* cell =
        std::find_if(bucket, bucket + kBucket, [&](auto one) { return one >> kStampBits == oid.value; });
    return cell == bucket + kBucket ? nullptr : cell;
  }

  void insert(std::uint64_t cell) noexcept {
    std::uint64_t* bucket = bucket_of(Oid{cell >> kStampBits});
    auto rank = [&](std::uint64_t one) { return one == 0 ? kStampMask + 1 : age_of(one); };
    std::uint64_t* place =
        std::max_element(bucket, bucket + kBucket, [&](auto a, auto b) { return rank(a) < rank(b); });
    if (*place == 0) ++occupied_;
    *place = cell;
  }

  /// Keeps four to eight cells for five ghosts, a little less when the limit shrinks.
  void fit() noexcept {
    std::size_t wanted = std::bit_ceil(std::max(kBucket, limit_ + limit_ / 4));
    if (wanted <= cells_.size() && cells_.size() <= 4 * wanted) return;
    std::vector<std::uint64_t> old;
    try {
      old.resize(wanted);
    } catch (const std::bad_alloc&) {
      return;  // then with what cells there are
    }
    old.swap(cells_);
    occupied_ = 0;
    for (std::uint64_t cell : old) {
      if (cell != 0 && age_of(cell) < limit_) insert(cell);
    }
  }

  std::vector<std::uint64_t> cells_;
  std::size_t limit_ = 1, occupied_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace cow::detail
