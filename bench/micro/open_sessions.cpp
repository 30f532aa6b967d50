// commit-open/SYSTEM/SESSIONS, begin-open/SYSTEM/SESSIONS: what a commit and a begin cost while other sessions are open.
//
// Every session has read the same kObjects objects, so a cache that every session has of its own holds them, and a commit
// concerns all sessions. They take turns: a session that begins has missed as many commits as there are sessions.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/baselines/blocking_cache.hpp"
#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/baselines/two_level.hpp"
#include "bench/support/in_memory_systems.hpp"
#include "bench/support/latency_histogram.hpp"
#include "bench/support/paired.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {
namespace {

constexpr std::size_t kObjects = 100;
/// Some ten turns of all sessions. By time it would be many more of a begin than of a commit.
constexpr std::int64_t kIterations = 20'000;

/// 256 bytes.
struct Entry {
  static constexpr std::string_view cow_type_name = "microbenchmarks.Entry";
  std::int64_t value = 0;
  std::array<char, 248> padding{};
  MSGPACK_DEFINE(value, padding);
};

enum class Timed { commit, begin };

template <class Database>
void open_sessions(benchmark::State& state, Timed timed) {
  using Transaction = typename Database::Transaction;
  MemoryStore store;
  Database database(store, kAmple);
  std::vector<typename Database::Pointers::template Ref<Entry>> entries;
  open_session(database).transact([&](Transaction& txn) {
    for (std::size_t i = 0; i < kObjects; ++i) entries.push_back(txn.create(Entry{}));
  });
  // References of their own, as a program has that found its objects by itself: some caches keep addresses in them.
  std::vector<decltype(entries)> held(static_cast<std::size_t>(state.range(0)), entries);
  std::vector<Session<Database>> sessions;
  for (auto& own : held) {
    sessions.push_back(open_session(database));
    sessions.back().transact([&](Transaction& txn) {
      for (const auto& entry : own) keep(txn.read(entry));
    });
  }
  // The median: a mean is mostly about the few times that the thread was not running.
  LatencyHistogram times;
  std::size_t turn = 0, object = 0;
  for (auto _ : state) {
    double begin = seconds_now();
    Transaction txn = sessions[turn].begin();
    double begun = seconds_now();
    ++txn.write(held[turn][object]).value;
    double commit = seconds_now();
    txn.commit();
    double committed = seconds_now();
    double seconds = timed == Timed::commit ? committed - commit : begun - begin;
    state.SetIterationTime(seconds);
    times.record(static_cast<std::uint64_t>(seconds * 1e9));
    turn = turn + 1 == sessions.size() ? 0 : turn + 1;
    object = (object + 1) % kObjects;
  }
  state.counters["median_ns"] = static_cast<double>(times.quantile(0.5));
}

template <class Database>
void with_sessions(const std::string& system) {
  for (auto [name, timed] : {std::pair("commit-open/", Timed::commit), std::pair("begin-open/", Timed::begin)}) {
    benchmark::RegisterBenchmark((name + system).c_str(), open_sessions<Database>, timed)
        ->Arg(1)
        ->Arg(16)
        ->Arg(256)
        ->Arg(2048)  // a process has room for 4,094 caches
        ->Iterations(kIterations)
        ->UseManualTime();
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  with_sessions<BasicDatabase<cow::detail::SharedCache>>("shared");
  with_sessions<BasicDatabase<PrivateCache>>("private");
  with_sessions<TwoLevelDatabase>("two-level");
  with_sessions<BasicDatabase<LockedCache>>("locked");
  with_sessions<BasicDatabase<BlockingCache>>("blocking");
  return true;
}();

}  // namespace
}  // namespace cow::bench
