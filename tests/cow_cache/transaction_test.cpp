// Transactions on the shared cache: every misuse is a typed exception, every failure leaves the database as it was.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
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

/// Refuses to be encoded when told so, and counts its copies.
struct Stubborn {
  Stubborn() { ++alive; }
  Stubborn(const Stubborn& other) : value(other.value), refuses(other.refuses) { ++alive; }
  Stubborn& operator=(const Stubborn&) = default;
  ~Stubborn() { --alive; }

  std::int64_t value = 0;
  bool refuses = false;
  static inline std::atomic<int> alive = 0;
};

}  // namespace

template <>
struct Codec<Stubborn> {
  static void encode(const Stubborn& stubborn, std::string& out) {
    if (stubborn.refuses) throw std::runtime_error("cannot be encoded");
    detail::StringSink sink{out};
    msgpack::pack(sink, stubborn.value);
  }
  static Stubborn decode(const msgpack::object& object, std::uint32_t) {
    Stubborn stubborn;
    stubborn.value = object.as<std::int64_t>();
    return stubborn;
  }
};

namespace {

class TransactionTest : public ::testing::Test {
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

// Misuse.

TEST_F(TransactionTest, ANullReferenceIsRefused) {
  Transaction txn = db_.begin();
  EXPECT_THROW(txn.read(Ref<Account>{}), NullReferenceError);
  EXPECT_THROW(txn.write(Ref<Account>{}), NullReferenceError);
  EXPECT_THROW(txn.erase(Ref<Account>{}), NullReferenceError);
  txn.create(Account{});
  EXPECT_THROW(txn.read(Ref<Account>{}), NullReferenceError);
  txn.commit();
}

TEST_F(TransactionTest, AnOidThatNeverWasIsDangling) {
  Ref<Account> nowhere(Oid{999'999'999});
  for (int attempt = 0; attempt < 2; ++attempt) {
    Transaction txn = db_.begin();
    try {
      txn.read(nowhere);
      FAIL();
    } catch (const DanglingReferenceError& error) {
      EXPECT_EQ(error.oid, nowhere.oid());
      EXPECT_EQ(error.snapshot, txn.snapshot());
    }
    EXPECT_THROW(txn.write(nowhere), DanglingReferenceError);
    EXPECT_THROW(txn.erase(nowhere), DanglingReferenceError);
    txn.commit();
  }
}

TEST_F(TransactionTest, OidsOutOfRangeAreRefused) {
  EXPECT_THROW(Ref<Account>(Oid{kMaxOid.value + 1}), OidRangeError);
  store_.oid_override = kMaxOid;
  Transaction txn = db_.begin();
  EXPECT_THROW(txn.read(Ref<Account>(kMaxOid)), DanglingReferenceError);
  Ref<Account> last = txn.create(Account{"last", 1, {}});
  EXPECT_THROW(txn.create(Account{"one too many", 2, {}}), OidRangeError);
  txn.commit();
  EXPECT_EQ(last.oid(), kMaxOid);
  EXPECT_EQ(balance(last), 1);
}

TEST_F(TransactionTest, AStoreWithoutOidsFailsTheCreateOnly) {
  store_.refuse_oids = true;
  Transaction txn = db_.begin();
  EXPECT_THROW(txn.create(Account{}), StoreError);
  store_.refuse_oids = false;
  Ref<Account> account = txn.create(Account{"a", 1, {}});
  txn.commit();
  EXPECT_EQ(balance(account), 1);
}

TEST_F(TransactionTest, AnotherTypeIsRefusedWhetherResidentOrNot) {
  Ref<Account> account = make("a", 1);
  Ref<Counter> wrong(account.oid());
  for (bool resident : {true, false}) {
    if (!resident) db_.evict_all();
    Transaction txn = db_.begin();
    for (int attempt = 0; attempt < 2; ++attempt) {
      EXPECT_THROW(txn.read(wrong), TypeMismatchError);
      EXPECT_THROW(txn.write(wrong), TypeMismatchError);
      EXPECT_THROW(txn.erase(wrong), TypeMismatchError);
      EXPECT_EQ(txn.read(account).balance, 1) << "the right type must still work in the same transaction";
    }
    txn.write(account).balance = 1;
    EXPECT_THROW(txn.read(wrong), TypeMismatchError) << "a private clone is checked as well";
    EXPECT_THROW(txn.write(wrong), TypeMismatchError);
  }
}

TEST_F(TransactionTest, AfterTheEndEverythingIsRefused) {
  Ref<Account> account = make("a", 1);
  auto expect_ended = [&](Transaction& txn) {
    EXPECT_FALSE(txn.active());
    EXPECT_THROW(txn.read(account), TransactionEndedError);
    EXPECT_THROW(txn.write(account), TransactionEndedError);
    EXPECT_THROW(txn.create(Account{}), TransactionEndedError);
    EXPECT_THROW(txn.erase(account), TransactionEndedError);
    EXPECT_THROW(txn.root().contains("x"), TransactionEndedError);
    EXPECT_THROW(txn.commit(), TransactionEndedError);
    EXPECT_THROW(txn.snapshot(), TransactionEndedError);
    EXPECT_THROW(txn.read(Ref<Account>{}), Error);
    txn.abort();  // harmless
  };
  Transaction committed = db_.begin(), aborted = db_.begin(), moved = db_.begin();
  for (Transaction* txn : {&committed, &aborted, &moved}) txn->read(account);
  committed.commit();
  expect_ended(committed);
  aborted.abort();
  expect_ended(aborted);
  Transaction target = std::move(moved);
  expect_ended(moved);
  EXPECT_EQ(target.read(account).balance, 1);
  aborted = std::move(target);  // an ended transaction may be given a new life
  EXPECT_EQ(aborted.read(account).balance, 1);
  EXPECT_EQ(db_.statistics().active_transactions, 1u);
}

TEST_F(TransactionTest, MovingOntoAnActiveTransactionAbortsIt) {
  Ref<Account> account = make("a", 1);
  Transaction first = db_.begin(), second = db_.begin();
  first.write(account).balance = 100;
  second.write(account).balance = 200;
  first = std::move(second);
  EXPECT_EQ(first.read(account).balance, 200);
  EXPECT_EQ(db_.statistics().active_transactions, 1u);
  first.commit();
  EXPECT_EQ(balance(account), 200);
}

// Conflicts.

TEST_F(TransactionTest, AConflictNamesWhatAndWhen) {
  Ref<Account> a = make("a", 1), b = make("b", 1), c = make("c", 1);
  Transaction slow = db_.begin();
  const Tid base_of_a{slow.snapshot().value - 2}, base_of_b{slow.snapshot().value - 1};
  slow.write(a).balance++;
  slow.write(b).balance++;
  slow.write(c).balance++;
  set_balance(a, 10);
  const Tid now_a = db_.last_tid();
  set_balance(b, 20);
  const Tid now_b = db_.last_tid();
  try {
    slow.commit();
    FAIL();
  } catch (const ConflictError& error) {
    ASSERT_EQ(error.conflicts.size(), 2u);
    EXPECT_EQ(error.conflicts[0].oid, a.oid());
    EXPECT_EQ(error.conflicts[0].base, base_of_a);
    EXPECT_EQ(error.conflicts[0].current, now_a);
    EXPECT_EQ(error.conflicts[1].oid, b.oid());
    EXPECT_EQ(error.conflicts[1].base, base_of_b);
    EXPECT_EQ(error.conflicts[1].current, now_b);
    EXPECT_NE(std::string(error.what()).find("oid " + std::to_string(a.oid().value)), std::string::npos);
  }
  EXPECT_FALSE(slow.active());
  EXPECT_EQ(balance(c), 1);
  EXPECT_EQ(db_.statistics().conflicts, 1u);
}

TEST_F(TransactionTest, AVeryOldTransactionStillConflicts) {
  // Its base lies before everything that the committer remembers by heart, so it must ask the store.
  Ref<Account> changed = make("a", 1), untouched = make("b", 1);
  Transaction old_and_wrong = db_.begin(), old_and_right = db_.begin();
  old_and_wrong.write(changed).balance = 99;
  old_and_right.write(untouched).balance = 99;
  set_balance(changed, 2);
  for (int i = 0; i < 3; ++i) {
    db_.transact([&](Transaction& txn) {
      for (int n = 0; n < 40'000; ++n) txn.create(Counter{n});
    });
  }
  EXPECT_THROW(old_and_wrong.commit(), ConflictError);
  EXPECT_NO_THROW(old_and_right.commit());
  EXPECT_EQ(balance(changed), 2);
  EXPECT_EQ(balance(untouched), 99);
}

TEST_F(TransactionTest, TransactRetriesABoundedNumberOfTimes) {
  Ref<Account> account = make("a", 0);
  int attempts = 0;
  auto always_late = [&](Transaction& txn) {
    ++attempts;
    txn.write(account).balance = -1;
    std::thread([&] { set_balance(account, attempts); }).join();
  };
  EXPECT_THROW(db_.transact(always_late, {.most_attempts = 5, .first_pause = std::chrono::microseconds{1}}),
               ConflictError);
  EXPECT_EQ(attempts, 5);
  EXPECT_EQ(balance(account), 5);
  attempts = 0;
  int result = db_.transact([&](Transaction& txn) {
    if (++attempts < 3) always_late(txn);
    txn.write(account).balance = 1000;
    return 7;
  });
  EXPECT_EQ(result, 7);
  EXPECT_EQ(balance(account), 1000);
}

TEST_F(TransactionTest, AnExceptionFromTheBodyAbortsAndIsNotRetried) {
  Ref<Account> account = make("a", 1);
  int attempts = 0;
  EXPECT_THROW(db_.transact([&](Transaction& txn) {
    ++attempts;
    txn.write(account).balance = 2;
    throw std::logic_error("changed my mind");
  }),
               std::logic_error);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(balance(account), 1);
  EXPECT_EQ(db_.statistics().active_transactions, 0u);
}

// Failures below.

TEST_F(TransactionTest, AValueThatCannotBeEncodedAbortsAndLeaksNothing) {
  Ref<Stubborn> first = db_.transact([](Transaction& txn) { return txn.create(Stubborn{}); });
  Ref<Account> account = make("a", 1);
  const Tid before = db_.last_tid();
  Transaction txn = db_.begin();
  txn.write(account).balance = 2;
  txn.write(first).value = 1;
  Stubborn refusing;
  refusing.refuses = true;
  txn.create(refusing);
  EXPECT_THROW(txn.commit(), std::runtime_error);
  EXPECT_FALSE(txn.active());
  EXPECT_EQ(db_.last_tid(), before);
  EXPECT_EQ(Stubborn::alive.load(), 2) << "the published one and the local variable";
  EXPECT_EQ(balance(account), 1);
  set_balance(account, 3);
  EXPECT_EQ(balance(account), 3);
}

TEST_F(TransactionTest, ACommitThatTheStoreRefusesLeavesNoTrace) {
  Ref<Account> account = make("a", 1);
  const Tid before = db_.last_tid();
  Transaction txn = db_.begin();
  txn.write(account).balance = 2;
  Ref<Account> created = txn.create(Account{"new", 1, {}});
  store_.commits_to_fail = 1;
  EXPECT_THROW(txn.commit(), StoreFullError);
  EXPECT_FALSE(txn.active());
  EXPECT_EQ(db_.last_tid(), before);
  EXPECT_EQ(balance(account), 1);
  EXPECT_THROW(db_.begin().read(created), DanglingReferenceError);
  // No ghost of the refused write may conflict with a later one.
  Transaction next = db_.begin();
  next.write(account).balance = 3;
  next.commit();
  EXPECT_EQ(balance(account), 3);
  EXPECT_EQ(db_.statistics().conflicts, 0u);
}

TEST_F(TransactionTest, AGroupThatTheStoreRefusesFailsForAllItsMembers) {
  std::vector<Ref<Account>> accounts;
  for (int i = 0; i < 8; ++i) accounts.push_back(make("a", 0));
  std::atomic<int> acknowledged = 0, refused = 0;
  std::vector<std::thread> threads;
  store_.commits_to_fail = 100;
  for (const Ref<Account>& account : accounts) {
    threads.emplace_back([&, account] {
      for (int round = 0; round < 200; ++round) {
        try {
          db_.transact([&](Transaction& txn) { txn.write(account).balance++; });
          ++acknowledged;
        } catch (const StoreFullError&) {
          ++refused;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::int64_t sum = 0;
  for (const Ref<Account>& account : accounts) sum += balance(account);
  EXPECT_EQ(sum, acknowledged.load());
  EXPECT_GE(refused.load(), 100);
}

TEST_F(TransactionTest, ALoadThatFailsFailsThatReadOnly) {
  Ref<Account> account = make("a", 1);
  db_.evict_all();
  Transaction txn = db_.begin();
  store_.loads_to_fail = 2;
  EXPECT_THROW(txn.read(account), StoreError);
  EXPECT_THROW(txn.write(account), StoreError);
  EXPECT_EQ(txn.read(account).balance, 1);
  txn.write(account).balance = 2;
  txn.commit();
  EXPECT_EQ(balance(account), 2);
}

// Parking.

TEST_F(TransactionTest, AParkedTransactionGoesOnWhereItStopped) {
  Ref<Account> first = make("first", 1), second = make("second", 2), third = make("third", 3);
  Transaction txn = db_.begin();
  const Account& seen = txn.read(first);
  const Ref<Account> as_seen = first;  // with a hint that nobody else repairs
  txn.write(second).balance = 20;
  txn.will_sleep();
  txn.will_sleep();  // harmless
  for (int i = 0; i < 5; ++i) {
    set_balance(first, 100 + i);
    db_.evict_all();
  }
  EXPECT_EQ(seen.balance, 1);
  EXPECT_EQ(&txn.read(as_seen), &seen) << "what was read before is still there";
  EXPECT_EQ(txn.read(first).balance, 1);
  EXPECT_EQ(txn.read(second).balance, 20);
  set_balance(third, 30);
  EXPECT_EQ(txn.read(third).balance, 3) << "the snapshot stays";
  Transaction moved = std::move(txn);
  moved.will_sleep();
  EXPECT_EQ(moved.read(first).owner, "first");
  moved.commit();
  EXPECT_EQ(balance(second), 20);
  EXPECT_THROW(moved.will_sleep(), TransactionEndedError);
  EXPECT_THROW(txn.will_sleep(), TransactionEndedError);
  db_.evict_all();
  EXPECT_EQ(db_.statistics().limbo_bytes, 0u);
}

TEST_F(TransactionTest, AParkedTransactionMayEraseCommitOrJustEnd) {
  Ref<Account> account = make("account", 1);
  {
    Transaction txn = db_.begin();
    (void)txn.read(account);
    txn.will_sleep();
  }
  Transaction txn = db_.begin();
  (void)txn.read(account);
  txn.will_sleep();
  txn.erase(account);
  txn.will_sleep();
  EXPECT_THROW(txn.read(account), DanglingReferenceError);
  txn.commit();
  EXPECT_THROW(balance(account), DanglingReferenceError);
}

}  // namespace
}  // namespace cow
