// What the replacement policy is worth: orm-misses.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "bench/simulator/key_sequences.hpp"
#include "bench/simulator/simulation.hpp"
#include "claim.hpp"

namespace cow::bench {
namespace {

/// The trace: 5,000,000 accesses of an e-commerce application to database objects through an ORM, on a busy day.
Accesses orm_accesses() {
  const char* path = std::getenv("COW_CACHE_TRACE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (path == nullptr) {
    throw NotMeasurable(
        "COW_CACHE_TRACE must name orm-busy.trace.xz of cache2k's benchmarks (headissue GmbH, CC BY 4.0)");
  }
  return number_units(read_trace(path));
}

Measured measure_orm_misses() {
  Accesses accesses = orm_accesses();
  Measured measured;
  for (double share : kCapacityShares) {
    std::size_t capacity = capacity_of(accesses, share);
    std::array<std::uint64_t, kRivals + 1> misses;  // the default comes behind its rivals
    for (std::size_t i = 0; i < misses.size(); ++i) misses[i] = kSimulatedPolicies[i].misses(accesses, capacity);
    auto best = std::min_element(misses.begin(), misses.begin() + kRivals);
    double ratio = static_cast<double>(misses[kRivals]) / static_cast<double>(*best);
    measured.value = std::max(measured.value, ratio);
    measured.detail += fmt::format("{}{:g}%: {:.3f} of {}", measured.detail.empty() ? "" : ", ", share * 100, ratio,
                                   kSimulatedPolicies[static_cast<std::size_t>(best - misses.begin())].name);
  }
  measured.detail += fmt::format("; {} accesses to {} objects", accesses.units.size(), accesses.distinct);
  return measured;
}

}  // namespace

std::vector<Claim> replacement_claims() {
  using enum Claim::Comparison;
  return {
      {"orm-misses",
       "misses of the default replacement policy against the best of LRU, CLOCK, S3-FIFO and SIEVE on an ORM's "
       "accesses, "
       "the worst of 0.1 to 50% capacity",
       at_most, 1.02, "x", measure_orm_misses},
  };
}

}  // namespace cow::bench
