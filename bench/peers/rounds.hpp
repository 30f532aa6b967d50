// Contenders measured in one shape, in rounds: each once a round, in an order that is drawn for each.
//
// Thread safety: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "bench/support/paired.hpp"
#include "contender.hpp"

namespace cow::bench::peers {

/// Of each contender, in their order: nanoseconds of a read, round by round.
class Rounds {
 public:
  template <class Contenders>
  Rounds(const Contenders& contenders, const Shape& shape, int rounds, double sample_seconds, std::uint64_t seed) {
    std::vector<std::function<double()>> sides;
    for (const auto& one : contenders) {
      sides.emplace_back([&one, &shape, sample_seconds] { return one->sample(shape, sample_seconds); });
    }
    nanoseconds_ = measure_interleaved(rounds, sides, seed);
  }

  double nanoseconds(std::size_t contender) const { return median(nanoseconds_[contender]); }

  /// The time of a contender as a multiple of that of another one, of the rounds that they share.
  double ratio(std::size_t contender, std::size_t to) const {
    return median_ratio(nanoseconds_[contender], nanoseconds_[to]);
  }

 private:
  std::vector<std::vector<double>> nanoseconds_;
};

}  // namespace cow::bench::peers
