// Serializable transactions: what they read is validated like what they write, wherever its state is by then.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/baselines/private_cache.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

using namespace std::chrono_literals;

struct Doctor {
  std::int64_t on_call = 1;
  std::string name = std::string(40, 'd');
  MSGPACK_DEFINE_MAP(on_call, name);
};

struct Other {
  int value = 0;
  MSGPACK_DEFINE_MAP(value);
};

/// Dawdles in commits if told so, so that those who come meanwhile form the next group.
class SlowStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    ++loads;
    return inner_.load(oid, at);
  }
  void commit(std::span<const TransactionWrite> group) override {
    if (group.size() > largest_group) largest_group = group.size();
    inner_.commit(group);
    if (commit_delay.count() > 0) std::this_thread::sleep_for(commit_delay);
  }

  std::atomic<int> loads = 0;
  std::size_t largest_group = 0;
  std::chrono::milliseconds commit_delay{0};
};

class IsolationTest : public ::testing::Test {
 protected:
  Ref<Doctor> doctor() {
    return db_.transact([](Transaction& txn) { return txn.create(Doctor{}); });
  }
  std::int64_t on_call(const Ref<Doctor>& doctor) { return db_.begin().read(doctor).on_call; }
  void change(const Ref<Doctor>& doctor) {
    db_.transact([&](Transaction& txn) { txn.write(doctor).on_call += 10; });
  }

  MemoryStore memory_;
  SlowStore store_{memory_};
  Database db_{store_};
  Ref<Doctor> a_ = doctor(), b_ = doctor();
};

TEST_F(IsolationTest, SnapshotsAllowWriteSkewAndSerializableTransactionsDoNot) {
  auto both_leave = [&](Isolation isolation) {
    Transaction first = db_.begin(isolation), second = db_.begin(isolation);
    EXPECT_EQ(first.isolation(), isolation);
    EXPECT_EQ(first.read(a_).on_call + first.read(b_).on_call, 2);
    EXPECT_EQ(second.read(a_).on_call + second.read(b_).on_call, 2);
    first.write(a_).on_call = 0;
    second.write(b_).on_call = 0;
    first.commit();
    second.commit();
  };
  EXPECT_NO_THROW(both_leave(Isolation::snapshot));
  EXPECT_EQ(on_call(a_) + on_call(b_), 0) << "nobody is on call";
  db_.transact([&](Transaction& txn) { txn.write(a_).on_call = txn.write(b_).on_call = 1; });
  EXPECT_THROW(both_leave(Isolation::serializable), ConflictError);
  EXPECT_EQ(on_call(a_) + on_call(b_), 1);
}

TEST_F(IsolationTest, AConflictOfAReadSaysSo) {
  Transaction txn = db_.begin(Isolation::serializable);
  const Tid base = txn.snapshot();  // b_ was the last to be created
  txn.read(b_);
  txn.write(a_).on_call = 0;
  change(b_);
  try {
    txn.commit();
    FAIL();
  } catch (const ConflictError& error) {
    ASSERT_EQ(error.conflicts.size(), 1u);
    EXPECT_EQ(error.conflicts[0].oid, b_.oid());
    EXPECT_EQ(error.conflicts[0].base, base);
    EXPECT_EQ(error.conflicts[0].current, db_.last_tid());
    EXPECT_FALSE(error.conflicts[0].changed);
    EXPECT_NE(std::string(error.what()).find("(read at tid"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(txn.active());
  EXPECT_EQ(on_call(a_), 1);
  EXPECT_EQ(db_.statistics().conflicts, 1u);
}

TEST_F(IsolationTest, AConflictOfAChangeSaysSo) {
  Transaction txn = db_.begin(Isolation::serializable);
  txn.write(a_).on_call = 0;
  change(a_);
  try {
    txn.commit();
    FAIL();
  } catch (const ConflictError& error) {
    EXPECT_TRUE(error.conflicts.at(0).changed);
    EXPECT_NE(std::string(error.what()).find("(changed at tid"), std::string::npos) << error.what();
  }
}

TEST_F(IsolationTest, WhoOnlyReadsCommits) {
  Transaction txn = db_.begin(Isolation::serializable);
  txn.read(a_);
  change(a_);
  txn.read(b_);
  EXPECT_NO_THROW(txn.commit());
}

TEST_F(IsolationTest, WhatOthersDoToWhatItHasNotReadIsNoConflict) {
  Transaction txn = db_.begin(Isolation::serializable);
  txn.read(a_);
  txn.write(a_).on_call = 5;
  change(b_);
  EXPECT_NO_THROW(txn.commit());
  EXPECT_EQ(on_call(a_), 5);
}

TEST_F(IsolationTest, AnOldRevisionThatIsReadIsAConflict) {
  Transaction txn = db_.begin(Isolation::serializable);
  change(a_);
  EXPECT_EQ(txn.read(a_).on_call, 1) << "as of its snapshot, which is older";
  txn.write(b_).on_call = 0;
  EXPECT_THROW(txn.commit(), ConflictError);
}

TEST_F(IsolationTest, AnOldRevisionThatIsLoadedIsAConflict) {
  Transaction txn = db_.begin(Isolation::serializable);
  change(a_);
  db_.evict_all();
  EXPECT_EQ(txn.read(a_).on_call, 1);
  txn.write(b_).on_call = 0;
  EXPECT_THROW(txn.commit(), ConflictError);
}

// Once evicted, a state no longer learns that it was superseded.
TEST_F(IsolationTest, WhatWasEvictedAndThenChangedIsAConflict) {
  for (bool loaded_again : {false, true}) {
    Transaction txn = db_.begin(Isolation::serializable);
    txn.read(a_);
    txn.write(b_).on_call = 0;
    db_.evict_all();
    if (loaded_again) on_call(a_);
    db_.transact([&](Transaction& other) {
      if (loaded_again) other.read(a_);
      other.write(a_).on_call += 1;
    });
    EXPECT_THROW(txn.commit(), ConflictError);
  }
}

TEST_F(IsolationTest, WhatWasEvictedAndNotChangedIsNone) {
  Transaction txn = db_.begin(Isolation::serializable);
  txn.read(a_);
  txn.write(b_).on_call = 7;
  db_.evict_all();
  EXPECT_EQ(on_call(a_), 1);  // another state by now
  const int loads = store_.loads;
  EXPECT_NO_THROW(txn.commit());
  EXPECT_EQ(store_.loads, loads) << "the committer knew it by heart";
  EXPECT_EQ(on_call(b_), 7);
}

// Beyond what the committer remembers it asks the store, but only about what was evicted.
TEST_F(IsolationTest, AVeryOldTransactionIsValidatedToo) {
  Transaction wrong = db_.begin(Isolation::serializable), right = db_.begin(Isolation::serializable);
  for (Transaction* txn : {&wrong, &right}) {
    txn->read(a_);
    txn->read(b_);
  }
  wrong.write(Transaction::root_reference());
  right.create(Other{1});
  db_.evict_all();
  for (int i = 0; i < 3; ++i) {
    db_.transact([&](Transaction& txn) {
      for (int n = 0; n < 40'000; ++n) txn.create(Other{n});
    });
  }
  const int loads = store_.loads;
  EXPECT_NO_THROW(right.commit());
  EXPECT_EQ(store_.loads, loads + 2);
  change(b_);
  EXPECT_THROW(wrong.commit(), ConflictError);
}

TEST_F(IsolationTest, ErasingWhatWasReadIsAConflict) {
  Transaction txn = db_.begin(Isolation::serializable);
  txn.read(a_);
  txn.write(b_).on_call = 0;
  db_.transact([&](Transaction& other) { other.erase(a_); });
  EXPECT_THROW(txn.commit(), ConflictError);
}

TEST_F(IsolationTest, ErasingItsOwnIsNone) {
  Transaction txn = db_.begin(Isolation::serializable);
  txn.write(a_).on_call = 3;
  txn.erase(a_);  // the clone stays in the log, for the caller may hold a reference to it
  Ref<Doctor> fresh = txn.create(Doctor{});
  txn.erase(fresh);
  EXPECT_NO_THROW(txn.commit());
  EXPECT_THROW(db_.begin().read(a_), DanglingReferenceError);
}

TEST_F(IsolationTest, ALargeReadSetIsValidatedWhole) {
  constexpr int kMany = 20'000;  // a bitmap by then
  std::vector<Ref<Doctor>> doctors = db_.transact([](Transaction& txn) {
    std::vector<Ref<Doctor>> doctors;
    for (int i = 0; i < kMany; ++i) doctors.push_back(txn.create(Doctor{}));
    return doctors;
  });
  auto read_all = [&](Transaction& txn) {
    for (const Ref<Doctor>& doctor : doctors) txn.read(doctor);
    txn.write(a_).on_call += 1;
  };
  Transaction right = db_.begin(Isolation::serializable);
  read_all(right);
  EXPECT_NO_THROW(right.commit());
  for (int changed : {0, kMany / 2, kMany - 1}) {
    Transaction wrong = db_.begin(Isolation::serializable);
    read_all(wrong);
    change(doctors[changed]);
    EXPECT_THROW(wrong.commit(), ConflictError);
  }
}

// Two of a group are validated before either is published.
TEST_F(IsolationTest, MembersOfAGroupAreValidatedAgainstEachOther) {
  Ref<Doctor> third = doctor();
  for (int round = 0; round < 10; ++round) {
    Transaction first = db_.begin(Isolation::serializable), second = db_.begin(Isolation::serializable);
    for (Transaction* txn : {&first, &second}) {
      txn->read(a_);
      txn->read(b_);
    }
    first.write(a_).on_call = round;
    second.write(b_).on_call = round;
    std::atomic<int> committed = 0;
    auto commit = [&](Transaction& txn) {
      try {
        txn.commit();
        ++committed;
      } catch (const ConflictError& error) {
        EXPECT_FALSE(error.conflicts.at(0).changed);
      }
    };
    store_.commit_delay = 20ms;
    std::thread leader([&] { change(third); });
    std::this_thread::sleep_for(5ms);
    std::thread one([&] { commit(first); }), two([&] { commit(second); });
    for (std::thread* thread : {&leader, &one, &two}) thread->join();
    store_.commit_delay = 0ms;
    EXPECT_EQ(committed, 1);
  }
}

TEST_F(IsolationTest, OfAGroupOnlyWhoMeetsAnotherFails) {
  std::vector<Ref<Doctor>> own;
  for (int i = 0; i < 6; ++i) own.push_back(doctor());
  store_.commit_delay = 5ms;
  std::vector<std::thread> threads;
  std::atomic<int> conflicts = 0;
  for (const Ref<Doctor>& mine : own) {
    threads.emplace_back([&, mine] {
      for (int round = 0; round < 20; ++round) {
        Transaction txn = db_.begin(Isolation::serializable);
        txn.read(a_);
        txn.write(mine).on_call += 1;
        try {
          txn.commit();
        } catch (const ConflictError&) {
          ++conflicts;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(conflicts, 0);
  EXPECT_GT(store_.largest_group, 1u);
}

// "Does not exist" is a read.

/// What a transaction may do to learn that an object does not exist.
const std::vector<std::function<void(Transaction&, const Ref<Doctor>&)>> kWaysToAsk{
    [](Transaction& txn, const Ref<Doctor>& doctor) { (void)txn.read(doctor); },
    [](Transaction& txn, const Ref<Doctor>& doctor) { (void)txn.write(doctor); },
    [](Transaction& txn, const Ref<Doctor>& doctor) { txn.erase(doctor); },
    [](Transaction& txn, const Ref<Doctor>& doctor) {
      detail::LoadWaiter waiter{[](detail::LoadWaiter&) noexcept {}};
      (void)txn.read_or_subscribe(doctor, waiter);
    },
};

TEST_F(IsolationTest, ThatAnObjectDoesNotExistIsARead) {
  enum class Asks { before_it_is_committed, when_it_is_resident, when_it_is_in_the_store };
  for (Asks asks : {Asks::before_it_is_committed, Asks::when_it_is_resident, Asks::when_it_is_in_the_store}) {
    for (const auto& ask : kWaysToAsk) {
      for (Isolation isolation : {Isolation::serializable, Isolation::snapshot}) {
        Transaction looks = db_.begin(isolation), creates = db_.begin(Isolation::serializable);
        Ref<Doctor> x = creates.create(Doctor{creates.read(a_).on_call});
        if (asks != Asks::before_it_is_committed) creates.commit();
        if (asks == Asks::when_it_is_in_the_store) db_.evict_all();
        EXPECT_THROW(ask(looks, Ref<Doctor>(x.oid())), DanglingReferenceError);
        if (creates.active()) creates.commit();
        looks.write(a_).on_call += 1;
        if (isolation == Isolation::snapshot) {
          EXPECT_NO_THROW(looks.commit());
          continue;
        }
        try {
          looks.commit();
          ADD_FAILURE() << "asked " << static_cast<int>(asks);
        } catch (const ConflictError& error) {
          ASSERT_EQ(error.conflicts.size(), 1u);
          EXPECT_EQ(error.conflicts[0].oid, x.oid());
          EXPECT_EQ(error.conflicts[0].base, Tid{});
          EXPECT_EQ(error.conflicts[0].current, db_.last_tid());
          EXPECT_FALSE(error.conflicts[0].changed);
          EXPECT_NE(std::string(error.what()).find("(read as absent, now at tid"), std::string::npos) << error.what();
        }
      }
    }
  }
}

TEST_F(IsolationTest, WhatWasAbsentAndStaysSoIsNoConflict) {
  Ref<Doctor> erased = doctor();
  db_.transact([&](Transaction& txn) { txn.erase(erased); });
  for (bool resident : {true, false}) {
    if (!resident) db_.evict_all();
    Transaction txn = db_.begin(Isolation::serializable);
    for (int i = 0; i < 3; ++i) {
      EXPECT_THROW(txn.read(erased), DanglingReferenceError);
      EXPECT_THROW(txn.read(Ref<Doctor>(Oid{999'999'999})), DanglingReferenceError);
    }
    change(b_);
    txn.write(a_).on_call += 1;
    EXPECT_NO_THROW(txn.commit());
  }
}

TEST_F(IsolationTest, WhatAVeryOldTransactionFoundAbsentIsValidatedToo) {
  Transaction wrong = db_.begin(Isolation::serializable), right = db_.begin(Isolation::serializable);
  Ref<Doctor> x = doctor();
  for (Transaction* txn : {&wrong, &right}) {
    Ref<Doctor> absent(txn == &wrong ? x.oid() : Oid{999'999'999});
    EXPECT_THROW(txn->read(absent), DanglingReferenceError);
    txn->create(Other{1});
  }
  for (int i = 0; i < 3; ++i) {
    db_.transact([&](Transaction& txn) {
      for (int n = 0; n < 40'000; ++n) txn.create(Other{n});
    });
  }
  EXPECT_THROW(wrong.commit(), ConflictError);
  EXPECT_NO_THROW(right.commit());
}

// An error tells about the object as well: that it exists by now, here.
TEST_F(IsolationTest, WhatAWrongTypeTellsIsARead) {
  Transaction looks = db_.begin(Isolation::serializable);
  Ref<Doctor> x = doctor();
  db_.evict_all();
  EXPECT_THROW(looks.read(Ref<Other>(x.oid())), Error);
  looks.write(a_).on_call += 1;
  EXPECT_THROW(looks.commit(), ConflictError);
}

TEST_F(IsolationTest, ThatTheRootHasNoSuchNameIsARead) {
  for (bool by_get : {true, false}) {
    Transaction looks = db_.begin(Isolation::serializable);
    const std::string name = by_get ? "got" : "asked for";
    if (by_get) {
      EXPECT_THROW((void)looks.root().get<Doctor>(name), UnknownRootError);
    } else {
      EXPECT_FALSE(looks.root().contains(name));
    }
    db_.transact([&](Transaction& txn) { txn.root().emplace(name, Doctor{}); });
    looks.write(a_).on_call += 1;
    EXPECT_THROW(looks.commit(), ConflictError);
  }
}

TEST_F(IsolationTest, WhatWasFoundAbsentMovesWithTheTransaction) {
  Transaction looks = db_.begin(Isolation::serializable);
  Transaction creates = db_.begin();
  Ref<Doctor> x = creates.create(Doctor{});
  EXPECT_THROW(looks.read(x), DanglingReferenceError);
  creates.commit();
  Transaction moved = std::move(looks);
  moved.write(a_).on_call += 1;
  EXPECT_THROW(moved.commit(), ConflictError);
  moved = db_.begin(Isolation::serializable);  // and does not outlive it
  moved.write(a_).on_call += 1;
  EXPECT_NO_THROW(moved.commit());
}

// Fekete, O'Neil, O'Neil: A Read-Only Transaction Anomaly Under Snapshot Isolation (SIGMOD Record 2004). a_ and b_ are two
// accounts with nothing in them. One transaction pays 20 into b_. Another takes 10 out of a_, and a fee of 1 if that
// overdraws both together: by its snapshot it does. A report that runs in between sees the 20, but not the fee.
TEST_F(IsolationTest, OneWriterAtSnapshotLevelSpoilsSerializableReaders) {
  enum class Outcome { anomaly, refused };
  auto run = [&](Isolation pays_in, Isolation takes_out) {
    db_.transact([&](Transaction& txn) { txn.write(a_).on_call = txn.write(b_).on_call = 0; });
    Transaction out = db_.begin(takes_out), in = db_.begin(pays_in);
    const bool overdrawn = out.read(a_).on_call + out.read(b_).on_call - 10 < 0;
    EXPECT_TRUE(overdrawn);
    in.write(b_).on_call += 20;
    in.commit();
    Transaction report = db_.begin(Isolation::serializable);
    EXPECT_EQ(report.read(a_).on_call, 0);
    EXPECT_EQ(report.read(b_).on_call, 20);
    report.commit();
    out.write(a_).on_call -= overdrawn ? 11 : 10;
    try {
      out.commit();
      return Outcome::anomaly;  // the report shows that paying in came first; then there was no reason for a fee
    } catch (const ConflictError&) {
      return Outcome::refused;
    }
  };
  EXPECT_EQ(run(Isolation::snapshot, Isolation::snapshot), Outcome::anomaly);
  EXPECT_EQ(run(Isolation::serializable, Isolation::snapshot), Outcome::anomaly);
  EXPECT_EQ(run(Isolation::serializable, Isolation::serializable), Outcome::refused);
}

TEST(IsolationOfADatabase, IsThatOfItsTransactionsUnlessTheySayOtherwise) {
  MemoryStore store;
  Database db(store, {}, Isolation::serializable);
  EXPECT_EQ(db.begin().isolation(), Isolation::serializable);
  EXPECT_EQ(db.begin(Isolation::snapshot).isolation(), Isolation::snapshot);
  db.transact([](Transaction& txn) { EXPECT_EQ(txn.isolation(), Isolation::serializable); });
  Transaction moved = db.begin(), target = db.begin(Isolation::snapshot);
  target = std::move(moved);
  EXPECT_EQ(target.isolation(), Isolation::serializable);
  MemoryStore other;
  EXPECT_EQ(Database(other).begin().isolation(), Isolation::snapshot);
}

TEST(IsolationOfADatabase, IsNotPromisedByCachesThatDoNotKnowWhatWasRead) {
  EXPECT_TRUE(Transaction::kCanBeSerializable);
  EXPECT_FALSE(BasicTransaction<bench::PrivateCache>::kCanBeSerializable);
}

}  // namespace
}  // namespace cow
