// What measures: random numbers, histogram, memory of the process.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "bench/support/latency_histogram.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/process_memory.hpp"
#include "bench/workloads/random.hpp"

namespace cow::bench {
namespace {

TEST(RandomNumbers, AreTheSameEverywhere) {
  Random random(1);
  EXPECT_EQ(random.next(), 0xB3F2AF6D0FC710C5u);
  std::vector<std::uint64_t> drawn(10);
  for (int i = 0; i < 10'000; ++i) ++drawn[random.below(10)];
  for (std::uint64_t count : drawn) EXPECT_NEAR(static_cast<double>(count), 1'000, 150);
}

TEST(RandomNumbers, ZipfIsTrueZipf) {
  Random random(1);
  const Zipf zipf(1'000, 0.99);
  double sum = 0;
  for (int rank = 1; rank <= 1'000; ++rank) sum += std::pow(rank, -0.99);
  std::uint64_t first = 0, tenth = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const std::size_t rank = zipf.draw(random);
    first += rank == 0;
    tenth += rank == 9;
  }
  EXPECT_NEAR(static_cast<double>(first) / kDraws, 1 / sum, 0.01);
  EXPECT_NEAR(static_cast<double>(tenth) / kDraws, std::pow(10, -0.99) / sum, 0.003);
}

TEST(LatencyHistogram, IsWithinOnePercent) {
  LatencyHistogram low, high;
  for (std::uint64_t i = 1; i <= 50'000; ++i) low.record(i * 10);
  for (std::uint64_t i = 50'001; i <= 100'000; ++i) high.record(i * 10);
  low.add(high);
  EXPECT_EQ(low.count(), 100'000u);
  EXPECT_EQ(low.max(), 1'000'000u);
  for (double share : {0.001, 0.5, 0.99, 0.999, 1.0}) {
    EXPECT_NEAR(static_cast<double>(low.quantile(share)), share * 1e6, share * 1e4) << share;
  }
  LatencyHistogram extremes;
  EXPECT_EQ(extremes.quantile(0.5), 0u);
  extremes.record(0);
  EXPECT_EQ(extremes.quantile(1), 0u);
  extremes.record(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(extremes.quantile(1), std::numeric_limits<std::uint64_t>::max());
}

TEST(PairedTest, KeepsThePairsTogether) {
  // Each round is ten times as slow as the one before, for both sides.
  int calls = 0;
  double seconds = 1;
  auto one = [&](double factor) {
    if (++calls % 2 == 1) seconds *= 10;
    return factor * seconds;
  };
  Paired paired = measure_paired(
      5, [&] { return one(3); }, [&] { return one(2); });
  EXPECT_EQ(calls, 12);  // a round before that does not count
  ASSERT_EQ(paired.ratios.size(), 5u);
  for (double ratio : paired.ratios) EXPECT_DOUBLE_EQ(ratio, 1.5);
  EXPECT_DOUBLE_EQ(paired.ratio, 1.5);
}

TEST(UpperEndOfMedian, IsThatOfTheBootstrap) {
  EXPECT_EQ(upper_end_of_median(std::vector<double>(41, 1.5)), 1.5);
  std::vector<double> values;
  for (int i = 0; i < 41; ++i) values.push_back(1 + i / 100.0);
  // Of 41 values the 27th to 29th from below (binomial, p = 1/2, 97.5%).
  double end = upper_end_of_median(values);
  EXPECT_GE(end, 1.26);
  EXPECT_LE(end, 1.28);
  // One value that is far off moves the end of an interval of three, and not that of 41.
  values.back() = 100;
  EXPECT_EQ(upper_end_of_median(values), end);
  EXPECT_EQ(upper_end_of_median({1, 2, 100}), 100);
}

TEST(ProcessMemoryTest, SeesWhatIsTouched) {
  const ProcessMemory before = process_memory();
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  std::vector<char> touched(kBytes, 1);
  const ProcessMemory after = process_memory();
  EXPECT_GE(after.rss, before.rss + kBytes * 9 / 10);
  EXPECT_GE(after.anonymous, before.anonymous + kBytes * 9 / 10);
  // Pages of libraries may become shared meanwhile, when another process maps them too.
  EXPECT_GE(after.uss, before.uss + kBytes / 2);
  EXPECT_EQ(touched[kBytes / 2], 1);
}

}  // namespace
}  // namespace cow::bench
