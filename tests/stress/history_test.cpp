// Histories of list appends: that the checker reports each anomaly and nothing else, and that the database shows none that
// its level forbids.
//
// COW_CACHE_SEED=N runs that seed only. COW_CACHE_STRESS_SECONDS: rounds go on for as long, in each case; without it, a
// fixed number of rounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bench/history/history_checker.hpp"
#include "bench/history/history_workload.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_peer.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

using bench::history::Anomaly;
using bench::history::HistoryChecker;
using bench::history::HistoryOperation;
using bench::history::HistoryReport;
using bench::history::HistoryTransaction;
using bench::history::HistoryWorkload;
using bench::history::name_of;
using bench::history::Outcome;
using bench::history::WorkloadOptions;
using Values = std::vector<std::uint64_t>;
HistoryOperation append(std::uint32_t key, std::uint64_t value) { return {key, value, {}}; }
HistoryOperation found(std::uint32_t key, Values values) { return {key, 0, std::move(values)}; }

/// At the same time as all others, unless times are given.
HistoryTransaction did(std::vector<HistoryOperation> operations, std::int64_t begin = 0, std::int64_t end = 100) {
  return {begin, end, Outcome::committed, std::move(operations)};
}
HistoryTransaction aborted(std::vector<HistoryOperation> operations) {
  return {0, 100, Outcome::aborted, std::move(operations)};
}

struct Example {
  const char* name;
  Anomaly anomaly;
  std::vector<HistoryTransaction> history;
};

std::vector<Example> examples() {
  return {
      {"own write missing", Anomaly::internal, {did({append(1, 1), found(1, {})})}},
      {"own write not last", Anomaly::internal, {did({append(1, 2)}), did({append(1, 1), found(1, {1, 2})})}},
      {"own write before it was made", Anomaly::internal, {did({found(1, {1}), append(1, 1)})}},
      {"read not repeatable", Anomaly::internal, {did({append(1, 1)}), did({found(1, {}), found(1, {1})})}},
      {"own first write lost", Anomaly::internal, {did({append(1, 1), append(1, 2), found(1, {2})})}},
      {"of an aborted transaction, too", Anomaly::internal, {aborted({append(1, 1), found(1, {})})}},
      {"never written", Anomaly::garbage, {did({found(1, {7})})}},
      {"of another list", Anomaly::garbage, {did({append(2, 7)}), did({found(1, {7})})}},
      {"twice", Anomaly::garbage, {did({append(1, 1)}), did({found(1, {1, 1})})}},
      {"two orders",
       Anomaly::incompatible_order,
       {did({append(1, 1)}), did({append(1, 2)}), did({found(1, {1, 2})}), did({found(1, {2})})}},
      {"dirty read", Anomaly::aborted_read, {aborted({append(1, 1)}), did({found(1, {1})})}},
      {"half a transaction",
       Anomaly::intermediate_read,
       {did({append(1, 1), append(1, 2)}), did({found(1, {1})}), did({found(1, {1, 2})})}},
      {"two on one version",
       Anomaly::lost_update,
       {did({found(1, {}), append(1, 1)}), did({found(1, {}), append(1, 2)}), did({found(1, {1, 2})})}},
      {"committed and gone", Anomaly::lost_append, {did({append(1, 1)}, 0, 10), did({found(1, {})}, 20, 30)}},
      {"writes in two orders",
       Anomaly::write_cycle,
       {did({append(1, 1), append(2, 3)}), did({append(1, 2), append(2, 4)}),
        did({found(1, {1, 2}), found(2, {4, 3})})}},
      {"each has read of the other",
       Anomaly::circular_flow,
       {did({append(1, 1), found(2, {2})}), did({append(2, 2), found(1, {1})})}},
      {"half of a commit is seen",
       Anomaly::single,
       {did({append(1, 1), append(2, 2)}), did({found(1, {1}), found(2, {})}), did({found(1, {1}), found(2, {2})})}},
      {"half is seen by one that aborts",
       Anomaly::single,
       {did({append(1, 1), append(2, 2)}), aborted({found(1, {1}), found(2, {})}),
        did({found(1, {1}), found(2, {2})})}},
      {"long fork",
       Anomaly::nonadjacent,
       {did({append(1, 1)}), did({append(2, 2)}), did({found(1, {1}), found(2, {})}),
        did({found(1, {}), found(2, {2})})}},
      {"stale snapshot",
       Anomaly::real_time,
       {did({append(1, 1)}, 0, 10), did({found(1, {})}, 20, 30), did({found(1, {1})}, 5, 40)}},
      {"stale through another",
       Anomaly::real_time,
       {did({append(1, 1)}, 0, 10), did({append(2, 2)}, 20, 30), did({found(2, {2}), found(1, {})}, 0, 50),
        did({found(1, {1}), found(2, {2})}, 0, 50)}},
      {"write skew",
       Anomaly::write_skew,
       {did({found(1, {}), append(2, 2)}), did({found(2, {}), append(1, 1)}), did({found(1, {1}), found(2, {2})})}},
      {"write skew over three",
       Anomaly::write_skew,
       {did({found(1, {}), append(2, 2)}), did({found(2, {}), append(3, 3)}), did({found(3, {}), append(1, 1)}),
        did({found(1, {1}), found(2, {2}), found(3, {3})})}},
      {"an object that is not there yet",
       Anomaly::write_skew,
       {did({append(1, 10)}), did({found(2, {}), append(1, 11)}), did({found(1, {10}), append(2, 2)}),
        did({found(1, {10, 11}), found(2, {2})})}},
      {"skew in real time",
       Anomaly::serial_real_time,
       {did({append(3, 3)}, 0, 10), did({found(1, {})}, 20, 30), did({found(3, {}), append(1, 1)}, 5, 40),
        did({found(1, {1}), found(3, {3})}, 50, 60)}},
  };
}

TEST(HistoryChecker, ReportsEachAnomaly) {
  for (const Example& example : examples()) {
    HistoryReport report = HistoryChecker::check(example.history);
    EXPECT_GT(report.of(example.anomaly), 0u)
        << example.name << " is not reported as " << name_of(example.anomaly) << "\n"
        << report.text();
    EXPECT_FALSE(report.allowed(Isolation::serializable)) << example.name;
    bool skew = example.anomaly == Anomaly::write_skew || example.anomaly == Anomaly::serial_real_time;
    EXPECT_EQ(report.allowed(Isolation::snapshot), skew) << example.name << "\n" << report.text();
  }
}

TEST(HistoryChecker, ReportsNothingAboutWhatIsRight) {
  std::vector<std::vector<HistoryTransaction>> right = {
      {},
      {did({append(1, 1), found(1, {1}), append(1, 2), found(1, {1, 2})})},
      {did({append(1, 1)}), did({found(1, {1}), append(1, 2), found(1, {1, 2})}), did({found(1, {1, 2})})},
      // Reads of the version before the first, by one that began early.
      {did({found(1, {}), found(2, {})}, 0, 100), did({append(1, 1)}, 10, 20),
       did({found(1, {1}), append(2, 2)}, 30, 40)},
      // What aborted is nowhere.
      {aborted({append(1, 1), found(1, {1})}), did({found(1, {}), append(1, 2)}), did({found(1, {2})})},
      // Blind appends at the same time.
      {did({append(1, 1)}), did({append(1, 2)}), did({found(1, {2, 1})})},
      // Of unknown outcome: seen, or not.
      {{0, 10, Outcome::unknown, {append(1, 1)}}, did({found(1, {})}, 20, 30), did({found(1, {1})}, 40, 50)},
      {{0, 10, Outcome::unknown, {append(1, 1)}}, did({found(1, {})}, 20, 30)},
  };
  for (std::size_t i = 0; i < right.size(); ++i) {
    HistoryReport report = HistoryChecker::check(right[i]);
    EXPECT_TRUE(report.allowed(Isolation::serializable)) << "history " << i << "\n" << report.text();
  }
}

enum class Over { MemoryStore, RocksDbStore, ThreePeers };

/// The rounds of one case. Each has a store and a database of its own, or several, and a cache of another size.
class HistoryTest : public ::testing::TestWithParam<Over> {
 protected:
  struct Found {
    std::uint64_t transactions = 0, committed = 0, absent = 0, skews = 0;
  };

  /// Until the time is over, or for `rounds`. Fails at the first history that the level forbids.
  Found run_rounds(Isolation level, unsigned rounds) {
    using Clock = std::chrono::steady_clock;
    const auto seed = chosen_seed();
    const auto deadline = Clock::now() + stress_time(0.0);
    std::uint64_t next = seed ? *seed : first_seed();
    Found found;
    for (unsigned round = 0; seed ? round < 1 : stress() ? Clock::now() < deadline : round < rounds; ++round, ++next) {
      run_round(level, next, found);
      if (HasFailure()) break;
    }
    std::cout << found.transactions << " transactions, " << found.committed << " committed, " << found.absent
              << " reads of what was not there, " << found.skews << " write skews\n";
    return found;
  }

  void run_round(Isolation level, std::uint64_t seed, Found& found) {
    ScratchDirectory directory;
    std::unique_ptr<Store> store;
    std::vector<std::unique_ptr<MemoryPeer>> peers;
    if (GetParam() == Over::RocksDbStore) {
      RocksDbOptions options;
      options.durable = false;  // the order of commits is what matters
      options.create_if_missing = true;
      store = std::make_unique<RocksDbStore>(directory.store(), options);
    } else {
      auto memory = std::make_unique<MemoryStore>();
      for (int i = 0; GetParam() == Over::ThreePeers && i < 3; ++i)
        peers.push_back(std::make_unique<MemoryPeer>(*memory));
      store = std::move(memory);
    }
    std::size_t budgets[] = {1, 4 << 10, 16 << 10, 64 << 20};
    std::vector<std::unique_ptr<Database>> databases;
    std::vector<Database*> all;
    for (std::size_t i = 0; i < std::max<std::size_t>(peers.size(), 1); ++i) {
      CacheOptions of_cache{.cache_bytes = budgets[(seed + i) % 4], .limbo_bytes = 4 << 10};
      of_cache.peers.poll_every = std::chrono::milliseconds(1);
      Store& its = peers.empty() ? *store : *peers[i];
      databases.push_back(std::make_unique<Database>(its, of_cache));
      all.push_back(databases.back().get());
    }
    WorkloadOptions options{
        .level = level, .seed = seed, .transactions = static_cast<std::size_t>(repetitions(10'000))};
    auto history = HistoryWorkload(all, options).run();
    HistoryReport report = HistoryChecker::check(history);
    EXPECT_TRUE(report.allowed(level)) << "COW_CACHE_SEED=" << seed << "\n" << report.text();
    for (const auto& database : databases) EXPECT_EQ(database->statistics().active_transactions, 0u);
    found.transactions += history.size();
    found.skews += report.of(Anomaly::write_skew);
    for (const HistoryTransaction& transaction : history) {
      found.committed += transaction.outcome == Outcome::committed;
      for (const HistoryOperation& operation : transaction.operations) {
        found.absent += operation.appended == 0 && operation.found.empty();
      }
    }
  }
};

TEST_P(HistoryTest, SnapshotIsolationAllowsWriteSkewAndNothingWorse) {
  Found found = run_rounds(Isolation::snapshot, 6);
  EXPECT_GT(found.committed, found.transactions / 4);
  EXPECT_GT(found.skews, 0u) << "a workload that does not provoke it";
  EXPECT_GT(found.absent, 0u);
}

TEST_P(HistoryTest, SerializableTransactionsHaveASerialOrder) {
  Found found = run_rounds(Isolation::serializable, 6);
  EXPECT_GT(found.committed, found.transactions / 8);
  EXPECT_GT(found.absent, 0u);
}

std::string name_of_case(const ::testing::TestParamInfo<Over>& info) {
  static constexpr const char* kNames[] = {"MemoryStore", "RocksDbStore", "ThreePeers"};
  return kNames[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Stores, HistoryTest,
                         ::testing::Values(Over::MemoryStore, Over::RocksDbStore, Over::ThreePeers), name_of_case);

}  // namespace
}  // namespace cow::testing
