// chase/SYSTEM/OBJECTS: one dependent read per iteration, in a random cycle over all objects.
// hit-by-oid/OBJECTS: a read through a reference that has no hint.
// reread/THREADS: warm reads by several threads of the same objects.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/chase.hpp"

namespace cow::bench {

using cow::detail::SharedCache;

namespace {

constexpr std::size_t kStepsPerIteration = 1'000;

template <class System>
void chase_warm(benchmark::State& state) {
  using Database = typename System::Database;
  const auto objects = static_cast<std::size_t>(state.range(0));
  System system;
  auto start = chase::build<Database>(system.session, objects);
  typename Database::Transaction txn = system.session.begin();
  const auto* at = chase::follow(txn, &start, 2 * objects);
  for (auto _ : state) {
    at = chase::follow(txn, at, kStepsPerIteration);
    keep(at);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kStepsPerIteration));
  txn.commit();
}
BENCHMARK(chase_warm<RawInMemory>)->Name("chase/raw")->RangeMultiplier(10)->Range(100, 1'000'000);
BENCHMARK(chase_warm<InMemory<SharedCache>>)->Name("chase/shared")->RangeMultiplier(10)->Range(100, 1'000'000);
BENCHMARK(chase_warm<InMemory<PrivateCache>>)->Name("chase/private")->RangeMultiplier(10)->Range(100, 1'000'000);

/// As chase, but each pass over the objects is a transaction of its own: every read is its transaction's first.
template <class System>
void chase_fresh(benchmark::State& state) {
  using Database = typename System::Database;
  const auto objects = static_cast<std::size_t>(state.range(0));
  System system;
  auto start = chase::build<Database>(system.session, objects);
  for (auto _ : state) {
    typename Database::Transaction txn = system.session.begin();
    keep(chase::follow(txn, &start, objects));
    txn.commit();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * objects));
}
BENCHMARK(chase_fresh<InMemory<SharedCache>>)->Name("first-read/shared")->RangeMultiplier(10)->Range(10, 100'000);
BENCHMARK(chase_fresh<InMemory<PrivateCache>>)->Name("first-read/private")->RangeMultiplier(10)->Range(10, 100'000);

void hit_by_oid(benchmark::State& state) {
  using Node = chase::Node<SharedCache::Pointers>;
  const auto objects = static_cast<std::size_t>(state.range(0));
  InMemory<SharedCache> system;
  auto start = chase::build<Database>(system.session, objects);
  Transaction txn = system.session.begin();
  std::vector<Oid> oids;
  for (const auto* at = &start; oids.size() < objects; at = &txn.read(*at).next) oids.push_back(at->oid());
  std::size_t next = 0;
  for (auto _ : state) {
    keep(txn.read(Ref<Node>(oids[next])));
    next = next + 1 == objects ? 0 : next + 1;
  }
  txn.commit();
}
BENCHMARK(hit_by_oid)->Name("hit-by-oid")->RangeMultiplier(10)->Range(100, 1'000'000);

/// The threads share the database and nothing else.
void reread(benchmark::State& state) {
  static InMemory<SharedCache>* system = nullptr;
  static Ref<chase::Node<SharedCache::Pointers>> start;
  constexpr std::size_t kObjects = 1'000;
  if (state.thread_index() == 0) {
    system = new InMemory<SharedCache>;
    start = chase::build<Database>(system->session, kObjects);
  }
  for (auto _ : state) {  // the threads wait for each other at the start and at the end of this loop
    Transaction txn = system->database.begin();
    keep(chase::follow(txn, &start, 4 * kObjects));
    txn.commit();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * 4 * kObjects));
  if (state.thread_index() == 0) delete system;
}
BENCHMARK(reread)->Name("reread")->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace cow::bench
