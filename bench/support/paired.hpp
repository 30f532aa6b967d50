// Measuring two things against each other: interleaved, in one process, so that what disturbs one disturbs the other.
//
// Thread safety: one measurement at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace cow::bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds that `work()` takes.
template <class Work>
double seconds_of(Work&& work) {
  double start = seconds_now();
  work();
  return seconds_now() - start;
}

inline double median(std::vector<double> values) {
  if (values.empty()) throw std::invalid_argument("the median of nothing");
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// The ratios of two sides, round by round: what disturbs a round disturbs both. REQUIRES: as many of each.
inline std::vector<double> ratios_of(const std::vector<double>& numerators, const std::vector<double>& denominators) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < numerators.size(); ++round)
    ratios.push_back(numerators[round] / denominators[round]);
  return ratios;
}

/// Their median.
inline double median_ratio(const std::vector<double>& numerators, const std::vector<double>& denominators) {
  return median(ratios_of(numerators, denominators));
}

/// The upper end of the 95% interval of a median: percentile bootstrap, as reports have it (bench/report/intervals.py).
inline double upper_end_of_median(const std::vector<double>& values) {
  constexpr std::size_t kResamples = 4000, kAbove = kResamples / 40;  // 2.5% of the medians
  std::mt19937_64 random(20120217);                                   // the same end for the same values
  std::uniform_int_distribution<std::size_t> any(0, values.size() - 1);
  std::vector<double> medians(kResamples);
  std::vector<double> drawn(values.size());
  for (double& one : medians) {
    for (double& value : drawn) value = values[any(random)];
    one = median(drawn);
  }
  auto end = medians.end() - static_cast<std::ptrdiff_t>(kAbove) - 1;
  std::nth_element(medians.begin(), end, medians.end());
  return *end;
}

inline double geometric_mean(const std::vector<double>& values) {
  double logarithms = 0;
  for (double value : values) logarithms += std::log(value);
  return std::exp(logarithms / static_cast<double>(values.size()));
}

/// Of a measurement in pairs: medians over the repetitions, and what each gave.
struct Paired {
  double first = 0, second = 0;  ///< what the two sides returned
  double ratio = 0;              ///< first / second, pair by pair
  std::vector<double> ratios{};  ///< of all pairs
};

/// Calls `first()` and `second()`, each returning what it measured, `repetitions` times in turn after one round that
/// does not count. The order alternates, so that neither always has the warmer cache.
template <class First, class Second>
Paired measure_paired(int repetitions, First&& first, Second&& second) {
  std::vector<double> firsts, seconds;
  for (int i = -1; i < repetitions; ++i) {
    double a = 0, b = 0;
    if (i % 2 == 0) {
      a = first();
      b = second();
    } else {
      b = second();
      a = first();
    }
    if (i < 0) continue;
    firsts.push_back(a);
    seconds.push_back(b);
  }
  std::vector<double> ratios = ratios_of(firsts, seconds);
  return {median(firsts), median(seconds), median(ratios), ratios};
}

/// The same for any number of sides: calls each of `sides`, functions that return what they measured, once per round, in an
/// order that is drawn for each round. Returns what each gave, round by round; one round before them does not count.
template <class Side>
auto measure_interleaved(int rounds, std::vector<Side>& sides, std::uint64_t seed) {
  std::vector<std::vector<std::invoke_result_t<Side&>>> measured(sides.size());
  std::vector<std::size_t> order(sides.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(seed);
  for (int round = -1; round < rounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::size_t i : order) {
      auto value = sides[i]();
      if (round >= 0) measured[i].push_back(std::move(value));
    }
  }
  return measured;
}

/// Keeps the compiler from dropping what computes `value`.
template <class Value>
inline void keep(const Value& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

/// libstdc++ leaves out atomic operations until the process has had a second thread; every server has.
inline void start_a_thread_once() {
  std::thread([] {}).join();
}

}  // namespace cow::bench
