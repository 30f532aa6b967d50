// A histogram of durations with a relative error below 1 % at any size: Gil Tene's HdrHistogram in its simplest form.
//
// Thread safety: one histogram per thread; `add` them up afterwards.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace cow::bench {

/// Counts of 64-bit values. Values below 2^(kBits+1) are counted exactly; above, every power of two is cut into
/// 2^kBits equal buckets. 58 KB.
class LatencyHistogram {
 public:
  LatencyHistogram() : counts_(kBuckets) {}

  void record(std::uint64_t value) {
    ++counts_[bucket_of(value)];
    ++count_;
    max_ = std::max(max_, value);
    min_ = std::min(min_, value);
    sum_ += static_cast<double>(value);
  }

  void add(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
    min_ = std::min(min_, other.min_);
    sum_ += other.sum_;
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

  /// The smallest value that at least `share` (0..1] of the recorded ones do not exceed; the middle of its bucket,
  /// but the exact maximum for 1. 0 if nothing was recorded.
  std::uint64_t quantile(double share) const {
    if (count_ == 0) return 0;
    if (share >= 1) return max_;
    const double wanted = share * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && static_cast<double>(seen) >= wanted) return std::clamp(middle_of(i), min_, max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned kBits = 7;
  static constexpr std::size_t kBuckets = (64 - kBits + 1) << kBits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < (std::uint64_t{2} << kBits)) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return (static_cast<std::size_t>(shift) << kBits) + (value >> shift);
  }
  static std::uint64_t middle_of(std::size_t bucket) {
    if (bucket < (std::size_t{2} << kBits)) return bucket;
    const std::size_t shift = (bucket >> kBits) - 1;
    const std::uint64_t first = static_cast<std::uint64_t>(bucket - (shift << kBits)) << shift;
    return first + (std::uint64_t{1} << shift) / 2;
  }

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
  std::uint64_t min_ = std::numeric_limits<std::uint64_t>::max();
  double sum_ = 0;
};

}  // namespace cow::bench
