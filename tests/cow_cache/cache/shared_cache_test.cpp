// The shared cache under transactions: misses, tombstones, hints that went stale, and what it all weighs.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {

using cow::detail::State;
namespace size_classes = cow::detail::size_classes;

namespace {

struct Account {
  std::string owner;
  std::int64_t balance = 0;
  Ref<Account> referrer;
  MSGPACK_DEFINE_MAP(owner, balance, referrer);
};

struct Counter {  // as small as a tombstone
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

struct Label {  // of the same size class as a Counter
  std::int64_t code = 0;
  MSGPACK_DEFINE_MAP(code);
};

class SharedCacheTest : public ::testing::Test {
 protected:
  Ref<Account> make(std::string owner, std::int64_t balance) {
    return db_.transact([&](Transaction& txn) { return txn.create(Account{std::move(owner), balance, {}}); });
  }
  std::int64_t balance(const Ref<Account>& account) { return db_.begin().read(account).balance; }
  void set_balance(const Ref<Account>& account, std::int64_t balance) {
    db_.transact([&](Transaction& txn) { txn.write(account).balance = balance; });
  }

  MemoryStore memory_;
  testing::UnreliableStore store_{memory_};
  Database db_{store_};
};

// Misses.

TEST_F(SharedCacheTest, ThreadsThatMissTogetherLoadOnce) {
  std::vector<Ref<Account>> accounts;
  for (int i = 0; i < 20; ++i) accounts.push_back(Ref<Account>(make("a", i).oid()));
  for (int k : {2, 8}) {
    db_.evict_all();
    store_.loads = 0;
    store_.load_delay = std::chrono::milliseconds(2);
    std::latch start(k);
    std::vector<std::thread> threads;
    for (int t = 0; t < k; ++t) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        Transaction txn = db_.begin();
        for (int i = 0; i < 20; ++i) EXPECT_EQ(txn.read(Ref<Account>(accounts[i].oid())).balance, i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(store_.loads.load(), 20) << k << " threads";
  }
}

// They get its failure; who comes later loads for itself.
TEST_F(SharedCacheTest, ALoaderThatFailsWakesThoseWhoWait) {
  Ref<Account> account = make("a", 1);
  db_.evict_all();
  store_.load_delay = std::chrono::milliseconds(20);
  store_.loads_to_fail = 1;
  std::atomic<int> failed = 0, read = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      try {
        read += static_cast<int>(db_.begin().read(Ref<Account>(account.oid())).balance);
      } catch (const StoreError&) {
        ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(failed.load(), 1);
  EXPECT_EQ(failed.load() + read.load(), 6);
  EXPECT_EQ(db_.begin().read(account).balance, 1);
}

// Erasing.

TEST_F(SharedCacheTest, AnErasedObjectIsGoneForLaterTransactionsAndThereForOlderOnes) {
  Ref<Account> account = make("a", 1);
  Transaction old = db_.begin();
  Transaction txn = db_.begin();
  txn.erase(account);
  EXPECT_THROW(txn.read(account), DanglingReferenceError);
  EXPECT_THROW(txn.write(account), DanglingReferenceError);
  EXPECT_THROW(txn.erase(account), DanglingReferenceError);
  txn.commit();
  for (bool resident : {true, false}) {
    if (!resident) db_.evict_all();
    Transaction later = db_.begin();
    for (int attempt = 0; attempt < 2; ++attempt) {
      EXPECT_THROW(later.read(account), DanglingReferenceError);
      EXPECT_THROW(later.write(Ref<Account>(account.oid())), DanglingReferenceError);
    }
    EXPECT_EQ(old.read(Ref<Account>(account.oid())).balance, 1);
  }
  old.write(account).balance = 2;
  EXPECT_THROW(old.commit(), ConflictError) << "writing what somebody erased";
}

TEST_F(SharedCacheTest, AnObjectCreatedAndErasedAtOnceNeverWas) {
  Transaction txn = db_.begin();
  Ref<Account> account = txn.create(Account{"a", 1, {}});
  txn.erase(account);
  txn.commit();
  EXPECT_THROW(db_.begin().read(account), DanglingReferenceError);
}

TEST_F(SharedCacheTest, ARecreatedObjectIsAnotherOne) {
  Ref<Account> before = make("a", 1);
  db_.transact([&](Transaction& txn) {
    txn.root().set("a", before);
    txn.erase(before);
    txn.root().emplace("a", Account{"a", 2, {}});
  });
  Transaction txn = db_.begin();
  Ref<Account> after = txn.root().get<Account>("a");
  EXPECT_NE(after, before);
  EXPECT_EQ(txn.read(after).balance, 2);
  EXPECT_THROW(txn.read(before), DanglingReferenceError);
}

// A hint must not lead to a tombstone that took the very slot in which the object's value used to be.
TEST_F(SharedCacheTest, AHintNeverMistakesATombstoneForTheObject) {
  std::vector<Ref<Counter>> counters;
  db_.transact([&](Transaction& txn) {
    for (int i = 0; i < 20; ++i) counters.push_back(txn.create(Counter{i}));
  });
  db_.transact([&](Transaction& txn) {
    for (const Ref<Counter>& counter : counters) txn.erase(Ref<Counter>(counter.oid()));
  });
  for (int attempt = 0; attempt < 100; ++attempt) {
    db_.evict_all();  // all slots are free, the values' among them
    Transaction other = db_.begin();
    for (int i = 0; i < attempt % 7; ++i)
      other.create(Counter{i});  // takes some, so that the tombstones come to lie anew
    Transaction txn = db_.begin();
    for (const Ref<Counter>& counter : counters) {
      EXPECT_THROW(txn.read(Ref<Counter>(counter.oid())), DanglingReferenceError);  // loads the tombstone
    }
    for (int again = 0; again < 2; ++again) {
      for (const Ref<Counter>& hinted : counters) {
        EXPECT_THROW(txn.read(hinted), DanglingReferenceError);
        EXPECT_THROW(txn.write(hinted), DanglingReferenceError);
      }
    }
    Transaction by_hint_only = db_.begin();
    for (const Ref<Counter>& hinted : counters) EXPECT_THROW(by_hint_only.read(hinted), DanglingReferenceError);
  }
}

// Hints.

TEST_F(SharedCacheTest, HintsNeverMixTwoDatabases) {
  MemoryStore other_memory;
  Database other(other_memory);
  Ref<Account> here = make("here", 1);
  Ref<Account> there = other.transact([](Transaction& txn) { return txn.create(Account{"there", 2, {}}); });
  ASSERT_EQ(here.oid(), there.oid()) << "the test wants equal oids";
  for (int round = 0; round < 100; ++round) {
    Transaction mine = db_.begin(), theirs = other.begin();
    Ref<Account> a = here, b = there;
    EXPECT_EQ(mine.read(b).owner, "here");  // a hint into the other database is merely wrong
    EXPECT_EQ(theirs.read(a).owner, "there");
    EXPECT_EQ(mine.read(a).owner, "here");
    EXPECT_EQ(theirs.read(b).owner, "there");
    EXPECT_EQ(mine.read(b).owner, "here");
    if (round % 10 == 0) {
      mine.abort();
      theirs.abort();
      (round % 20 == 0 ? db_ : other).evict_all();
    }
  }
}

TEST_F(SharedCacheTest, HintsOfAClosedDatabaseAreHarmless) {
  Ref<Account> kept;
  {
    MemoryStore memory;
    Database closed(memory);
    kept = closed.transact([](Transaction& txn) { return txn.create(Account{"gone", 1, {}}); });
    EXPECT_EQ(closed.begin().read(kept).owner, "gone");
  }
  Ref<Account> here = make("here", 1);
  ASSERT_EQ(here.oid(), kept.oid());
  EXPECT_EQ(db_.begin().read(kept).owner, "here");
}

// An object that is another type in another database, whose state may come to lie where the hint points.
TEST_F(SharedCacheTest, AHintNeverMistakesAnotherType) {
  for (int round = 0; round < 50; ++round) {
    Ref<Label> kept;
    {
      MemoryStore memory;
      Database closed(memory);
      kept = closed.transact([](Transaction& txn) { return txn.create(Label{}); });
      EXPECT_EQ(closed.begin().read(kept).code, 0);
    }
    MemoryStore memory;
    Database fresh(memory);
    Ref<Counter> counter = fresh.transact([](Transaction& txn) { return txn.create(Counter{1}); });
    ASSERT_EQ(counter.oid(), kept.oid());
    Transaction txn = fresh.begin();
    for (int again = 0; again < 2; ++again) {
      EXPECT_THROW(txn.read(kept), TypeMismatchError);
      EXPECT_EQ(txn.read(counter).value, 1);
    }
  }
}

// Accounting.

TEST_F(SharedCacheTest, RewritingAnObjectDoesNotInflateTheCache) {
  Ref<Account> account = make("a", 0);
  set_balance(account, 1);
  set_balance(account, 2);
  std::size_t before = db_.statistics().cache_bytes;
  for (int i = 0; i < 2000; ++i) set_balance(account, i);
  EXPECT_LE(db_.statistics().cache_bytes, before + 4096);
  db_.evict_all();
  EXPECT_EQ(db_.statistics().cache_bytes, 0u);
  EXPECT_EQ(db_.statistics().limbo_bytes, 0u);
}

TEST_F(SharedCacheTest, TransactionBytesFollowTheReadLogs) {
  std::vector<Ref<Account>> accounts;
  db_.transact([&](Transaction& txn) {
    for (int i = 0; i < 200'000; ++i) accounts.push_back(txn.create(Account{"a", i, {}}));
  });
  { Transaction txn = db_.begin(); }
  std::uint64_t idle = db_.statistics().transaction_bytes;
  {
    Transaction txn = db_.begin();
    for (const Ref<Account>& account : accounts) (void)txn.read(account);
    // A bitmap by now: a bit for every 32 bytes of states.
    EXPECT_GE(db_.statistics().transaction_bytes, idle + accounts.size() * sizeof(State<Account>) / 256);
  }
  EXPECT_EQ(db_.statistics().transaction_bytes, idle) << "a log as long as that is dropped";
}

TEST_F(SharedCacheTest, NothingIsLeftOfTheTicketsWhenNobodyLoads) {
  Ref<Account> account = make("a", 1);
  db_.evict_all();
  EXPECT_EQ(db_.begin().read(account).balance, 1);
  EXPECT_EQ(db_.statistics().loads, 1u);
  EXPECT_EQ(db_.statistics().ticket_bytes, 0u);
}

TEST_F(SharedCacheTest, ThePartsAddUp) {
  for (int i = 0; i < 100; ++i) make("a name that is too long for the inside of a string", i);
  Statistics statistics = db_.statistics();
  EXPECT_GE(statistics.heap_bytes, 100 * 50u);
  EXPECT_GE(statistics.slot_bytes(), 100 * size_classes::bytes_of(size_classes::class_of(sizeof(State<Account>))));
  EXPECT_EQ(statistics.slot_bytes() + statistics.heap_bytes, statistics.cache_bytes);
  EXPECT_EQ(statistics.total_bytes(), statistics.cache_bytes + statistics.limbo_bytes + statistics.table_bytes +
                                          statistics.transaction_bytes + statistics.ticket_bytes +
                                          statistics.commit_bytes + statistics.free_slot_bytes);
}

// However long the logs of those who sleep: the states keep half of the budget.
TEST(CacheBudget, LogsTakeFromTheStatesButNotMoreThanHalf) {
  MemoryStore store;
  constexpr std::size_t kBudget = 3 << 20;
  Database db(store, {.cache_bytes = kBudget});
  std::vector<Ref<Account>> accounts;
  db.transact([&](Transaction& txn) {
    for (int i = 0; i < 20'000; ++i) accounts.push_back(txn.create(Account{"owner", i, {}}));
  });
  auto read_all = [&](Transaction& txn) {
    for (const Ref<Account>& account : accounts) (void)txn.read(account);
  };
  db.transact(read_all);
  std::uint64_t alone = db.statistics().cache_bytes;
  std::vector<Transaction> sleepers;
  for (int i = 0; i < 80; ++i) {
    sleepers.push_back(db.begin());
    read_all(sleepers.back());
  }
  ASSERT_GT(db.statistics().transaction_bytes, 512u << 10);
  db.transact([](Transaction& txn) { txn.create(Account{"what comes in makes room", 0, {}}); });
  EXPECT_LT(db.statistics().cache_bytes, alone - (256 << 10));
  EXPECT_GE(db.statistics().cache_bytes, kBudget / 2 - (64 << 10)) << "a cache that keeps nothing is of no use";
}

TEST(CacheBudget, RevisionsLoadedForAnOldSnapshotCountToo) {
  constexpr int kAccounts = 300;
  constexpr std::size_t kBudget = 128 << 10;  // enough for the newest revisions, not for two of each
  MemoryStore store;
  Database db(store, {.cache_bytes = kBudget});
  std::vector<Ref<Account>> accounts;
  Account initial{std::string(100, 'x'), 1, {}};
  db.transact([&](Transaction& txn) {
    for (int i = 0; i < kAccounts; ++i) accounts.push_back(txn.create(initial));
  });
  Transaction old = db.begin();
  for (const Ref<Account>& account : accounts) db.transact([&](Transaction& txn) { txn.write(account).balance = 2; });
  db.evict_all();
  Transaction now = db.begin();
  for (const Ref<Account>& account : accounts) ASSERT_EQ(now.read(account).balance, 2);
  ASSERT_EQ(db.statistics().old_loads, 0u);
  for (const Ref<Account>& account : accounts) ASSERT_EQ(old.read(account).balance, 1);
  EXPECT_LE(db.statistics().cache_bytes, kBudget);
}

// An object larger than the whole budget is still readable, by old and new snapshots.
TEST(CacheBudget, EvenWithoutAnyRoomEveryReadTerminates) {
  MemoryStore store;
  Database db(store, {.cache_bytes = 1});
  Ref<Account> account = db.transact([](Transaction& txn) { return txn.create(Account{"a", 1, {}}); });
  Transaction old = db.begin();
  db.transact([&](Transaction& txn) { txn.write(account).balance = 2; });
  EXPECT_EQ(old.read(account).balance, 1);
  EXPECT_EQ(db.begin().read(account).balance, 2);
  EXPECT_EQ(old.read(Ref<Account>(account.oid())).balance, 1);
}

// What a transaction has read once, it need not load again because others pushed it out.
TEST(CacheBudget, ATransactionThatReadsTheSameObjectsAgainAndAgainDoesNotPileUpCopies) {
  MemoryStore store;
  Database db(store, {.cache_bytes = 32 << 10});
  std::vector<Ref<Account>> accounts;
  for (int i = 0; i < 1000; ++i) {
    accounts.push_back(db.transact([&](Transaction& txn) { return txn.create(Account{"owner", i, {}}); }));
  }
  Transaction txn = db.begin();
  std::size_t after_first_round = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(txn.read(accounts[i]).balance, i);
    std::size_t held = db.statistics().limbo_bytes + db.statistics().cache_bytes;
    if (round == 0) after_first_round = held;
    EXPECT_LE(held, 3 * after_first_round) << "round " << round;
  }
}

struct Spacious {  // few of these lie on a page of a bitmap log
  std::int64_t balance = 0;
  std::array<char, 16'000> unused = {};
  MSGPACK_DEFINE_MAP(balance);
};

/// One object is evicted and read again, 2,000 times. How many states of it are held, at the most?
template <class T>
std::size_t states_held_of_one(int others_read_before) {
  MemoryStore store;
  Database db(store, {.cache_bytes = 64 << 20});
  std::vector<Ref<T>> objects = db.transact([&](Transaction& txn) {
    std::vector<Ref<T>> created;
    for (int i = 0; i <= others_read_before; ++i) created.push_back(txn.create(T{}));
    return created;
  });
  db.transact([&](Transaction& txn) {
    for (const Ref<T>& object : objects) EXPECT_EQ(txn.read(object).balance, 0);
  });
  std::size_t bytes_of_one = db.statistics().cache_bytes / objects.size();
  Transaction txn = db.begin();
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(txn.read(objects[0]).balance, 0);
    db.evict_all();
    EXPECT_EQ(db.begin().read(objects[0]).balance, 0);  // this loads it
  }
  return db.statistics().limbo_bytes / bytes_of_one;
}

// However large the log's table, which the transaction before has left, and whatever its layout.
TEST(CacheBudget, AnObjectThatIsEvictedAndReadAgainAndAgainIsHeldAFewTimes) {
  for (int others : {0, 10, 1000}) {
    EXPECT_LE(states_held_of_one<Account>(others), 40u) << others << ", in a bitmap if they are many";
    EXPECT_LE(states_held_of_one<Spacious>(others), 40u) << others << ", in a hash set";
  }
}

// Replacement.

/// A database of `count` accounts of some 250 bytes, written but not resident.
class CrowdedCache {
 public:
  CrowdedCache(int count, const CacheOptions& options) : db(store, options) {
    for (int first = 0; first < count; first += 100) {
      db.transact([&](Transaction& txn) {
        for (int i = first; i < std::min(first + 100, count); ++i) {
          accounts.push_back(Ref<Account>(txn.create(Account{std::string(100, 'x'), i, {}}).oid()));
        }
      });
    }
    EXPECT_LE(db.statistics().cache_bytes, options.cache_bytes / 2) << "what was created must go as well";
    db.evict_all();
    before_ = db.statistics();
  }
  /// One transaction reads some.
  void read(int first, int last) {
    Transaction txn = db.begin();
    for (int i = first; i < last; ++i) ASSERT_EQ(txn.read(Ref<Account>(accounts[i].oid())).balance, i);
  }
  std::uint64_t loads() { return db.statistics().loads - before_.loads; }
  std::uint64_t old_loads() { return db.statistics().old_loads - before_.old_loads; }
  std::uint64_t evictions() { return db.statistics().evictions - before_.evictions; }

  MemoryStore store;
  Database db;
  std::vector<Ref<Account>> accounts;

 private:
  Statistics before_;
};

TEST(CacheReplacement, OldRevisionsThatNobodyReadsGoBeforeCurrentOnesThatSomebodyReads) {
  constexpr int kAccounts = 300;
  CrowdedCache crowded(kAccounts, {.cache_bytes = 256 << 10});  // half of it for states: all once, not all twice
  crowded.read(0, kAccounts);
  ASSERT_EQ(crowded.evictions(), 0u);
  Transaction old = crowded.db.begin();
  for (int i = 0; i < kAccounts; ++i) {
    crowded.db.transact([&](Transaction& txn) { txn.write(crowded.accounts[i]).balance = i; });
  }
  ASSERT_GT(crowded.evictions(), 0u);
  crowded.read(0, kAccounts);
  EXPECT_LE(crowded.loads(), kAccounts + 10u) << "current revisions had to go";
  for (const Ref<Account>& account : crowded.accounts) (void)old.read(account);
  EXPECT_GE(crowded.old_loads(), crowded.evictions() / 2);
}

TEST(CacheReplacement, AnOldRevisionThatIsReadStays) {
  constexpr int kAccounts = 5000;
  CrowdedCache crowded(kAccounts, {.cache_bytes = 256 << 10});
  const Ref<Account> watched = crowded.accounts[0];
  Transaction old = crowded.db.begin();
  crowded.db.transact([&](Transaction& txn) { txn.write(watched).balance = 1; });
  for (int i = 10; i < kAccounts; i += 10) {
    ASSERT_EQ(old.read(watched).balance, 0);
    crowded.read(i, i + 10);
  }
  ASSERT_GT(crowded.evictions(), 4000u);
  EXPECT_LE(crowded.old_loads(), 1u);
}

TEST(CacheReplacement, WhatSleepersHoldDoesNotSendTheEvictorRoundInCircles) {
  constexpr int kAccounts = 5000, kHeld = 400;
  constexpr std::size_t kBudget = 256 << 10;
  CrowdedCache crowded(kAccounts, {.cache_bytes = kBudget});
  std::vector<Transaction> sleepers;
  for (int sleeper = 0; sleeper < 20; ++sleeper) {
    sleepers.push_back(crowded.db.begin());
    for (int i = 0; i < kHeld; ++i) (void)sleepers.back().read(crowded.accounts[i]);
  }
  std::uint64_t resident = crowded.loads();
  for (int i = kHeld; i < kAccounts; i += 100) crowded.read(i, i + 100);
  EXPECT_EQ(crowded.loads(), resident + kAccounts - kHeld) << "each account is loaded once";
  EXPECT_LE(crowded.evictions(), crowded.loads()) << "and evicted once at most";
  EXPECT_LE(crowded.db.statistics().cache_bytes, kBudget / 2);
  EXPECT_LE(crowded.db.statistics().deep_scans, 20u);
  for (Transaction& sleeper : sleepers) {
    for (int i = 0; i < kHeld; ++i) ASSERT_EQ(sleeper.read(crowded.accounts[i]).balance, i);
  }
}

TEST(CacheReplacement, EveryPolicyKeepsTheBudgetAlsoAfterAColdStart) {
  constexpr int kAccounts = 3000;
  constexpr std::size_t kBudget = 256 << 10;
  for (Replacement replacement :
       {Replacement::adaptive, Replacement::clock, Replacement::s3_fifo, Replacement::sieve}) {
    CrowdedCache crowded(kAccounts, {.cache_bytes = kBudget, .replacement = replacement});
    for (int round = 0; round < 5; ++round) {
      for (int i = 0; i < kAccounts; i += 100) crowded.read(i, i + 100);
      EXPECT_LE(crowded.db.statistics().cache_bytes, kBudget / 2);
      EXPECT_LE(crowded.db.statistics().replacement_bytes, kBudget / 16);
      if (round % 2 == 1) crowded.db.evict_all();
    }
    crowded.db.evict_all();
    EXPECT_EQ(crowded.db.statistics().cache_bytes, 0u);
    EXPECT_EQ(crowded.db.statistics().replacement_bytes, 0u);
  }
}

// Loads, commits and cold starts at the same time: none of what they leave resident may be unknown to the policy, or it
// would never leave again. Under CLOCK, where everything that is not read leaves in the end.
TEST(CacheReplacement, NothingStaysForEverThatCameInTheMiddleOfAColdStart) {
  constexpr int kAccounts = 3000, kDisputed = 200;
  CrowdedCache crowded(kAccounts, {.cache_bytes = 256 << 10, .replacement = Replacement::clock});
  std::atomic<int> working = 3;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 3000; ++i) {
        int account = (i * 7 + thread) % kDisputed;
        if (i % 5 == 0) {
          crowded.db.transact([&](Transaction& txn) { txn.write(crowded.accounts[account]).balance = account; });
        } else {
          crowded.read(account, account + 1);
        }
      }
      --working;
    });
  }
  while (working > 0) crowded.db.evict_all();
  for (std::thread& thread : threads) thread.join();
  for (int round = 0; round < 3; ++round) {
    for (int i = kDisputed; i < kAccounts; i += 100) crowded.read(i, i + 100);
  }
  std::uint64_t before = crowded.loads();
  crowded.read(0, kDisputed);
  EXPECT_EQ(crowded.loads() - before, kDisputed) << "some had stayed";
}

}  // namespace
}  // namespace cow
