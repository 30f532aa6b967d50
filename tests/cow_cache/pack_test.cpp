// Packs of a database: what snapshots in use keep, and what becomes of those that come too late.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/forwarding_store.hpp"
#include "tests/support/store_kinds.hpp"

namespace cow::testing {
namespace {

class DatabasePack : public StoreOfKind {
 protected:
  Tid set(const Ref<Label>& label, const std::string& text) {
    Transaction txn = db_.begin();
    txn.write(label).text = text;
    return txn.commit();
  }
  Ref<Label> created(const std::string& text) {
    Transaction txn = db_.begin();
    const Ref<Label> label = txn.create(Label{text});
    txn.commit();
    return label;
  }

  Database db_{store()};
};

TEST_P(DatabasePack, DropsWhatNoSnapshotSees) {
  const Ref<Label> label = created("0");
  std::vector<Tid> tids;
  for (int i = 0; i < 10; ++i) tids.push_back(set(label, std::to_string(i)));
  const PackResult result = db_.pack(tids[6]);
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.oldest, tids[6]);
  EXPECT_GE(result.dropped.revisions_dropped, 6u);
  db_.evict_all();
  for (std::size_t i = 0; i < tids.size(); ++i) {
    if (i < 6) {
      EXPECT_THROW(db_.begin_at(tids[i]), SnapshotTooOldError) << i;
    } else {
      EXPECT_EQ(db_.begin_at(tids[i]).read(label).text, std::to_string(i));
    }
  }
  EXPECT_EQ(db_.begin().read(label).text, "9");
  EXPECT_EQ(db_.pack(tids[2]).oldest, tids[6]) << "never back";
  EXPECT_EQ(db_.pack(kInfinity).oldest, tids[9]);
}

TEST_P(DatabasePack, SnapshotsInUseHoldItBack) {
  const Ref<Label> label = created("old");
  const Tid old = db_.last_tid();
  std::optional<Transaction> sleeper = db_.begin(), reader;
  EXPECT_EQ(set(label, "new"), Tid{old.value + 1});
  reader = db_.begin_at(old);
  EXPECT_EQ(db_.pack(kInfinity).oldest, old);
  db_.evict_all();
  EXPECT_EQ(sleeper->read(label).text, "old");
  EXPECT_EQ(reader->read(label).text, "old");
  sleeper.reset();
  EXPECT_EQ(db_.pack(kInfinity).oldest, old);
  reader.reset();
  EXPECT_EQ(db_.pack(kInfinity).oldest, db_.last_tid());
  EXPECT_THROW(db_.begin_at(old), SnapshotTooOldError);
}

TEST_P(DatabasePack, CanBeStoppedAndGoneOnWith) {
  const Ref<Label> label = created("0");
  for (int i = 0; i < 5; ++i) set(label, std::to_string(i));
  EXPECT_FALSE(db_.pack(kInfinity, {.progress = [](const PackProgress&) { return false; }}).complete);
  EXPECT_EQ(db_.begin().read(label).text, "4");
  EXPECT_TRUE(db_.pack(kInfinity).complete);
  db_.evict_all();
  EXPECT_EQ(db_.begin().read(label).text, "4");
}

// What a pack has announced and not come to is taken back.
TEST_P(DatabasePack, ThatFailsLeavesThePastReadable) {
  const Ref<Label> label = created("0");
  const Tid old = db_.last_tid();
  set(label, "1");
  struct Stop {};
  bool has_begun = false;
  const bool collects = !capabilities().has_peers();  // else that is refused before it begins
  EXPECT_THROW(db_.pack(kInfinity, {.collect_garbage = collects,
                                    .progress = [&](const PackProgress&) -> bool {
                                      has_begun = true;
                                      throw Stop();
                                    }}),
               Stop);
  EXPECT_TRUE(has_begun);
  if (capabilities().packable->oldest_tid() <= old) {
    EXPECT_EQ(db_.begin_at(old).read(label).text, "0");
  }
}

// A snapshot that was begun stays readable to its end, whatever packs meanwhile; one that is refused is below a pack.
TEST_P(DatabasePack, RacesWithTransactionsOfThePast) {
  const Ref<Label> label = created("1");
  const std::uint64_t first = db_.last_tid().value;
  std::atomic<bool> stop{false};
  std::atomic<int> read{0};
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 2; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      while (!stop || read == 0) {
        const std::uint64_t last = db_.last_tid().value;
        const Tid at{last - std::min(last - first, random() % 20)};
        try {
          Transaction txn = db_.begin_at(at);
          std::this_thread::yield();
          const std::string expected = at.value == first ? "1" : std::to_string(at.value);
          ASSERT_EQ(txn.read(label).text, expected);
          ++read;
        } catch (const SnapshotTooOldError& error) {
          ASSERT_EQ(error.oid, Oid{}) << "it was refused after it had begun";
          ASSERT_LT(at, error.oldest);
        }
        if (random() % 8 == 0) db_.evict_all();
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) db_.pack(Tid{db_.last_tid().value - 2});
  });
  for (int i = 0; i < 300; ++i) set(label, std::to_string(db_.last_tid().value + 1));
  stop = true;
  threads.clear();
}

/// A transaction whose thread is preempted in the midst of `begin` has not announced its snapshot, so a pack does not stop below it.
/// Neither does one that only the store is told of: which snapshots are in use it does not know.
class DatabasePackedBeyond : public DatabasePack {
 protected:
  void pack_beyond(std::function<bool(Oid)> is_garbage = {}) {
    db_.evict_all();
    const PackResult result =
        capabilities().packable->pack({.before = kInfinity, .is_garbage = std::move(is_garbage), .progress = {}});
    ASSERT_TRUE(result.complete);
    ASSERT_EQ(result.oldest, db_.last_tid());
  }
  void erase(const Ref<Label>& label) {
    Transaction txn = db_.begin();
    txn.erase(label);
    txn.commit();
  }
};

TEST_P(DatabasePackedBeyond, WhatWasErasedSinceIsTooOldAndNotMissing) {
  const Ref<Label> label = created("0"), other = created("0");
  Transaction early = db_.begin();
  const Tid snapshot = early.snapshot();
  erase(label);
  pack_beyond();
  try {
    early.read(label);
    FAIL() << "it is gone";
  } catch (const SnapshotTooOldError& error) {
    EXPECT_EQ(error.oid, label.oid());
    EXPECT_EQ(error.asked, snapshot);
    EXPECT_EQ(error.oldest, db_.last_tid());
  }
  EXPECT_THROW(early.write(Ref<Label>(label.oid())), SnapshotTooOldError);
  EXPECT_EQ(early.read(other).text, "0") << "what has not changed since is there";
  EXPECT_THROW(early.read(Ref<Label>(Oid{label.oid().value + 100})), SnapshotTooOldError)
      << "there never was one, but the store need not know that";
  Transaction now = db_.begin();
  EXPECT_THROW(now.read(label), DanglingReferenceError);
  EXPECT_EQ(now.read(other).text, "0");
}

TEST_P(DatabasePackedBeyond, WhatWasCollectedSinceIsTooOldAndNotMissing) {
  const Ref<Label> label = created("0"), other = created("0");
  Transaction early = db_.begin();
  set(other, "1");
  pack_beyond([&](Oid oid) { return oid == label.oid(); });
  EXPECT_THROW(early.read(label), SnapshotTooOldError);
  EXPECT_THROW(db_.begin().read(label), DanglingReferenceError);
}

TEST_P(DatabasePackedBeyond, TransactTriesAgain) {
  const Ref<Label> label = created("old");
  int attempts = 0;
  const std::string seen = db_.transact([&](Transaction& txn) {
    if (++attempts == 1) {
      set(label, "new");
      pack_beyond();
    }
    return txn.read(label).text;
  });
  EXPECT_EQ(seen, "new");
  EXPECT_EQ(attempts, 2);
}

TEST_P(DatabasePackedBeyond, TransactEndsAfterTheLastAttempt) {
  const Ref<Label> label = created("0");
  int attempts = 0;
  const auto body = [&](Transaction& txn) {
    set(label, std::to_string(++attempts));
    pack_beyond();
    txn.read(label);
  };
  EXPECT_THROW(db_.transact(body, {.most_attempts = 3}), SnapshotTooOldError);
  EXPECT_EQ(attempts, 3);
}

TEST_P(DatabasePackedBeyond, TransactDoesNotAskForThePastAgain) {
  const Ref<Label> label = created("0");
  const Tid old = db_.last_tid();
  set(label, "1");
  pack_beyond();
  int attempts = 0;
  const auto body = [&](Transaction&) {
    ++attempts;
    return db_.begin_at(old).read(label).text;
  };
  EXPECT_THROW(db_.transact(body), SnapshotTooOldError);
  EXPECT_EQ(attempts, 1);
}

INSTANTIATE_TEST_SUITE_P(Stores, DatabasePackedBeyond,
                         ::testing::ValuesIn(stores_without_peers(&StoreKind::is_packable)), name_of_store);

INSTANTIATE_TEST_SUITE_P(Stores, DatabasePack, ::testing::ValuesIn(stores_with(&StoreKind::is_packable)),
                         name_of_store);

/// Whose loads wait until they are let go.
class HeldStore : public UnreliablePackableStore {
 public:
  using UnreliablePackableStore::UnreliablePackableStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    if (is_held) ++waiting;
    is_held.wait(true);
    return UnreliablePackableStore::load(oid, at);
  }
  void let_go() {
    is_held = false;
    is_held.notify_all();
  }
  std::atomic<bool> is_held{false};
  std::atomic<int> waiting{0};
};

// A later snapshot's load finds nothing, and an earlier snapshot has waited for it.
TEST(DatabasePackedBeyondAWaiter, IsTooOldForIt) {
  MemoryStore inner;
  HeldStore store(inner);
  Database db(store);
  Transaction txn = db.begin();
  const Ref<Label> label = txn.create(Label{"0"});
  txn.commit();
  Transaction early = db.begin();
  Transaction eraser = db.begin();
  eraser.erase(label);
  eraser.commit();
  db.evict_all();
  ASSERT_TRUE(store.pack({.before = kInfinity, .is_garbage = {}, .progress = {}}).complete);
  store.is_held = true;
  std::jthread loader([&] { EXPECT_THROW(db.begin().read(Ref<Label>(label.oid())), DanglingReferenceError); });
  while (store.waiting == 0) std::this_thread::yield();
  std::jthread waiter([&] { EXPECT_THROW(early.read(label), SnapshotTooOldError); });
  // Long enough for it to wait; else it loads for itself, which ends as well.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(store.waiting, 1);
  store.let_go();
}

TEST(DatabasePackMissing, IsSaidAtTheCall) {
  MemoryStore inner;
  ForwardingStore store(inner);
  Database db(store);
  try {
    db.pack(kInfinity);
    FAIL();
  } catch (const MissingCapabilityError& error) {
    EXPECT_EQ(error.capability, "PackableStore");
    EXPECT_EQ(error.operation, "Database::pack");
  }
}

}  // namespace
}  // namespace cow::testing
