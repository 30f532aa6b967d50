// One suite for every store: what `cow_cache/store.hpp` promises. What its capabilities promise is in history_, pack_, batch_ and
// shared_conformance_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/store_kinds.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

class StoreConformance : public StoreOfKind {
 protected:
  void expect_revision(std::uint64_t oid, std::uint64_t at, std::uint64_t begin, Tid end, const std::string& record) {
    const std::optional<Revision> revision = store().load(Oid{oid}, Tid{at});
    ASSERT_TRUE(revision) << oid << " at " << at;
    EXPECT_EQ(revision->begin, Tid{begin}) << oid << " at " << at;
    EXPECT_EQ(revision->end, end) << oid << " at " << at;
    EXPECT_EQ(revision->erased, record.empty()) << oid << " at " << at;
    EXPECT_EQ(revision->record, record) << oid << " at " << at;
  }
};

TEST_P(StoreConformance, AnEmptyStoreHasNothing) {
  EXPECT_EQ(store().last_tid(), Tid{0});
  EXPECT_FALSE(store().load(kRootOid, Tid{0}));
  EXPECT_FALSE(store().load(kRootOid, kInfinity));
  store().commit({});
  EXPECT_EQ(store().last_tid(), Tid{0});
}

TEST_P(StoreConformance, LoadsAtAndBeforeEveryTid) {
  commit(store(), 10, {put(1, "a"), put(2, "x")});
  commit(store(), 20, {put(1, "b")});
  commit(store(), 30, {put(1, "c"), put(3, "y")});
  EXPECT_FALSE(store().load(Oid{1}, Tid{0}));
  EXPECT_FALSE(store().load(Oid{1}, Tid{9}));
  expect_revision(1, 10, 10, Tid{20}, "a");
  expect_revision(1, 19, 10, Tid{20}, "a");
  expect_revision(1, 20, 20, Tid{30}, "b");
  expect_revision(1, 29, 20, Tid{30}, "b");
  expect_revision(1, 30, 30, kInfinity, "c");
  expect_revision(1, kInfinity.value, 30, kInfinity, "c");
  expect_revision(2, 30, 10, kInfinity, "x");
  EXPECT_FALSE(store().load(Oid{3}, Tid{29}));
  EXPECT_FALSE(store().load(Oid{4}, kInfinity));
  EXPECT_EQ(store().last_tid(), Tid{30});
}

TEST_P(StoreConformance, TombstonesAreRevisions) {
  commit(store(), 1, {put(7, "here")});
  commit(store(), 2, {erase(7)});
  commit(store(), 3, {put(7, "again")});
  commit(store(), 4, {erase(7), erase(8)});
  expect_revision(7, 1, 1, Tid{2}, "here");
  expect_revision(7, 2, 2, Tid{3}, "");
  expect_revision(7, 3, 3, Tid{4}, "again");
  expect_revision(7, 9, 4, kInfinity, "");
  expect_revision(8, 4, 4, kInfinity, "");
}

TEST_P(StoreConformance, ManyRevisionsOfOneObjectBetweenNeighbours) {
  constexpr std::uint64_t kRevisions = 200;
  for (std::uint64_t i = 1; i <= kRevisions; ++i) {
    commit(store(), 10 * i, {put(4, "left"), put(5, record_of(5, i)), put(6, "right")});
  }
  for (std::uint64_t i = 1; i <= kRevisions; ++i) {
    const Tid end = i == kRevisions ? kInfinity : Tid{10 * (i + 1)};
    expect_revision(5, 10 * i, 10 * i, end, record_of(5, i));
    expect_revision(5, 10 * i + 9, 10 * i, end, record_of(5, i));
  }
  EXPECT_FALSE(store().load(Oid{5}, Tid{9}));
}

TEST_P(StoreConformance, AnyOidWillDo) {
  const std::vector<std::uint64_t> oids{
      0, 1, 255, 256, std::uint64_t{1} << 40, ~std::uint64_t{0} - 1, ~std::uint64_t{0}};
  const Tid greatest = GetParam().greatest_tid;
  std::vector<ObjectWrite> objects;
  for (auto oid = oids.rbegin(); oid != oids.rend(); ++oid) objects.push_back(put(*oid, "any"));
  commit(store(), 1, objects);
  commit(store(), greatest.value, objects);
  for (std::uint64_t oid : oids) {
    expect_revision(oid, 1, 1, greatest, "any");
    expect_revision(oid, kInfinity.value, greatest.value, kInfinity, "any");
  }
}

TEST_P(StoreConformance, AGroupOfTransactionsKeepsEachOfThem) {
  const std::vector<ObjectWrite> first{put(1, "a"), put(2, "a")};
  const std::vector<ObjectWrite> second{put(2, "b"), put(3, "b")};
  const std::vector<ObjectWrite> third{};
  const std::vector<TransactionWrite> group{{Tid{5}, first}, {Tid{6}, second}, {Tid{9}, third}};
  store().commit(group);
  EXPECT_EQ(store().last_tid(), Tid{9});
  expect_revision(1, 9, 5, kInfinity, "a");
  expect_revision(2, 5, 5, Tid{6}, "a");
  expect_revision(2, 6, 6, kInfinity, "b");
  expect_revision(3, 9, 6, kInfinity, "b");
  EXPECT_FALSE(store().load(Oid{3}, Tid{5}));
}

TEST_P(StoreConformance, BrokenPreconditionsLeaveNothing) {
  commit(store(), 10, {put(1, "a")});
  const auto refused = [&](const std::vector<TransactionWrite>& group) {
    EXPECT_THROW(store().commit(group), std::invalid_argument);
  };
  const std::vector<ObjectWrite> good{put(1, "b")};
  const std::vector<ObjectWrite> empty{put(2, "b"), put(1, "")};
  const std::vector<ObjectWrite> twice{put(2, "b"), put(1, "b"), put(2, "b")};
  const std::vector<ObjectWrite> erased{{Oid{1}, true, "yet here"}};
  refused({{Tid{10}, good}});
  refused({{Tid{9}, good}});
  refused({{Tid{0}, good}});
  refused({{kInfinity, good}});
  refused({{Tid{12}, good}, {Tid{11}, good}});
  refused({{Tid{12}, good}, {Tid{12}, good}});
  refused({{Tid{11}, empty}});
  refused({{Tid{11}, good}, {Tid{12}, twice}});
  refused({{Tid{11}, erased}});
  EXPECT_EQ(store().last_tid(), Tid{10});
  expect_revision(1, kInfinity.value, 10, kInfinity, "a");
  EXPECT_FALSE(store().load(Oid{2}, kInfinity));
  commit(store(), 11, {put(1, "b")});
  expect_revision(1, 11, 11, kInfinity, "b");
}

TEST_P(StoreConformance, RecordsOfEverySize) {
  std::uint64_t tid = 0;
  for (const std::size_t size : {1u, 3u, 4u, 5u, 255u, 4096u, 65536u, 1u << 20, 5u << 20}) {
    std::string record = record_of(1, ++tid, size);
    record.front() = '\0';
    commit(store(), tid, {put(1, record)});
    expect_revision(1, tid, tid, kInfinity, record);
  }
}

TEST_P(StoreConformance, FreshOidsAreNeverGivenTwice) {
  EXPECT_THROW(store().allocate_oids(0), std::invalid_argument);
  EXPECT_THROW(store().allocate_oids(kMaxOid.value), OidRangeError);
  EXPECT_THROW(store().allocate_oids(~std::uint64_t{0}), OidRangeError);
  std::mutex mutex;
  std::set<std::uint64_t> all;
  std::uint64_t total = 0;
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      std::vector<OidBlock> mine;
      for (int i = 0; i < 300; ++i) mine.push_back(store().allocate_oids(1 + random() % 60));
      const std::lock_guard lock(mutex);
      for (const OidBlock& block : mine) {
        total += block.count;
        for (std::uint64_t k = 0; k < block.count; ++k) all.insert(block.first.value + k);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(all.size(), total);
  EXPECT_GT(*all.begin(), kRootOid.value);
  EXPECT_EQ(store().allocate_oids(100'000).count, 100'000u);
}

// Writers move units between accounts; every load at a fixed tid must find the same sum, and the newest must be there.
TEST_P(StoreConformance, LoadsDuringCommitsSeeAWholePrefix) {
  constexpr std::uint64_t kAccounts = 8;
  constexpr std::uint64_t kCommits = 400;
  std::vector<ObjectWrite> start;
  for (std::uint64_t oid = 1; oid <= kAccounts; ++oid) start.push_back(put(oid, "100"));
  commit(store(), 1, start);

  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> sums{0};
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop || sums < 3) {
        const Tid at = store().last_tid();
        std::uint64_t sum = 0;
        Tid newest{0};
        for (std::uint64_t oid = 1; oid <= kAccounts; ++oid) {
          const std::optional<Revision> revision = store().load(Oid{oid}, at);
          ASSERT_TRUE(revision);
          ASSERT_LE(revision->begin, at);
          ASSERT_GT(revision->end, at);
          newest = std::max(newest, revision->begin);
          sum += std::stoull(revision->record);
        }
        ASSERT_EQ(sum, kAccounts * 100) << at;
        ASSERT_EQ(newest, at);
        ++sums;
      }
    });
  }
  while (sums == 0) std::this_thread::yield();
  std::vector<std::uint64_t> balances(kAccounts + 1, 100);
  std::mt19937 random(1);
  for (std::uint64_t tid = 2; tid < 2 + kCommits; ++tid) {
    const std::uint64_t from = 1 + random() % kAccounts;
    const std::uint64_t to = 1 + (from + random() % (kAccounts - 1)) % kAccounts;
    if (from == to || balances[from] == 0) {
      commit(store(), tid, {put(from, std::to_string(balances[from]))});
      continue;
    }
    const std::string less = std::to_string(--balances[from]);
    const std::string more = std::to_string(++balances[to]);
    commit(store(), tid, {put(from, less), put(to, more)});
    ASSERT_EQ(store().load(Oid{from}, Tid{tid})->record, less);  // at once, and by this thread
  }
  stop = true;
  readers.clear();
  EXPECT_GE(sums, 3u);
}

// Against a std::map, with random groups and random questions about all of the past.
TEST_P(StoreConformance, AgreesWithAModel) {
  std::mt19937_64 random(42);
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> model;
  std::uint64_t tid = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<std::vector<std::pair<std::uint64_t, std::string>>> content(1 + random() % 4);
    std::vector<std::vector<ObjectWrite>> writes(content.size());
    std::vector<TransactionWrite> group;
    for (std::size_t i = 0; i < content.size(); ++i) {
      tid += 1 + random() % 5;
      std::set<std::uint64_t> oids;
      for (std::uint64_t n = random() % 12; n > 0; --n) oids.insert(1 + random() % 40);
      for (std::uint64_t oid : oids) {
        content[i].emplace_back(oid, random() % 5 == 0 ? "" : record_of(oid, tid, 1 + random() % 300));
        model[oid][tid] = content[i].back().second;
      }
      for (const auto& [oid, record] : content[i]) writes[i].push_back({Oid{oid}, record.empty(), record});
      group.push_back({Tid{tid}, writes[i]});
    }
    store().commit(group);
    for (int question = 0; question < 50; ++question) {
      const std::uint64_t oid = 1 + random() % 42;
      const std::uint64_t at = random() % (tid + 3);
      const auto& history = model[oid];
      const auto next = history.upper_bound(at);
      if (next == history.begin()) {
        ASSERT_FALSE(store().load(Oid{oid}, Tid{at}));
        continue;
      }
      const auto& [begin, record] = *std::prev(next);
      expect_revision(oid, at, begin, next == history.end() ? kInfinity : Tid{next->first}, record);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance, ::testing::ValuesIn(all_stores()), name_of_store);

}  // namespace
}  // namespace cow::testing
