// slots/WHAT/LIVE: allocating and releasing slots of the state memory, per slot and both together.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "bench/support/paired.hpp"
#include "cow_cache/detail/state/state_memory.hpp"

namespace cow::bench {

using cow::detail::StateHeader;
using cow::detail::StateMemory;
namespace size_classes = cow::detail::size_classes;

namespace {

constexpr std::size_t kBatch = 1'000;
constexpr std::uint8_t kClass = size_classes::class_of(320);

/// One after the other: the magazine alone.
void pairs(benchmark::State& state) {
  StateMemory& memory = StateMemory::instance();
  for (auto _ : state) {
    StateHeader* slot = memory.allocate(kClass);
    keep(slot);
    memory.release(slot);
  }
}
BENCHMARK(pairs)->Name("slots/pairs");

/// A cache of LIVE slots at its budget: a batch is released, in the order of its addresses or out of any, and as many are
/// allocated.
void churn(benchmark::State& state, bool in_order) {
  StateMemory& memory = StateMemory::instance();
  std::vector<StateHeader*> live;
  for (std::int64_t i = 0; i < state.range(0); ++i) live.push_back(memory.allocate(kClass));
  if (!in_order) std::shuffle(live.begin(), live.end(), std::mt19937(1));
  std::size_t hand = 0;
  for (auto _ : state) {
    for (std::size_t i = hand; i < hand + kBatch; ++i) memory.release(live[i]);
    for (std::size_t i = hand; i < hand + kBatch; ++i) live[i] = memory.allocate(kClass);
    hand = hand + 2 * kBatch > live.size() ? 0 : hand + kBatch;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kBatch));
  for (StateHeader* slot : live) memory.release(slot);
}
BENCHMARK_CAPTURE(churn, in_order, true)->Name("slots/in-order")->Arg(1'000)->Arg(1'000'000);
BENCHMARK_CAPTURE(churn, scattered, false)->Name("slots/scattered")->Arg(1'000)->Arg(1'000'000);

/// A cache that grows and shrinks again as a whole.
void fill_and_empty(benchmark::State& state) {
  StateMemory& memory = StateMemory::instance();
  std::vector<StateHeader*> live(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    for (StateHeader*& slot : live) slot = memory.allocate(kClass);
    for (StateHeader* slot : live) memory.release(slot);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(fill_and_empty)->Name("slots/fill-and-empty")->Arg(1'000'000);

}  // namespace
}  // namespace cow::bench
