// More of them, as docs/guide/microbenchmark.md explains them: many objects, hits, writes, commits, misses, threads.
#include <benchmark/benchmark.h>
#include <algorithm>
#include <chrono>
#include <cow_cache/cow_cache.hpp>
#include <persistence/memory_store.hpp>
#include <random>
#include <string>
#include <vector>

struct Item {
  static constexpr std::string_view cow_type_name = "example.Item";
  std::int64_t value = 0;
  std::string text;
  MSGPACK_DEFINE_MAP(value, text);
};

/// A database in memory, all of whose objects are in the cache.
struct Shelf {
  explicit Shelf(std::int64_t count) {
    items = db.transact([count](cow::Transaction& txn) {
      std::vector<cow::Ref<Item>> made;
      for (std::int64_t i = 0; i < count; ++i) made.push_back(txn.create(Item{i, std::string(100, 'x')}));
      return made;
    });
    std::ranges::shuffle(items, std::mt19937_64(1));
  }

  cow::MemoryStore store;
  cow::Database db{store, {.cache_bytes = std::size_t{4} << 30}};
  std::vector<cow::Ref<Item>> items;
};

void first_reads(benchmark::State& state) {
  Shelf shelf(state.range(0));
  for (auto _ : state) {
    cow::Transaction txn = shelf.db.begin();
    for (const auto& item : shelf.items) benchmark::DoNotOptimize(txn.read(item).value);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(first_reads)->Arg(100)->Arg(100'000);

void further_reads(benchmark::State& state) {
  Shelf shelf(state.range(0));
  cow::Transaction txn = shelf.db.begin();
  for (const auto& item : shelf.items) benchmark::DoNotOptimize(txn.read(item).value);
  for (auto _ : state) {
    for (const auto& item : shelf.items) benchmark::DoNotOptimize(txn.read(item).value);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(further_reads)->Arg(100)->Arg(100'000);

double seconds_of(auto&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void first_writes(benchmark::State& state) {
  Shelf shelf(100);
  for (auto _ : state) {
    cow::Transaction txn = shelf.db.begin();
    state.SetIterationTime(seconds_of([&] {
      for (const auto& item : shelf.items) ++txn.write(item).value;
    }));
    txn.abort();
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(first_writes)->UseManualTime();

void commits(benchmark::State& state) {
  Shelf shelf(1'000);
  std::size_t next = 0;
  for (auto _ : state) {
    shelf.db.transact([&](cow::Transaction& txn) { ++txn.write(shelf.items[next]).value; });
    next = (next + 1) % shelf.items.size();
  }
}
BENCHMARK(commits)->Iterations(20'000);

void misses(benchmark::State& state) {
  Shelf shelf(1'000);
  for (auto _ : state) {
    shelf.db.evict_all();
    cow::Transaction txn = shelf.db.begin();
    state.SetIterationTime(seconds_of([&] {
      for (const auto& item : shelf.items) benchmark::DoNotOptimize(txn.read(item).value);
    }));
  }
  state.SetItemsProcessed(state.iterations() * 1'000);
}
BENCHMARK(misses)->UseManualTime();

void reads_by_threads(benchmark::State& state) {
  static Shelf shelf(1'000);                              // one for all threads, made by the first of them
  const std::vector<cow::Ref<Item>> items = shelf.items;  // references of their own
  for (auto _ : state) {
    cow::Transaction txn = shelf.db.begin();
    for (const auto& item : items) benchmark::DoNotOptimize(txn.read(item).value);
  }
  state.SetItemsProcessed(state.iterations() * 1'000);
}
BENCHMARK(reads_by_threads)->ThreadRange(1, 4)->UseRealTime();

BENCHMARK_MAIN();
