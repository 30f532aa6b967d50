// The read log: every state once, nothing lost by growing, and nothing that a scanner could miss.
#include "cow_cache/detail/reclaim/read_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

#include "cow_cache/detail/sanitizers.hpp"

namespace cow {

using cow::detail::BitmapLog;
using cow::detail::HashLog;
using cow::detail::LogTable;
using cow::detail::Participant;
using cow::detail::ReadLog;
using cow::detail::StateHandle;

namespace {

using Outcome = ReadLog::Outcome;

/// The handle of the n-th state of an imaginary slab.
StateHandle handle(std::uint32_t n, std::uint32_t slot_bytes = 64) { return (n + 1) * (slot_bytes / 16); }

/// Handles of states of so many `bytes`, in the order of their addresses. They are there, so marks among them are known again.
std::vector<StateHandle> made_states(std::size_t count, std::size_t bytes) {
  std::vector<StateHandle> found;
  const std::uint8_t size_class = detail::size_classes::class_of(bytes);
  while (found.size() < count) found.push_back(detail::handle_of(detail::StateMemory::instance().allocate(size_class)));
  std::sort(found.begin(), found.end());
  return found;
}
/// Of such as lie close together.
const std::vector<StateHandle>& neighbours() {
  static const std::vector<StateHandle> handles = made_states(60'000, 48);  // even and odd ones
  return handles;
}
/// Those, or such of which few lie on each page of a bitmap.
const std::vector<StateHandle>& states(bool dense) {
  static const std::vector<StateHandle> distant = made_states(10'000, 8'000);
  return dense ? neighbours() : distant;
}

class ReadLogTest : public ::testing::Test {
 protected:
  ReadLogTest() {
    participant_.log.store(ReadLog::make_table());
    log_.open(participant_);
  }
  ~ReadLogTest() override {
    log_.close();
    ReadLog::destroy_table(participant_.log.load());
  }

  /// What a reclaimer would find.
  std::multiset<StateHandle> scan() {
    std::multiset<StateHandle> found;
    std::scoped_lock lock(participant_.log_lock);
    ReadLog::for_each(table(), [&](StateHandle handle) { found.insert(handle); });
    return found;
  }

  /// The same, each state once.
  std::set<StateHandle> scanned_states() {
    std::multiset<StateHandle> found = scan();
    std::set<StateHandle> states(found.begin(), found.end());
    EXPECT_EQ(states.size(), found.size()) << "twice";
    EXPECT_EQ(states.size(), log_.size());
    return states;
  }

  /// States of one home in an empty log.
  std::vector<StateHandle> colliding(std::size_t count, std::uint32_t first = 1) {
    std::vector<StateHandle> found;
    for (std::uint32_t n = first; found.size() < count; ++n) {
      StateHandle candidate = handle(n);
      if (found.empty()) {
        found.push_back(candidate);
        continue;
      }
      log_.add(found.front());
      log_.add(candidate);
      if (!log_.contains(candidate)) found.push_back(candidate);
      log_.close();
      log_.open(participant_);
    }
    return found;
  }

  /// And not marked.
  bool is_logged(StateHandle handle) const { return log_.contains(handle) || log_.contains_displaced(handle); }

  LogTable& table() { return *participant_.log.load(std::memory_order_seq_cst); }
  bool is_bitmap() { return table().bitmap != nullptr; }

  Participant participant_;
  ReadLog log_;
};

TEST_F(ReadLogTest, AStateStandsInItOnce) {
  EXPECT_FALSE(log_.contains(handle(5)));
  EXPECT_EQ(log_.add(handle(5)), Outcome::inserted);
  EXPECT_TRUE(log_.contains(handle(5)));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(log_.add(handle(5)), Outcome::present);
  EXPECT_EQ(log_.size(), 1u);
  EXPECT_EQ(scan(), (std::multiset<StateHandle>{handle(5)}));
}

TEST_F(ReadLogTest, ThoseThatShareAHomeAreToldApart) {
  std::unordered_set<StateHandle> added;
  for (std::uint32_t n = 0; n < 15; ++n) {
    EXPECT_EQ(log_.add(handle(n * 8)), Outcome::inserted);
    added.insert(handle(n * 8));
    for (std::uint32_t m = 0; m < 200; ++m) {
      if (!added.contains(handle(m))) {
        EXPECT_FALSE(log_.contains(handle(m)));
      }
    }
  }
}

TEST_F(ReadLogTest, GrowingToAMillionLosesAndDuplicatesNothing) {
  constexpr std::uint32_t kStates = 1'000'000;
  for (std::uint32_t slot_bytes : {64u, 128u, 192u, 256u, 512u, 4096u, 32768u}) {  // slabs are arithmetic progressions
    std::uint32_t states = slot_bytes == 64 ? kStates : kStates / 10;
    for (std::uint32_t n = 0; n < states; ++n) ASSERT_EQ(log_.add(handle(n, slot_bytes)), Outcome::inserted);
    EXPECT_EQ(log_.size(), states);
    EXPECT_EQ(is_bitmap(), slot_bytes <= 4096) << "states of " << slot_bytes << " bytes";
    std::multiset<StateHandle> scanned = scan();
    EXPECT_EQ(scanned.size(), states);
    EXPECT_EQ(std::set<StateHandle>(scanned.begin(), scanned.end()).size(), states);
    std::uint32_t found_at_once = 0;
    for (std::uint32_t n = 0; n < states; ++n) found_at_once += log_.contains(handle(n, slot_bytes));
    // The rest stands elsewhere: correct, but those reads take longer.
    EXPECT_GE(found_at_once, states / 100 * 60) << "states of " << slot_bytes << " bytes hash badly";
    EXPECT_FALSE(log_.contains(handle(states, slot_bytes)));
    for (std::uint32_t n = 0; n < states; ++n) {
      ASSERT_TRUE(is_logged(handle(n, slot_bytes)));
      ASSERT_EQ(log_.add(handle(n, slot_bytes)), Outcome::present);
    }
    log_.close();
    log_.open(participant_);
  }
}

// Neighbours are what transactions read. Those that are not at home are found as well, but later.
TEST_F(ReadLogTest, MostNeighboursAreAtHome) {
  double sum = 0;
  int cases = 0;
  for (std::uint32_t slot_bytes :
       {64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768}) {
    for (std::uint32_t count : {12, 16, 24, 32, 48, 64, 96, 128}) {
      std::uint32_t at_home = 0;
      for (std::uint32_t n = 0; n < count; ++n) log_.add(handle(n, slot_bytes));
      for (std::uint32_t n = 0; n < count; ++n) at_home += log_.contains(handle(n, slot_bytes));
      EXPECT_GE(at_home, slot_bytes > 512 ? count / 3 : count / 2) << count << " states of " << slot_bytes << " bytes";
      sum += at_home / static_cast<double>(count);
      ++cases;
      log_.close();
      ReadLog::destroy_table(participant_.log.exchange(ReadLog::make_table()));
      log_.open(participant_);
    }
  }
  EXPECT_GE(sum / cases, 0.9);
}

TEST_F(ReadLogTest, WhatWasTakenBackIsGoneAndTheRestStays) {
  for (std::uint32_t distance : {1u, 1000u}) {  // a bitmap in the end, a hash set
    std::mt19937 random(3);
    std::set<StateHandle> kept;
    for (int i = 0; i < 50'000; ++i) {
      StateHandle candidate = handle(static_cast<std::uint32_t>(random() % 100'000) * distance);
      Outcome outcome = log_.add(candidate);
      ASSERT_EQ(outcome == Outcome::present, kept.contains(candidate));
      if (outcome != Outcome::inserted) continue;
      if (random() % 2 == 0) {
        log_.undo_add(candidate);
        ASSERT_FALSE(is_logged(candidate));
      } else {
        kept.insert(candidate);
      }
    }
    for (StateHandle state : kept) ASSERT_EQ(log_.add(state), Outcome::present) << "a hole hides what stands behind it";
    EXPECT_EQ(scanned_states(), kept);
    log_.close();
    log_.open(participant_);
  }
}

// The quick way and the other one, mixed, with marks and with what is taken back, in both layouts.
TEST_F(ReadLogTest, TheQuickWayAddsOnceOrLeavesItToTheOther) {
  for (bool is_dense : {false, true}) {  // a hash set, for few on each page; a bitmap in the end
    std::mt19937 random(3);
    std::set<StateHandle> kept;
    int quick = 0, slow = 0;
    for (int i = 0; i < 60'000; ++i) {
      StateHandle candidate = states(is_dense)[random() % 10'000];
      bool known = kept.contains(candidate);
      if (log_.try_add(candidate)) {
        ASSERT_FALSE(known) << "twice";
        ++quick;
      } else {
        ASSERT_EQ(log_.size(), kept.size());
        ASSERT_EQ(log_.add(candidate), known ? Outcome::present : Outcome::inserted);
        slow += !known;
      }
      if (!known && random() % 4 == 0) {
        log_.undo_add(candidate);
        ASSERT_FALSE(is_logged(candidate));
      } else {
        kept.insert(candidate);
        if (random() % 16 == 0) log_.mark_diverted(candidate);
      }
    }
    EXPECT_EQ(is_bitmap(), is_dense);
    EXPECT_EQ(scanned_states(), kept);
    EXPECT_GT(quick, slow) << "the quick way is not the usual one";
    log_.close();
    EXPECT_FALSE(log_.try_add(handle(1))) << "a closed log has room for nothing";
    log_.open(participant_);
  }
}

TEST_F(ReadLogTest, TheQuickWayAddsNothingWhereThatIsForbidden) {
  for (std::uint32_t states : {10u, 1000u}) {  // in a hash set, in a bitmap
    for (std::uint32_t n = 0; n < states; ++n) log_.add(handle(n));
    log_.allow_try_add(false);
    for (std::uint32_t n = states; n < states + 5; ++n) EXPECT_FALSE(log_.try_add(handle(n)));
    log_.allow_try_add(true);
    bool some = false;
    for (std::uint32_t n = states; n < states + 5; ++n) some |= log_.try_add(handle(n));
    EXPECT_TRUE(some);
  }
  EXPECT_TRUE(is_bitmap());
}

// The worst that can happen to the hash set. (What such a read costs is counted in tests/instructions.)
TEST_F(ReadLogTest, StatesOfOneHomeReadInTurnStandInItOnce) {
  for (std::size_t count : {2, 64}) {
    std::vector<StateHandle> states = colliding(count);
    for (int i = 0; i < 1'000'000; ++i) {
      StateHandle state = states[static_cast<std::size_t>(i) % count];
      if (!log_.contains(state) && !log_.try_add(state) && !is_logged(state)) log_.add(state);
    }
    EXPECT_LE(ReadLog::bytes_of(table()), 1024u);
    EXPECT_EQ(scanned_states(), std::set<StateHandle>(states.begin(), states.end()));
    log_.close();
    ReadLog::destroy_table(participant_.log.exchange(ReadLog::make_table()));
    log_.open(participant_);
  }
}

TEST_F(ReadLogTest, LookingAtManyUselessStatesDoesNotGrowIt) {
  for (std::uint32_t n = 0; n < 100'000; ++n) {
    ASSERT_EQ(log_.add(handle(n)), Outcome::inserted);
    log_.undo_add(handle(n));
  }
  EXPECT_EQ(log_.size(), 0u);
  EXPECT_EQ(table().capacity, HashLog::kMinCapacity);
}

TEST_F(ReadLogTest, ADivertedBaseIsProtectedButNoLongerAHit) {
  for (bool is_dense : {false, true}) {  // a hash set, a bitmap in the end
    auto state = [&](std::uint32_t n) { return states(is_dense)[n]; };
    for (std::uint32_t n = 0; n < 1000; ++n) log_.add(state(n));
    for (std::uint32_t n = 0; n < 1000; n += 3) log_.mark_diverted(state(n));
    for (std::uint32_t n = 1000; n < 10'000; ++n) log_.add(state(n));  // marks survive growth
    EXPECT_EQ(is_bitmap(), is_dense);
    for (std::uint32_t n = 0; n < 1000; ++n) {
      if (n % 3 == 0) {
        ASSERT_FALSE(log_.contains(state(n)));
      }
      ASSERT_EQ(is_logged(state(n)), n % 3 != 0) << n;
      ASSERT_EQ(log_.add(state(n)), Outcome::present);
    }
    std::set<StateHandle> scanned = scanned_states();
    EXPECT_EQ(scanned.size(), 10'000u);
    for (std::uint32_t n = 0; n < 10'000; ++n) ASSERT_TRUE(scanned.contains(state(n)));
    log_.close();
    log_.open(participant_);
  }
}

TEST_F(ReadLogTest, MarkingTwiceOrMarkingAStrangerIsHarmless) {
  log_.add(handle(1));
  log_.mark_diverted(handle(1));
  log_.mark_diverted(handle(1));
  log_.mark_diverted(handle(2));
  EXPECT_EQ(log_.add(handle(1)), Outcome::present);
  EXPECT_EQ(log_.add(handle(2)), Outcome::inserted);
  EXPECT_TRUE(log_.contains(handle(2)));
}

TEST_F(ReadLogTest, ReservingMakesTheNextAddInPlace) {
  for (std::uint32_t n = 0; n < 5000; ++n) {
    log_.reserve_one();
    LogTable* table = participant_.log.load();
    ASSERT_EQ(log_.add(handle(n)), Outcome::inserted);
    ASSERT_EQ(participant_.log.load(), table) << "it grew after all";
  }
}

TEST_F(ReadLogTest, AClosedLogContainsNothing) {
  for (std::uint32_t n = 0; n < 100; ++n) log_.add(handle(n));
  log_.close();
  EXPECT_EQ(log_.size(), 0u);
  for (std::uint32_t n = 0; n < 1000; ++n) ASSERT_FALSE(log_.contains(handle(n)));
  EXPECT_TRUE(scan().empty()) << "it still protects what nobody reads";
  log_.open(participant_);
  for (std::uint32_t n = 0; n < 100; ++n) ASSERT_EQ(log_.add(handle(n)), Outcome::inserted);
}

TEST_F(ReadLogTest, AHugeTableIsNotKeptByAnIdleParticipant) {
  for (std::uint32_t slot_bytes : {64u, 128u, 4096u, 32768u}) {  // bitmaps of 1 to 4 MiB of state memory, and hash sets
    for (std::uint32_t n = 0; n < 60'000; ++n) log_.add(handle(n, slot_bytes));
    log_.close();
    EXPECT_LE(ReadLog::bytes_of(table()), sizeof(LogTable) + ReadLog::kMaxKept);
    log_.open(participant_);
  }
  for (std::uint32_t n = 0; n < 3'000; ++n) log_.add(handle(n));
  EXPECT_TRUE(is_bitmap());
  log_.close();
  EXPECT_TRUE(is_bitmap()) << "this one is small, and likely to be needed again";
  // A table that was far too large for its last transactions shrinks by and by.
  for (std::uint32_t i = 0; i < 20 * ReadLog::kPatience; ++i) {
    log_.open(participant_);
    log_.add(handle(1));
    log_.close();
  }
  EXPECT_EQ(table().capacity, HashLog::kMinCapacity);
  log_.open(participant_);
}

TEST_F(ReadLogTest, ABitmapIsForStatesThatLieCloseTogether) {
  // Scattered over the whole state memory: a hash set, whatever their number.
  std::set<StateHandle> added;
  for (std::uint32_t n = 0; n < 5'000; ++n) {
    log_.add(states(false)[2 * n]);
    added.insert(states(false)[2 * n]);
  }
  EXPECT_FALSE(is_bitmap());
  const StateHandle marked = neighbours()[0];
  log_.add(marked);
  log_.mark_diverted(marked);
  // Close together: a bitmap at the next growth.
  for (std::uint32_t n = 0; !is_bitmap(); ++n) {
    ASSERT_LT(n, neighbours().size());
    log_.add(neighbours()[n]);
    added.insert(neighbours()[n]);
  }
  EXPECT_EQ(log_.size(), added.size());
  EXPECT_EQ(scanned_states(), added);
  EXPECT_FALSE(log_.contains(marked)) << "the mark was lost";
}

// Clearing goes by what this transaction has used, not by what those before it did.
TEST_F(ReadLogTest, ABitmapIsClearedOfWhatEachTransactionHasUsed) {
  constexpr std::uint32_t kStates = 60'000;
  std::mt19937 random(5);
  for (std::uint32_t n = 0; n < kStates; ++n) log_.add(neighbours()[n]);
  ASSERT_TRUE(is_bitmap());
  const LogTable* bitmap = &table();
  for (int transaction = 0; transaction < 50; ++transaction) {
    log_.close();
    log_.open(participant_);
    ASSERT_EQ(&table(), bitmap);
    ASSERT_EQ(scan().size(), 0u);
    std::set<StateHandle> added;
    std::uint32_t first = random() % (kStates - 200);
    for (std::uint32_t n = first; n < first + 200; ++n) {
      ASSERT_EQ(log_.add(neighbours()[n]), Outcome::inserted);
      if (random() % 8 == 0) log_.mark_diverted(neighbours()[n]);
      added.insert(neighbours()[n]);
    }
    ASSERT_EQ(scan(), std::multiset<StateHandle>(added.begin(), added.end()));
  }
}

TEST_F(ReadLogTest, ABitmapThatBecomesSparseIsGivenUp) {
  std::set<StateHandle> added;
  for (std::uint32_t n = 0; n < 1'000; ++n) log_.add(neighbours()[n]), added.insert(neighbours()[n]);
  ASSERT_TRUE(is_bitmap());
  log_.mark_diverted(neighbours()[7]);
  std::size_t most_bytes = 0;
  for (std::uint32_t n = 1; n < 4'000; ++n) {  // one to a page
    StateHandle alone = (detail::LogBitmap::kPages - n) << detail::LogBitmap::kPageShift;
    log_.reserve_one();
    ASSERT_EQ(log_.add(alone), Outcome::inserted);
    added.insert(alone);
    most_bytes = std::max(most_bytes, ReadLog::bytes_of(table()));
  }
  EXPECT_FALSE(is_bitmap());
  EXPECT_LE(most_bytes, 4 * ReadLog::kMaxKept);
  EXPECT_EQ(log_.size(), added.size());
  EXPECT_FALSE(log_.contains(neighbours()[7])) << "the mark was lost";
  EXPECT_EQ(scanned_states(), added);
}

TEST_F(ReadLogTest, ItsBytesAreCountedWhateverBecomesOfIt) {
  std::atomic<std::size_t> bytes = ReadLog::bytes_of(table());
  participant_.log_bytes = &bytes;
  for (std::uint32_t n = 0; n < 100'000; ++n) {
    log_.add(handle(n % 2 == 0 ? n : n * 500));
    ASSERT_EQ(bytes.load(), ReadLog::bytes_of(table()));
  }
  log_.close();
  EXPECT_EQ(bytes.load(), ReadLog::bytes_of(table()));
  log_.open(participant_);
}

TEST_F(ReadLogTest, WithoutAddressesForMoreBitmapsItRemainsASet) {
  std::vector<LogTable*> bitmaps;
  while (LogTable* bitmap = BitmapLog::make()) {
    ASSERT_LT(bitmaps.size(), 1'000'000u) << "nothing bounds the addresses taken";
    bitmaps.push_back(bitmap);
  }
  for (std::uint32_t n = 0; n < 10'000; ++n) ASSERT_EQ(log_.add(handle(n)), Outcome::inserted);
  EXPECT_FALSE(is_bitmap());
  EXPECT_EQ(scan().size(), 10'000u);
  for (LogTable* bitmap : bitmaps) ReadLog::destroy_table(bitmap);
}

// One scanner per protocol step: whatever the owner had announced before the scan began must be found in it, while the
// log grows, shrinks, is closed and opened again. Run under ThreadSanitizer, this also checks every access.
TEST_F(ReadLogTest, AScanNeverMissesWhatWasAnnouncedBefore) {
  const std::uint32_t states = detail::kSmallBatches ? 3000 : 40'000;  // in a hash set first, then in a bitmap
  std::atomic<std::uint64_t> announced{0};  // generation << 32 | number of states announced in it
  std::atomic<bool> done = false;
  std::atomic<int> started = 0, finished = 0, scans = 0, misses = 0;
  log_.close();
  std::thread scanner([&] {
    std::unordered_set<StateHandle> found;
    while (!done.load()) {
      std::uint64_t before = announced.load(std::memory_order_seq_cst);
      ++started;
      detail::heavy_fence();
      found.clear();
      for (StateHandle entry : scan()) found.insert(entry);
      std::uint64_t after = announced.load(std::memory_order_seq_cst);
      ++finished;
      if (before >> 32 != after >> 32) continue;  // another transaction by now
      for (std::uint32_t n = 0; n < static_cast<std::uint32_t>(before); ++n) misses += !found.contains(handle(n));
      ++scans;
    }
  });
  auto wait_for = [](const std::atomic<int>& counter, int value) {
    while (counter.load() < value) std::this_thread::yield();
  };
  for (std::uint64_t generation = 1; generation <= 30; ++generation) {
    log_.open(participant_);
    announced.store(generation << 32);
    int scan_to_meet = 0;
    for (std::uint32_t n = 0; n < states; ++n) {
      // The second half is logged while a scan runs that began after the first.
      if (n == states / 2) wait_for(started, scan_to_meet = started.load() + 1);
      log_.add(handle(n));
      announced.store(generation << 32 | (n + 1), std::memory_order_relaxed);
    }
    wait_for(finished, scan_to_meet);
    announced.store((generation + 1) << 32);
    log_.close();
  }
  done = true;
  scanner.join();
  EXPECT_EQ(misses.load(), 0);
  EXPECT_GE(scans.load(), 15) << "about one in each of the 30 transactions should have been comparable";
  log_.open(participant_);
}

}  // namespace
}  // namespace cow
