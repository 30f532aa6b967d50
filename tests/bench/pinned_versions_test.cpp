// The counts of versions that sleepers pin (bench/probes/pinned_simulation.hpp), against a count that asks every sleeper about every
// version.
#include "bench/probes/pinned_simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace cow::bench {
namespace {

PinnedPlan random_plan(std::uint32_t objects, std::uint32_t updates, std::uint32_t sleepers, std::uint32_t reads,
                       unsigned seed) {
  std::mt19937 random(seed);
  PinnedPlan plan;
  plan.objects = objects;
  for (std::uint32_t i = 0; i < updates; ++i) plan.updates.push_back(random() % objects);
  std::vector<std::uint32_t> all(objects);
  for (std::uint32_t i = 0; i < objects; ++i) all[i] = i;
  for (std::uint32_t i = 0; i < sleepers; ++i) {
    std::shuffle(all.begin(), all.end(), random);
    plan.reads.emplace_back(all.begin(), all.begin() + reads);
  }
  return plan;
}

/// All versions, one after the other, each asked of every sleeper.
PinnedCounts count_slowly(const PinnedPlan& plan) {
  PinnedCounts counts;
  for (std::uint32_t object = 0; object < plan.objects; ++object) {
    std::vector<std::uint64_t> born{0};
    for (std::uint64_t time = 1; time <= plan.updates.size(); ++time) {
      if (plan.updates[time - 1] == object) born.push_back(time);
    }
    for (std::size_t i = 0; i < born.size(); ++i) {
      const bool newest = i + 1 == born.size();
      bool epochs = false, interval = false, visible = false, logged = false;
      for (std::size_t sleeper = 0; sleeper < plan.reads.size(); ++sleeper) {
        const std::uint64_t begin = plan.begin_of(sleeper), last = begin + plan.reads[sleeper].size() - 1;
        const bool outlives = newest || born[i + 1] > begin;
        const bool sees = outlives && born[i] <= begin;
        epochs |= outlives;
        interval |= outlives && born[i] <= last;
        visible |= sees;
        logged |= sees && std::ranges::find(plan.reads[sleeper], object) != plan.reads[sleeper].end();
      }
      auto add = [&](Kept& kept, bool keeps) { (newest ? kept.newest : kept.superseded) += keeps; };
      add(counts.epochs, epochs);
      add(counts.interval, interval);
      add(counts.visible, visible);
      add(counts.logged, logged);
    }
  }
  return counts;
}

void expect_equal(const Kept& found, const Kept& expected) {
  EXPECT_EQ(found.superseded, expected.superseded);
  EXPECT_EQ(found.newest, expected.newest);
}

TEST(PinnedVersionsTest, CountsWhatAskingEverySleeperCounts) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    PinnedPlan plan = random_plan(5 + seed * 3, 400, 1 + seed, 1 + seed % 5, seed);
    PinnedCounts found = PinnedSimulation(plan).count(), expected = count_slowly(plan);
    expect_equal(found.epochs, expected.epochs);
    expect_equal(found.interval, expected.interval);
    expect_equal(found.visible, expected.visible);
    expect_equal(found.logged, expected.logged);
  }
}

TEST(PinnedVersionsTest, EachRuleKeepsNoMoreThanTheOneBeforeIt) {
  PinnedCounts counts = [] {
    PinnedPlan plan = random_plan(100, 5000, 20, 10, 7);
    return PinnedSimulation(plan).count();
  }();
  EXPECT_EQ(counts.epochs.superseded, 5000u) << "the first sleeper begins before all updates";
  EXPECT_GT(counts.epochs.superseded, counts.interval.superseded);
  EXPECT_GT(counts.interval.superseded, counts.visible.superseded);
  EXPECT_GT(counts.visible.superseded, counts.logged.superseded);
  EXPECT_GT(counts.logged.superseded, 0u);
}

}  // namespace
}  // namespace cow::bench
