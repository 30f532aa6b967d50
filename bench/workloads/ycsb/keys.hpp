// YCSB's request distributions (Cooper et al.: "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010).
//
// "Zipfian" means two things, and results say which one they used:
//  - scrambled, YCSB's own default: a Zipf rank out of 10^10 items, hashed over the records that there are. Whatever
//    their number, the hottest record gets 3.78% of the requests, and popularity is flatter than Zipf's below it.
//  - true: Zipf over the records themselves (random.hpp). The hottest of 10^7 gets 5.54%.
//
// Thread safety: distributions are read only; AcknowledgedCounter may be used by any thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/workloads/random.hpp"

namespace cow::bench::ycsb {

inline constexpr double kTheta = 0.99;

/// FNV-1 over the eight bytes of a number, the hash that YCSB makes keys and scrambles ranks with.
inline std::uint64_t fnv_hash(std::uint64_t number) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (int i = 0; i < 8; ++i) {
    hash ^= number & 0xFF;
    hash *= 1099511628211u;
    number >>= 8;
  }
  // YCSB takes the absolute value of what is a signed number there.
  return static_cast<std::int64_t>(hash) < 0 ? ~hash + 1 : hash;
}

/// The key of record number `number`: keys are inserted in an order that has nothing to do with theirs.
inline std::uint64_t key_of(std::uint64_t number) { return fnv_hash(number); }

/// Zipf ranks without a table, approximately (Gray et al.: "Quickly Generating Billion-Record Synthetic Databases",
/// SIGMOD 1994). `zeta` is the sum over 1 / r^theta for r in [1, items].
class GrayZipf {
 public:
  GrayZipf(std::uint64_t items, double zeta, double theta = kTheta)
      : items_(static_cast<double>(items)),
        zeta_(zeta),
        second_(1 + std::pow(0.5, theta)),
        alpha_(1 / (1 - theta)),
        eta_((1 - std::pow(2 / items_, 1 - theta)) / (1 - second_ / zeta)) {}

  std::uint64_t draw(Random& random) const {
    const double u = random.unit(), scaled = u * zeta_;
    if (scaled < 1) return 0;
    if (scaled < second_) return 1;
    return static_cast<std::uint64_t>(items_ * std::pow(eta_ * u - eta_ + 1, alpha_));
  }

 private:
  double items_, zeta_, second_, alpha_, eta_;
};

/// YCSB's scrambled Zipf over `count` records.
class ScrambledZipf {
 public:
  explicit ScrambledZipf(std::uint64_t count) : count_(count) {}
  std::uint64_t draw(Random& random) const { return fnv_hash(ranks_.draw(random)) % count_; }

 private:
  /// Both constants are YCSB's own.
  static constexpr std::uint64_t kItems = 10'000'000'000;
  static constexpr double kZetaOfItems = 26.46902820178302;

  std::uint64_t count_;
  GrayZipf ranks_{kItems, kZetaOfItems};
};

/// True Zipf over `count` records; which ones are the hot ones is random.
class TrueZipf {
 public:
  TrueZipf(std::size_t count, std::uint64_t seed) : ranks_(count, kTheta) {
    Random random(seed);
    record_of_ = random_permutation(count, random);
  }
  std::uint64_t draw(Random& random) const { return record_of_[ranks_.draw(random)]; }

 private:
  Zipf ranks_;
  std::vector<std::uint32_t> record_of_;
};

enum class Distribution { scrambled_zipf, true_zipf };

/// "scrambled" or "true". Throws std::invalid_argument.
inline Distribution distribution_named(std::string_view name) {
  if (name == "scrambled") return Distribution::scrambled_zipf;
  if (name == "true") return Distribution::true_zipf;
  throw std::invalid_argument("YCSB's Zipf is scrambled or true, not '" + std::string(name) + "'");
}

/// Numbers for inserts, and up to where all of them are committed: requests go to these records only.
class AcknowledgedCounter {
 public:
  /// Records below `start` are there.
  explicit AcknowledgedCounter(std::uint64_t start) : next_(start), acknowledged_(start) {}

  std::uint64_t next() {
    std::scoped_lock lock(mutex_);
    return next_++;
  }

  /// The record `number`, which came from `next`, is committed.
  void acknowledge(std::uint64_t number) {
    std::scoped_lock lock(mutex_);
    early_.push(number);
    while (!early_.empty() && early_.top() == acknowledged_) {
      early_.pop();
      ++acknowledged_;
    }
  }

  /// All records below it are committed.
  std::uint64_t acknowledged() const {
    std::scoped_lock lock(mutex_);
    return acknowledged_;
  }

 private:
  mutable std::mutex mutex_;
  std::uint64_t next_, acknowledged_;
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> early_;  ///< committed before others
};

}  // namespace cow::bench::ycsb
