// Random numbers that are the same on every machine and every standard library: std::uniform_int_distribution is not.
//
// Thread safety: one generator per thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace cow::bench {

/// xoshiro256** of Blackman and Vigna (2018), seeded through splitmix64 as they advise.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9E3779B97F4A7C15u;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
      mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
      word = mixed ^ (mixed >> 31);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  /// Uniform in [0, bound). The bias of the multiplication is below bound / 2^64: nothing that a benchmark can see.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(next()) * bound >> 64);
  }

  /// Uniform in [first, last].
  std::int64_t between(std::int64_t first, std::int64_t last) {
    return first + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(last - first) + 1));
  }

  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  bool chance(double probability) { return unit() < probability; }

 private:
  static std::uint64_t rotate(std::uint64_t word, int by) { return word << by | word >> (64 - by); }

  std::uint64_t state_[4];
};

/// 0, 1, ..., count - 1 in random order (Fisher and Yates).
inline std::vector<std::uint32_t> random_permutation(std::size_t count, Random& random) {
  std::vector<std::uint32_t> permutation(count);
  std::iota(permutation.begin(), permutation.end(), 0u);
  for (std::size_t i = count; i > 1; --i) std::swap(permutation[i - 1], permutation[random.below(i)]);
  return permutation;
}

/// True Zipf: rank r of [0, count) has probability proportional to 1 / (r + 1)^theta. (YCSB's "scrambled" Zipf is a
/// different, flatter distribution.) Drawing one takes a binary search, more than a cache hit costs: draw keys before
/// the clock starts.
class Zipf {
 public:
  Zipf(std::size_t count, double theta) : cumulative_(count) {
    double sum = 0;
    for (std::size_t rank = 0; rank < count; ++rank) {
      sum += std::pow(static_cast<double>(rank + 1), -theta);
      cumulative_[rank] = sum;
    }
  }

  std::size_t draw(Random& random) const {
    const double point = random.unit() * cumulative_.back();
    auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), point);
    return std::min(static_cast<std::size_t>(found - cumulative_.begin()), cumulative_.size() - 1);
  }

 private:
  std::vector<double> cumulative_;
};

}  // namespace cow::bench
