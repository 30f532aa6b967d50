// Database::undo: what a transaction has replaced comes back, unless others have changed it since.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cache_testing.hpp"

namespace cow::testing {
namespace {

class Undo : public ::testing::Test {
 protected:
  Ref<Label> make(const std::string& text) {
    Transaction txn = db_.begin();
    const Ref<Label> label = txn.create(Label{text});
    last_ = txn.commit();
    return label;
  }
  Tid set(const Ref<Label>& label, const std::string& text) {
    Transaction txn = db_.begin();
    txn.write(label).text = text;
    return last_ = txn.commit();
  }
  std::string text(const Ref<Label>& label) {
    Transaction txn = db_.begin();
    try {
      const std::string by_hint = txn.read(label).text;
      EXPECT_EQ(by_hint, txn.read(Ref<Label>(label.oid())).text);
      return by_hint;
    } catch (const DanglingReferenceError&) {
      return "absent";
    }
  }
  std::string record(const Ref<Label>& label) { return store_.load(label.oid(), kInfinity)->record; }

  MemoryStore store_;
  Database db_{store_};
  Tid last_{};
};

struct NamedForUndo {
  static constexpr std::string_view cow_type_name = "undo_test.Named";
  std::string name;
  COW_CACHE_DEFINE_MAP(name)
};

TEST_F(Undo, LeavesWhatTheStoreKnowsOfTypes) {
  const auto known = [&] {
    Transaction txn = db_.begin();
    return txn.read(txn.root().get<TypeDirectory>(kTypesName)).types.size();
  };
  const Ref<Label> label = make("one");  // the first of its type: the directory is written, too
  const Tid first = last_;
  {
    Transaction txn = db_.begin();
    (void)txn.create(NamedForUndo{"two"});
    txn.commit();
  }
  EXPECT_EQ(known(), 2u);
  db_.undo(first);
  EXPECT_EQ(text(label), "absent");
  EXPECT_EQ(known(), 2u);
}

TEST_F(Undo, BringsBackWhatWasBefore) {
  const Ref<Label> label = make("one");
  const std::string before = record(label);
  const Tid change = set(label, "two");
  const Transaction old_reader = db_.begin();
  const Tid undone = db_.undo(change);
  EXPECT_EQ(undone, db_.last_tid());
  EXPECT_EQ(text(label), "one");
  EXPECT_EQ(record(label), before) << "byte for byte";
  EXPECT_EQ(store_.load(label.oid(), kInfinity)->begin, undone);
  EXPECT_EQ(db_.begin_at(change).read(label).text, "two");
  const auto infos = store_.transactions(undone, undone, HistoryOrder::oldest_first, 1);
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].note.description, "undo of tid " + std::to_string(change.value));
}

TEST_F(Undo, ReadersGoOnSeeingTheirOwn) {
  const Ref<Label> label = make("one");
  const Tid change = set(label, "two");
  Transaction reader = db_.begin();
  const Label& held = reader.read(label);
  Transaction unread = db_.begin();
  db_.undo(change);
  EXPECT_EQ(held.text, "two");
  EXPECT_EQ(reader.read(label).text, "two");
  EXPECT_EQ(unread.read(label).text, "two");
  EXPECT_EQ(unread.read(Ref<Label>(label.oid())).text, "two");
  EXPECT_EQ(text(label), "one");
}

TEST_F(Undo, OfAnUndoOfAnUndo) {
  const Ref<Label> label = make("one");
  Tid tid = set(label, "two");
  for (int i = 0; i < 6; ++i) {
    tid = db_.undo(tid);
    EXPECT_EQ(text(label), i % 2 == 0 ? "one" : "two");
    if (i == 3) db_.evict_all();
  }
}

TEST_F(Undo, OfACreationErasesAndOfAnErasureRestores) {
  const Ref<Label> label = make("one");
  const Tid made = last_;
  const Tid undone = db_.undo(made);
  EXPECT_EQ(text(label), "absent");
  EXPECT_TRUE(store_.load(label.oid(), kInfinity)->erased);
  const Tid again = db_.undo(undone);
  EXPECT_EQ(text(label), "one");
  Transaction txn = db_.begin();
  txn.erase(label);
  const Tid erased = txn.commit();
  EXPECT_EQ(text(label), "absent");
  const Tid back = db_.undo(erased);
  EXPECT_EQ(text(label), "one");
  db_.undo(back);
  EXPECT_EQ(text(label), "absent");
  EXPECT_LT(undone, again);
}

TEST_F(Undo, OfManyObjectsOfSeveralTypesAtOnce) {
  Transaction first = db_.begin();
  const Ref<Label> label = first.root().emplace("label", Label{"one"});
  const Ref<Account> account = first.root().emplace("account", Account{5, "ada", {}});
  const Ref<Label> doomed = first.create(Label{"doomed"});
  first.commit();
  Transaction second = db_.begin();
  second.write(label).text = "two";
  second.write(account).next = second.create(Account{7, "new", {}});
  second.erase(doomed);
  second.root().emplace("more", Label{"three"});
  const Tid change = second.commit();
  Transaction sees = db_.begin();
  const Ref<Account> fresh = sees.read(account).next;
  const Ref<Label> more = sees.root().get<Label>("more");
  Tid done = change;
  for (const bool cold : {false, true}) {
    if (cold) db_.evict_all();
    const Tid undone = db_.undo(done);
    if (cold) db_.evict_all();
    Transaction txn = db_.begin();
    EXPECT_EQ(txn.read(label).text, "one");
    EXPECT_EQ(txn.read(account).next, Ref<Account>());
    EXPECT_EQ(txn.read(doomed).text, "doomed");
    EXPECT_FALSE(txn.root().contains("more"));
    EXPECT_THROW(txn.read(fresh), DanglingReferenceError);
    EXPECT_THROW(txn.read(more), DanglingReferenceError);
    done = db_.undo(undone);
    Transaction after = db_.begin();
    EXPECT_EQ(after.read(label).text, "two");
    EXPECT_EQ(after.read(after.read(account).next).balance, 7);
    EXPECT_THROW(after.read(doomed), DanglingReferenceError);
    EXPECT_EQ(after.read(after.root().get<Label>("more")).text, "three");
  }
}

TEST_F(Undo, IsRefusedWhereOthersHaveChangedSinceAndSaysWhat) {
  Transaction txn = db_.begin();
  const Ref<Label> one = txn.create(Label{"1"}), two = txn.create(Label{"2"}), three = txn.create(Label{"3"});
  txn.commit();
  Transaction change = db_.begin();
  for (const auto& [label, text] : {std::pair{one, "1b"}, {two, "2b"}, {three, "3b"}}) change.write(label).text = text;
  const Tid changed = change.commit();
  set(one, "1c");
  const Tid later = set(one, "1d");
  const Tid other = set(three, "3c");
  const Tid last = db_.last_tid();
  try {
    db_.undo(changed);
    FAIL();
  } catch (const UndoRefusedError& error) {
    EXPECT_EQ(error.tid, changed);
    std::map<Oid, Tid> obstacles;
    for (const UndoRefusedError::Obstacle& obstacle : error.obstacles) obstacles[obstacle.oid] = obstacle.later;
    EXPECT_EQ(obstacles, (std::map<Oid, Tid>{{one.oid(), later}, {three.oid(), other}}));
    EXPECT_NE(
        std::string(error.what())
            .find("oid " + std::to_string(one.oid().value) + " was changed by tid " + std::to_string(later.value)),
        std::string::npos)
        << error.what();
  }
  EXPECT_EQ(db_.last_tid(), last) << "nothing was done";
  EXPECT_EQ(text(two), "2b");
  // In the opposite order they can be undone.
  db_.undo(other);
  EXPECT_EQ(text(three), "3b");
}

TEST_F(Undo, OfWhatIsNoTransaction) {
  make("one");
  EXPECT_THROW(db_.undo(Tid{0}), UnknownTransactionError);
  EXPECT_THROW(db_.undo(Tid{99}), UnknownTransactionError);
  EXPECT_THROW(db_.undo(kInfinity), UnknownTransactionError);
  MemoryStore empty;
  Database db(empty);
  try {
    db.undo(Tid{1});
    FAIL() << "the root was erased";
  } catch (const UndoRefusedError& error) {
    ASSERT_EQ(error.obstacles.size(), 1u);
    EXPECT_EQ(error.obstacles[0].oid, kRootOid);
    EXPECT_EQ(error.obstacles[0].later, Tid{});
  }
  EXPECT_FALSE(db.begin().root().contains("a"));
}

TEST_F(Undo, BeyondAPackIsRefused) {
  const Ref<Label> label = make("one");
  const Tid change = set(label, "two");
  store_.pack({.before = change, .is_garbage = {}, .progress = {}});
  try {
    db_.undo(change);
    FAIL() << "what was before is packed away";
  } catch (const SnapshotTooOldError& error) {
    EXPECT_EQ(error.asked.value, change.value - 1);
    EXPECT_EQ(error.oldest, change);
  }
  EXPECT_EQ(text(label), "two");
  const Tid later = set(label, "three");
  db_.undo(later);
  EXPECT_EQ(text(label), "two");
}

TEST_F(Undo, SaysWhatItIsTold) {
  const Ref<Label> label = make("one");
  const Tid change = set(label, "two");
  const Tid undone = db_.undo(change, TransactionNote{"ada", "a mistake", {{"why", "typo"}}});
  const auto infos = store_.transactions(undone, undone, HistoryOrder::oldest_first, 1);
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].note, (TransactionNote{"ada", "a mistake", {{"why", "typo"}}}));
}

TEST_F(Undo, MakesOthersConflict) {
  const Ref<Label> label = make("one");
  const Tid change = set(label, "two");
  Transaction writer = db_.begin();
  writer.write(label).text = "lost";
  Transaction serial = db_.begin(Isolation::serializable);
  EXPECT_EQ(serial.read(label).text, "two");
  (void)serial.create(Label{"depends on it"});
  const Tid undone = db_.undo(change);
  try {
    writer.commit();
    FAIL();
  } catch (const ConflictError& error) {
    ASSERT_EQ(error.conflicts.size(), 1u);
    EXPECT_EQ(error.conflicts[0].current, undone);
  }
  EXPECT_THROW(serial.commit(), ConflictError);
  EXPECT_EQ(text(label), "one");
}

TEST_F(Undo, LeavesNothingInTheCacheButWhatIsTrue) {
  std::vector<Ref<Label>> labels;
  Transaction txn = db_.begin();
  for (int i = 0; i < 200; ++i) labels.push_back(txn.create(Label{std::string(200, 'a')}));
  txn.commit();
  Transaction change = db_.begin();
  for (const Ref<Label>& label : labels) change.write(label).text = std::string(200, 'b');
  Tid tid = change.commit();
  for (int i = 0; i < 7; ++i) {
    tid = db_.undo(tid);
    for (const Ref<Label>& label : labels) ASSERT_EQ(text(label)[0], i % 2 == 0 ? 'a' : 'b');
  }
  db_.evict_all();
  EXPECT_EQ(db_.statistics().cache_bytes, 0u);
  EXPECT_EQ(db_.statistics().heap_bytes, 0u);
  EXPECT_EQ(db_.statistics().limbo_bytes, 0u);
}

// Threads write, undo what they have written, and read: an object is at any time what the last commit of it says.
TEST_F(Undo, BesideWritersAndReaders) {
  std::vector<Ref<Label>> labels;
  for (int i = 0; i < 4; ++i) labels.push_back(make("0"));
  std::atomic<int> undone{0};
  run_threads(3, [&](int index) {
    std::mt19937_64 random(index);
    for (int i = 0; i < 300; ++i) {
      const Ref<Label>& label = labels[random() % labels.size()];
      std::string before;
      Tid tid{};
      Transaction txn = db_.begin();
      before = txn.read(label).text;
      txn.write(label).text = std::to_string(index) + "." + std::to_string(i);
      try {
        tid = txn.commit();
      } catch (const ConflictError&) {
        continue;
      }
      if (i % 5 == 0) db_.evict_all();
      try {
        const Tid undo = db_.undo(tid);
        ++undone;
        Transaction at = db_.begin_at(undo);
        ASSERT_EQ(at.read(label).text, before);
        Transaction then = db_.begin_at(tid);
        ASSERT_EQ(then.read(label).text, std::to_string(index) + "." + std::to_string(i));
      } catch (const UndoRefusedError& error) {
        ASSERT_EQ(error.obstacles.size(), 1u);
        ASSERT_EQ(error.obstacles[0].oid, label.oid());
        ASSERT_GT(error.obstacles[0].later, tid);
      }
    }
  });
  EXPECT_GT(undone, 0);
}

}  // namespace
}  // namespace cow::testing
