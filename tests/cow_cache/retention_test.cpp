// Packs in the background: they come, they can be looked at, they end with their owner.
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/retention.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow::testing {
namespace {

using namespace std::chrono_literals;

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
  MemoryStore inner;
  ForwardingStore plain(inner);
  Database db(plain);
  EXPECT_THROW(Retention retention(db), MissingCapabilityError);
}

}  // namespace
}  // namespace cow::testing
