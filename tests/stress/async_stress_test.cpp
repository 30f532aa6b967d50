// Hundreds of clients at once: coroutines on several loops and strands, fibers, blocking threads. They transfer, add up, sleep,
// call outside, prefetch, nest and spawn, on a database that is too small, over a store, codecs, bodies, calls and handlers that
// throw at random; and they are stopped, or come to their deadlines, wherever they wait.
//
// COW_CACHE_SEED=N runs that seed only: it decides the sizes, the bounds, how often what fails, and what each client does;
// not how threads interleave. COW_CACHE_STRESS_SECONDS is the time, 4 by default; if it is set, the seeds start at random.
// COW_CACHE_STRESS_PATIENCE is how many seconds a client may be at one step before the test takes it for stuck.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>

#include "tests/stress/async_stress/round.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

void run_seed(std::uint64_t seed, StressCounts& counts) {
  StressPlan plan = make_stress_plan(seed);
  std::cout << "COW_CACHE_SEED=" << seed << ": " << plan << std::endl;  // flushed: a crash must say which one it was
  StressRound(plan, counts).run();
}

void print(StressCounts& counts) {
  std::cout << counts.commits << " commits, " << counts.conflicts << " conflicts, " << counts.nested
            << " nested in vain, " << counts.overloads << " overloads, " << counts.failures << " failures, "
            << counts.stops << " stops and " << counts.deadlines << " deadlines at:\n";
  for (const auto& [step, count] : counts.given_up_at) std::cout << "  " << count << " " << step << "\n";
  std::cout << "thrown on purpose:";
  for (std::size_t i = 0; i < kFaults; ++i) std::cout << " " << faults.thrown(Fault(i)) << " " << kFaultNames[i];
  std::cout << std::endl;
}

TEST(AsyncStress, WhateverFailsNothingIsLostOrLeft) {
  StressCounts counts;
  if (auto seed = chosen_seed()) {
    run_seed(*seed, counts);
    return print(counts);
  }
  const std::uint64_t first = first_seed();
  const auto deadline = std::chrono::steady_clock::now() + stress_time(4.0);
  constexpr std::uint64_t kMin = 4;  // on a slow machine, too
  for (std::uint64_t seed = first; seed < first + kMin || std::chrono::steady_clock::now() < deadline; ++seed) {
    run_seed(seed, counts);
    if (HasFailure()) break;
  }
  print(counts);
  // Whatever the seeds were, the test has come to what it is for.
  EXPECT_GT(counts.commits.load(), 100u);
  EXPECT_GT(counts.conflicts.load() + counts.failures.load() + counts.stops.load() + counts.deadlines.load(), 0u);
}

}  // namespace
}  // namespace cow::testing
