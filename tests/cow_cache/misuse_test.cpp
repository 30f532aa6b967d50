// Mistakes in the use of transactions that would go unnoticed, or show far from where they were made.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/baselines/private_cache.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

struct Node {
  std::int64_t value = 0;
  Ref<Node> next;
  std::vector<Ref<Node>> more;
  MSGPACK_DEFINE_MAP(value, next, more);
};

class MisuseTest : public ::testing::Test {
 protected:
  Ref<Node> node() {
    return db_.transact([](Transaction& txn) { return txn.create(Node{}); });
  }
  void change(const Ref<Node>& node) {
    db_.transact([&](Transaction& txn) { txn.write(node).value += 10; });
  }
  std::int64_t value(const Ref<Node>& node) { return db_.begin().read(node).value; }

  MemoryStore memory_;
  testing::UnreliableStore store_{memory_};
  Database db_{store_};
  Ref<Node> a_ = node(), b_ = node();
};

// Two databases on one store.

TEST(TwoDatabases, OnOneStoreAreRefusedUntilTheFirstHasGone) {
  MemoryStore store;
  auto first = std::make_unique<Database>(store);
  Ref<Node> a = first->transact([](Transaction& txn) { return txn.create(Node{1, {}, {}}); });
  EXPECT_THROW(Database{store}, StoreLockedError);
  EXPECT_THROW(BasicDatabase<bench::PrivateCache>{store}, StoreLockedError);
  EXPECT_THROW(Database(store, {}, Isolation::serializable), StoreLockedError);
  first->transact([&](Transaction& txn) { txn.write(a).value = 2; });
  first.reset();
  Database second(store);
  EXPECT_EQ(second.begin().read(a).value, 2);
  MemoryStore other;
  EXPECT_NO_THROW(Database{other});
}

TEST(TwoDatabases, AnOpenThatFailsLetsGoOfTheStore) {
  MemoryStore memory;
  testing::UnreliableStore store(memory);
  store.commits_to_fail = 1;
  EXPECT_THROW(Database{store}, StoreFullError);
  EXPECT_NO_THROW(Database{store});
}

// Nested transactions.

TEST_F(MisuseTest, ANestedCommitOfWhatTheOuterOneHasChangedIsRefused) {
  int outer = 0, inner = 0;
  try {
    db_.transact([&](Transaction& txn) {
      ++outer;
      txn.write(a_).value = 1;
      db_.transact([&](Transaction& nested) {
        ++inner;
        nested.write(a_).value = 2;
      });
    });
    FAIL();
  } catch (const NestedTransactionError& error) {
    EXPECT_EQ(error.oid, a_.oid());
    EXPECT_NE(std::string(error.what()).find("oid " + std::to_string(a_.oid().value)), std::string::npos);
  }
  EXPECT_EQ(outer, 1);
  EXPECT_EQ(inner, 1);
  EXPECT_EQ(value(a_), 0);
  EXPECT_EQ(db_.statistics().active_transactions, 0u);
}

TEST_F(MisuseTest, SoIsOneThatErasesItOrIsBegunAndCommittedByHand) {
  EXPECT_THROW(db_.transact([&](Transaction& txn) {
    txn.write(a_).value = 1;
    db_.transact([&](Transaction& nested) { nested.erase(a_); });
  }),
               NestedTransactionError);
  EXPECT_THROW(db_.transact([&](Transaction& txn) {
    txn.erase(a_);
    Transaction nested = db_.begin();
    nested.write(a_).value = 1;
    nested.commit();
  }),
               NestedTransactionError);
  EXPECT_EQ(value(a_), 0);
}

TEST_F(MisuseTest, HoweverDeepItIs) {
  EXPECT_THROW(db_.transact([&](Transaction& txn) {
    txn.write(a_).value = 1;
    db_.transact([&](Transaction& middle) {
      middle.write(b_).value = 1;
      db_.transact([&](Transaction& nested) { nested.write(a_).value = 2; });
    });
  }),
               NestedTransactionError);
}

// The nested one has committed by then; it is the outer one that would try for ever.
TEST_F(MisuseTest, AnOuterChangeOfWhatANestedOneHasCommittedIsRefused) {
  int attempts = 0;
  EXPECT_THROW(db_.transact([&](Transaction& txn) {
    ++attempts;
    db_.transact([&](Transaction& nested) { nested.write(a_).value += 1; });
    txn.write(a_).value = 7;
  }),
               NestedTransactionError);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(value(a_), 1);
}

TEST_F(MisuseTest, WhatASerializableOuterOneHasReadOrFoundAbsentCountsToo) {
  MemoryStore memory;
  Database serializable(memory, {}, Isolation::serializable);
  Ref<Node> a = serializable.transact([](Transaction& txn) { return txn.create(Node{}); });
  EXPECT_THROW(serializable.transact([&](Transaction& txn) {
    (void)txn.read(a);
    serializable.transact([&](Transaction& nested) { nested.write(a).value = 1; });
    txn.create(Node{});
  }),
               NestedTransactionError);
  EXPECT_THROW(serializable.transact([&](Transaction& txn) {
    serializable.transact([&](Transaction& nested) {
      Ref<Node> fresh = nested.create(Node{});
      EXPECT_THROW(txn.read(Ref<Node>(fresh.oid())), DanglingReferenceError);
    });
    txn.create(Node{});
  }),
               NestedTransactionError);
}

TEST_F(MisuseTest, NestedTransactionsThatStayApartCommit) {
  MemoryStore memory;
  Database other(memory);
  Ref<Node> elsewhere = other.transact([](Transaction& txn) { return txn.create(Node{}); });  // the same oid as a_
  ASSERT_EQ(elsewhere.oid(), a_.oid());
  db_.transact([&](Transaction& txn) {
    (void)txn.read(b_);
    txn.write(a_).value = 1;
    change(b_);
    other.transact([&](Transaction& nested) { nested.write(elsewhere).value = 5; });
    db_.transact([&](Transaction& nested) { nested.create(Node{}); });
    std::thread([&] { change(b_); }).join();
  });
  EXPECT_EQ(value(a_), 1);
  EXPECT_EQ(value(b_), 20);
  EXPECT_EQ(other.begin().read(elsewhere).value, 5);
}

TEST_F(MisuseTest, AfterTheOuterOneHasEndedNothingIsNested) {
  EXPECT_THROW(db_.transact([&](Transaction& txn) {
    txn.write(a_).value = 1;
    throw std::logic_error("changed my mind");
  }),
               std::logic_error);
  change(a_);
  db_.transact([&](Transaction& txn) {
    txn.write(a_).value += 1;
    txn.abort();
    change(a_);
    txn = db_.begin();  // which goes on as the outer one
    txn.write(b_).value = 5;
  });
  EXPECT_EQ(value(a_), 20);
  EXPECT_EQ(value(b_), 5);
}

TEST_F(MisuseTest, AConflictWithAnotherThreadIsRetriedAlthoughSomethingWasNested) {
  int attempts = 0;
  db_.transact([&](Transaction& txn) {
    txn.write(a_).value += 1;
    change(b_);
    if (++attempts < 3) std::thread([&] { change(a_); }).join();
  });
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(value(a_), 21);
}

// References to what was never committed.

TEST_F(MisuseTest, AReferenceToWhatAnAbortedTransactionHasCreatedIsNotStored) {
  Ref<Node> lost;
  {
    Transaction txn = db_.begin();
    lost = txn.create(Node{});
  }
  const std::vector<std::function<void(Transaction&)>> ways_to_store{
      [&](Transaction& txn) { txn.write(a_).next = lost; },
      [&](Transaction& txn) {
        txn.write(a_).more = {b_, lost, b_};
      },
      [&](Transaction& txn) {
        txn.create(Node{1, lost, {}});
      },
      [&](Transaction& txn) { txn.root().set("lost", lost); },
  };
  for (bool later : {false, true}) {
    if (later) {  // blocks of oids later
      db_.transact([](Transaction& txn) {
        for (int i = 0; i < 5'000; ++i) txn.create(Node{});
      });
    }
    for (const auto& store : ways_to_store) {
      const Tid before = db_.last_tid();
      try {
        db_.transact(store);
        ADD_FAILURE() << "stored";
      } catch (const UncommittedReferenceError& error) {
        EXPECT_EQ(error.to, lost.oid());
        EXPECT_NE(error.from, Oid{});
        EXPECT_NE(error.from, error.to);
        const std::string what = error.what();
        EXPECT_NE(what.find("oid " + std::to_string(lost.oid().value)), std::string::npos) << what;
        EXPECT_NE(what.find("oid " + std::to_string(error.from.value)), std::string::npos) << what;
      }
      EXPECT_EQ(db_.last_tid(), before);
    }
  }
  change(a_);
  EXPECT_EQ(value(a_), 10);
}

TEST_F(MisuseTest, NorIsOneToWhatIsNotCommittedYet) {
  Transaction creates = db_.begin();
  Ref<Node> early = creates.create(Node{});
  auto store = [&] { db_.transact([&](Transaction& txn) { txn.write(a_).next = early; }); };
  EXPECT_THROW(store(), UncommittedReferenceError);
  store_.commits_to_fail = 1;
  EXPECT_THROW(creates.commit(), StoreFullError);
  EXPECT_THROW(store(), UncommittedReferenceError);
  Transaction again = db_.begin();
  early = again.create(Node{});
  again.commit();
  EXPECT_NO_THROW(store());
  EXPECT_EQ(db_.begin().read(db_.begin().read(a_).next).value, 0);
}

TEST_F(MisuseTest, NorIsOneToAnOidThatTheStoreHasNeverGivenOut) {
  auto store = [&](Database& db, Oid oid) {
    db.transact([&](Transaction& txn) { txn.write(Transaction::root_reference()).entries["x"] = {}; });
    db.transact([&](Transaction& txn) { txn.root().set("x", Ref<Node>(oid)); });
  };
  EXPECT_THROW(store(db_, Oid{999'999'999}), UncommittedReferenceError);
  EXPECT_THROW(store(db_, kMaxOid), UncommittedReferenceError);
  EXPECT_THROW(store(db_, Oid{b_.oid().value + 1}), UncommittedReferenceError)
      << "given to the pool, not to a transaction";
  MemoryStore memory;
  Database fresh(memory);  // which has created nothing yet
  EXPECT_THROW(store(fresh, Oid{999'999'999}), UncommittedReferenceError);
  EXPECT_NO_THROW(store(fresh, kRootOid));
}

TEST_F(MisuseTest, WhatWasCommittedMayBeReferredToWhereverItComesFrom) {
  Ref<Node> lost = db_.begin().create(Node{});
  std::vector<Ref<Node>> nodes;
  for (int i = 0; i < 3'000; ++i) {
    db_.transact([&](Transaction& txn) {  // each refers to one of this transaction, and to the last one
      Ref<Node> own = txn.create(Node{});
      nodes.push_back(txn.create(Node{i, nodes.empty() ? Ref<Node>() : nodes.back(), {own, own}}));
    });
  }
  const int loads = store_.loads;
  db_.transact([&](Transaction& txn) { txn.write(a_).more = nodes; });
  EXPECT_EQ(store_.loads, loads) << "known by heart, although one was lost before";
  EXPECT_THROW(db_.transact([&](Transaction& txn) { txn.write(a_).more.push_back(lost); }), UncommittedReferenceError);
  // An object that is erased has existed.
  db_.transact([&](Transaction& txn) {
    Ref<Node> own = txn.create(Node{});
    txn.write(b_).next = own;
    txn.erase(own);
  });
}

TEST_F(MisuseTest, WhatAnEarlierRunOrSomebodyElseHasCommittedIsFound) {
  MemoryStore memory;
  Ref<Node> old;
  {
    Database db(memory);
    old = db.transact([](Transaction& txn) { return txn.create(Node{}); });
  }
  testing::UnreliableStore store(memory);
  Database db(store);
  store.refuse_oids = true;  // who creates nothing needs none
  EXPECT_NO_THROW(db.transact([&](Transaction& txn) { txn.write(old).next = old; }));
  store.refuse_oids = false;
  EXPECT_NO_THROW(db.transact([&](Transaction& txn) { txn.root().set("old", old); }));
  EXPECT_NO_THROW(db.transact([&](Transaction& txn) { txn.write(old).next = txn.create(Node{1, old, {}}); }));
}

// Between a publication and the return of its commit others see the object and refer to it.
TEST_F(MisuseTest, WhatOthersHaveJustCommittedMayBeReferredTo) {
  constexpr int kThreads = 4, kRounds = 300;
  db_.transact([&](Transaction& txn) { txn.root().emplace("last", Node{}); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        if (round % 7 == 0) (void)db_.begin().create(Node{});  // lost
        EXPECT_NO_THROW(db_.transact(
            [&](Transaction& txn) {
              Ref<Node> last = txn.root().get<Node>("last");
              txn.root().set("last", txn.create(Node{txn.read(last).value + 1, last, {}}));
            },
            {.most_attempts = 10'000}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Transaction txn = db_.begin();
  std::int64_t length = 0;
  for (Ref<Node> node = txn.root().get<Node>("last"); txn.read(node).next; node = txn.read(node).next) ++length;
  EXPECT_EQ(length, kThreads * kRounds);
}

// What the texts say of the two mistakes that would look like another one.

template <class Mistake>
std::string text_of(Mistake&& mistake) {
  try {
    mistake();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_F(MisuseTest, WhatTheTransactionItselfHasErasedIsNotSaidToBeMissing) {
  Transaction txn = db_.begin();
  txn.erase(a_);
  const std::string text = text_of([&] { (void)txn.read(a_); });
  EXPECT_NE(text.find("erased by this transaction"), text.npos) << text;
}

struct OneSchema {
  static constexpr std::string_view cow_type_name = "test.Schemas";
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};
struct NextSchema : OneSchema {
  static constexpr std::uint32_t cow_schema = 2;
};

TEST_F(MisuseTest, TwoTypesOfOneNameAreNotSaidToHaveTheWrongName) {
  Ref<OneSchema> one = db_.transact([](Transaction& txn) { return txn.create(OneSchema{}); });
  Transaction txn = db_.begin();
  const std::string text = text_of([&] { (void)txn.read(Ref<NextSchema>(one.oid())); });
  EXPECT_NE(text.find("two types of the program"), text.npos) << text;
}

}  // namespace
}  // namespace cow
