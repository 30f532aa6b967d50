// Packs in the background: they come, they can be looked at, they end with their owner.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/retention.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/forwarding_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class RetentionTest : public ::testing::Test {
 protected:
  void change(int times) {
    for (int i = 0; i < times; ++i) {
      Transaction txn = db_.begin();
      txn.root().emplace("label", Label{std::to_string(i)});
      txn.commit();
    }
  }
  /// Returns as soon as it is so.
  template <class Condition>
  static void wait_for(Condition&& condition) {
    while (!condition()) std::this_thread::sleep_for(1ms);
  }

  MemoryStore store_;
  Database db_{store_};
};

TEST_F(RetentionTest, KeepsThePresentOnly) {
  change(100);
  const Tid last = db_.last_tid();
  Retention retention(db_, {.keep_history = 0us, .collect_garbage = true, .every = 1ms, .share = 1});
  wait_for([&] { return store_.oldest_tid() == last && retention.status().packs > 0; });
  EXPECT_EQ(retention.status().error, nullptr);
  EXPECT_THROW(db_.begin_at(Tid{last.value - 1}), SnapshotTooOldError);
  change(5);
  wait_for([&] { return store_.oldest_tid() == db_.last_tid(); });
  EXPECT_EQ(db_.begin().read(db_.begin().root().get<Label>("label")).text, "4");
}

TEST_F(RetentionTest, KeepsWhatIsYoung) {
  change(10);
  Retention retention(db_, {.every = 1ms});
  wait_for([&] { return retention.status().packs >= 3; });
  EXPECT_EQ(store_.oldest_tid(), Tid{}) << "all of it is younger than a week";
  EXPECT_NO_THROW(db_.begin_at(Tid{2}));
}

TEST_F(RetentionTest, KeepsForEver) {
  change(10);
  for (const std::chrono::microseconds keep :
       {std::chrono::microseconds(std::chrono::years(300)), std::chrono::microseconds::max()}) {
    Retention retention(db_, {.keep_history = keep, .every = 1ms});
    wait_for([&] { return retention.status().packs >= 2; });
    EXPECT_EQ(store_.oldest_tid(), Tid{});
  }
}

TEST_F(RetentionTest, EndsWhileItRests) {
  change(10);
  {
    // A share so small that one step of a pack is followed by days of rest, which this test would have to wait for.
    Retention retention(db_, {.keep_history = 0us, .every = std::chrono::hours(1), .share = 1e-12});
    wait_for([&] { return store_.oldest_tid() == db_.last_tid(); });
  }
  EXPECT_TRUE(db_.pack(kInfinity).complete) << "the next pack goes on";
}

TEST_F(RetentionTest, KeepsAnErrorToBeLookedAt) {
  struct Broken : UnreliablePackableStore {
    using UnreliablePackableStore::UnreliablePackableStore;
    PackResult pack(const PackRequest&) override { throw StoreError("no pack today"); }
  } broken(store_);
  Database db(broken);
  Retention retention(db, {.keep_history = 0us, .every = 1ms});
  wait_for([&] { return retention.status().failures >= 2; });
  try {
    std::rethrow_exception(retention.status().error);
  } catch (const StoreError& error) {
    EXPECT_STREQ(error.what(), "no pack today");
  }
}

TEST_F(RetentionTest, RefusesWhatCannotBe) {
  EXPECT_THROW(Retention(db_, {.share = 0}), std::invalid_argument);
  EXPECT_THROW(Retention(db_, {.share = 1.1}), std::invalid_argument);
  EXPECT_THROW(Retention(db_, {.keep_history = -1us}), std::invalid_argument);
  EXPECT_THROW(Retention(db_, {.every = 0ms}), std::invalid_argument);
  EXPECT_THROW(Retention(db_, {.every = -1ms}), std::invalid_argument);
  MemoryStore inner;
  ForwardingStore plain(inner);
  Database db(plain);
  EXPECT_THROW(Retention retention(db), MissingCapabilityError);
}

// Objects that were marked once are written again and again: it rests, and can be ended, all the same.
TEST_F(RetentionTest, RestsWhileItFollowsLaterChanges) {
  struct SlowHistory : UnreliablePackableStore {
    using UnreliablePackableStore::UnreliablePackableStore;
    std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
      ++pages;
      std::this_thread::sleep_for(1ms);
      return UnreliablePackableStore::transactions(from, to, order, most);
    }
    // All but the first few changes are young.
    Tid tid_at(CommitTime) override { return Tid{3}; }
    std::atomic<int> pages{0};
  } slow(store_);
  Database db(slow);
  Ref<Label> label;
  db.transact([&](Transaction& txn) { txn.root().set("label", label = txn.create(Label{"first"})); });
  for (int i = 0; i < 5'000; ++i) db.transact([&](Transaction& txn) { txn.write(label).text = std::to_string(i); });
  Clock::time_point began;
  {
    Retention retention(db, {.collect_garbage = true, .every = 1h, .share = 0.005});
    std::this_thread::sleep_for(800ms);
    began = Clock::now();
  }
  EXPECT_LE(slow.pages, 20) << "of some 80: each of a millisecond or more, with 200 times as much of rest";
  EXPECT_LT(Clock::now() - began, 10s);
}

// With commits beside it that leave garbage behind.
TEST(RetentionOfAStoreOnDisk, PacksBesideCommits) {
  const ScratchDirectory scratch;
  RocksDbOptions options = creating();
  options.durable = false;
  options.write_buffer_bytes = std::size_t{64} << 10;  // so that files come and go
  options.max_log_bytes = std::size_t{128} << 10;
  std::optional<RocksDbStore> store(std::in_place, scratch.store(), options);
  std::string last_text;
  {
    Database db(*store);
    std::atomic<bool> stop{false};
    std::jthread writer([&] {
      for (int i = 0; !stop; ++i) {
        // What was there before nothing refers to any more.
        const std::string text = std::to_string(i) + std::string(500, 'x');
        try {
          db.transact([&](Transaction& txn) { txn.root().set("label", txn.create(Label{text})); });
          last_text = text;
        } catch (const SnapshotTooOldError&) {  // a pack came while it was about to begin
        }
        std::this_thread::sleep_for(200us);
      }
    });
    const auto wait_for = [](auto&& condition) {
      const auto until = Clock::now() + 60s;
      while (!condition() && Clock::now() < until) std::this_thread::sleep_for(1ms);
      return condition();
    };
    {
      Retention retention(db, {.keep_history = 0us, .collect_garbage = true, .every = 1ms, .share = 1});
      EXPECT_TRUE(wait_for([&] { return retention.status().packs >= 5 && store->oldest_tid() > Tid{100}; }));
      EXPECT_EQ(retention.status().failures, 0u);
      EXPECT_EQ(retention.status().error, nullptr);
    }
    {
      // In the midst of one that rests for most of the time.
      const Tid before = store->oldest_tid();
      auto retention = std::make_unique<Retention>(
          db, RetentionOptions{.keep_history = 0us, .collect_garbage = true, .every = 1ms, .share = 1e-3});
      std::this_thread::sleep_for(50ms);
      const auto began = Clock::now();
      retention.reset();
      EXPECT_LT(Clock::now() - began, 10s);
      EXPECT_GE(store->oldest_tid(), before);
    }
    stop = true;
    writer.join();
    EXPECT_EQ(db.begin().read(db.begin().root().get<Label>("label")).text, last_text);
  }
  for (const bool reopened : {false, true}) {
    if (reopened) store.emplace(scratch.store(), options);
    const VerifyReport report = store->verify(VerifyOptions{});
    EXPECT_TRUE(report.faults.empty()) << report.faults.front().what;
  }
  Database db(*store);
  EXPECT_EQ(db.begin().read(db.begin().root().get<Label>("label")).text, last_text);
  EXPECT_TRUE(db.pack(kInfinity, {.collect_garbage = true}).complete);
  EXPECT_TRUE(store->verify(VerifyOptions{}).faults.empty());
}

}  // namespace
}  // namespace cow::testing
