// Several databases over one store, as processes would have them: what each sees of the others, and who wins.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_peer.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/peer_testing.hpp"

namespace cow::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class Peers : public ::testing::Test {
 protected:
  template <class T>
  static Tid set(Database& database, const Ref<T>& reference, const std::string& text) {
    Transaction txn = database.begin();
    txn.write(reference).text = text;
    return txn.commit();
  }
  Ref<Label> created(Database& database, const std::string& text, Tid* tid = nullptr) {
    Transaction txn = database.begin();
    const Ref<Label> label = txn.create(Label{text});
    const Tid committed = txn.commit();
    if (tid != nullptr) *tid = committed;
    return label;
  }
  static std::string read_at_least(Database& database, const Ref<Label>& label, Tid tid) {
    return database.begin_at_least(tid).read(label).text;
  }

  MemoryStore store_;
  TestPeer here_{store_}, there_{store_};
  Database a_{here_}, b_{there_};
};

TEST_F(Peers, SeeWhatOthersCommitBeforeLong) {
  const Ref<Label> label = created(a_, "one");
  const Tid second = set(a_, label, "two");
  ASSERT_TRUE(b_.sync(second, hours(1)));
  EXPECT_EQ(b_.begin().read(label).text, "two");
  const Tid third = set(b_, label, "three");
  EXPECT_EQ(third.value, second.value + 1) << "each commit takes one tid, whoever makes it";
  while (a_.last_tid() < third) std::this_thread::yield();  // the poller alone
  EXPECT_EQ(a_.begin().read(label).text, "three");
  EXPECT_GE(a_.peer_status().remote_commits, 1u);
  EXPECT_EQ(a_.statistics().remote_commits, a_.peer_status().remote_commits);
}

TEST_F(Peers, AskSeldomWhereTheyAloneCommit) {
  const Ref<Label> label = created(a_, "0");
  const auto began = std::chrono::steady_clock::now();
  const std::uint64_t before = a_.peer_status().polls;
  for (int i = 1; i <= 2'000; ++i) set(a_, label, std::to_string(i));
  const std::uint64_t polls = a_.peer_status().polls - before;
  const auto taken = std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - began);
  // After each that a commit has ended it rests for a millisecond at least.
  EXPECT_LE(polls, static_cast<std::uint64_t>(taken.count()) + 10);
}

TEST_F(Peers, LearnUpToWhatWasAskedForWhileOthersNeverStop) {
  const Ref<Label> label = created(a_, "0");
  there_.before_history = [&] { set(a_, label, "more"); };  // so a page of the history is never empty
  there_.commits_meanwhile = true;
  for (int i = 0; i < 20; ++i) {
    const Tid tid = set(a_, label, std::to_string(i));
    ASSERT_TRUE(b_.sync(tid, hours(1)));
    EXPECT_GE(b_.begin_at_least(tid).snapshot(), tid);
  }
  const std::uint64_t polls = b_.peer_status().polls;
  while (b_.peer_status().polls < polls + 5) std::this_thread::yield();  // each comes to its end
  there_.commits_meanwhile = false;
}

TEST_F(Peers, BeginsWhereOthersHavePackedMeanwhile) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  there_.holds_nothing = true;
  store_.release(&there_);
  TestPeer late_peer(store_);
  late_peer.before_hold = [&] {  // the new database has read the last tid, and holds nothing yet
    set(a_, label, "1");
    a_.pack(kInfinity);
  };
  Database late(late_peer);
  EXPECT_EQ(late.begin().read(label).text, "1");
}

TEST_F(Peers, ReadTheirOwnWritesElsewhere) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  for (int i = 1; i < 200; ++i) {
    Database& writer = i % 2 == 0 ? a_ : b_;
    Database& reader = i % 2 == 0 ? b_ : a_;
    EXPECT_EQ(read_at_least(writer, label, tid), std::to_string(i - 1));
    tid = set(writer, label, std::to_string(i));
    EXPECT_EQ(read_at_least(reader, label, tid), std::to_string(i));
  }
}

TEST_F(Peers, FirstCommitterWinsAcrossDatabases) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  Transaction late = b_.begin();
  late.write(label).text = "lost";
  const Tid won = set(a_, label, "won");
  try {
    late.commit();
    FAIL() << "an update is lost";
  } catch (const ConflictError& error) {
    ASSERT_EQ(error.conflicts.size(), 1u);
    EXPECT_EQ(error.conflicts[0].oid, label.oid());
    EXPECT_EQ(error.conflicts[0].base, tid);
    EXPECT_EQ(error.conflicts[0].current, won);
    EXPECT_TRUE(error.conflicts[0].changed);
  }
  EXPECT_GE(b_.last_tid(), won) << "who tries again sees what was in the way";
  EXPECT_EQ(b_.begin().read(label).text, "won");
  EXPECT_EQ(b_.statistics().conflicts, 1u);
}

TEST_F(Peers, WhatIsKnownToConflictIsNotProposed) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  Transaction late = b_.begin();
  late.write(label).text = "lost";
  Transaction unread = b_.begin(Isolation::serializable);
  unread.read(label);
  unread.create(Label{"of it"});
  ASSERT_TRUE(b_.sync(set(a_, label, "won"), hours(1)));
  const int before = there_.proposals;
  EXPECT_THROW(late.commit(), ConflictError);
  EXPECT_THROW(unread.commit(), ConflictError);
  EXPECT_EQ(there_.proposals, before);
}

TEST_F(Peers, SerializableTransactionsOfTwoDatabasesMakeNoSkew) {
  const Ref<Label> x = created(a_, "on");
  Tid tid{};
  const Ref<Label> y = created(a_, "on", &tid);
  for (Isolation level : {Isolation::snapshot, Isolation::serializable}) {
    Transaction one = a_.begin_at_least(tid, level), other = b_.begin_at_least(tid, level);
    EXPECT_FALSE(one.read(x).text.empty());
    one.write(y).text += "1";
    EXPECT_FALSE(other.read(y).text.empty());
    other.write(x).text += "2";
    tid = one.commit();
    if (level == Isolation::snapshot) {
      tid = other.commit();
    } else {
      EXPECT_THROW(other.commit(), ConflictError);
    }
  }
}

TEST_F(Peers, ReadsOfWhatWasAbsentAreValidated) {
  Tid tid{};
  const Ref<Label> mine = created(a_, "mine", &tid);
  for (bool is_known : {false, true}) {
    Transaction maker = b_.begin_at_least(tid);
    const Ref<Label> made = maker.create(Label{"made"});
    Transaction asks = a_.begin(Isolation::serializable);
    EXPECT_THROW(asks.read(Ref<Label>(made.oid())), DanglingReferenceError);
    asks.write(mine).text = "there was none";
    tid = maker.commit();
    if (is_known) {
      ASSERT_TRUE(a_.sync(tid, hours(1)));
    }
    try {
      asks.commit();
      FAIL() << "it depends on what another one has made";
    } catch (const ConflictError& error) {
      ASSERT_EQ(error.conflicts.size(), 1u);
      EXPECT_EQ(error.conflicts[0].oid, made.oid());
      EXPECT_EQ(error.conflicts[0].base, Tid{});
      EXPECT_EQ(error.conflicts[0].current, tid);
      EXPECT_FALSE(error.conflicts[0].changed);
    }
  }
  // What is erased, or of another type, was absent as well, and goes on being so.
  Transaction eraser = b_.begin_at_least(tid);
  const Ref<Label> erased = eraser.create(Label{"erased"});
  eraser.commit();
  Transaction again = b_.begin();
  again.erase(erased);
  tid = again.commit();
  a_.evict_all();
  Transaction asks = a_.begin_at_least(tid, Isolation::serializable);
  EXPECT_THROW(asks.read(Ref<Label>(erased.oid())), DanglingReferenceError);
  EXPECT_THROW(asks.read(Ref<Account>(mine.oid())), TypeMismatchError);
  asks.create(Label{"of it"});
  EXPECT_NO_THROW(asks.commit());
}

// ---- loads and remote commits

TEST_F(Peers, ALoadThatHasBegunBeforeARemoteCommitInstallsNothingOlder) {
  Tid tid{};
  const Ref<Label> label = created(a_, "one", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  for (bool in_batch : {false, true}) {
    tid = set(a_, label, "one");
    ASSERT_TRUE(b_.sync(tid, hours(1)));
    b_.evict_all();
    there_.hold_loads(label.oid());
    std::thread loader([&] {
      Transaction old = b_.begin();
      const std::vector<Ref<Label>> references{Ref<Label>(label.oid())};
      if (in_batch) old.load_ahead<Label>(references);
      EXPECT_EQ(old.read(Ref<Label>(label.oid())).text, "one");
    });
    there_.await_held_load();  // it has read "one" from the store
    const Tid two = set(a_, label, "two");
    ASSERT_TRUE(b_.sync(two, hours(1)));
    there_.let_go();
    loader.join();
    EXPECT_EQ(b_.begin().read(Ref<Label>(label.oid())).text, "two") << (in_batch ? "load_ahead" : "read");
  }
}

// Who waits for the load of another thread gets what that one gets, for a program to tell a server that is gone from other failures.
TEST_F(Peers, WhoWaitsForALoadGetsItsFailureAsWhatItIs) {
  class Lost : public StoreConnectionError {
    using StoreConnectionError::StoreConnectionError;
  };
  const auto fails = [&]<class Error>(const Error& /*as*/, const std::exception_ptr& failure) {
    Tid tid{};
    const Ref<Label> label = created(a_, "one", &tid);
    ASSERT_TRUE(b_.sync(tid, hours(1)));
    there_.load_failure = failure;
    for (int loads = 0; loads != 1;) {  // until there was one that waited
      const int before = there_.loads;
      there_.hold_loads(label.oid());
      const auto reads = [&] { EXPECT_THROW(b_.begin().read(Ref<Label>(label.oid())), Error); };
      std::thread loader(reads);
      there_.await_held_load();
      std::thread waiter(reads);
      std::this_thread::sleep_for(milliseconds(1));
      there_.let_go();
      loader.join();
      waiter.join();
      loads = there_.loads - before;
    }
    there_.load_failure = nullptr;
    EXPECT_EQ(b_.begin().read(label).text, "one");
  };
  fails(StoreConnectionError("gone"), std::make_exception_ptr(Lost("gone")));
  fails(StoreBehindError(Tid{2}, Tid{1}), std::make_exception_ptr(StoreBehindError(Tid{2}, Tid{1})));
}

TEST_F(Peers, ALoadMeetsWhatTheFrontierHasNotReached) {
  Tid one{};
  const Ref<Label> label = created(a_, "one", &one);
  ASSERT_TRUE(b_.sync(one, hours(1)));
  there_.make_deaf();
  const Tid two = set(a_, label, "two");
  EXPECT_EQ(b_.begin().read(Ref<Label>(label.oid())).text, "one") << "the store has two already";
  there_.is_deaf = false;
  ASSERT_TRUE(b_.sync(two, hours(1)));
  const int loads = there_.loads;
  EXPECT_EQ(b_.begin().read(Ref<Label>(label.oid())).text, "two");
  EXPECT_EQ(there_.loads, loads) << "it was loaded ahead of the frontier, and stayed";
  EXPECT_EQ(b_.begin_at(one).read(Ref<Label>(label.oid())).text, "one");
}

TEST_F(Peers, APublicationMeetsWhatOthersHaveMadeOfItAlready) {
  Tid tid{};
  const Ref<Label> label = created(a_, "one", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  Tid later{};
  there_.after_propose = [&](const std::vector<Outcome>& outcomes) {
    const Tid ours = outcomes.at(0).tid;
    Transaction theirs = a_.begin_at_least(ours);
    EXPECT_EQ(theirs.read(label).text, "two");
    theirs.write(label).text = "three";
    later = theirs.commit();
    b_.evict_all();
    EXPECT_EQ(b_.begin().read(Ref<Label>(label.oid())).text, "one") << "neither is published";
  };
  const Tid two = set(b_, label, "two");
  EXPECT_EQ(b_.begin_at(two).read(Ref<Label>(label.oid())).text, "two");
  ASSERT_TRUE(b_.sync(later, hours(1)));
  EXPECT_EQ(b_.begin().read(Ref<Label>(label.oid())).text, "three");
  EXPECT_EQ(b_.begin_at(two).read(Ref<Label>(label.oid())).text, "two");
  EXPECT_EQ(b_.begin_at(tid).read(Ref<Label>(label.oid())).text, "one");
}

TEST_F(Peers, WhatCameBeforeAnOwnCommitIsPublishedBeforeIt) {
  const Ref<Label> theirs = created(a_, "0");
  Tid tid{};
  const Ref<Label> mine = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  EXPECT_EQ(b_.begin().read(theirs).text, "0");
  there_.make_deaf();
  for (int i = 0; i < 600; ++i) set(a_, theirs, std::to_string(i));  // more than a page of the history
  const Tid last = set(b_, mine, "1");
  EXPECT_EQ(last.value, tid.value + 601);
  EXPECT_EQ(b_.last_tid(), last);
  EXPECT_EQ(b_.begin().read(theirs).text, "599") << "a prefix of the order of tids, or nothing";
  EXPECT_EQ(b_.peer_status().remote_commits, a_.statistics().commits);
}

TEST_F(Peers, AChangedObjectIsLoadedOnce) {
  Tid tid{};
  const Ref<Label> label = created(a_, "one", &tid);
  EXPECT_EQ(read_at_least(b_, label, tid), "one");
  Transaction old = b_.begin(), older_still = b_.begin();
  ASSERT_TRUE(b_.sync(set(a_, label, "two"), hours(1)));
  const int loads = there_.loads;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(b_.begin().read(label).text, "two");
  EXPECT_EQ(there_.loads, loads + 1);
  EXPECT_EQ(old.read(label).text, "one");
  EXPECT_EQ(older_still.read(Ref<Label>(label.oid())).text, "one");
  EXPECT_EQ(there_.loads, loads + 1) << "what a snapshot needs is not dropped";
}

TEST_F(Peers, OldSnapshotsStayRightWhileOthersCommit) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  std::vector<Transaction> old;
  for (int i = 0; i < 40; ++i) {
    old.push_back(b_.begin_at_least(tid));
    if (i % 3 == 0) {
      EXPECT_EQ(old.back().read(label).text, std::to_string(i));
    }
    if (i % 7 == 0) b_.evict_all();
    tid = set(i % 5 == 0 ? b_ : a_, label, std::to_string(i + 1));
    if (i % 5 != 0) {
      ASSERT_TRUE(b_.sync(tid, hours(1)));
    } else {
      ASSERT_TRUE(a_.sync(tid, hours(1)));
    }
  }
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 40; ++i)
      EXPECT_EQ(old[static_cast<std::size_t>(i)].read(Ref<Label>(label.oid())).text, std::to_string(i));
    b_.evict_all();
  }
}

TEST_F(Peers, WhatReadersLeaveBehindIsGivenBackByThePoller) {
  const std::string large(1000, 'x');
  std::vector<Ref<Label>> labels;
  for (int i = 0; i < 8; ++i) labels.push_back(created(a_, large));
  Tid tid{};
  for (int i = 0; i < 300; ++i) {
    for (const Ref<Label>& label : labels) tid = set(a_, label, large + std::to_string(i));
    Transaction txn = b_.begin_at_least(tid);
    for (const Ref<Label>& label : labels)
      EXPECT_EQ(txn.read(label).text.size(), large.size() + std::to_string(i).size());
  }
  // One more commit, for the last one's old revisions: then its poll has worked everything off, in the end.
  tid = set(a_, labels[0], large);
  EXPECT_EQ(read_at_least(b_, labels[0], tid), large);
  while (b_.statistics().cache_bytes > 40 * large.size()) std::this_thread::yield();
  EXPECT_LE(b_.statistics().limbo_bytes, CacheOptions{}.limbo_bytes + 40 * large.size());
}

// ---- what fails

TEST_F(Peers, ReadsGoOnAtTheLastFrontierUntilItIsTooOld) {
  Tid tid{};
  const Ref<Label> label = created(a_, "one", &tid);
  TestPeer impatient_peer(store_);
  CacheOptions options;
  options.peers = {.poll_every = milliseconds(5), .max_staleness = milliseconds(200)};
  Database impatient(impatient_peer, options);
  EXPECT_EQ(impatient.begin().read(label).text, "one");
  EXPECT_EQ(read_at_least(b_, label, tid), "one");
  impatient_peer.is_cut_off = there_.is_cut_off = true;
  while (b_.peer_status().error == nullptr) std::this_thread::yield();
  for (bool refused = false; !refused;) {
    try {
      EXPECT_EQ(impatient.begin().read(label).text, "one");
      std::this_thread::yield();
    } catch (const StaleFrontierError& error) {
      EXPECT_EQ(error.frontier, tid);
      EXPECT_TRUE(error.cause != nullptr);
      refused = true;
    }
  }
  EXPECT_GE(impatient.peer_status().since_last_poll, milliseconds(200));
  EXPECT_GE(impatient.peer_status().failures, 1u);
  EXPECT_THROW(impatient.sync(Tid{tid.value + 1}, milliseconds(1)), StoreError);
  // Those that are patient go on reading; a commit says what the store says.
  Transaction txn = b_.begin();
  EXPECT_EQ(b_.begin().read(label).text, "one");
  txn.write(label).text = "lost";
  EXPECT_THROW(txn.commit(), StoreError);
  impatient_peer.is_cut_off = there_.is_cut_off = false;
  const Tid two = set(a_, label, "two");
  ASSERT_TRUE(impatient.sync(two, hours(1)));
  EXPECT_EQ(impatient.begin().read(label).text, "two");
  while (impatient.peer_status().error != nullptr) std::this_thread::yield();
}

TEST_F(Peers, WhoCannotLearnWhatIsCommittedIsNotFresh) {
  Tid tid{};
  const Ref<Label> label = created(a_, "one", &tid);
  TestPeer impatient_peer(store_);
  CacheOptions options;
  options.peers = {.poll_every = milliseconds(5), .max_staleness = milliseconds(200)};
  Database impatient(impatient_peer, options);
  EXPECT_EQ(impatient.begin().read(label).text, "one");
  impatient_peer.history_fails = true;  // that there is something the store does say
  const Tid two = set(a_, label, "two");
  for (bool refused = false; !refused;) {
    try {
      EXPECT_EQ(impatient.begin().read(label).text, "one");
      std::this_thread::sleep_for(milliseconds(5));
    } catch (const StaleFrontierError&) {
      refused = true;
    }
  }
  EXPECT_GE(impatient.peer_status().since_last_poll, milliseconds(200));
  impatient_peer.history_fails = false;
  while (impatient.last_tid() < two || impatient.peer_status().error != nullptr) std::this_thread::yield();
  EXPECT_EQ(impatient.begin().read(label).text, "two");
}

TEST_F(Peers, AGapEndsAllWork) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  Transaction open = b_.begin(), other = b_.begin();
  EXPECT_EQ(open.read(label).text, "0");
  other.create(Label{"never"});
  there_.hidden_tid = tid.value + 1;
  set(a_, label, "1");
  const Tid third = set(a_, label, "2");
  for (;;) {  // by the poller, or by this
    try {
      b_.sync(third, milliseconds(1));
    } catch (const TidGapError& error) {
      EXPECT_EQ(error.after, tid);
      EXPECT_EQ(error.next, third);
      break;
    }
  }
  EXPECT_EQ(b_.last_tid(), tid) << "never read past it";
  EXPECT_THROW(b_.begin(), TidGapError);
  EXPECT_THROW(b_.begin_at_least(tid), TidGapError);
  EXPECT_EQ(open.read(label).text, "0");
  EXPECT_THROW(other.commit(), TidGapError);
  EXPECT_EQ(a_.begin().read(label).text, "2");
}

TEST_F(Peers, AHistoryThatSaysItIsDamagedIsAGap) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  there_.history_is_damaged = true;
  set(a_, label, "1");
  for (bool refused = false; !refused;) {  // by the poller
    try {
      b_.begin();
    } catch (const TidGapError& error) {
      EXPECT_EQ(error.after, tid);
      EXPECT_EQ(error.next, Tid{});
      refused = true;
    }
  }
  EXPECT_EQ(b_.last_tid(), tid);
}

TEST_F(Peers, ACommitBehindAPackIsSeenAfterTheJump) {
  Tid tid{};
  const Ref<Label> theirs = created(a_, "0");
  const Ref<Label> mine = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  ASSERT_TRUE(a_.sync(set(b_, mine, "0"), hours(1)));  // b knows the type from now on
  there_.holds_nothing = true;
  there_.make_deaf();
  store_.release(&there_);
  for (int i = 1; i < 5; ++i) set(a_, theirs, std::to_string(i));
  EXPECT_EQ(b_.begin().read(mine).text, "0");
  a_.pack(kInfinity);
  Transaction txn = b_.begin();
  txn.write(mine).text = "1";
  Tid committed{};
  try {
    txn.commit();
    FAIL() << "what came before it is not known any more";
  } catch (const CommittedUnseenError& error) {
    committed = error.tid;
  }
  there_.is_deaf = false;
  ASSERT_TRUE(b_.sync(committed, hours(1)));
  EXPECT_EQ(b_.begin().read(mine).text, "1");
  EXPECT_EQ(b_.begin().read(theirs).text, "4");
}

TEST_F(Peers, AGapBeforeAnOwnCommitIsOneToo) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  there_.make_deaf();
  there_.hidden_tid = tid.value + 1;
  set(a_, label, "1");
  Transaction txn = b_.begin();
  txn.create(Label{"behind it"});
  try {
    txn.commit();
    FAIL() << "it is published over a gap";
  } catch (const CommittedUnseenError& error) {
    EXPECT_EQ(error.tid.value, tid.value + 2);
    EXPECT_EQ(error.frontier, tid);
    EXPECT_THROW(std::rethrow_exception(error.cause), TidGapError);
  }
  EXPECT_EQ(b_.last_tid(), tid);
  EXPECT_THROW(b_.begin(), TidGapError);
}

TEST_F(Peers, LostCommitsEndAllWork) {
  there_.has_lost_commits = true;
  for (bool refused = false; !refused;) {
    try {
      b_.begin();
    } catch (const TidGapError& error) {
      EXPECT_LT(error.next, error.after);
      refused = true;
    }
  }
}

TEST_F(Peers, ACommitThatCannotBeSeenYetSaysSo) {
  Tid tid{};
  const Ref<Label> theirs = created(a_, "0");
  const Ref<Label> mine = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  there_.make_deaf();
  there_.history_fails = true;
  set(a_, theirs, "1");
  Transaction txn = b_.begin();
  txn.write(mine).text = "1";
  Tid committed{};
  try {
    txn.commit();
    FAIL() << "what came before it is not known";
  } catch (const CommittedUnseenError& error) {
    committed = error.tid;
  }
  EXPECT_EQ(b_.begin().read(mine).text, "0");
  there_.is_deaf = there_.history_fails = false;
  ASSERT_TRUE(b_.sync(committed, hours(1)));
  EXPECT_EQ(b_.begin().read(mine).text, "1");
  EXPECT_EQ(b_.begin().read(theirs).text, "1");
  set(b_, mine, "2");
}

TEST_F(Peers, WaitsForWhatNobodyCommitsEnd) {
  const Tid never{a_.last_tid().value + 1000};
  EXPECT_FALSE(a_.sync(never, milliseconds(1)));
  EXPECT_THROW(a_.begin_at_least(never, milliseconds(1)), StaleFrontierError);
}

TEST_F(Peers, CloseWhileTheyWait) {
  for (int i = 0; i < 20; ++i) {
    TestPeer peer(store_);
    CacheOptions options;
    options.peers.poll_every = milliseconds(1 + i);
    Database database(peer, options);
    EXPECT_EQ(database.last_tid(), store_.last_tid());
    if (i % 2 == 0) {
      peer.is_cut_off = true;  // closes while it rests
      while (database.peer_status().failures == 0) std::this_thread::yield();
    }
  }
}

TEST_F(Peers, EachHasAStoreObjectOfItsOwn) {
  EXPECT_THROW(Database{here_}, StoreLockedError);
  EXPECT_FALSE(Database(*std::make_unique<MemoryStore>()).peer_status().has_peers);
  TestPeer third(store_);
  EXPECT_THROW(BasicDatabase<bench::LockedCache>{third}, MissingCapabilityError);
}

// ---- packs

TEST_F(Peers, PacksStayBelowTheSnapshotsOfOthers) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  Transaction old = b_.begin_at_least(tid);
  b_.evict_all();
  for (int i = 1; i < 5; ++i) set(a_, label, std::to_string(i));
  EXPECT_LE(a_.pack(kInfinity).oldest, tid);
  EXPECT_EQ(old.read(label).text, "0");
  old.abort();
  ASSERT_TRUE(b_.sync(a_.last_tid(), hours(1)));
  while (a_.pack(kInfinity).oldest < a_.last_tid()) std::this_thread::yield();  // soon b has said so
  EXPECT_THROW(b_.begin_at(tid), SnapshotTooOldError);
  EXPECT_THROW(a_.pack(kInfinity, {.collect_garbage = true}), SharedStoreError);
  // What reads the past is held at once.
  const Tid before = a_.last_tid();
  Transaction past = b_.begin_at(before);
  for (int i = 5; i < 8; ++i) ASSERT_TRUE(b_.sync(set(a_, label, std::to_string(i)), hours(1)));
  b_.evict_all();
  EXPECT_LE(a_.pack(kInfinity).oldest, before);
  EXPECT_EQ(past.read(label).text, "4");
}

TEST_F(Peers, APackBeyondAPeerThatWasNotHeardOfIsNoticed) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  const Ref<Label> unread = created(a_, "0");
  Tid last{};
  const Ref<Label> erased = created(a_, "erased", &last);
  ASSERT_TRUE(b_.sync(last, hours(1)));
  Transaction old = b_.begin();
  const Label& kept = old.read(label);
  EXPECT_EQ(kept.text, "0");
  there_.holds_nothing = true;
  there_.make_deaf();
  store_.release(&there_);  // its lease has ended
  for (int i = 1; i < 5; ++i) {
    set(a_, label, std::to_string(i));
    set(a_, unread, std::to_string(i));
  }
  Transaction eraser = a_.begin();
  eraser.erase(erased);
  const Tid end = eraser.commit();
  ASSERT_EQ(a_.pack(kInfinity).oldest, end);
  EXPECT_EQ(old.read(Ref<Label>(label.oid())).text, "0") << "the cache has it";
  EXPECT_THROW(old.read(Ref<Label>(unread.oid())), SnapshotTooOldError);
  EXPECT_THROW(old.read(Ref<Label>(erased.oid())), SnapshotTooOldError) << "it existed";
  EXPECT_EQ(b_.begin().read(label).text, "0") << "the frontier has not moved, and the cache has it";
  there_.is_deaf = there_.holds_nothing = false;
  ASSERT_TRUE(b_.sync(end, hours(1)));
  EXPECT_EQ(b_.peer_status().jumps, 1u);
  Transaction now = b_.begin();
  EXPECT_EQ(now.read(label).text, "4");
  EXPECT_EQ(now.read(unread).text, "4");
  EXPECT_THROW(now.read(erased), DanglingReferenceError);
  EXPECT_EQ(kept.text, "0") << "what it has read it holds";
  now.write(label).text = "5";
  EXPECT_NO_THROW(now.commit());
}

TEST_F(Peers, ALoadThatHasBegunBeforeAJumpInstallsNothing) {
  Tid tid{};
  const Ref<Label> label = created(a_, "0", &tid);
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  there_.holds_nothing = true;
  there_.make_deaf();
  store_.release(&there_);
  there_.hold_loads(label.oid());
  std::thread loader([&] {
    Transaction old = b_.begin();
    EXPECT_THROW(old.read(label), SnapshotTooOldError);
  });
  there_.await_held_load();
  set(a_, label, "1 of 2");
  const Tid end = set(a_, label, "1");
  ASSERT_EQ(a_.pack(kInfinity).oldest, end);
  there_.is_deaf = false;
  ASSERT_TRUE(b_.sync(end, hours(1)));
  EXPECT_EQ(b_.peer_status().jumps, 1u);
  there_.let_go();
  loader.join();
  EXPECT_EQ(b_.begin().read(Ref<Label>(label.oid())).text, "1");
}

// ---- what databases share besides

TEST(PeersOfAnEmptyStore, MakeOneRootAndOneDirectoryOfTypes) {
  for (int round = 0; round < 20; ++round) {
    MemoryStore store;
    std::vector<std::unique_ptr<TestPeer>> peers;
    std::vector<std::unique_ptr<Database>> databases(4);
    for (std::size_t i = 0; i < databases.size(); ++i) peers.push_back(std::make_unique<TestPeer>(store));
    run_threads(4, [&](int i) {
      const auto index = static_cast<std::size_t>(i);
      CacheOptions options;
      options.peers.poll_every = milliseconds(2);
      databases[index] = std::make_unique<Database>(*peers[index], options);
      databases[index]->transact(
          [&](Transaction& txn) {
            if (i % 2 == 0) {
              txn.root().emplace("label" + std::to_string(i), Label{std::to_string(i)});
            } else {
              txn.root().emplace("account" + std::to_string(i), Account{.balance = i, .owner = {}, .next = {}});
            }
          },
          kPatient);
    });
    for (const auto& database : databases) {
      Transaction txn = database->begin_at_least(store.last_tid());
      EXPECT_EQ(txn.read(txn.root().get<Label>("label2")).text, "2");
      EXPECT_EQ(txn.read(txn.root().get<Account>("account3")).balance, 3);
      const RootDirectory& root = txn.read(txn.root_reference());
      const auto types = Ref<TypeDirectory>(root.entries.find(kTypesName)->second.oid());
      EXPECT_EQ(txn.read(types).types.size(), 2u);
    }
  }
}

TEST_F(Peers, TheFirstCommitsOfTypesDoNotConflict) {
  Transaction one = a_.begin(), other = b_.begin(), third = b_.begin(), same = a_.begin();
  one.create(Label{"of a"});
  other.create(Account{});
  third.create(Label{"of b"});
  same.create(Account{});
  EXPECT_NO_THROW(one.commit());
  EXPECT_NO_THROW(other.commit()) << "the directory of types has changed since it began";
  EXPECT_NO_THROW(third.commit());
  EXPECT_NO_THROW(same.commit());
}

TEST_F(Peers, RefersToWhatOthersHaveCommittedWithoutAskingTheStore) {
  Tid tid{};
  Transaction first = a_.begin();
  first.create(Account{});
  tid = first.commit();
  Transaction mine = b_.begin_at_least(tid);
  const Ref<Account> of_b = mine.create(Account{.balance = 1, .owner = "b", .next = {}});
  tid = mine.commit();  // of a later block of oids than a has
  Transaction txn = a_.begin_at_least(tid);
  const int loads = here_.loads;
  txn.create(Account{.balance = 2, .owner = "a", .next = of_b});
  EXPECT_NO_THROW(txn.commit());
  EXPECT_EQ(here_.loads, loads);
  Transaction not_yet = b_.begin();
  const Ref<Account> uncommitted = not_yet.create(Account{});
  Transaction too_soon = a_.begin();
  too_soon.create(Account{.balance = 3, .owner = "a", .next = Ref<Account>(uncommitted.oid())});
  EXPECT_THROW(too_soon.commit(), UncommittedReferenceError);
}

TEST_F(Peers, UndoWhatOthersHaveDone) {
  const Ref<Label> label = created(a_, "one");
  const Tid two = set(a_, label, "two");
  ASSERT_TRUE(b_.sync(two, hours(1)));
  EXPECT_EQ(b_.begin().read(label).text, "two");
  const Tid undone = b_.undo(two);
  EXPECT_EQ(b_.begin().read(label).text, "one");
  EXPECT_EQ(read_at_least(a_, label, undone), "one");
  EXPECT_EQ(b_.begin_at(two).read(label).text, "two");
  const Tid three = set(a_, label, "three");
  ASSERT_TRUE(b_.sync(three, hours(1)));
  EXPECT_THROW(b_.undo(undone), UndoRefusedError);
}

TEST_F(Peers, NotesGoWithProposals) {
  Transaction txn = a_.begin();
  txn.create(Label{"noted"});
  txn.note("ada", "a note");
  const Tid tid = txn.commit();
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  for (const TransactionInfo& info : b_.transactions(tid, tid)) EXPECT_EQ(info.note.user, "ada");
}

// ---- all at once

TEST_F(Peers, NoUpdateIsLost) {
  constexpr int kThreads = 4, kSteps = 60, kCounters = 3;
  std::vector<Ref<Account>> counters;
  Tid tid{};
  for (int i = 0; i < kCounters; ++i) {
    Transaction txn = a_.begin();
    counters.push_back(txn.create(Account{}));
    tid = txn.commit();
  }
  ASSERT_TRUE(b_.sync(tid, hours(1)));
  std::atomic<std::uint64_t> last = 0;
  run_threads(kThreads, [&](int index) {
    Database& database = index % 2 == 0 ? a_ : b_;
    for (int i = 0; i < kSteps; ++i) {
      database.transact(
          [&](Transaction& txn) { ++txn.write(counters[static_cast<std::size_t>(i + index) % kCounters]).balance; },
          kPatient);
    }
    std::uint64_t mine = database.last_tid().value, known = last.load();
    while (known < mine && !last.compare_exchange_weak(known, mine)) {
    }
  });
  for (Database* database : {&a_, &b_}) {
    Transaction txn = database->begin_at_least(Tid{last.load()});
    std::int64_t sum = 0;
    for (const Ref<Account>& counter : counters) sum += txn.read(counter).balance;
    EXPECT_EQ(sum, kThreads * kSteps);
  }
}

}  // namespace
}  // namespace cow::testing
