// The reclaimer: memory comes back as soon as nobody can read it, and not before, whoever sleeps and on whatever
// thread.
#include "cow_cache/detail/reclaim/hybrid_reclaimer.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "reclaimer_testing.hpp"

namespace cow {

using cow::detail::BackoffLock;
using cow::detail::handle_of;
using cow::detail::kDeadMark;
using cow::detail::LogTable;
using cow::detail::Participant;
using cow::detail::ReadLog;
using cow::detail::Reclaimer;
using cow::detail::StateChain;
using cow::detail::StateHandle;
using cow::detail::StateHeader;
using cow::detail::TransactionRegistry;
using cow::detail::value_of;

namespace {

using testing::kBudget;
using testing::make_probe;
using testing::Probe;
using testing::ReclaimerTest;
using testing::Sleeper;

TEST_F(ReclaimerTest, NobodyActiveMeansFreedWithoutReadingLogs) {
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    retire(make_probe(i));
    ASSERT_LE(Probe::alive.load(), 100) << "freeing lags behind";
  }
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
  EXPECT_EQ(reclaimer_->limbo_bytes(), 0u);
  EXPECT_EQ(reclaimer_->deep_scans(), 0u);
}

TEST_F(ReclaimerTest, ShortTransactionsNeverNeedADeepScan) {
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    Sleeper transaction(registry_);
    StateHeader& state = make_probe(i);
    transaction.log.add(handle_of(&state));
    retire(state);
    ASSERT_TRUE(value_of<Probe>(state).intact());
  }
  EXPECT_LE(Probe::alive.load(), 200);
  EXPECT_EQ(reclaimer_->deep_scans(), 0u);
}

TEST_F(ReclaimerTest, ASleeperKeepsExactlyWhatItLogged) {
  auto sleeper = std::make_unique<Sleeper>(registry_);
  std::vector<StateHeader*> logged;
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    StateHeader& state = make_probe(i);
    if (i % 100 == 0) {
      sleeper->log.add(handle_of(&state));
      if (i % 200 == 0) sleeper->log.mark_diverted(handle_of(&state));  // the base of a clone is protected as well
      logged.push_back(&state);
    }
    retire(state);
  }
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), static_cast<std::int64_t>(logged.size()));
  EXPECT_EQ(reclaimer_->limbo_bytes(), logged.size() * logged[0]->charge());
  for (StateHeader* state : logged) ASSERT_TRUE(value_of<Probe>(*state).intact());
  sleeper.reset();
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

TEST_F(ReclaimerTest, WhatASleeperHeldIsFreedAfterItsEndWithoutAnotherScan) {
  auto sleeper = std::make_unique<Sleeper>(registry_);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    StateHeader& state = make_probe(i);
    sleeper->log.add(handle_of(&state));
    retire(state);
  }
  reclaimer_->reclaim_all();
  std::uint64_t scans = reclaimer_->deep_scans();
  sleeper.reset();
  for (std::uint64_t i = 1; i <= 1000; ++i) retire(make_probe(i));  // frees more than it retires
  EXPECT_LE(Probe::alive.load(), 200);
  EXPECT_EQ(reclaimer_->deep_scans(), scans);
}

TEST_F(ReclaimerTest, AParkedTransactionKeepsExactlyWhatItLoggedAndNeedsNoScanOfLogs) {
  auto sleeper = std::make_unique<Sleeper>(registry_);
  std::vector<StateHeader*> logged;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    logged.push_back(&make_probe(i));
    sleeper->log.add(handle_of(logged.back()));
  }
  registry_.will_sleep(sleeper->participant);
  for (StateHeader* state : logged) retire(*state);
  for (std::uint64_t i = 100; i <= 5000; ++i) retire(make_probe(i));
  EXPECT_LE(Probe::alive.load(), 200);
  EXPECT_EQ(reclaimer_->deep_scans(), 0u);
  for (StateHeader* state : logged) ASSERT_TRUE(value_of<Probe>(*state).intact());
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), static_cast<std::int64_t>(logged.size()));
  sleeper.reset();
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
  EXPECT_EQ(reclaimer_->deep_scans(), 0u);
}

// The trap in parking: once it goes on, a transaction announces a new epoch, which says nothing of what it read before.
TEST_F(ReclaimerTest, AParkedTransactionKeepsItsStatesWhenItGoesOn) {
  Sleeper sleeper(registry_);
  StateHeader &before = make_probe(1), &between = make_probe(2), &after = make_probe(3), &never = make_probe(4);
  sleeper.log.add(handle_of(&before));
  registry_.will_sleep(sleeper.participant);
  retire(before);
  registry_.wake(sleeper.participant);
  reclaimer_->reclaim_all();
  EXPECT_TRUE(value_of<Probe>(before).intact());
  sleeper.log.add(handle_of(&between));
  retire(between);
  registry_.will_sleep(sleeper.participant);  // again, with one more
  reclaimer_->reclaim_all();
  EXPECT_TRUE(value_of<Probe>(between).intact());
  registry_.wake(sleeper.participant);
  sleeper.log.add(handle_of(&after));
  retire(after);
  retire(never);
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 3);
  for (StateHeader* state : {&before, &between, &after}) EXPECT_TRUE(value_of<Probe>(*state).intact());
}

// A reclaimer parks a crowd of sleepers in several steps; until its turn comes, a sleeper's epoch and log protect it.
TEST_F(ReclaimerTest, ManySleepersAreParkedSomeAtATime) {
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  std::vector<StateHeader*> states;
  for (std::uint64_t i = 1; i <= 10; ++i) {
    states.push_back(&make_probe(i));
    sleepers.push_back(std::make_unique<Sleeper>(registry_));
    sleepers.back()->log.add(handle_of(states.back()));
    if (i != 5) registry_.will_sleep(sleepers.back()->participant);
  }
  auto parked = [&] {
    return std::count_if(states.begin(), states.end(),
                         [&](StateHeader* state) { return registry_.held().contains(handle_of(state)); });
  };
  EXPECT_EQ(parked(), 0);
  StateChain released;
  registry_.park_sleepers(3, released);
  EXPECT_EQ(parked(), 3);
  registry_.park_sleepers(3, released);
  EXPECT_EQ(parked(), 6);
  registry_.wake(sleepers[9]->participant);
  for (StateHeader* state : states) retire(*state);
  for (int i = 0; i < 3; ++i) registry_.park_sleepers(3, released);
  EXPECT_EQ(parked(), 8) << "one never slept, one is awake again";
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 10);
  for (StateHeader* state : states) EXPECT_TRUE(value_of<Probe>(*state).intact());
  sleepers.clear();
  EXPECT_EQ(parked(), 0);
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

TEST_F(ReclaimerTest, AStateMayBeHeldByManyParkedTransactions) {
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  StateHeader& state = make_probe(1);
  for (int i = 0; i < 5; ++i) {
    sleepers.push_back(std::make_unique<Sleeper>(registry_));
    sleepers.back()->log.add(handle_of(&state));
    registry_.will_sleep(sleepers.back()->participant);
  }
  retire(state);
  while (!sleepers.empty()) {
    reclaimer_->reclaim_all();
    ASSERT_EQ(Probe::alive.load(), 1);
    ASSERT_TRUE(value_of<Probe>(state).intact());
    sleepers.pop_back();
  }
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

TEST_F(ReclaimerTest, WhatParkedTransactionsHeldIsFreedAfterTheirEnds) {
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  for (int i = 0; i < 20; ++i) {
    sleepers.push_back(std::make_unique<Sleeper>(registry_));
    for (std::uint64_t k = 1; k <= 50; ++k) {
      StateHeader& state = make_probe(k);
      sleepers.back()->log.add(handle_of(&state));
      retire(state);
    }
    registry_.will_sleep(sleepers.back()->participant);
  }
  for (std::uint64_t i = 1; i <= 1000; ++i) retire(make_probe(i));
  EXPECT_GE(Probe::alive.load(), 1000);
  sleepers.clear();
  for (std::uint64_t i = 1; i <= 2000; ++i) retire(make_probe(i));
  EXPECT_LE(Probe::alive.load(), 200);
}

// Nobody is active then, and nobody may ever retire anything again.
TEST_F(ReclaimerTest, TheEndOfATransactionFreesWhatOnlyItHeld) {
  for (bool parked : {false, true}) {
    std::deque<Sleeper> sleepers;
    for (int i = 0; i < 3; ++i) sleepers.emplace_back(registry_);
    constexpr std::uint64_t kStates = 6000;
    std::vector<StateHeader*> states;
    for (std::uint64_t i = 0; i < kStates; ++i) {
      states.push_back(&make_probe(i + 1));
      // A third of them is the first one's alone; the last two share the others.
      sleepers[i % 3].log.add(handle_of(states.back()));
      if (i % 3 > 0) sleepers[3 - i % 3].log.add(handle_of(states.back()));
    }
    if (parked) {
      for (Sleeper& sleeper : sleepers) registry_.will_sleep(sleeper.participant);
    }
    StateChain all;
    for (StateHeader* state : states) {
      Reclaimer::mark_dead(*state);
      all.add(*state);
    }
    reclaimer_->retire(std::move(all));
    for (std::uint64_t i = 1; i <= 2000; ++i) retire(make_probe(i));  // what nobody holds
    EXPECT_GE(Probe::alive.load(), kStates);
    sleepers.pop_front();
    EXPECT_GE(Probe::alive.load(), kStates / 3 * 2);
    EXPECT_LE(Probe::alive.load(), kStates / 3 * 2 + 2000);
    for (std::uint64_t i = 0; i < kStates; ++i) {
      if (i % 3 > 0) {
        ASSERT_TRUE(value_of<Probe>(*states[i]).intact());
      }
    }
    sleepers.pop_back();
    EXPECT_GE(Probe::alive.load(), kStates / 3 * 2) << "the other one has them all";
    sleepers.pop_back();
    EXPECT_LE(reclaimer_->limbo_bytes(), kBudget);
    reclaimer_->reclaim_all();
    EXPECT_EQ(Probe::alive.load(), 0);
  }
}

// Held first because it stood in a log, then because it was parked with it: two entries, of which none may be left.
TEST_F(ReclaimerTest, WhatIsHeldTwiceByOneTransactionIsLetGoTwice) {
  auto sleeper = std::make_unique<Sleeper>(registry_), other = std::make_unique<Sleeper>(registry_);
  StateHeader &early = make_probe(1), &late = make_probe(2);
  sleeper->log.add(handle_of(&early));
  registry_.will_sleep(sleeper->participant);
  retire(make_probe(3));
  reclaimer_->reclaim_all();  // parks it
  registry_.wake(sleeper->participant);
  sleeper->log.add(handle_of(&late));
  other->log.add(handle_of(&late));
  retire(early);
  retire(late);
  reclaimer_->reclaim_all();  // finds both in its log
  registry_.will_sleep(sleeper->participant);
  retire(make_probe(4));
  reclaimer_->reclaim_all();  // parks it again
  EXPECT_EQ(Probe::alive.load(), 2);
  EXPECT_TRUE(value_of<Probe>(early).intact());
  sleeper.reset();
  EXPECT_EQ(Probe::alive.load(), 1);
  EXPECT_TRUE(value_of<Probe>(late).intact());
  EXPECT_TRUE(registry_.held().contains(handle_of(&late)));
  other.reset();
  EXPECT_EQ(Probe::alive.load(), 0);
  EXPECT_FALSE(registry_.held().contains(handle_of(&late)));
  EXPECT_EQ(reclaimer_->limbo_bytes(), 0u);
}

// A transaction that only stood in the way of epochs holds nothing; what it kept from being freed must go all the same.
TEST_F(ReclaimerTest, NobodyWhoEndsLeavesMoreThanTheBudget) {
  auto holder = std::make_unique<Sleeper>(registry_), idler = std::make_unique<Sleeper>(registry_);
  const std::uint64_t held = 20'000;
  for (std::uint64_t i = 1; i <= held; ++i) {
    StateHeader& state = make_probe(i);
    holder->log.add(handle_of(&state));
    retire(state);
  }
  for (std::uint64_t i = 1; i <= held; ++i) retire(make_probe(i));
  holder.reset();
  EXPECT_LE(reclaimer_->limbo_bytes(), 2 * kBudget);
  idler.reset();
  EXPECT_LE(reclaimer_->limbo_bytes(), 2 * kBudget);
}

TEST_F(ReclaimerTest, AWaitingThreadSleepsBeforeTheLockOfALog) {
  BackoffLock lock;
  std::atomic<pid_t> waiter = 0;
  std::uint64_t entered = 0;
  lock.lock();
  std::thread thread([&] {
    waiter = ::gettid();
    lock.lock();
    ++entered;
    lock.unlock();
  });
  auto state_of_waiter = [&] {
    std::ifstream file("/proc/self/task/" + std::to_string(waiter.load()) + "/stat");
    std::string stat((std::istreambuf_iterator<char>(file)), {});
    std::size_t name_end = stat.rfind(") ");
    return name_end == std::string::npos ? '?' : stat[name_end + 2];
  };
  // A thread that only yields is runnable for ever, and keeps the holder from running if its priority is higher.
  bool slept = false;
  for (auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
       !slept && std::chrono::steady_clock::now() < until;) {
    slept = waiter != 0 && state_of_waiter() == 'S';
    std::this_thread::yield();
  }
  EXPECT_TRUE(slept);
  lock.unlock();
  thread.join();
  EXPECT_EQ(entered, 1u);
}

TEST_F(ReclaimerTest, TheLockOfALogExcludes) {
  BackoffLock lock;
  std::uint64_t count = 0;
  constexpr std::uint64_t kThreads = 4, kTimes = 20'000;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (std::uint64_t k = 0; k < kTimes; ++k) {
        std::scoped_lock guard(lock);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kTimes);
}

TEST_F(ReclaimerTest, StatesRetiredByThreadsThatEndedAreFreed) {
  for (int i = 0; i < 100; ++i) {
    std::thread([&] { retire(make_probe(1)); }).join();
  }
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

TEST_F(ReclaimerTest, AStateTakenBackFromTheLogIsNotKept) {
  Sleeper sleeper(registry_);
  StateHeader& state = make_probe(1);
  sleeper.log.add(handle_of(&state));
  sleeper.log.undo_add(handle_of(&state));
  retire(state);
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

TEST_F(ReclaimerTest, WhoBeganLaterDoesNotDelayAnything) {
  for (std::uint64_t i = 1; i <= 100; ++i) retire(make_probe(i));
  reclaimer_->reclaim_all();
  Sleeper late(registry_);
  EXPECT_EQ(Probe::alive.load(), 0);
  EXPECT_EQ(reclaimer_->deep_scans(), 0u);
}

TEST_F(ReclaimerTest, LimboStaysBoundedWhileAWriterPublishesMillionsBehindASleeper) {
  const std::uint64_t states = detail::kSmallBatches ? 100'000 : 2'000'000;
  Sleeper sleeper(registry_);
  StateHeader& held = make_probe(1);
  sleeper.log.add(handle_of(&held));
  retire(held);
  std::size_t most = 0;
  for (std::uint64_t i = 2; i <= states; ++i) {
    retire(make_probe(i));
    most = std::max(most, reclaimer_->limbo_bytes());
  }
  EXPECT_LE(most, 2 * kBudget);
  EXPECT_TRUE(value_of<Probe>(held).intact());
  // One scan per budget's worth of garbage, not one per state.
  EXPECT_GE(reclaimer_->deep_scans(), 1u);
  EXPECT_LE(reclaimer_->deep_scans(), states * held.charge() / kBudget * 2);
}

TEST_F(ReclaimerTest, ASleeperThatHoldsALotDoesNotMakeEveryRetirementScan) {
  Sleeper sleeper(registry_);
  const std::uint64_t states = detail::kSmallBatches ? 2000 : 20'000;
  std::size_t charge = 0;
  for (std::uint64_t i = 1; i <= states; ++i) {  // it holds many times the budget
    StateHeader& state = make_probe(i);
    charge = state.charge();
    sleeper.log.add(handle_of(&state));
    retire(state);
  }
  ASSERT_GT(states * charge, 2 * kBudget);
  std::uint64_t before = reclaimer_->deep_scans();
  for (std::uint64_t i = 1; i <= states; ++i) retire(make_probe(i));
  EXPECT_LE(reclaimer_->deep_scans() - before, 4u);
  EXPECT_LE(reclaimer_->limbo_bytes(), 2 * states * charge + kBudget);
}

// A scan takes a while when much is held; threads that go on retiring meanwhile must not outrun it.
TEST_F(ReclaimerTest, LimboStaysBoundedWhileManyThreadsRetireBehindASleeperThatHoldsMuch) {
  const std::uint64_t held = detail::kSmallBatches ? 2000 : 20'000, states = detail::kSmallBatches ? 5000 : 300'000;
  Sleeper sleeper(registry_);
  std::size_t charge = 0;
  for (std::uint64_t i = 1; i <= held; ++i) {
    StateHeader& state = make_probe(i);
    charge = state.charge();
    sleeper.log.add(handle_of(&state));
    retire(state);
  }
  std::atomic<std::size_t> most{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 1; i <= states; ++i) {
        retire(make_probe(i));
        std::size_t now = reclaimer_->limbo_bytes();
        if (now > most.load()) most = now;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most.load(), held * charge + kBudget + (std::size_t{4} << 20));
}

TEST_F(ReclaimerTest, ASlotSurvivesTheThreadThatBeganOnIt) {
  Sleeper* sleeper = nullptr;
  StateHeader& state = make_probe(1);
  std::thread([&] {
    sleeper = new Sleeper(registry_);
    sleeper->log.add(handle_of(&state));
  }).join();
  retire(state);
  for (int i = 0; i < 100; ++i) {  // others come and go; none may get the sleeper's participant
    std::thread([&] {
      Sleeper other(registry_);
      EXPECT_NE(&other.participant, &sleeper->participant);
    }).join();
  }
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 1);
  EXPECT_TRUE(value_of<Probe>(state).intact());
  EXPECT_EQ(registry_.active_count(), 1u);
  delete sleeper;  // ends on this thread
  EXPECT_EQ(registry_.active_count(), 0u);
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

TEST_F(ReclaimerTest, SlotsOfEndedThreadsAreUsedAgain) {
  auto work = [&] {
    Sleeper first(registry_), second(registry_);  // the thread's own participant, and one from the common pool
  };
  std::thread(work).join();
  std::size_t bytes = registry_.bytes();
  for (int i = 0; i < 500; ++i) std::thread(work).join();
  EXPECT_EQ(registry_.bytes(), bytes);
}

TEST_F(ReclaimerTest, AThreadMayUseManyRegistriesAtOnce) {
  std::vector<std::unique_ptr<TransactionRegistry>> others;
  for (int i = 0; i < 10; ++i) others.push_back(std::make_unique<TransactionRegistry>(frontier_));
  for (int round = 0; round < 50; ++round) {
    std::vector<std::unique_ptr<Sleeper>> open;
    for (auto& registry : others) open.push_back(std::make_unique<Sleeper>(*registry));
    for (auto& registry : others) EXPECT_EQ(registry->active_count(), 1u);
  }
  for (auto& registry : others) {
    EXPECT_EQ(registry->active_count(), 0u);
    EXPECT_LE(registry->bytes(), 3 * (sizeof(Participant) + sizeof(LogTable) + 32 * sizeof(StateHandle)));
  }
  others.clear();  // registries that die before this thread
  Sleeper after(registry_);
  EXPECT_EQ(registry_.active_count(), 1u);
}

TEST_F(ReclaimerTest, SnapshotsInUseAreReportedSortedAndOnce) {
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  for (std::uint64_t snapshot : {5u, 3u, 9u, 3u, 5u}) {
    frontier_ = snapshot;
    sleepers.push_back(std::make_unique<Sleeper>(registry_));
  }
  std::vector<std::uint64_t> snapshots;
  registry_.active_snapshots(snapshots);
  EXPECT_EQ(snapshots, (std::vector<std::uint64_t>{3, 5, 9}));
  sleepers.erase(sleepers.begin());
  sleepers.pop_back();
  registry_.active_snapshots(snapshots);
  EXPECT_EQ(snapshots, (std::vector<std::uint64_t>{3, 9}));
}

/// "Log, then look" as the cache does it, on cells of its own. Null: the cell's state died under our eyes.
StateHeader* read_cell(std::atomic<StateHeader*>& cell, ReadLog& log) {
  StateHeader* state = cell.load(std::memory_order_acquire);
  ReadLog::Outcome outcome = log.add(handle_of(state));
  if (std::uint64_t key = detail::validate(state->key); key != 0 && (key & kDeadMark) == 0) return state;
  if (outcome == ReadLog::Outcome::inserted) log.undo_add(handle_of(state));
  return nullptr;
}

// Readers follow cells that writers replace all the time. Every transaction re-checks all it has read at its end; some
// of them sleep, and end on another thread than they began on. A premature free is a broken text or a sanitizer's
// report.
TEST_F(ReclaimerTest, NothingIsFreedUnderAReader) {
  constexpr int kCells = 64;
  const int rounds = detail::kSmallBatches ? 1500 : 20'000;
  std::array<std::atomic<StateHeader*>, kCells> cells;
  std::atomic<std::uint64_t> next_id = 1;
  for (auto& cell : cells) cell = &make_probe(next_id++);

  struct Open {
    std::unique_ptr<Sleeper> transaction;
    std::vector<StateHeader*> read;
  };
  std::mutex mutex;
  std::deque<Open> handed_over;
  std::atomic<int> broken = 0, reads = 0, readers_left = 3;

  auto finish = [&](Open open) {
    for (StateHeader* state : open.read) broken += !value_of<Probe>(*state).intact();
  };
  auto reader = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int round = 0; round < rounds; ++round) {
      Open open{std::make_unique<Sleeper>(registry_), {}};
      auto read_some = [&](int count) {
        for (; count > 0; --count) {
          StateHeader* state = read_cell(cells[random() % kCells], open.transaction->log);
          if (state != nullptr) open.read.push_back(state);
        }
      };
      read_some(20);
      for (unsigned parks = random() % 3; parks > 0; --parks) {
        registry_.will_sleep(open.transaction->participant);
        if (random() % 4 == 0) std::this_thread::yield();
        registry_.wake(open.transaction->participant);
        read_some(5);
      }
      if (random() % 4 == 0)
        registry_.will_sleep(open.transaction->participant);  // and ends like that, perhaps elsewhere
      reads += static_cast<int>(open.read.size());
      std::unique_lock lock(mutex);
      if (random() % 4 == 0 && handed_over.size() < 20) {
        handed_over.push_back(std::move(open));
        continue;
      }
      if (random() % 4 == 0 && !handed_over.empty()) {
        std::swap(open, handed_over.front());
        handed_over.push_back(std::move(open));
        open = std::move(handed_over.front());
        handed_over.pop_front();
      }
      lock.unlock();
      finish(std::move(open));
    }
    --readers_left;
  };
  std::thread writer([&] {
    std::mt19937 random(99);
    while (readers_left.load() > 0) {
      retire(*cells[random() % kCells].exchange(&make_probe(next_id++), std::memory_order_acq_rel));
      if (random() % 1000 == 0) reclaimer_->reclaim_all();
    }
  });
  std::vector<std::thread> readers;
  for (unsigned seed = 1; seed <= 3; ++seed) readers.emplace_back(reader, seed);
  for (std::thread& thread : readers) thread.join();
  writer.join();
  while (!handed_over.empty()) {
    finish(std::move(handed_over.front()));
    handed_over.pop_front();
  }
  for (auto& cell : cells) retire(*cell.load());
  EXPECT_EQ(broken.load(), 0);
  EXPECT_GT(reads.load(), rounds);
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
}

}  // namespace
}  // namespace cow
