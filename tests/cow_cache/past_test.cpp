// Reading the past: begin_at, history, transactions, changes_since, sync, and what commits say of themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/forwarding_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

class Past : public ::testing::Test {
 protected:
  Tid set(const Ref<Label>& label, const std::string& text) {
    Transaction txn = db_.begin();
    txn.write(label).text = text;
    return txn.commit();
  }
  std::string text_at(const Ref<Label>& label, Tid tid) { return db_.begin_at(tid).read(label).text; }

  MemoryStore store_;
  Database db_{store_};
};

TEST_F(Past, ACommitReturnsItsTid) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"one"});
  const Tid tid = txn.commit();
  EXPECT_EQ(tid, db_.last_tid());
  EXPECT_EQ(store_.load(label.oid(), kInfinity)->begin, tid);
  Transaction reads = db_.begin();
  set(label, "two");
  EXPECT_EQ(reads.commit(), tid) << "nothing was written: the last that it has seen";
}

TEST_F(Past, EachTidShowsWhatWasCommittedUpToIt) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"0"});
  std::vector<Tid> tids{txn.commit()};
  for (int i = 1; i < 50; ++i) tids.push_back(set(label, std::to_string(i)));
  for (const bool cold : {false, true}) {
    for (int i = 49; i >= 0; --i) {
      if (cold) db_.evict_all();
      EXPECT_EQ(text_at(label, tids[i]), std::to_string(i));
      EXPECT_EQ(text_at(Ref<Label>(label.oid()), tids[i]), std::to_string(i));
    }
  }
  EXPECT_THROW(text_at(label, Tid{tids[0].value - 1}), DanglingReferenceError);
  EXPECT_THROW(db_.begin_at(Tid{0}).root().contains("a"), DanglingReferenceError);
}

TEST_F(Past, ErasuresAndCreationsAreSeenWhereTheyWere) {
  Transaction first = db_.begin();
  const Ref<Label> label = first.root().emplace("label", Label{"here"});
  const Tid made = first.commit();
  Transaction second = db_.begin();
  second.erase(label);
  second.root().erase("label");
  const Tid gone = second.commit();
  Transaction before = db_.begin_at(made);
  EXPECT_EQ(before.read(before.root().get<Label>("label")).text, "here");
  Transaction after = db_.begin_at(gone);
  EXPECT_FALSE(after.root().contains("label"));
  EXPECT_THROW(after.read(label), DanglingReferenceError);
  EXPECT_EQ(before.read(label).text, "here");
}

TEST_F(Past, ChangesNothing) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"one"});
  const Tid tid = txn.commit();
  Transaction past = db_.begin_at(tid);
  const std::uint64_t loads = store_.loads();
  const Oid next = store_.allocate_oids(1).first;
  EXPECT_THROW(past.write(label), ReadOnlyTransactionError);
  EXPECT_THROW(past.erase(label), ReadOnlyTransactionError);
  EXPECT_THROW(past.create(Label{"two"}), ReadOnlyTransactionError);
  EXPECT_THROW(past.root().emplace("a", Label{"two"}), ReadOnlyTransactionError);
  EXPECT_THROW(past.root().set("a", label), ReadOnlyTransactionError);
  EXPECT_THROW(past.note("ada", "nothing"), ReadOnlyTransactionError);
  EXPECT_EQ(store_.allocate_oids(1).first.value, next.value + 1) << "no oid was taken for what was refused";
  EXPECT_EQ(store_.loads(), loads) << "the store was asked for what was refused";
  EXPECT_EQ(past.read(label).text, "one") << "it can still be used";
  EXPECT_EQ(past.writes(), 0u);
  past.will_sleep();
  EXPECT_EQ(past.read(label).text, "one");
  Transaction moved = std::move(past);
  EXPECT_THROW(moved.write(label), ReadOnlyTransactionError);
  EXPECT_EQ(moved.commit(), tid);
  EXPECT_THROW(moved.write(label), TransactionEndedError);
  try {
    db_.begin_at(tid).write(label);
    FAIL();
  } catch (const ReadOnlyTransactionError& error) {
    EXPECT_EQ(error.snapshot, tid);
  }
  Transaction present = std::move(moved);
  present = db_.begin();  // one that was of the past is not any more
  present.write(label).text = "two";
  present.commit();
  EXPECT_EQ(text_at(label, db_.last_tid()), "two");
}

TEST_F(Past, IsNotTheFuture) {
  try {
    db_.begin_at(Tid{2});
    FAIL();
  } catch (const FutureSnapshotError& error) {
    EXPECT_EQ(error.asked, Tid{2});
    EXPECT_EQ(error.last, Tid{1});
  }
  EXPECT_EQ(db_.statistics().active_transactions, 0u);
}

TEST_F(Past, StaysThePastWhileOthersCommit) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"one"});
  const Tid tid = txn.commit();
  set(label, "two");
  Transaction past = db_.begin_at(tid);
  EXPECT_EQ(past.read(label).text, "one");
  const Label& held = past.read(label);
  for (int i = 0; i < 100; ++i) {
    set(label, std::to_string(i));
    if (i % 10 == 0) db_.evict_all();
    EXPECT_EQ(past.read(label).text, "one");
    EXPECT_EQ(past.read(Ref<Label>(label.oid())).text, "one");
  }
  EXPECT_EQ(&past.read(label), &held);
  EXPECT_EQ(held.text, "one");
}

// What is not resident is loaded once, by its own snapshot: the present is not loaded for it, nor is anything twice.
TEST_F(Past, LoadsAnObjectOnce) {
  Transaction txn = db_.begin();
  std::vector<Ref<Label>> labels;
  for (int i = 0; i < 100; ++i) labels.push_back(txn.create(Label{std::to_string(i)}));
  const Tid tid = txn.commit();
  for (int i = 0; i < 100; i += 2) set(labels[i], "changed");
  db_.evict_all();
  Transaction past = db_.begin_at(tid);
  const std::uint64_t loads = store_.loads();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 100; ++i) EXPECT_EQ(past.read(Ref<Label>(labels[i].oid())).text, std::to_string(i));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(past.read(labels[i]).text, std::to_string(i));
  }
  EXPECT_EQ(store_.loads() - loads, 100u);
  EXPECT_EQ(db_.statistics().cache_bytes, 0u) << "the present is not in the cache for it";
  past.commit();
  db_.evict_all();
  EXPECT_EQ(db_.statistics().limbo_bytes, 0u);
}

TEST_F(Past, OfATime) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"0"});
  txn.commit();
  for (int i = 1; i < 30; ++i) set(label, std::to_string(i));
  std::map<CommitTime, Tid> last;
  for (const TransactionInfo& info : db_.transactions(Tid{0}, kInfinity)) last[info.time] = info.tid;
  for (const auto& [time, tid] : last) EXPECT_EQ(db_.begin_at(time).snapshot(), tid);
  EXPECT_EQ(db_.begin_at(last.begin()->first - std::chrono::hours(1)).snapshot(), Tid{0});
  EXPECT_EQ(db_.begin_at(std::chrono::system_clock::now() + std::chrono::hours(1)).snapshot(), db_.last_tid());
}

TEST_F(Past, NotesAreInTheHistory) {
  Transaction txn = db_.begin();
  txn.note("ada", "first thought");
  const Ref<Label> label = txn.create(Label{"one"});
  txn.note({"ada", "made a label", {{"request", "17"}}});
  const Tid made = txn.commit();
  Transaction aborted = db_.begin();
  aborted.note("eve", "nothing comes of it");
  aborted.write(label).text = "lost";
  aborted.abort();
  Transaction empty = db_.begin();
  empty.note("eve", "writes nothing");
  empty.commit();
  const Tid changed = set(label, "two");
  Transaction moved = db_.begin();
  moved.note("bob", "moved");
  Transaction target = std::move(moved);
  target.erase(label);
  const Tid gone = target.commit();

  std::vector<RevisionInfo> revisions;
  for (const RevisionInfo& info : db_.history(label)) revisions.push_back(info);
  ASSERT_EQ(revisions.size(), 3u);
  EXPECT_EQ(revisions[0].begin, gone);
  EXPECT_TRUE(revisions[0].erased);
  EXPECT_EQ(revisions[0].note, (TransactionNote{"bob", "moved", {}}));
  EXPECT_EQ(revisions[1].begin, changed);
  EXPECT_EQ(revisions[1].end, gone);
  EXPECT_TRUE(revisions[1].note.empty());
  EXPECT_EQ(revisions[2].begin, made);
  EXPECT_EQ(revisions[2].note, (TransactionNote{"ada", "made a label", {{"request", "17"}}}));
  std::vector<std::string> users;
  for (const TransactionInfo& info : db_.transactions(made, kInfinity, HistoryOrder::newest_first))
    users.push_back(info.note.user);
  EXPECT_EQ(users, (std::vector<std::string>{"bob", "", "ada"}));
}

TEST_F(Past, ANoteThatIsTooLargeIsRefusedAtTheCall) {
  Transaction txn = db_.begin();
  EXPECT_THROW(txn.note("ada", std::string(kMaxNoteBytes, 'x')), LimitError);
  txn.note("ada", std::string(kMaxNoteBytes / 2, 'x'));
  (void)txn.create(Label{"one"});
  txn.commit();
  EXPECT_THROW(txn.note("ada", "late"), TransactionEndedError);
}

TEST_F(Past, RangesAreReadInPages) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"0"});
  txn.commit();
  for (int i = 0; i < 1000; ++i) set(label, std::to_string(i));
  const Tid last = db_.last_tid();
  Tid next{1};
  for (const TransactionInfo& info : db_.transactions(Tid{0}, kInfinity)) {
    EXPECT_EQ(info.tid, next);
    next = Tid{next.value + 1};
    if (info.tid.value % 100 == 0) set(label, "later");  // is not in the range
  }
  EXPECT_EQ(next.value, last.value + 1);
  const auto range = db_.transactions(Tid{10}, Tid{900}, HistoryOrder::newest_first);
  for (int round = 0; round < 2; ++round) EXPECT_EQ(std::ranges::distance(range.begin(), range.end()), 891);
  EXPECT_EQ(std::ranges::distance(db_.history(label).begin(), std::default_sentinel), 0 + 1001 + 10);
  int seen = 0;
  for (const RevisionInfo& info : db_.history(label)) {
    EXPECT_GT(info.begin, Tid{1});
    if (++seen == 300) break;
  }
  static_assert(std::ranges::input_range<HistoryRange<TransactionInfo>>);
}

TEST_F(Past, ChangesSinceATidBringACopyUpToDate) {
  std::mt19937_64 random(5);
  std::map<Oid, std::string> copy;
  std::vector<Ref<Label>> labels;
  Tid copied = db_.last_tid();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 40; ++i) {
      Transaction txn = db_.begin();
      for (std::uint64_t n = random() % 4; n > 0; --n) {
        if (labels.empty() || random() % 3 == 0) {
          labels.push_back(txn.create(Label{std::to_string(random())}));
        } else {
          txn.write(labels[random() % labels.size()]).text = std::to_string(random());
        }
      }
      txn.commit();
    }
    Transaction now = db_.begin();
    Tid before{};
    for (const Change& change : db_.changes_since(copied)) {
      EXPECT_GE(change.tid, before);
      EXPECT_GT(change.tid, copied);
      EXPECT_LE(change.tid, now.snapshot());
      before = change.tid;
      if (change.oid == now.root().get<TypeDirectory>(kTypesName).oid()) continue;  // the library's own
      copy[change.oid] = now.read(Ref<Label>(change.oid)).text;
    }
    copied = now.snapshot();
    for (const Ref<Label>& label : labels) ASSERT_EQ(copy[label.oid()], now.read(label).text);
    ASSERT_EQ(copy.size(), labels.size());
  }
  EXPECT_EQ(db_.changes_since(copied).begin(), std::default_sentinel);
  EXPECT_EQ(db_.changes_since(kInfinity).begin(), std::default_sentinel);
}

TEST_F(Past, SyncWaitsForTheFrontier) {
  EXPECT_TRUE(db_.sync(db_.last_tid()));
  EXPECT_FALSE(db_.sync(Tid{2}, std::chrono::milliseconds(0)));
  EXPECT_FALSE(db_.sync(Tid{2}, std::chrono::milliseconds(3)));
  std::jthread other([&] {
    Transaction txn = db_.begin();
    (void)txn.create(Label{"one"});
    txn.commit();
  });
  EXPECT_TRUE(db_.sync(Tid{2}));
  EXPECT_GE(db_.begin().snapshot(), Tid{2});
}

TEST_F(Past, PacksAreNoFurtherThanWhatIsInUse) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"0"});
  std::vector<Tid> tids{txn.commit()};
  for (int i = 1; i < 10; ++i) tids.push_back(set(label, std::to_string(i)));
  EXPECT_EQ(db_.oldest_snapshot(), db_.last_tid());
  {
    Transaction past = db_.begin_at(tids[4]);
    Transaction later = db_.begin_at(tids[6]);
    EXPECT_EQ(db_.oldest_snapshot(), tids[4]);
    past.will_sleep();
    EXPECT_EQ(db_.oldest_snapshot(), tids[4]);
    store_.pack({.before = db_.last_tid(), .oldest_pin = db_.oldest_snapshot(), .is_garbage = {}, .progress = {}});
    db_.evict_all();
    EXPECT_EQ(past.read(label).text, "4");
    EXPECT_EQ(later.read(label).text, "6");
  }
  EXPECT_EQ(text_at(label, tids[4]), "4");
  try {
    db_.begin_at(tids[3]);
    FAIL();
  } catch (const SnapshotTooOldError& error) {
    EXPECT_EQ(error.asked, tids[3]);
    EXPECT_EQ(error.oldest, tids[4]);
    EXPECT_EQ(error.oid, Oid{});
  }
  EXPECT_THROW(db_.changes_since(tids[3]), SnapshotTooOldError);
  EXPECT_EQ(std::ranges::distance(db_.changes_since(tids[4]).begin(), std::default_sentinel), 5);
  EXPECT_EQ(db_.statistics().active_transactions, 0u);
}

// A pack that asks nobody: the next load of who reads below it is refused, and never wrong.
TEST_F(Past, APackBeyondASnapshotInUseIsTold) {
  Transaction txn = db_.begin();
  const Ref<Label> label = txn.create(Label{"0"});
  const Ref<Label> other = txn.create(Label{"other"});
  const Tid tid = txn.commit();
  for (int i = 1; i <= 1000; ++i) set(label, std::to_string(i));  // more than a page
  db_.evict_all();
  Transaction past = db_.begin_at(tid);
  EXPECT_EQ(past.read(other).text, "other");
  auto changes = db_.changes_since(Tid{1});
  auto at = changes.begin();
  store_.pack({.before = kInfinity, .is_garbage = {}, .progress = {}});
  try {
    past.read(label);
    FAIL();
  } catch (const SnapshotTooOldError& error) {
    EXPECT_EQ(error.oid, label.oid());
    EXPECT_EQ(error.asked, tid);
    EXPECT_EQ(error.oldest, db_.last_tid());
  }
  EXPECT_EQ(past.read(other).text, "other") << "what it has read, it has";
  const auto go_through = [&] {
    while (at != changes.end()) ++at;
  };
  EXPECT_THROW(go_through(), SnapshotTooOldError) << "changes were missed";
  EXPECT_EQ(db_.begin().read(label).text, "1000");
}

TEST(PastOfOnesOwnStore, IsRefusedByNameWhereTheStoreLacksIt) {
  MemoryStore inner;
  ForwardingStore store(inner);
  Database db(store);
  Transaction txn = db.begin();
  const Ref<Label> label = txn.create(Label{"one"});
  const auto expect_refused = [](const char* operation, auto&& call) {
    try {
      call();
      FAIL() << operation;
    } catch (const MissingCapabilityError& error) {
      EXPECT_EQ(error.capability, "HistoryStore");
      EXPECT_EQ(error.operation, operation);
    }
  };
  expect_refused("Transaction::note", [&] { txn.note("ada", "one"); });
  const Tid tid = txn.commit();
  expect_refused("Database::begin_at(time)", [&] { db.begin_at(std::chrono::system_clock::now()); });
  expect_refused("Database::history", [&] { (void)db.history(label); });
  expect_refused("Database::transactions", [&] { (void)db.transactions(Tid{1}, tid); });
  expect_refused("Database::changes_since", [&] { (void)db.changes_since(Tid{1}); });
  expect_refused("Database::undo", [&] { db.undo(tid); });
  Transaction change = db.begin();
  change.write(label).text = "two";
  change.commit();
  db.evict_all();
  EXPECT_EQ(db.begin_at(tid).read(label).text, "one") << "four functions are enough for that";
}

TEST(PastOfADurableStore, IsThereAfterReopening) {
  const ScratchDirectory scratch;
  std::vector<Tid> tids;
  Oid oid;
  {
    RocksDbStore store(scratch.store(), creating());
    Database db(store);
    Transaction txn = db.begin();
    txn.note("ada", "made");
    const Ref<Label> label = txn.create(Label{"0"});
    oid = label.oid();
    tids.push_back(txn.commit());
    for (int i = 1; i < 40; ++i) {
      Transaction change = db.begin();
      change.note("user " + std::to_string(i), "");
      change.write(label).text = std::to_string(i);
      tids.push_back(change.commit());
    }
    tids.push_back(db.undo(tids.back()));
  }
  RocksDbStore store(scratch.store());
  Database db(store);
  for (std::size_t i = 0; i + 1 < tids.size(); ++i)
    EXPECT_EQ(db.begin_at(tids[i]).read(Ref<Label>(oid)).text, std::to_string(i));
  EXPECT_EQ(db.begin().read(Ref<Label>(oid)).text, "38");
  std::size_t at = tids.size();
  for (const RevisionInfo& info : db.history(oid)) {
    EXPECT_EQ(info.begin, tids[--at]);
    EXPECT_TRUE(at == 0 || at == 40 || info.note.user == "user " + std::to_string(at)) << info.note.user;
  }
  EXPECT_EQ(at, 0u);
  EXPECT_EQ(store.verify(), tids.size() + 1);
}

// Readers of the past beside writers, under a budget that keeps nearly nothing: each sees its own tid, whoever evicts.
TEST_F(Past, ReadersOfManyTidsBesideWriters) {
  constexpr int kLabels = 8;
  MemoryStore store;
  Database db(store, CacheOptions{.cache_bytes = 4 << 10, .limbo_bytes = 1 << 10});
  Transaction first = db.begin();
  std::vector<Ref<Label>> labels;
  for (int i = 0; i < kLabels; ++i) labels.push_back(first.create(Label{"0"}));
  const Tid start = first.commit();
  std::atomic<bool> stop{false};
  std::atomic<int> looks{0};
  run_threads(4, [&](int index) {
    std::mt19937_64 random(index);
    if (index == 0) {
      // Every commit writes its own tid into all labels.
      for (int i = 0; i < 2000; ++i) {
        Transaction txn = db.begin();
        for (const Ref<Label>& label : labels) txn.write(label).text = std::to_string(txn.snapshot().value + 1);
        txn.commit();
      }
      stop = true;
      return;
    }
    while (!stop || looks == 0) {
      const std::uint64_t span = db.last_tid().value - start.value;
      const Tid at{start.value + (span == 0 ? 0 : random() % (span + 1))};
      Transaction past = db.begin_at(at);
      const std::string expected = at == start ? "0" : std::to_string(at.value);
      for (int i = 0; i < 3 * kLabels; ++i) {
        const Ref<Label>& label = labels[random() % kLabels];
        ASSERT_EQ(i % 2 == 0 ? past.read(label).text : past.read(Ref<Label>(label.oid())).text, expected);
      }
      ++looks;
    }
  });
  EXPECT_GT(looks, 0);
}

}  // namespace
}  // namespace cow::testing
