// What `cow_cache/store/shared.hpp` promises, for every store that gives out tids itself.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/store/shared.hpp"
#include "tests/support/store_kinds.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

using Kind = Outcome::Kind;

class SharedConformance : public StoreOfKind {
 protected:
  SharedStore& shared() { return *capabilities().shared; }

  static ProposedWrite change(std::uint64_t oid, std::uint64_t base, std::string_view record) {
    return {put(oid, record), Tid{base}};
  }
  Outcome propose(std::uint64_t snapshot, const std::vector<ProposedWrite>& writes,
                  const std::vector<ProposedRead>& reads = {}, CommitToken token = {}) {
    const Proposal proposal{Tid{snapshot}, writes, reads, nullptr, token};
    std::vector<Outcome> outcomes = shared().propose({&proposal, 1});
    EXPECT_EQ(outcomes.size(), 1u);
    return outcomes.front();
  }
  std::string record_now(std::uint64_t oid) {
    const std::optional<Revision> found = store().load(Oid{oid}, kInfinity);
    return found ? found->record : "absent";
  }
};

TEST_P(SharedConformance, TidsAreContiguousAndAscend) {
  std::uint64_t seen = 0;
  for (int i = 0; i < 5; ++i) {
    const Outcome outcome = propose(seen, {change(1, seen, "r" + std::to_string(i))});
    ASSERT_EQ(outcome.kind, Kind::committed);
    EXPECT_TRUE(seen == 0 || outcome.tid.value == seen + 1) << outcome.tid << " after " << seen;
    seen = outcome.tid.value;
    EXPECT_EQ(store().last_tid().value, seen);
    EXPECT_EQ(record_now(1), "r" + std::to_string(i));
  }
  EXPECT_TRUE(shared().propose({}).empty());
}

TEST_P(SharedConformance, TheFirstCommitterWins) {
  const std::uint64_t first = propose(0, {change(1, 0, "a"), change(2, 0, "b")}).tid.value;
  const std::uint64_t second = propose(first, {change(1, first, "a2")}).tid.value;
  const Outcome late = propose(first, {change(1, first, "lost"), change(2, first, "b2")});
  ASSERT_EQ(late.kind, Kind::conflict);
  ASSERT_EQ(late.conflicts.size(), 1u);
  EXPECT_EQ(late.conflicts[0].oid, Oid{1});
  EXPECT_EQ(late.conflicts[0].base, Tid{first});
  EXPECT_EQ(late.conflicts[0].current, Tid{second});
  EXPECT_TRUE(late.conflicts[0].changed);
  EXPECT_EQ(record_now(1), "a2");
  EXPECT_EQ(record_now(2), "b") << "a proposal is whole or absent";
  EXPECT_EQ(store().last_tid().value, second) << "a refused proposal takes no tid";
  EXPECT_EQ(propose(second, {change(1, second, "a3")}).kind, Kind::committed);
}

TEST_P(SharedConformance, AnInsertOfWhatOthersHaveInsertedIsAConflict) {
  const std::uint64_t first = propose(0, {change(1, 0, "a")}).tid.value;
  propose(first, {change(7, 0, "theirs")});
  EXPECT_EQ(propose(first, {change(7, 0, "mine")}).kind, Kind::conflict);
  EXPECT_EQ(record_now(7), "theirs");
}

TEST_P(SharedConformance, ReadsAreValidatedAbsentOnesToo) {
  const std::uint64_t first = propose(0, {change(1, 0, "a"), change(2, 0, "b")}).tid.value;
  const std::uint64_t second = propose(first, {change(1, first, "a2")}).tid.value;
  const Outcome outcome = propose(first, {change(2, first, "b2")}, {{Oid{1}, Tid{first}}});
  ASSERT_EQ(outcome.kind, Kind::conflict);
  ASSERT_EQ(outcome.conflicts.size(), 1u);
  EXPECT_EQ(outcome.conflicts[0].oid, Oid{1});
  EXPECT_EQ(outcome.conflicts[0].current, Tid{second});
  EXPECT_FALSE(outcome.conflicts[0].changed);
  EXPECT_EQ(propose(second, {change(2, first, "b3")}, {{Oid{1}, Tid{second}}, {Oid{3}, Tid{}}}).kind, Kind::committed);
  const std::uint64_t third = store().last_tid().value;
  propose(third, {change(3, 0, "exists")});
  EXPECT_EQ(propose(third, {change(2, third, "b4")}, {{Oid{3}, Tid{}}}).kind, Kind::conflict);
  EXPECT_EQ(record_now(2), "b3");
}

TEST_P(SharedConformance, ErasuresConflictAsWritesDo) {
  const std::uint64_t first = propose(0, {change(1, 0, "a")}).tid.value;
  const std::vector<ProposedWrite> erasure{{erase(1), Tid{first}}};
  const std::uint64_t second = propose(first, erasure).tid.value;
  EXPECT_TRUE(store().load(Oid{1}, kInfinity)->erased);
  EXPECT_EQ(propose(first, {change(1, first, "lost")}).kind, Kind::conflict);
  EXPECT_EQ(propose(second, {change(1, 0, "again")}).kind, Kind::committed);
}

TEST_P(SharedConformance, WithinAGroupEarlierOnesWin) {
  const std::uint64_t first = propose(0, {change(1, 0, "a"), change(2, 0, "b"), change(3, 0, "c")}).tid.value;
  const std::vector<ProposedWrite> one{change(1, first, "first")};
  const std::vector<ProposedWrite> other{change(1, first, "second")};
  const std::vector<ProposedWrite> two{change(2, first, "b2")};
  const std::vector<ProposedWrite> three{change(3, first, "c2")};
  const std::vector<ProposedRead> read_one{{Oid{1}, Tid{first}}};
  const TransactionNote note{"ada", "", {}};
  const std::vector<Proposal> group{{Tid{first}, one, {}, &note, {}},
                                    {Tid{first}, other, {}, nullptr, {}},
                                    {Tid{first}, two, read_one, nullptr, {}},
                                    {Tid{first}, three, {}, nullptr, {}}};
  const std::vector<Outcome> outcomes = shared().propose(group);
  ASSERT_EQ(outcomes.size(), 4u);
  EXPECT_EQ(outcomes[0].kind, Kind::committed);
  EXPECT_EQ(outcomes[1].kind, Kind::conflict);
  EXPECT_EQ(outcomes[2].kind, Kind::conflict) << "it has read what the first one changes";
  EXPECT_EQ(outcomes[3].kind, Kind::committed);
  EXPECT_EQ(outcomes[0].tid.value, first + 1);
  EXPECT_EQ(outcomes[3].tid.value, first + 2);
  EXPECT_EQ(record_now(1), "first");
  EXPECT_EQ(record_now(2), "b");
  EXPECT_EQ(record_now(3), "c2");
  // Peers learn of it by the history.
  ASSERT_NE(capabilities().history, nullptr);
  const std::vector<TransactionInfo> found =
      capabilities().history->transactions(Tid{first + 1}, kInfinity, HistoryOrder::oldest_first, 10);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].note, note);
  EXPECT_EQ(found[1].objects, std::vector<Oid>{Oid{3}});
}

TEST_P(SharedConformance, ATokenIsCommittedOnce) {
  CommitToken token{};
  token[0] = std::byte{1};
  const Outcome first = propose(0, {change(1, 0, "a")}, {}, token);
  ASSERT_EQ(first.kind, Kind::committed);
  propose(first.tid.value, {change(1, first.tid.value, "b")});
  const Outcome again = propose(0, {change(1, 0, "a")}, {}, token);
  EXPECT_EQ(again.kind, Kind::committed);
  EXPECT_EQ(again.tid, first.tid);
  EXPECT_EQ(record_now(1), "b");
  // Of one that was refused nothing is kept: it may be proposed once more.
  token[1] = std::byte{2};
  EXPECT_EQ(propose(0, {change(1, 0, "c")}, {}, token).kind, Kind::conflict);
  const std::uint64_t last = store().last_tid().value;
  EXPECT_EQ(propose(last, {change(1, last, "c")}, {}, token).tid.value, last + 1);
}

TEST_P(SharedConformance, ABrokenGroupLeavesNothing) {
  const std::uint64_t first = propose(0, {change(1, 0, "a")}).tid.value;
  CommitToken token{};
  token[0] = std::byte{9};
  EXPECT_THROW(propose(first, {change(1, first, "")}, {}, token), std::invalid_argument);
  EXPECT_EQ(store().last_tid().value, first);
  EXPECT_EQ(propose(first, {change(1, first, "b")}, {}, token).tid.value, first + 1);
}

TEST_P(SharedConformance, HoldsKeepPacksBack) {
  ASSERT_NE(capabilities().packable, nullptr);
  for (int i = 0; i < 9; ++i) propose(store().last_tid().value, {change(1, 0, "r" + std::to_string(i))});
  shared().hold(Tid{4});
  const PackRequest all{.before = kInfinity, .is_garbage = {}, .progress = {}};
  EXPECT_EQ(capabilities().packable->pack(all).oldest, Tid{4});
  EXPECT_THROW(shared().hold(Tid{3}), SnapshotTooOldError);
  shared().hold(Tid{6});
  EXPECT_EQ(capabilities().packable->pack(all).oldest, Tid{6});
}

TEST_P(SharedConformance, WaitsForWhatOthersCommit) {
  const Tid first = propose(0, {change(1, 0, "a")}).tid;
  EXPECT_EQ(shared().wait_beyond(Tid{0}, std::chrono::hours(1)), first) << "it is there already";
  EXPECT_EQ(shared().wait_beyond(first, std::chrono::milliseconds(1)), first) << "nobody commits";
  std::jthread other([&] { propose(first.value, {change(1, first.value, "b")}); });
  EXPECT_EQ(shared().wait_beyond(first, std::chrono::hours(1)).value, first.value + 1);
}

// Threads that read, add one and propose, in turn at the store: none of their steps is lost.
TEST_P(SharedConformance, NoUpdateIsLost) {
  constexpr int kThreads = 4, kSteps = 100, kCounters = 3;
  std::vector<ProposedWrite> start;
  for (std::uint64_t oid = 1; oid <= kCounters; ++oid) start.push_back(change(oid, 0, "0"));
  propose(0, start);
  std::mutex one_at_a_time;
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < kThreads; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int done = 0; done < kSteps;) {
        const Tid snapshot = store().last_tid();
        const std::uint64_t oid = 1 + random() % kCounters;
        const std::optional<Revision> found = store().load(Oid{oid}, snapshot);
        const std::string next = std::to_string(std::stoi(found->record) + 1);
        std::this_thread::yield();
        const std::lock_guard lock(one_at_a_time);
        done += propose(snapshot.value, {change(oid, found->begin.value, next)}).kind == Kind::committed;
      }
    });
  }
  threads.clear();
  int sum = 0;
  for (std::uint64_t oid = 1; oid <= kCounters; ++oid) sum += std::stoi(record_now(oid));
  EXPECT_EQ(sum, kThreads * kSteps);
}

INSTANTIATE_TEST_SUITE_P(Stores, SharedConformance, ::testing::ValuesIn(stores_with(&StoreKind::is_shared)),
                         name_of_store);

}  // namespace
}  // namespace cow::testing
