// What `cow_cache/store/pack.hpp` promises, for every store that can be packed.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/store/pack.hpp"
#include "tests/support/store_kinds.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

class PackConformance : public StoreOfKind {
 protected:
  PackableStore& packable() { return *capabilities().packable; }
  PackResult pack(std::uint64_t before) {
    return packable().pack({.before = Tid{before}, .is_garbage = {}, .progress = {}});
  }

  void expect_record(std::uint64_t oid, std::uint64_t at, const std::string& record) {
    const std::optional<Revision> found = store().load(Oid{oid}, Tid{at});
    ASSERT_EQ(found.has_value() && !found->erased, !record.empty()) << oid << " at " << at;
    EXPECT_EQ(found ? found->record : "", record) << oid << " at " << at;
  }

  void expect_too_old(std::uint64_t oid, std::uint64_t at, std::uint64_t oldest) {
    try {
      store().load(Oid{oid}, Tid{at});
      FAIL() << oid << " at " << at;
    } catch (const SnapshotTooOldError& error) {
      EXPECT_EQ(error.oid, Oid{oid});
      EXPECT_EQ(error.asked, Tid{at});
      EXPECT_EQ(error.oldest, Tid{oldest});
    }
  }
};

TEST_P(PackConformance, KeepsWhatSnapshotsFromThereOnSee) {
  commit(store(), 10, {put(1, "a"), put(2, "x"), put(3, "gone")});
  commit(store(), 20, {put(1, "b"), erase(3)});
  commit(store(), 30, {put(1, "c"), put(4, "new")});
  commit(store(), 40, {put(1, "d"), erase(2)});
  EXPECT_EQ(packable().oldest_tid(), Tid{0});
  const PackResult result = pack(35);
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.oldest, Tid{35});
  EXPECT_EQ(packable().oldest_tid(), Tid{35});
  EXPECT_EQ(result.dropped.revisions_dropped, 4u);  // 1@10, 1@20, 3@10 and the tombstone 3@20
  EXPECT_EQ(result.dropped.bytes_dropped, 1u + 1 + 4);
  EXPECT_EQ(result.dropped.revisions_seen, 9u);
  for (std::uint64_t at : {35, 39}) {
    expect_record(1, at, "c");
    expect_record(2, at, "x");
    expect_record(3, at, "");
    expect_record(4, at, "new");
  }
  expect_record(1, 40, "d");
  expect_record(2, 40, "");
  // What is still there below the pack is refused as well, and so is what never was.
  for (std::uint64_t oid : {1, 2, 3, 4, 5}) expect_too_old(oid, 34, 35);
  expect_too_old(1, 0, 35);
  EXPECT_EQ(store().last_tid(), Tid{40});
  commit(store(), 41, {put(3, "again")});
  expect_record(3, 41, "again");
  expect_record(3, 40, "");
}

TEST_P(PackConformance, GoesNoFurtherThanThePinAndTheLastCommit) {
  for (std::uint64_t tid = 1; tid <= 9; ++tid) commit(store(), tid, {put(1, record_of(1, tid))});
  EXPECT_EQ(packable().pack({.before = Tid{8}, .oldest_pin = Tid{4}, .is_garbage = {}, .progress = {}}).oldest, Tid{4});
  expect_record(1, 4, record_of(1, 4));
  expect_too_old(1, 3, 4);
  EXPECT_EQ(pack(2).oldest, Tid{4}) << "it never goes back";
  EXPECT_EQ(pack(100).oldest, Tid{9});
  expect_record(1, 9, record_of(1, 9));
  expect_record(1, kInfinity.value, record_of(1, 9));
  expect_too_old(1, 8, 9);
  EXPECT_EQ(pack(100).dropped.revisions_dropped, 0u);
}

TEST_P(PackConformance, AnEmptyStoreCanBePacked) {
  EXPECT_EQ(pack(100).oldest, Tid{0});
  commit(store(), 1, {put(1, "a")});
  expect_record(1, 1, "a");
}

TEST_P(PackConformance, GarbageGoesUnlessItWasWrittenSince) {
  commit(store(), 1, {put(1, "root"), put(2, "garbage"), put(3, "written since"), put(4, "reached")});
  commit(store(), 2, {put(2, "garbage, too")});
  commit(store(), 3, {put(3, "newer")});
  const PackResult result = packable().pack(
      {.before = Tid{2}, .is_garbage = [](Oid oid) { return oid == Oid{2} || oid == Oid{3}; }, .progress = {}});
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.dropped.revisions_dropped, 2u);
  for (std::uint64_t at : {2, 3}) {
    expect_record(1, at, "root");
    expect_record(2, at, "");
    expect_record(4, at, "reached");
  }
  expect_record(3, 2, "written since");
  expect_record(3, 3, "newer");
}

TEST_P(PackConformance, IsGoneOnWithAfterItWasStopped) {
  constexpr std::uint64_t kObjects = 500;
  for (std::uint64_t tid = 1; tid <= 3; ++tid) {
    std::vector<std::string> records;
    std::vector<ObjectWrite> writes;
    for (std::uint64_t oid = 1; oid <= kObjects; ++oid) records.push_back(record_of(oid, tid));
    for (std::uint64_t oid = 1; oid <= kObjects; ++oid) writes.push_back(put(oid, records[oid - 1]));
    commit(store(), tid, writes);
  }
  std::uint64_t dropped = 0;
  double done = 0;
  PackRequest request{.before = Tid{3}, .is_garbage = {}, .progress = [&](const PackProgress& progress) {
                        EXPECT_GE(progress.done, done);
                        done = progress.done;
                        return progress.done < 0.5;
                      }};
  PackResult result = packable().pack(request);
  EXPECT_FALSE(result.complete);
  EXPECT_GT(result.dropped.revisions_dropped, 0u);
  EXPECT_LT(result.dropped.revisions_dropped, 2 * kObjects);
  dropped += result.dropped.revisions_dropped;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) {
    expect_record(oid, 3, record_of(oid, 3));
    expect_too_old(oid, 2, 3);
  }
  result = pack(3);
  EXPECT_TRUE(result.complete);
  dropped += result.dropped.revisions_dropped;
  EXPECT_EQ(dropped, 2 * kObjects);

  commit(store(), 4, {put(1, "x")});
  EXPECT_THROW(packable().pack({.before = Tid{4},
                                .is_garbage = {},
                                .progress = [](const PackProgress&) -> bool { throw std::runtime_error("stop"); }}),
               std::runtime_error);
  EXPECT_TRUE(pack(4).complete);
  expect_record(1, 4, "x");
}

TEST_P(PackConformance, HistoryHasWhatIsAboveThePack) {
  HistoryStore* history = capabilities().history;
  if (history == nullptr) GTEST_SKIP() << "it has no history";
  for (std::uint64_t tid = 1; tid <= 9; ++tid) commit(store(), tid, {put(1, "r"), put(10 + tid, "s")});
  pack(5);
  const std::vector<TransactionInfo> found = history->transactions(Tid{6}, kInfinity, HistoryOrder::oldest_first, 100);
  ASSERT_EQ(found.size(), 4u);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].tid, Tid{6 + i});
    EXPECT_EQ(found[i].objects, (std::vector<Oid>{Oid{1}, Oid{16 + i}}));
  }
  const std::vector<RevisionInfo> revisions = history->revisions(Oid{1}, kInfinity, 100);
  ASSERT_EQ(revisions.size(), 5u);
  EXPECT_EQ(revisions.back().begin, Tid{5});
  ASSERT_EQ(history->revisions(Oid{11}, kInfinity, 100).size(), 1u);  // written before the pack, and visible
}

// Whoever loads while a pack and commits go on gets what the model has, or is refused because his snapshot is below the pack.
TEST_P(PackConformance, RacesWithLoadsAndCommits) {
  constexpr std::uint64_t kObjects = 40, kCommits = 400;
  std::vector<ObjectWrite> first;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) first.push_back(put(oid, "1"));
  commit(store(), 1, first);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> answered{0}, refused{0};
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 2; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      while (!stop || answered == 0) {
        const std::uint64_t oid = 1 + random() % kObjects;
        const std::uint64_t last = store().last_tid().value;
        const std::uint64_t at = last - std::min(last - 1, random() % 30);
        try {
          const std::optional<Revision> found = store().load(Oid{oid}, Tid{at});
          // Object i is written by the tids that are i modulo the number of objects; and its record says by which.
          std::uint64_t begin = at >= oid + 1 ? oid + 1 + (at - oid - 1) / kObjects * kObjects : 1;
          ASSERT_TRUE(found) << oid << " at " << at;
          ASSERT_EQ(found->record, std::to_string(begin)) << oid << " at " << at;
          ++answered;
        } catch (const SnapshotTooOldError& error) {
          ASSERT_LT(at, error.oldest.value);
          ++refused;
        }
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      const std::uint64_t last = store().last_tid().value;
      if (last > 10) pack(last - 10);
      std::this_thread::yield();
    }
  });
  for (std::uint64_t tid = 2; tid <= kCommits; ++tid)
    commit(store(), tid, {put(1 + (tid - 2) % kObjects, std::to_string(tid))});
  stop = true;
  threads.clear();
  EXPECT_GT(answered, 0u);
}

INSTANTIATE_TEST_SUITE_P(Stores, PackConformance, ::testing::ValuesIn(stores_with(&StoreKind::is_packable)),
                         name_of_store);

}  // namespace
}  // namespace cow::testing
