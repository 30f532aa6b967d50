// Policies that a simulation can be asked for beside those that every one has (simulation.hpp). To add one: a line here.
//
// Thread safety: plain values.
#pragma once

#include <array>

#include "bench/extensions/segmented_policy.hpp"
#include "simulation.hpp"

namespace cow::bench {

/// Misses of a policy that has what a cache asks for.
template <class Policy>
std::uint64_t count_misses_of(const Accesses& accesses, std::size_t capacity) {
  Policy policy;
  return count_misses(accesses, capacity, policy);
}

inline constexpr std::array kFurtherPolicies{
    SimulatedPolicy{"segmented", count_misses_of<SegmentedPolicy>},
};

}  // namespace cow::bench
