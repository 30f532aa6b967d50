// Plans of updates and reads for the pinned versions, drawn before anything is counted or timed.
//
// Thread safety: a plain function.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>

#include "bench/workloads/random.hpp"
#include "pinned_simulation.hpp"
#include "probe.hpp"

namespace cow::bench {

/// Updates are uniform, or Zipf's with the objects in random order; reads are uniform, whatever the updates are.
inline PinnedPlan make_plan(const PinnedVersionsOptions& options) {
  PinnedPlan plan;
  plan.objects = options.objects;
  Random random(options.seed);
  plan.updates.resize(options.updates);
  if (options.zipf > 0) {
    const Zipf ranks(options.objects, options.zipf);
    const std::vector<std::uint32_t> object_of = random_permutation(options.objects, random);
    for (std::uint32_t& object : plan.updates) object = object_of[ranks.draw(random)];
  } else {
    for (std::uint32_t& object : plan.updates) object = static_cast<std::uint32_t>(random.below(options.objects));
  }
  for (std::uint32_t sleeper = 0; sleeper < options.sleepers; ++sleeper) {
    std::unordered_set<std::uint32_t> seen;
    std::vector<std::uint32_t> reads;
    while (reads.size() < options.reads) {
      auto object = static_cast<std::uint32_t>(random.below(options.objects));
      if (seen.insert(object).second) reads.push_back(object);
    }
    plan.reads.push_back(std::move(reads));
  }
  return plan;
}

}  // namespace cow::bench
