// begin-end, first-write/BYTES, commit/OBJECTS, miss: what a transaction costs beside its reads.
#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"

namespace cow::bench {

using cow::detail::SharedCache;

namespace {

/// An object whose bytes are in one heap member, so that one type serves all sizes.
struct Text {
  static constexpr std::string_view cow_type_name = "microbenchmarks.Text";
  std::string text;
  MSGPACK_DEFINE(text);
};

std::vector<Ref<Text>> create_texts(Database& database, std::size_t count, std::size_t bytes) {
  return database.transact([&](Transaction& txn) {
    std::vector<Ref<Text>> texts;
    for (std::size_t i = 0; i < count; ++i) texts.push_back(txn.create(Text{std::string(bytes, 'x')}));
    return texts;
  });
}

void begin_end(benchmark::State& state) {
  static InMemory<SharedCache>* system = nullptr;
  if (state.thread_index() == 0) system = new InMemory<SharedCache>;
  for (auto _ : state) {
    Transaction txn = system->database.begin();
    keep(txn);
    txn.commit();
  }
  if (state.thread_index() == 0) delete system;
}
BENCHMARK(begin_end)->Name("begin-end")->Threads(1)->Threads(2)->UseRealTime();

/// First writes in transactions of 100, aborted outside of the timing.
void first_write(benchmark::State& state) {
  constexpr std::size_t kObjects = 100;
  InMemory<SharedCache> system;
  std::vector<Ref<Text>> texts = create_texts(system.database, kObjects, static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    Transaction txn = system.database.begin();
    double seconds = seconds_of([&] {
      for (const Ref<Text>& text : texts) keep(txn.write(text));
    });
    txn.abort();
    state.SetIterationTime(seconds);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kObjects));
}
BENCHMARK(first_write)->Name("first-write")->RangeMultiplier(4)->Range(64, 64 << 10)->UseManualTime();

/// Commits of n objects of 256 bytes to a store in memory: what the cache itself adds to a store's commit.
void commit(benchmark::State& state) {
  InMemory<SharedCache> system;
  std::vector<Ref<Text>> texts = create_texts(system.database, static_cast<std::size_t>(state.range(0)), 256);
  for (auto _ : state) {
    Transaction txn = system.database.begin();
    for (const Ref<Text>& text : texts) txn.write(text).text[0]++;
    state.SetIterationTime(seconds_of([&] { txn.commit(); }));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(commit)->Name("commit")->RangeMultiplier(10)->Range(1, 1'000)->UseManualTime()->Iterations(2'000);

/// Reads of objects that are in the store only. The store is a map in memory, so this is decoding and installing.
void miss(benchmark::State& state) {
  constexpr std::size_t kObjects = 1'000;
  InMemory<SharedCache> system;
  std::vector<Ref<Text>> texts = create_texts(system.database, kObjects, 256);
  for (auto _ : state) {
    system.database.evict_all();
    Transaction txn = system.database.begin();
    double seconds = seconds_of([&] {
      for (const Ref<Text>& text : texts) keep(txn.read(text));
    });
    txn.commit();
    state.SetIterationTime(seconds);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kObjects));
}
BENCHMARK(miss)->Name("miss")->UseManualTime();

}  // namespace
}  // namespace cow::bench
