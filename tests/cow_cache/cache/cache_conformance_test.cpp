// One suite for every cache: what a transaction promises, whatever cache is under it.
#include <barrier>
#include <random>
#include <thread>
#include <type_traits>
#include <utility>

#include "tests/support/cache_testing.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

/// A thread of such a database has one transaction at a time (BlockingCache, invariant 4).
template <class Database>
constexpr bool kBlocks = std::is_same_v<Database, BasicDatabase<bench::BlockingCache>>;
/// Every session loads for itself.
template <class Database>
constexpr bool kLoadsPerSession = std::is_same_v<Database, BasicDatabase<bench::PrivateCache>>;

#define SKIP_IF_WRITERS_BLOCK(reason) \
  if (kBlocks<TypeParam>) GTEST_SKIP() << "writers wait for readers to end: " reason

template <class Database>
class CacheConformance : public ::testing::Test {
 protected:
  using Transaction = typename Database::Transaction;
  using Session = bench::Session<Database>;

  void open(const CacheOptions& options = {}) {
    database_.reset();  // one database per store at a time
    database_ = std::make_unique<Database>(failing_, options);
  }
  void SetUp() override { open(); }

  Session session() { return open_session(*database_); }
  /// Runs a body in a transaction of a session of its own.
  template <class Body>
  auto transact(Body&& body) {
    return session().transact(std::forward<Body>(body));
  }
  Ref<Account> add_account(std::int64_t balance) {
    return transact([&](Transaction& txn) { return txn.create(Account{balance, owner_name(balance), {}}); });
  }
  std::int64_t balance_of(Ref<Account> account) {
    return transact([&](Transaction& txn) { return txn.read(account).balance; });
  }
  void set_balance(Ref<Account> account, std::int64_t balance) {
    transact([&](Transaction& txn) { txn.write(account).balance = balance; });
  }
  /// A reference that knows the oid only.
  template <class T>
  static Ref<T> without_hint(const Ref<T>& reference) {
    return Ref<T>(reference.oid());
  }

  /// `count` accounts in a chain, reachable from a bank under the root name "bank".
  Ref<Bank> add_bank(int count, std::int64_t balance) {
    return transact([&](Transaction& txn) {
      Bank bank;
      Ref<Account> next;
      for (int i = 0; i < count; ++i) {
        next = txn.create(Account{balance, owner_name(i), next});
        bank.accounts.push_back(next);
      }
      return txn.root().emplace("bank", std::move(bank));
    });
  }

  void run_bank(const CacheOptions& options);

  MemoryStore store_;
  FailingStore failing_{store_};
  std::unique_ptr<Database> database_;
};

struct Names {
  template <class Database>
  static std::string GetName(int) {
    if constexpr (std::is_same_v<Database, BasicDatabase<detail::SharedCache>>) return "Shared";
    if constexpr (std::is_same_v<Database, BasicDatabase<bench::PrivateCache>>) return "Private";
    if constexpr (std::is_same_v<Database, bench::TwoLevelDatabase>) return "TwoLevel";
    if constexpr (std::is_same_v<Database, BasicDatabase<bench::LockedCache>>) return "Locked";
    if constexpr (std::is_same_v<Database, BasicDatabase<bench::BlockingCache>>) return "Blocking";
  }
};
using Databases =
    ::testing::Types<BasicDatabase<detail::SharedCache>, BasicDatabase<bench::PrivateCache>, bench::TwoLevelDatabase,
                     BasicDatabase<bench::LockedCache>, BasicDatabase<bench::BlockingCache>>;
TYPED_TEST_SUITE(CacheConformance, Databases, Names);

TYPED_TEST(CacheConformance, CreatedObjectIsReadByItsTransactionAndByLaterOnes) {
  auto session = this->session();
  auto txn = session.begin();
  Ref<Account> account = txn.create(Account{7, owner_name(7), {}});
  EXPECT_EQ(txn.read(account).balance, 7);
  EXPECT_EQ(txn.read(this->without_hint(account)).owner, owner_name(7));
  txn.commit();
  EXPECT_FALSE(txn.active());
  EXPECT_EQ(this->balance_of(account), 7);
  EXPECT_EQ(session.transact([&](auto& again) { return again.read(account).owner; }), owner_name(7));
}

TYPED_TEST(CacheConformance, CommittedWriteIsSeenByLaterTransactionsOfAllSessions) {
  Ref<Account> account = this->add_account(1);
  auto writer = this->session(), reader = this->session();
  auto read = [&](auto& txn) { return txn.read(account).balance; };
  EXPECT_EQ(reader.transact(read), 1);
  for (int balance = 2; balance < 5; ++balance) {
    writer.transact([&](auto& txn) { txn.write(account).balance = balance; });
    EXPECT_EQ(reader.transact(read), balance);
    EXPECT_EQ(writer.transact(read), balance);
  }
}

TYPED_TEST(CacheConformance, AbortLeavesNothing) {
  Ref<Account> account = this->add_account(1), gone = this->add_account(2), created;
  auto session = this->session();
  {
    auto txn = session.begin();
    txn.write(account).balance = 50;
    txn.erase(gone);
    created = txn.create(Account{});
    txn.abort();
    EXPECT_FALSE(txn.active());
    txn.abort();  // harmless
  }
  {
    auto txn = session.begin();
    txn.write(account).balance = 60;  // the destructor aborts
  }
  for (bool same_session : {true, false}) {
    auto another = this->session();
    auto txn = (same_session ? session : another).begin();
    EXPECT_EQ(txn.read(account).balance, 1);
    EXPECT_EQ(txn.read(gone).balance, 2);
    EXPECT_THROW(txn.read(created), DanglingReferenceError);
  }
  EXPECT_EQ(this->database_->last_tid(), this->store_.last_tid());
}

TYPED_TEST(CacheConformance, BodyThatThrowsAborts) {
  Ref<Account> account = this->add_account(1);
  auto session = this->session();
  EXPECT_THROW(session.transact([&](auto& txn) {
    txn.write(account).balance = 2;
    throw std::runtime_error("the body's own");
  }),
               std::runtime_error);
  EXPECT_EQ(session.transact([&](auto& txn) { return txn.read(account).balance; }), 1);
}

TYPED_TEST(CacheConformance, OwnWritesAreSeenByOwnReads) {
  Ref<Account> target = this->add_account(1);
  Ref<Account> pointing = this->transact([&](auto& txn) { return txn.create(Account{0, "", target}); });
  auto session = this->session();
  auto txn = session.begin();
  EXPECT_EQ(txn.read(txn.read(pointing).next).balance, 1);  // the hint inside `pointing` knows the old state now
  EXPECT_EQ(txn.read(target).balance, 1);
  Ref<Account> copied_before = txn.read(pointing).next;
  Account& mine = txn.write(target);
  mine.balance = 2;
  EXPECT_EQ(txn.read(target).balance, 2);
  EXPECT_EQ(txn.read(txn.read(pointing).next).balance, 2);
  EXPECT_EQ(txn.read(copied_before).balance, 2);
  EXPECT_EQ(txn.read(this->without_hint(target)).balance, 2);
  EXPECT_EQ(&txn.read(target), &mine);
  EXPECT_EQ(&txn.write(copied_before), &mine);
  mine.balance = 3;
  mine.owner = owner_name(3);
  EXPECT_EQ(txn.read(txn.read(pointing).next).balance, 3);
  txn.commit();
  EXPECT_EQ(this->balance_of(target), 3);
}

TYPED_TEST(CacheConformance, WritesOfManyObjectsAreAllFoundAgain) {
  constexpr int kObjects = 300;  // more than any linear write set
  this->add_bank(kObjects, 1);
  auto session = this->session();
  auto txn = session.begin();
  std::vector<Ref<Account>> accounts = txn.read(txn.root().template get<Bank>("bank")).accounts;
  for (const Ref<Account>& account : accounts) {
    txn.write(account).balance += static_cast<std::int64_t>(account.oid().value);
  }
  for (const Ref<Account>& account : accounts) {
    EXPECT_EQ(txn.read(this->without_hint(account)).balance, 1 + static_cast<std::int64_t>(account.oid().value));
  }
  EXPECT_EQ(txn.writes(), std::size_t{kObjects});
  txn.commit();
  for (const Ref<Account>& account : accounts) {
    EXPECT_EQ(this->balance_of(account), 1 + static_cast<std::int64_t>(account.oid().value));
  }
}

TYPED_TEST(CacheConformance, OldTransactionKeepsItsSnapshot) {
  SKIP_IF_WRITERS_BLOCK("see BlockingCacheTest");
  Ref<Account> read_before = this->add_account(1), unread = this->add_account(1), erased = this->add_account(1);
  auto old_session = this->session();
  auto old = old_session.begin();
  const Account& seen = old.read(read_before);
  Tid snapshot = old.snapshot();
  for (int balance = 2; balance < 6; ++balance) {
    this->transact([&](auto& txn) {
      txn.write(read_before).balance = balance;
      txn.write(unread).balance = balance;
    });
  }
  this->transact([&](auto& txn) { txn.erase(erased); });
  Ref<Account> created = this->add_account(1);
  EXPECT_EQ(this->balance_of(unread), 5);
  EXPECT_EQ(seen.balance, 1);
  EXPECT_EQ(old.read(read_before).balance, 1);
  EXPECT_EQ(old.read(unread).balance, 1);
  EXPECT_EQ(old.read(this->without_hint(unread)).balance, 1);
  EXPECT_EQ(old.read(erased).balance, 1);
  EXPECT_THROW(old.read(created), DanglingReferenceError);
  EXPECT_EQ(old.snapshot(), snapshot);
  old.commit();
  auto later = old_session.begin();
  EXPECT_EQ(later.read(read_before).balance, 5);
  EXPECT_EQ(later.read(unread).balance, 5);
  EXPECT_THROW(later.read(erased), DanglingReferenceError);
  EXPECT_EQ(later.read(created).balance, 1);
}

TYPED_TEST(CacheConformance, FirstCommitterWins) {
  Ref<Account> account = this->add_account(1);
  Tid base = this->database_->last_tid();
  std::barrier both_have_read(2);
  std::atomic<int> winner{-1}, conflicts{0};
  run_threads(2, [&](int index) {
    auto session = this->session();
    auto txn = session.begin();
    EXPECT_EQ(txn.read(account).balance, 1);
    both_have_read.arrive_and_wait();
    try {
      txn.write(account).balance = 10 + index;
      txn.commit();
      winner = index;
    } catch (const ConflictError& error) {
      ++conflicts;
      ASSERT_EQ(error.conflicts.size(), 1u);
      EXPECT_EQ(error.conflicts[0].oid, account.oid());
      EXPECT_EQ(error.conflicts[0].base, base);
      EXPECT_EQ(error.conflicts[0].current, Tid{base.value + 1});
      EXPECT_NE(std::string(error.what()).find("oid " + std::to_string(account.oid().value)), std::string::npos);
      EXPECT_FALSE(txn.active());
      EXPECT_THROW(txn.read(account), TransactionEndedError);
    }
    EXPECT_EQ(session.transact([&](auto& again) { return again.read(account).balance; }) / 10, 1);
  });
  EXPECT_EQ(conflicts, 1);
  EXPECT_EQ(this->balance_of(account), 10 + winner);
}

TYPED_TEST(CacheConformance, TransactRetriesAfterAConflict) {
  Ref<Account> account = this->add_account(0);
  std::barrier both_have_read(2);
  std::atomic<int> attempts{0};
  run_threads(2, [&](int) {
    auto session = this->session();
    bool first = true;
    session.transact(
        [&](auto& txn) {
          ++attempts;
          std::int64_t balance = txn.read(account).balance;
          if (std::exchange(first, false)) both_have_read.arrive_and_wait();
          txn.write(account).balance = balance + 1;
        },
        kPatient);
  });
  EXPECT_EQ(this->balance_of(account), 2);
  EXPECT_GE(attempts, 3);
}

TYPED_TEST(CacheConformance, EvictAllLeavesColdCaches) {
  Ref<Account> account = this->add_account(3);
  auto session = this->session();
  auto read = [&] {
    const std::uint64_t before = this->database_->statistics().loads;
    EXPECT_EQ(session.transact([&](auto& txn) { return txn.read(account).balance; }), 3);
    return this->database_->statistics().loads - before;
  };
  read();
  EXPECT_EQ(read(), 0u);
  for (int round = 0; round < 3; ++round) {
    this->database_->evict_all();
    EXPECT_EQ(read(), 1u);
    EXPECT_EQ(read(), 0u);
  }
}

TYPED_TEST(CacheConformance, TransactionsNeedNoSession) {
  Ref<Account> account = this->add_account(1);
  for (int balance = 2; balance < 5; ++balance) {
    EXPECT_EQ(this->database_->transact([&](auto& txn) { return txn.write(account).balance = balance; }), balance);
    EXPECT_EQ(this->database_->begin().read(account).balance, balance);
    EXPECT_EQ(this->balance_of(account), balance) << "of a session";
  }
}

TYPED_TEST(CacheConformance, TransactGivesUpInTheEnd) {
  Ref<Account> account = this->add_account(0);
  std::barrier both_have_read(2);
  std::atomic<int> conflicts{0};
  run_threads(2, [&](int) {
    auto session = this->session();
    try {
      session.transact(
          [&](auto& txn) {
            std::int64_t balance = txn.read(account).balance;
            both_have_read.arrive_and_wait();
            txn.write(account).balance = balance + 1;
          },
          {.most_attempts = 1});
    } catch (const ConflictError&) {
      ++conflicts;
    }
  });
  EXPECT_EQ(conflicts, 1);
  EXPECT_EQ(this->balance_of(account), 1);
}

TYPED_TEST(CacheConformance, ErasedObjectDangles) {
  Ref<Account> account = this->add_account(1);
  Oid oid = account.oid();
  auto session = this->session(), other = this->session();
  other.transact([&](auto& txn) { return txn.read(account).balance; });
  auto txn = session.begin();
  const Account& seen = txn.read(account);
  txn.erase(account);
  EXPECT_THROW(txn.read(account), DanglingReferenceError);
  EXPECT_THROW(txn.read(this->without_hint(account)), DanglingReferenceError);
  EXPECT_THROW(txn.write(account), DanglingReferenceError);
  EXPECT_THROW(txn.erase(account), DanglingReferenceError);
  EXPECT_EQ(seen.owner, owner_name(1));  // the reference stays valid until the transaction ends
  txn.commit();
  for (auto* of : {&session, &other}) {
    auto later = of->begin();
    try {
      later.read(account);
      ADD_FAILURE() << "an erased object was read";
    } catch (const DanglingReferenceError& error) {
      EXPECT_EQ(error.oid, oid);
      EXPECT_EQ(error.snapshot, later.snapshot());
    }
    EXPECT_THROW(later.write(account), DanglingReferenceError);
  }
}

TYPED_TEST(CacheConformance, ReferenceFromWriteSurvivesErase) {
  Ref<Account> account = this->add_account(1);
  auto session = this->session();
  auto txn = session.begin();
  Account& mine = txn.write(account);
  mine.owner = owner_name(99);
  txn.erase(account);
  EXPECT_EQ(mine.owner, owner_name(99));
  Ref<Account> created = txn.create(Account{3, owner_name(3), {}});
  const Account& seen = txn.read(created);
  txn.erase(created);
  EXPECT_EQ(seen.owner, owner_name(3));
  txn.commit();
}

TYPED_TEST(CacheConformance, NullAndUnknownReferences) {
  auto session = this->session();
  auto txn = session.begin();
  EXPECT_THROW(txn.read(Ref<Account>{}), NullReferenceError);
  EXPECT_THROW(txn.write(Ref<Account>{}), NullReferenceError);
  EXPECT_THROW(txn.erase(Ref<Account>{}), NullReferenceError);
  EXPECT_THROW(txn.read(Ref<Account>(Oid{123456789})), DanglingReferenceError);
  EXPECT_THROW(txn.write(Ref<Account>(kMaxOid)), DanglingReferenceError);
  EXPECT_EQ(txn.writes(), 0u);
}

TYPED_TEST(CacheConformance, WrongTypeIsAnError) {
  Ref<Account> account = this->add_account(1);
  Ref<Label> wrong(account.oid());
  auto expect_mismatch = [&](auto& txn) {
    try {
      txn.read(wrong);
      ADD_FAILURE() << "an Account was read as a Label";
    } catch (const TypeMismatchError& error) {
      EXPECT_EQ(error.oid, account.oid());
      EXPECT_EQ(error.expected, "test.Label");
      EXPECT_EQ(error.found, "test.Account");
    }
    EXPECT_THROW(txn.write(wrong), TypeMismatchError);
    EXPECT_THROW(txn.erase(wrong), TypeMismatchError);
  };
  this->open();  // cold
  this->transact(expect_mismatch);
  this->transact([&](auto& txn) {
    EXPECT_EQ(txn.read(account).balance, 1);  // resident
    expect_mismatch(txn);
    txn.write(account).balance = 2;  // changed
    expect_mismatch(txn);
    EXPECT_EQ(txn.read(account).balance, 2);
  });
  EXPECT_EQ(this->balance_of(account), 2);
}

TYPED_TEST(CacheConformance, CorruptRecordIsAnErrorAndHarmsNothingElse) {
  Ref<Account> good = this->add_account(1);
  Oid bad = this->store_.allocate_oids(1).first;
  ObjectWrite garbage{.oid = bad, .record = "this is no record at all"};
  TransactionWrite write{.tid = Tid{this->store_.last_tid().value + 1}, .objects = {&garbage, 1}};
  this->database_.reset();
  this->store_.commit({&write, 1});
  this->open();
  for (int again = 0; again < 2; ++again) {
    this->transact([&](auto& txn) {
      try {
        txn.read(Ref<Account>(bad));
        ADD_FAILURE() << "garbage was read";
      } catch (const CorruptRecordError& error) {
        EXPECT_EQ(error.oid, bad);
        EXPECT_EQ(error.tid, write.tid);
      }
      EXPECT_EQ(txn.read(good).balance, 1);
    });
  }
}

TYPED_TEST(CacheConformance, EndedTransactionRefusesEverything) {
  Ref<Account> account = this->add_account(1);
  auto session = this->session();
  auto expect_ended = [&](auto& txn) {
    EXPECT_FALSE(txn.active());
    EXPECT_THROW(txn.read(account), TransactionEndedError);
    EXPECT_THROW(txn.read(Ref<Account>{}), TransactionEndedError);
    EXPECT_THROW(txn.write(account), TransactionEndedError);
    EXPECT_THROW(txn.create(Account{}), TransactionEndedError);
    EXPECT_THROW(txn.erase(account), TransactionEndedError);
    EXPECT_THROW(txn.root().contains("x"), TransactionEndedError);
    EXPECT_THROW(txn.commit(), TransactionEndedError);
    EXPECT_THROW(txn.snapshot(), TransactionEndedError);
    txn.abort();
  };
  for (bool writes : {false, true}) {
    auto committed = session.begin();
    committed.read(account);
    if (writes) committed.write(account).balance = 2;
    committed.commit();
    expect_ended(committed);
    auto aborted = session.begin();
    aborted.read(account);
    if (writes) aborted.write(account).balance = 3;
    aborted.abort();
    expect_ended(aborted);
    auto from = session.begin();
    from.read(account);
    if (writes) from.write(account).balance = 4;
    auto to = std::move(from);
    expect_ended(from);
    EXPECT_EQ(to.read(account).balance, writes ? 4 : 1);
    to.abort();
  }
  EXPECT_EQ(this->balance_of(account), 2);
}

TYPED_TEST(CacheConformance, TransactionMovesBetweenThreads) {
  Ref<Account> account = this->add_account(1);
  auto session = this->session();
  auto txn = session.begin();
  const Account& seen = txn.read(account);
  run_threads(1, [&](int) {
    EXPECT_EQ(seen.balance, 1);
    auto mine = std::move(txn);
    mine.write(account).balance = 2;
    mine.commit();
  });
  EXPECT_EQ(session.transact([&](auto& again) { return again.read(account).balance; }), 2);
}

TYPED_TEST(CacheConformance, TransactionOutlivesItsSession) {
  Ref<Account> account = this->add_account(1);
  auto txn = this->session().begin();
  EXPECT_EQ(txn.read(account).owner, owner_name(1));
  txn.write(account).balance = 2;
  txn.commit();
  EXPECT_EQ(this->balance_of(account), 2);
}

TYPED_TEST(CacheConformance, FailedCommitLeavesTheDatabaseAsItWas) {
  Ref<Account> account = this->add_account(1), erased = this->add_account(2), created;
  auto session = this->session();
  this->failing_.fails = true;
  EXPECT_THROW(session.transact([&](auto& txn) {
    txn.write(account).balance = 10;
    txn.erase(erased);
    created = txn.create(Account{});
  }),
               StoreFullError);
  this->failing_.fails = false;
  for (bool same_session : {true, false}) {
    auto another = this->session();
    (same_session ? session : another).transact([&](auto& txn) {
      EXPECT_EQ(txn.read(account).balance, 1);
      EXPECT_EQ(txn.read(erased).balance, 2);
      EXPECT_THROW(txn.read(created), DanglingReferenceError);
    });
  }
  this->set_balance(account, 3);
  EXPECT_EQ(this->balance_of(account), 3);
}

TYPED_TEST(CacheConformance, RootNamesObjects) {
  Ref<Label> label = this->transact([&](auto& txn) { return txn.root().emplace("label", Label{"first"}); });
  this->transact([&](auto& txn) {
    EXPECT_TRUE(txn.root().contains("label"));
    EXPECT_EQ(txn.root().template get<Label>("label"), label);
    EXPECT_EQ(txn.read(txn.root().template get<Label>("label")).text, "first");
    EXPECT_THROW(txn.root().template get<Label>("other"), UnknownRootError);
    EXPECT_THROW(txn.read(txn.root().template get<Account>("label")), TypeMismatchError);
    txn.root().set("other", label);
    EXPECT_TRUE(txn.root().erase("label"));
    EXPECT_FALSE(txn.root().erase("label"));
  });
  this->open();
  this->transact([&](auto& txn) {
    EXPECT_FALSE(txn.root().contains("label"));
    EXPECT_EQ(txn.read(txn.root().template get<Label>("other")).text, "first");
  });
}

TYPED_TEST(CacheConformance, ManyObjects) {
  constexpr int kObjects = 20000;
  this->add_bank(kObjects, 3);
  this->open();
  for (int round = 0; round < 2; ++round) {
    std::int64_t sum = 0;
    this->transact([&](auto& txn) {
      const Bank& bank = txn.read(txn.root().template get<Bank>("bank"));
      for (const Ref<Account>& account : bank.accounts) sum += txn.read(account).balance;
      for (Ref<Account> at = bank.accounts.back(); at; at = txn.read(at).next) sum += txn.read(at).balance;
    });
    EXPECT_EQ(sum, 2 * 3 * kObjects);
  }
}

TYPED_TEST(CacheConformance, EachObjectIsLoadedOnce) {
  constexpr int kObjects = 500, kSessions = 4;
  this->add_bank(kObjects, 1);
  this->open();
  std::barrier start(kSessions);
  run_threads(kSessions, [&](int) {
    auto session = this->session();
    start.arrive_and_wait();
    for (int round = 0; round < 3; ++round) {
      session.transact([&](auto& txn) {
        for (const Ref<Account>& account : txn.read(txn.root().template get<Bank>("bank")).accounts) txn.read(account);
      });
    }
  });
  std::uint64_t distinct = kObjects + 2;  // and the bank, and the root
  EXPECT_EQ(this->database_->statistics().loads, kLoadsPerSession<TypeParam> ? kSessions * distinct : distinct);
}

TYPED_TEST(CacheConformance, ReferencesSurviveEviction) {
  constexpr int kObjects = 2000;
  constexpr std::size_t kBudget = 32 << 10;
  this->add_bank(kObjects, 1);
  this->open({.cache_bytes = kBudget});
  run_threads(2, [&](int) {
    auto session = this->session();
    for (int round = 0; round < 4; ++round) {
      auto txn = session.begin();
      std::vector<const Account*> seen;
      for (const Ref<Account>& account : txn.read(txn.root().template get<Bank>("bank")).accounts) {
        seen.push_back(&txn.read(account));
      }
      for (int i = 0; i < kObjects; ++i) {
        ASSERT_EQ(seen[static_cast<std::size_t>(i)]->owner, owner_name(i));
        ASSERT_EQ(seen[static_cast<std::size_t>(i)]->balance, 1);
      }
    }
  });
  auto session = this->session();
  session.transact([&](auto& txn) { return txn.read(txn.root().template get<Bank>("bank")).accounts.size(); });
  Statistics statistics = this->database_->statistics();
  EXPECT_GT(statistics.loads, std::uint64_t{2 * kObjects});
  EXPECT_GE(statistics.evictions, std::uint64_t{2 * kObjects});
  EXPECT_LE(statistics.cache_bytes, 3 * kBudget);  // the bank itself is half of the budget
}

TYPED_TEST(CacheConformance, AccountingFollowsTheObjects) {
  Ref<Label> label = this->transact([&](auto& txn) { return txn.create(Label{"short"}); });
  auto session = this->session();
  auto resize = [&](std::size_t bytes) {
    session.transact([&](auto& txn) { txn.write(label).text.assign(bytes, 'x'); });
    session.transact([&](auto& txn) { txn.read(label); });
    return this->database_->statistics().cache_bytes;
  };
  for (int round = 0; round < 20; ++round) {
    std::uint64_t large = resize(100000);
    EXPECT_GE(large, 100000u);
    EXPECT_LE(large, 1000000u);
    session.transact([&](auto& txn) { txn.erase(txn.create(Label{"never"})); });
    auto aborted = session.begin();
    aborted.write(label).text.assign(500000, 'y');
    aborted.abort();
  }
  this->transact([&](auto& txn) { txn.erase(label); });
  session.transact([&](auto&) {});
  // What the last commit superseded may stay for a while: one revision, not the forty before it.
  EXPECT_LE(this->database_->statistics().cache_bytes, 150000u);
}

TYPED_TEST(CacheConformance, LostUpdatesAreImpossible) {
  constexpr int kThreads = 4, kIncrements = 400;
  Ref<Account> counter = this->add_account(0);
  run_threads(kThreads, [&](int) {
    auto session = this->session();
    for (int i = 0; i < kIncrements; ++i) {
      session.transact([&](auto& txn) { ++txn.write(counter).balance; }, kPatient);
    }
  });
  EXPECT_EQ(this->balance_of(counter), kThreads * kIncrements);
}

/// Writers transfer money and replace accounts; readers sum. Any mix of snapshots, stale load or lost update breaks the
/// sum.
template <class Database>
void CacheConformance<Database>::run_bank(const CacheOptions& options) {
  constexpr int kAccounts = 64, kWriters = 2, kReaders = 2;
  constexpr std::int64_t kBalance = 1000;
  Ref<Bank> bank = add_bank(kAccounts, kBalance);
  open(options);
  std::atomic<std::uint64_t> transfers{0}, sums{0};
  std::atomic<bool> done{false};
  auto sum_of = [&](Transaction& txn) {
    std::int64_t sum = 0;
    for (const Ref<Account>& account : txn.read(bank).accounts) sum += txn.read(account).balance;
    return sum;
  };
  auto transfer = [&](Transaction& txn, std::minstd_rand& random) {
    const auto& accounts = txn.read(bank).accounts;
    std::size_t from = random() % kAccounts, to = random() % kAccounts;
    std::int64_t amount = static_cast<std::int64_t>(random() % 100);
    txn.write(accounts[from]).balance -= amount;
    txn.write(accounts[to]).balance += amount;
    if (random() % 32 == 0) {
      Account moved = txn.read(accounts[from]);
      txn.erase(accounts[from]);
      txn.write(bank).accounts[from] = txn.create(std::move(moved));
    }
    if (random() % 8 == 0) txn.abort();
  };
  auto until = std::chrono::steady_clock::now() + stress_time();
  run_threads(kWriters + kReaders, [&](int index) {
    std::minstd_rand random(static_cast<unsigned>(index) + 1);
    auto session = this->session();
    while (!done) {
      if (index < kReaders) {
        auto txn = session.begin();
        EXPECT_EQ(sum_of(txn), kAccounts * kBalance);
        std::this_thread::yield();
        EXPECT_EQ(sum_of(txn), kAccounts * kBalance);
        ++sums;
      } else {
        auto txn = session.begin();
        try {
          transfer(txn, random);
          if (txn.active()) txn.commit();
          ++transfers;
        } catch (const ConflictError&) {
        }
      }
      if (std::chrono::steady_clock::now() > until || ::testing::Test::HasFailure()) done = true;
    }
  });
  EXPECT_GT(transfers, 10u);
  EXPECT_GT(sums, 10u);
  this->RecordProperty("transfers", std::to_string(transfers));
  this->RecordProperty("sums", std::to_string(sums));
  EXPECT_EQ(transact(sum_of), kAccounts * kBalance);
  open();
  EXPECT_EQ(transact(sum_of), kAccounts * kBalance);
}

TYPED_TEST(CacheConformance, SumOfABankNeverChanges) { this->run_bank({}); }
TYPED_TEST(CacheConformance, SumOfABankNeverChangesUnderEviction) {
  this->run_bank({.cache_bytes = 4 << 10, .limbo_bytes = 1 << 10});
}

}  // namespace
}  // namespace cow::testing
