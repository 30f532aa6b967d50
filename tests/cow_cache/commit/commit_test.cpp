// Commits of transactions that are older than the table of recent writes: who asks the store, and when.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {

using cow::detail::RecentWrites;

namespace {

using namespace std::chrono_literals;

struct Item {
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

/// Counts loads, and calls what the test wants to happen after a load has got its answer, or before a commit.
class HookedStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    std::optional<Revision> revision = inner_.load(oid, at);
    ++loads;
    if (after_load) after_load();
    return revision;
  }
  void commit(std::span<const TransactionWrite> group) override {
    if (before_commit) before_commit();
    inner_.commit(group);
  }

  std::atomic<int> loads = 0;
  std::function<void()> after_load, before_commit;
};

class CommitTest : public ::testing::Test {
 protected:
  std::vector<Ref<Item>> create(int count) {
    return db_.transact([&](Transaction& txn) {
      std::vector<Ref<Item>> items;
      for (int i = 0; i < count; ++i) items.push_back(txn.create(Item{}));
      return items;
    });
  }
  void change(const Ref<Item>& item) {
    db_.transact([&](Transaction& txn) { txn.write(item).value += 10; });
  }
  std::int64_t value(const Ref<Item>& item) { return db_.begin().read(item).value; }
  /// Afterwards the committer knows nothing by heart of what was written before: each of the two has the older half forgotten.
  void forget_recent_writes() {
    for (int i = 0; i < 2; ++i) create(int{RecentWrites::kObjects});
  }

  MemoryStore memory_;
  HookedStore store_{memory_};
  Database db_{store_};
  std::vector<Ref<Item>> items_ = create(50);
};

TEST_F(CommitTest, AnOldTransactionAsksTheStoreForNothingThatIsAlive) {
  for (Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    Transaction right = db_.begin(isolation), wrong = db_.begin(isolation);
    const std::int64_t before = right.read(items_[0]).value;
    for (const Ref<Item>& item : items_) right.write(item).value++, wrong.write(item).value++;
    forget_recent_writes();
    const int loads = store_.loads;
    EXPECT_NO_THROW(right.commit());
    EXPECT_THROW(wrong.commit(), ConflictError);
    EXPECT_EQ(store_.loads, loads);
    EXPECT_EQ(value(items_[0]), before + 1);
  }
}

// The leader is held in the store. Meanwhile another thread's commit asks what it must, queues, and asks nothing more,
// whoever leads it then.
TEST_F(CommitTest, WhatHasDiedIsAskedForBeforeQueueingAndNeverByALeader) {
  for (Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    Transaction old = db_.begin(isolation);
    for (const Ref<Item>& item : items_) old.write(item).value++;
    db_.evict_all();
    forget_recent_writes();
    std::promise<void> let_go;
    std::atomic<bool> held = false;
    store_.before_commit = [&] {
      if (!held.exchange(true)) let_go.get_future().wait();
    };
    std::thread leader([&] { create(1); });
    while (!held) std::this_thread::yield();
    const int loads = store_.loads, expected = loads + (isolation == Isolation::snapshot ? 50 : 100);
    std::thread other([&] { EXPECT_NO_THROW(old.commit()); });
    for (auto patience = std::chrono::steady_clock::now() + 20s;
         store_.loads < expected && std::chrono::steady_clock::now() < patience;) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(store_.loads, expected) << "while another thread leads";
    std::this_thread::sleep_for(5ms);  // it queues
    let_go.set_value();
    leader.join();
    other.join();
    EXPECT_EQ(store_.loads, expected) << "nothing while its group was led";
    store_.before_commit = nullptr;
  }
}

// While it asks, so much is written that the recent writes do not reach back to when it asked. Again and again.
TEST_F(CommitTest, WhoIsOvertakenAsksOnceMoreAndThenGoesThrough) {
  for (Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    Transaction old = db_.begin(isolation);
    const std::int64_t before = old.read(items_[0]).value;
    if (isolation == Isolation::snapshot) {
      old.write(items_[0]).value++;
    } else {
      old.create(Item{});
    }
    db_.evict_all();
    forget_recent_writes();
    const int loads = store_.loads;
    int left = 6;  // were it not for the pin, for ever
    store_.after_load = [&] {
      if (left-- > 0) forget_recent_writes();
    };
    EXPECT_NO_THROW(old.commit());
    store_.after_load = nullptr;
    EXPECT_EQ(store_.loads, loads + 2);
    EXPECT_EQ(value(items_[0]), before + (isolation == Isolation::snapshot));
  }
}

TEST_F(CommitTest, AChangeAfterEitherAnswerIsAConflict) {
  for (Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    for (int changed_after : {1, 2}) {
      Transaction old = db_.begin(isolation);
      (void)old.read(items_[0]);
      if (isolation == Isolation::snapshot) {
        old.write(items_[0]).value++;
      } else {
        old.create(Item{});
      }
      db_.evict_all();
      forget_recent_writes();
      int asked = 0;
      Tid changed_at{};
      store_.after_load = [&] {
        auto hook = std::exchange(store_.after_load, nullptr);
        if (++asked == changed_after) {
          change(items_[0]);
          changed_at = db_.last_tid();
        }
        forget_recent_writes();
        if (changed_at == Tid{}) store_.after_load = hook;
      };
      try {
        old.commit();
        ADD_FAILURE() << "committed, changed after answer " << changed_after;
      } catch (const ConflictError& error) {
        EXPECT_EQ(error.conflicts.at(0).oid, items_[0].oid());
        EXPECT_EQ(error.conflicts.at(0).current, changed_at);
        EXPECT_EQ(error.conflicts.at(0).changed, isolation == Isolation::snapshot);
      }
      store_.after_load = nullptr;
      EXPECT_EQ(asked, changed_after);
    }
  }
}

// More writes than are known in their order, but not so many that they are forgotten.
TEST_F(CommitTest, ManyWritesBetweenTheCheckOfReadsAndTheLeadAreLookedAt) {
  for (bool changes : {false, true}) {
    for (int most_times : {1, 100}) {
      Transaction old = db_.begin(Isolation::serializable);
      for (int i = 0; i < 8; ++i) (void)old.read(items_[i]);
      Ref<Item> absent(Oid{1'000'000'000});
      EXPECT_THROW((void)old.read(absent), DanglingReferenceError);
      old.create(Item{});
      db_.evict_all();
      forget_recent_writes();
      int times = 0;
      store_.after_load = [&] {
        if (++times > most_times) return;
        auto hook = std::exchange(store_.after_load, nullptr);
        create(int{RecentWrites::kOrdered} + 1);
        if (changes) change(items_[7]);
        create(int{RecentWrites::kOrdered} + 1);
        store_.after_load = hook;
      };
      if (changes) {
        EXPECT_THROW(old.commit(), ConflictError);
      } else {
        EXPECT_NO_THROW(old.commit());
        EXPECT_EQ(times, 2 * 9);
      }
      store_.after_load = nullptr;
    }
  }
}

// Old and young ones at once, under a budget that evicts all the time: increments are neither lost nor doubled.
TEST_F(CommitTest, OldAndYoungOnesTogetherLoseNothing) {
  constexpr int kThreads = 4, kRounds = 30;
  std::atomic<int> done = 0;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    while (!stop) create(int{RecentWrites::kObjects} + 1);
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        Transaction txn = db_.begin(t % 2 == 0 ? Isolation::snapshot : Isolation::serializable);
        txn.write(items_[0]).value++;
        txn.write(items_[1 + t]).value++;
        if (round % 4 == 0) db_.evict_all();
        if (round % 3 == 0) std::this_thread::sleep_for(20ms);
        try {
          txn.commit();
          ++done;
        } catch (const ConflictError&) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  writer.join();
  EXPECT_EQ(value(items_[0]), done);
  std::int64_t sum = 0;
  for (int t = 0; t < kThreads; ++t) sum += value(items_[1 + t]);
  EXPECT_EQ(sum, done);
  EXPECT_GT(done, 0);
}

// A thread whose own commit is written goes on, and leaves what has queued up meanwhile to the next one. (In one round of several: the
// other one may come at the last instant.)
TEST_F(CommitTest, WithASlowStoreALeaderWritesOneGroup) {
  bool left_to_the_next = false;
  for (int round = 0; round < 20 && !left_to_the_next; ++round) {
    std::vector<std::thread::id> leaders;
    std::thread other;
    store_.before_commit = [&] {
      leaders.push_back(std::this_thread::get_id());
      if (leaders.size() > 1) return;
      other = std::thread([&] { change(items_[1]); });
      std::this_thread::sleep_for(20ms);
    };
    change(items_[0]);
    std::thread::id id = other.get_id();
    other.join();
    store_.before_commit = nullptr;
    ASSERT_EQ(leaders.size(), 2u);
    left_to_the_next = leaders[1] == id;
  }
  EXPECT_TRUE(left_to_the_next);
}

TEST(ConflictErrorTest, ItsTextNamesTheFirstObjectsAndCountsTheRest) {
  std::vector<ConflictError::Conflict> conflicts;
  for (std::uint64_t oid = 1; oid <= 20; ++oid) conflicts.push_back({Oid{oid}, Tid{1}, Tid{2}});
  const ConflictError many(conflicts);
  EXPECT_EQ(many.conflicts.size(), 20U);
  EXPECT_TRUE(std::string_view(many.what()).ends_with(" oid 8 (changed at tid 1, now at tid 2) and 12 more"))
      << many.what();
  conflicts.resize(8);
  const ConflictError few(conflicts);
  EXPECT_TRUE(std::string_view(few.what()).ends_with(" oid 8 (changed at tid 1, now at tid 2)")) << few.what();
}

class RecentWritesTest : public ::testing::Test {
 protected:
  std::vector<Oid> after(Tid tid) const {
    std::vector<Oid> oids;
    writes_.for_each_after(tid, [&](Oid oid, Tid) { oids.push_back(oid); });
    return oids;
  }
  std::atomic<std::uint64_t> frontier_ = 10;
  RecentWrites writes_{Tid{10}};
};

TEST_F(RecentWritesTest, WhatIsRolledBackHasNeverBeen) {
  writes_.note(Oid{1}, Tid{11});
  writes_.begin_group();
  writes_.note(Oid{1}, Tid{12});
  writes_.note(Oid{2}, Tid{12});
  EXPECT_EQ(writes_.newest(Oid{1}), Tid{12});
  writes_.roll_back();
  EXPECT_EQ(writes_.newest(Oid{1}), Tid{11});
  EXPECT_EQ(writes_.newest(Oid{2}), Tid{});
  EXPECT_EQ(after(Tid{10}), std::vector<Oid>{Oid{1}});
  writes_.begin_group();
  writes_.note(Oid{3}, Tid{12});
  EXPECT_EQ(after(Tid{10}), (std::vector<Oid>{Oid{3}, Oid{1}}));
  EXPECT_EQ(after(Tid{11}), std::vector<Oid>{Oid{3}});
}

TEST_F(RecentWritesTest, TheLastOnesAreKnownInOrderWhateverWasRolledBack) {
  constexpr std::uint64_t kMany = 3 * RecentWrites::kOrdered;
  for (std::uint64_t i = 1; i <= kMany; ++i) {
    writes_.begin_group();
    writes_.note(Oid{i}, Tid{10 + i});
    if (i % 100 == 0) {
      writes_.begin_group();
      for (std::uint64_t n = 0; n < 50; ++n) writes_.note(Oid{n + 1}, Tid{11 + i});
      writes_.roll_back();
    }
  }
  Tid since = writes_.ordered_since();
  EXPECT_LE(since.value, 10 + kMany - (RecentWrites::kOrdered - 50));
  EXPECT_GE(since.value, 10 + kMany - RecentWrites::kOrdered);
  std::vector<Oid> all = after(since);
  ASSERT_EQ(all.size(), 10 + kMany - since.value);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], Oid{kMany - i});
}

TEST_F(RecentWritesTest, APinKeepsWhatWasWrittenAboveItsFrontier) {
  std::uint64_t tid = 10;
  auto write_many = [&] {
    ++tid;
    writes_.begin_group();
    for (std::uint64_t i = 0; i <= RecentWrites::kObjects; ++i) writes_.note(Oid{tid * 1'000'000 + i}, Tid{tid});
    frontier_ = tid;
    writes_.rotate(Tid{tid});
  };
  for (int i = 0; i < 3; ++i) write_many();
  EXPECT_EQ(writes_.since(), Tid{12});
  {
    RecentWrites::Pin pin(writes_, frontier_);
    EXPECT_EQ(pin.frontier(), Tid{13});
    for (int i = 0; i < 5; ++i) {
      write_many();
      EXPECT_LE(writes_.since(), pin.frontier());
    }
    EXPECT_EQ(writes_.newest(Oid{14 * 1'000'000}), Tid{14});
  }
  write_many();
  write_many();
  EXPECT_GT(writes_.since(), Tid{14});
  EXPECT_EQ(writes_.since_for_all(), writes_.since());
  EXPECT_EQ(writes_.newest(Oid{14 * 1'000'000}), Tid{});
}

// The others wait for the leader. Its failure is theirs, its exception is not: each may keep and change the one that it catches.
TEST_F(CommitTest, AGroupThatFailsGivesEachThreadAnExceptionOfItsOwn) {
  constexpr int kThreads = 4;
  std::promise<void> let_go;
  std::atomic<bool> held = false;
  store_.before_commit = [&] {
    if (held.exchange(true)) throw StoreFullError("the device is full");
    let_go.get_future().wait();
  };
  std::thread leader([&] { create(1); });
  while (!held) std::this_thread::yield();

  std::barrier all_have_caught(kThreads);
  std::mutex mutex;
  std::set<const StoreFullError*> errors;
  std::vector<std::thread> others;
  for (int i = 0; i < kThreads; ++i) {
    others.emplace_back([&, i] {
      try {
        change(items_[static_cast<std::size_t>(i)]);
        all_have_caught.arrive_and_wait();
      } catch (const StoreFullError& error) {
        EXPECT_STREQ(error.what(), "the device is full");
        {
          std::scoped_lock lock(mutex);
          errors.insert(&error);
        }
        all_have_caught.arrive_and_wait();
      }
    });
  }
  std::this_thread::sleep_for(20ms);  // they queue
  let_go.set_value();
  leader.join();
  for (std::thread& other : others) other.join();
  EXPECT_EQ(errors.size(), std::size_t{kThreads});
}

}  // namespace
}  // namespace cow
