// Your microbenchmark in twenty lines: what a transaction costs that reads one object. docs/guide/microbenchmark.md says how it is
// built, and what to mind.
#include <benchmark/benchmark.h>
#include <cow_cache/cow_cache.hpp>
#include <persistence/memory_store.hpp>

struct Counter {
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

void read_one(benchmark::State& state) {
  cow::MemoryStore store;
  cow::Database db(store);
  auto counter = db.transact([](cow::Transaction& txn) { return txn.create(Counter{1}); });
  for (auto _ : state) {
    cow::Transaction txn = db.begin();
    benchmark::DoNotOptimize(txn.read(counter).value);
  }
}
BENCHMARK(read_one);
BENCHMARK_MAIN();
