// What commits leave behind: superseded revisions that no snapshot sees go, whoever else sleeps, and what a transaction has
// superseded itself is not left in limbo.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

struct Note {
  std::int64_t number = 0;
  std::string text = std::string(200, 'x');
  MSGPACK_DEFINE_MAP(number, text);
};

struct Other {
  std::int64_t number = 0;
  MSGPACK_DEFINE_MAP(number);
};

/// The newest revisions cannot be decoded; older ones can.
class CorruptNewestStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    std::optional<Revision> revision = inner_.load(oid, at);
    if (corrupt && revision && revision->end == kInfinity) revision->record.resize(revision->record.size() / 2);
    return revision;
  }
  bool corrupt = false;
};

// What a later transaction has made of an object is nothing to an older snapshot, not even as an error.
TEST(NewerRevisions, AReferenceOfTheWrongTypeFindsNothingWhereNothingWas) {
  MemoryStore store;
  Database db(store);
  Transaction early = db.begin();
  Ref<Note> note = db.transact([](Transaction& txn) { return txn.create(Note{}); });
  db.evict_all();
  EXPECT_THROW(early.read(Ref<Other>(note.oid())), DanglingReferenceError);
  EXPECT_THROW(db.begin().read(Ref<Other>(note.oid())), TypeMismatchError);
}

TEST(NewerRevisions, AnOlderOneIsReadThoughTheNewestIsCorrupt) {
  MemoryStore memory;
  CorruptNewestStore store(memory);
  Database db(store);
  Ref<Note> note = db.transact([](Transaction& txn) { return txn.create(Note{}); });
  Transaction early = db.begin();
  db.transact([&](Transaction& txn) { txn.write(note).number = 1; });
  db.evict_all();
  store.corrupt = true;
  EXPECT_EQ(early.read(Ref<Note>(note.oid())).number, 0);
  EXPECT_THROW(db.begin().read(Ref<Note>(note.oid())), CorruptRecordError);
}

/// Before an older revision is loaded, another thread does something, and has some time for it.
class InterruptedStore : public CorruptNewestStore {
 public:
  using CorruptNewestStore::CorruptNewestStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    if (at != kInfinity && meanwhile) {
      other = std::async(std::launch::async, std::exchange(meanwhile, nullptr));
      has_waited = other.wait_for(std::chrono::seconds(5)) != std::future_status::ready;
    }
    return CorruptNewestStore::load(oid, at);
  }
  std::function<void()> meanwhile;
  std::future<void> other;
  bool has_waited = false;
};

// The loader may wait for others by then, and run destructors that ask for the same object.
TEST(NewerRevisions, NobodyWaitsForALoaderThatGoesOnToAnOlderOne) {
  MemoryStore memory;
  InterruptedStore store(memory);
  Database db(store);
  Ref<Note> note = db.transact([](Transaction& txn) { return txn.create(Note{}); });
  Transaction early = db.begin();
  db.transact([&](Transaction& txn) { txn.write(note).number = 1; });
  db.evict_all();
  store.corrupt = true;
  store.meanwhile = [&] { EXPECT_THROW(db.begin().read(Ref<Note>(note.oid())), CorruptRecordError); };
  EXPECT_EQ(early.read(Ref<Note>(note.oid())).number, 0);
  ASSERT_TRUE(store.other.valid());
  store.other.wait();
  EXPECT_FALSE(store.has_waited);
}

class OldRevisionsTest : public ::testing::Test {
 protected:
  std::vector<Ref<Note>> make(int count) {
    return db_.transact([&](Transaction& txn) {
      std::vector<Ref<Note>> notes;
      for (int i = 0; i < count; ++i) notes.push_back(txn.create(Note{}));
      return notes;
    });
  }
  void change(const Ref<Note>& note) {
    db_.transact([&](Transaction& txn) { ++txn.write(note).number; });
  }
  std::uint64_t resident() { return db_.statistics().cache_bytes; }
  std::uint64_t limbo() { return db_.statistics().limbo_bytes; }

  static constexpr int kNotes = 2000;
  MemoryStore store_;
  Database db_{store_};
};

TEST_F(OldRevisionsTest, AfterOneUpdateOfEachObjectNothingIsThereTwice) {
  std::vector<Ref<Note>> notes = make(kNotes);
  std::uint64_t before = resident();
  for (const Ref<Note>& note : notes) change(note);
  EXPECT_EQ(resident(), before);
  db_.transact([&](Transaction& txn) {
    for (const Ref<Note>& note : notes) ++txn.write(note).number;
  });
  EXPECT_EQ(resident(), before);
  db_.transact([&](Transaction& txn) {
    for (const Ref<Note>& note : notes) txn.erase(note);
  });
  EXPECT_LT(resident(), before / 2);
}

TEST_F(OldRevisionsTest, ATransactionFreesWhatItHasSuperseded) {
  std::vector<Ref<Note>> notes = make(kNotes);
  for (int round = 0; round < 3; ++round) {
    Transaction txn = db_.begin();
    for (const Ref<Note>& note : notes) ++txn.write(note).number;
    txn.commit();
    EXPECT_LE(limbo(), 32u << 10) << "less than a batch or two";
  }
}

/// Lets a test do something while a transaction is with the store: its own thread has asked who else is active by then.
class BusyStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void commit(std::span<const TransactionWrite> group) override {
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    inner_.commit(group);
  }
  std::function<void()> meanwhile;
};

TEST(OldRevisionsOfOne, ATransactionThatBeginsWhileAnotherOneCommitsSeesWhatThatSupersedes) {
  MemoryStore memory;
  BusyStore store(memory);
  Database db(store);
  std::vector<Ref<Note>> notes = db.transact([](Transaction& txn) {
    return std::vector<Ref<Note>>{txn.create(Note{}), txn.create(Note{}), txn.create(Note{})};
  });
  for (const Isolation isolation : {Isolation::snapshot, Isolation::serializable}) {
    std::optional<Transaction> other;
    const std::int64_t before = db.begin().read(notes[0]).number;
    store.meanwhile = [&] {
      std::async(std::launch::async, [&] {
        other = db.begin(isolation);
        EXPECT_EQ(other->read(notes[2]).number, before);
      }).wait();
    };
    db.transact([&](Transaction& txn) {
      for (const Ref<Note>& note : notes) ++txn.write(note).number;
    });
    EXPECT_EQ(db.begin().read(notes[0]).number, before + 1);
    EXPECT_EQ(other->read(notes[0]).number, before);
    EXPECT_EQ(other->read(Ref<Note>(notes[1].oid())).number, before);
    EXPECT_EQ(other->read(notes[2]).number, before) << "logged before it was superseded";
    other->write(notes[2]).number = -1;
    EXPECT_THROW(other->commit(), ConflictError);
  }
}

TEST(OldRevisionsOfOne, ASerializableTransactionIsToldThatWhatItReadWasSupersededAndDroppedAtOnce) {
  MemoryStore memory;
  BusyStore store(memory);
  Database db(store);
  const Ref<Note> read = db.transact([](Transaction& txn) { return txn.create(Note{}); });
  const Ref<Note> written = db.transact([](Transaction& txn) { return txn.create(Note{}); });
  std::optional<Transaction> other;
  store.meanwhile = [&] {
    std::async(std::launch::async, [&] {
      other = db.begin(Isolation::serializable);
      EXPECT_EQ(other->read(read).number, 0);
    }).wait();
  };
  db.transact([&](Transaction& txn) { ++txn.write(read).number; });
  other->write(written).number = 1;
  EXPECT_THROW(other->commit(), ConflictError);
}

// Else a thread that changes the same objects again and again would never be taken to be alone.
TEST_F(OldRevisionsTest, ObjectsThatEachCommitChangesLeaveTheQueueOnceNobodySeesTheirOldRevisions) {
  std::vector<Ref<Note>> notes = make(kNotes);
  auto change_all = [&] {
    db_.transact([&](Transaction& txn) {
      for (const Ref<Note>& note : notes) ++txn.write(note).number;
    });
  };
  {
    Transaction reader = db_.begin();
    change_all();  // leaves revisions that the reader sees
  }
  const std::uint64_t waiting = db_.statistics().table_bytes;
  change_all();
  change_all();
  EXPECT_LE(db_.statistics().table_bytes + kNotes / 64 * 64 * sizeof(Oid), waiting) << "the queue is counted";
}

TEST_F(OldRevisionsTest, WhatAReaderHasSeenGoesWhileOthersCommitAfterItsEnd) {
  std::vector<Ref<Note>> notes = make(kNotes);
  Ref<Note> other = make(1).front();
  std::uint64_t before = resident();
  {
    Transaction reader = db_.begin();
    for (const Ref<Note>& note : notes) change(note);
    EXPECT_GE(resident(), before * 3 / 2) << "the reader may still want them";
    std::uint64_t old_loads = db_.statistics().old_loads;
    for (const Ref<Note>& note : notes) EXPECT_EQ(reader.read(note).number, 0);
    EXPECT_EQ(db_.statistics().old_loads, old_loads);
  }
  for (int i = 0; i < kNotes / 2; ++i) change(other);  // of another object
  EXPECT_EQ(resident(), before);
  EXPECT_LE(limbo(), CacheOptions{}.limbo_bytes);
}

// Whichever thread has left them, and whether it commits again or not.
TEST_F(OldRevisionsTest, WhatAThreadThatHasEndedHasLeftGoesWhileOthersCommit) {
  std::vector<Ref<Note>> notes = make(kNotes);
  Ref<Note> other = make(1).front();
  std::uint64_t before = resident();
  {
    Transaction reader = db_.begin();
    for (int i = 0; i < 20; ++i) {
      std::thread([&, i] {
        for (int k = i; k < kNotes; k += 20) change(Ref<Note>(notes[static_cast<std::size_t>(k)].oid()));
      }).join();
    }
    EXPECT_GE(resident(), before * 3 / 2) << "the reader may still want them";
  }
  for (int i = 0; i < kNotes / 2; ++i) change(other);
  EXPECT_EQ(resident(), before);
}

TEST_F(OldRevisionsTest, RevisionsLoadedForAnOldSnapshotGoAsWell) {
  std::vector<Ref<Note>> notes = make(kNotes);
  Ref<Note> other = make(1).front();
  std::uint64_t before = resident();
  {
    Transaction reader = db_.begin();
    for (const Ref<Note>& note : notes) change(note);
    db_.evict_all();
    for (const Ref<Note>& note : notes) EXPECT_EQ(db_.begin().read(Ref<Note>(note.oid())).number, 1);
    for (const Ref<Note>& note : notes) EXPECT_EQ(reader.read(Ref<Note>(note.oid())).number, 0);
    EXPECT_GE(resident(), before * 3 / 2);
  }
  for (int i = 0; i < kNotes / 2; ++i) change(other);
  EXPECT_LE(resident(), before);
}

// An object whose newest state is evicted and loaded again, with an old revision, is waited for once and not once more each
// time: nothing works the queue off while nobody commits.
TEST_F(OldRevisionsTest, TheQueueFollowsTheObjectsAndNotTheLoads) {
  std::vector<Ref<Note>> notes = make(100);
  const int rounds = 60;
  std::vector<Transaction> early;
  for (int i = 0; i < rounds; ++i) early.push_back(db_.begin());
  for (const Ref<Note>& note : notes) change(note);
  std::uint64_t at_first = 0, at_last = 0;
  for (Transaction& reader : early) {
    db_.evict_all();
    for (const Ref<Note>& note : notes) {
      EXPECT_EQ(db_.begin().read(Ref<Note>(note.oid())).number, 1);
      EXPECT_EQ(reader.read(Ref<Note>(note.oid())).number, 0);
    }
    at_last = db_.statistics().table_bytes;
    if (at_first == 0) at_first = at_last;
  }
  EXPECT_EQ(at_last, at_first);
}

// Each sees a revision of its own of one object: they stay, and not many more than these, and the object's commits do not
// look at all of them each time.
TEST_F(OldRevisionsTest, AnObjectThatManySnapshotsSeeKeepsLittleMore) {
  const int sleepers = detail::kSmallBatches ? 300 : 3000;
  Ref<Note> hot = make(1).front(), other = make(1).front();
  std::uint64_t one = resident() / 2;
  std::vector<Transaction> asleep;
  for (int i = 0; i < sleepers; ++i) {
    change(hot);
    asleep.push_back(db_.begin());
    if (i % 2 == 0) asleep.back().will_sleep();
  }
  std::uint64_t most = 0;
  for (int i = 0; i < 4 * sleepers; ++i) {
    change(hot);
    most = std::max(most, resident());
  }
  EXPECT_LE(most, (static_cast<std::uint64_t>(sleepers) * 3 / 2 + 1000) * one);
  std::uint64_t old_loads = db_.statistics().old_loads;
  for (int i = 0; i < sleepers; i += 7) EXPECT_EQ(asleep[static_cast<std::size_t>(i)].read(hot).number, i + 1);
  EXPECT_EQ(db_.statistics().old_loads, old_loads) << "what they see is there";
  asleep.clear();
  for (int i = 0; i < 8 * sleepers; ++i) change(other);
  // The list of snapshots is made less often when there are many slots.
  EXPECT_LE(resident(), (static_cast<std::uint64_t>(sleepers) / 16 + 10) * one);
}

// A long walk gives up the lock on its way. Meanwhile the object is changed, evicted and loaded again, and old revisions are
// read; each snapshot goes on seeing its own.
TEST_F(OldRevisionsTest, AWalkMayBeInterruptedByEverything) {
  const int sleepers = detail::kSmallBatches ? 300 : 1000, rounds = detail::kSmallBatches ? 300 : 3000;
  Ref<Note> hot = make(1).front();
  std::vector<Transaction> asleep;
  for (int i = 0; i < sleepers; ++i) {
    change(hot);
    asleep.push_back(db_.begin());
  }
  std::atomic<int> working = 2, wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&] {
      RetryPolicy patient;
      patient.most_attempts = 1000;
      for (int i = 0; i < rounds; ++i) {
        db_.transact([&](Transaction& txn) { ++txn.write(Ref<Note>(hot.oid())).number; }, patient);
      }
      --working;
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; working > 0; ++i) {
      auto sleeper = static_cast<std::size_t>(i * 31 % sleepers);
      wrong += asleep[sleeper].read(Ref<Note>(hot.oid())).number != static_cast<std::int64_t>(sleeper) + 1;
      if (i % 500 == 0) db_.evict_all();
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(db_.begin().read(hot).number, sleepers + 2 * rounds);
}

// Every commit of many threads prunes, and all of them queue.
TEST_F(OldRevisionsTest, NothingStaysAfterThreadsHaveChangedAndReadEverything) {
  const int rounds = detail::kSmallBatches ? 200 : 2000;
  std::vector<Ref<Note>> notes = make(64);
  std::uint64_t before = resident();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < rounds; ++i) {
        Transaction reader = db_.begin();
        (void)reader.read(Ref<Note>(notes[static_cast<std::size_t>((i * 7 + thread) % 64)].oid()));
        change(Ref<Note>(notes[static_cast<std::size_t>((i * 5 + thread * 16) % 64)].oid()));
        (void)reader.read(Ref<Note>(notes[static_cast<std::size_t>(i % 64)].oid()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 64; ++i) change(notes.front());  // works the queue off
  EXPECT_EQ(resident(), before);
}

}  // namespace
}  // namespace cow
