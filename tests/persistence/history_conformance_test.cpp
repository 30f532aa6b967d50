// What `cow_cache/store/history.hpp` promises, for every store that has a history.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/store/history.hpp"
#include "tests/support/store_kinds.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

class HistoryConformance : public StoreOfKind {
 protected:
  HistoryStore& history() { return *capabilities().history; }

  void commit_noted(std::uint64_t tid, const std::vector<ObjectWrite>& objects, const TransactionNote& note) {
    const TransactionWrite transaction{Tid{tid}, objects, &note};
    store().commit({&transaction, 1});
  }

  /// All in pages of `most`, the longest that may be asked for at a time.
  std::vector<TransactionInfo> all(Tid from, Tid to, HistoryOrder order, std::size_t most) {
    std::vector<TransactionInfo> found;
    for (;;) {
      const std::vector<TransactionInfo> page = history().transactions(from, to, order, most);
      EXPECT_LE(page.size(), most);
      if (page.empty()) return found;
      found.insert(found.end(), page.begin(), page.end());
      const std::uint64_t last = page.back().tid.value;
      if (order == HistoryOrder::oldest_first) {
        if (last == kInfinity.value) return found;
        from = Tid{last + 1};
      } else {
        if (last == 0) return found;
        to = Tid{last - 1};
      }
    }
  }

  std::vector<std::uint64_t> tids(Tid from, Tid to, HistoryOrder order, std::size_t most = 3) {
    std::vector<std::uint64_t> found;
    for (const TransactionInfo& info : all(from, to, order, most)) found.push_back(info.tid.value);
    return found;
  }

  std::vector<RevisionInfo> all_revisions(Oid oid, Tid newest, std::size_t most) {
    std::vector<RevisionInfo> found;
    for (;;) {
      const std::vector<RevisionInfo> page = history().revisions(oid, newest, most);
      EXPECT_LE(page.size(), most);
      found.insert(found.end(), page.begin(), page.end());
      if (page.empty() || page.back().begin.value <= 1) return found;
      newest = Tid{page.back().begin.value - 1};
    }
  }
};

using Tids = std::vector<std::uint64_t>;

TEST_P(HistoryConformance, AnEmptyStoreHasNone) {
  EXPECT_TRUE(history().transactions(Tid{0}, kInfinity, HistoryOrder::oldest_first, 10).empty());
  EXPECT_TRUE(history().transactions(Tid{0}, kInfinity, HistoryOrder::newest_first, 10).empty());
  EXPECT_TRUE(history().revisions(Oid{1}, kInfinity, 10).empty());
  EXPECT_EQ(history().tid_at(std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())), Tid{0});
}

TEST_P(HistoryConformance, RangesOfTransactionsEitherWay) {
  for (std::uint64_t tid : {10, 20, 21, 22, 40, 41, 50}) commit(store(), tid, {put(1, record_of(1, tid))});
  EXPECT_EQ(tids(Tid{0}, kInfinity, HistoryOrder::oldest_first), (Tids{10, 20, 21, 22, 40, 41, 50}));
  EXPECT_EQ(tids(Tid{0}, kInfinity, HistoryOrder::newest_first), (Tids{50, 41, 40, 22, 21, 20, 10}));
  EXPECT_EQ(tids(Tid{20}, Tid{40}, HistoryOrder::oldest_first), (Tids{20, 21, 22, 40}));
  EXPECT_EQ(tids(Tid{20}, Tid{40}, HistoryOrder::newest_first), (Tids{40, 22, 21, 20}));
  EXPECT_EQ(tids(Tid{11}, Tid{39}, HistoryOrder::oldest_first), (Tids{20, 21, 22}));
  EXPECT_EQ(tids(Tid{11}, Tid{39}, HistoryOrder::newest_first), (Tids{22, 21, 20}));
  EXPECT_EQ(tids(Tid{23}, Tid{39}, HistoryOrder::oldest_first), Tids{});
  EXPECT_EQ(tids(Tid{23}, Tid{39}, HistoryOrder::newest_first), Tids{});
  EXPECT_EQ(tids(Tid{0}, Tid{9}, HistoryOrder::newest_first), Tids{});
  EXPECT_EQ(tids(Tid{0}, Tid{9}, HistoryOrder::oldest_first), Tids{});
  EXPECT_EQ(tids(Tid{51}, kInfinity, HistoryOrder::oldest_first), Tids{});
  EXPECT_EQ(tids(Tid{51}, kInfinity, HistoryOrder::newest_first), Tids{});
  EXPECT_EQ(tids(Tid{40}, Tid{20}, HistoryOrder::oldest_first), Tids{});
  EXPECT_EQ(tids(Tid{40}, Tid{20}, HistoryOrder::newest_first), Tids{});
  EXPECT_EQ(tids(Tid{22}, Tid{22}, HistoryOrder::newest_first), Tids{22});
}

TEST_P(HistoryConformance, NotesAndObjectsComeBackAsTheyWere) {
  TransactionNote note{
      "ada", "the first one,\n\xC3\xA4\xE2\x82\xAC", {{"request", "17"}, {"", ""}, {"address", "::1"}}};
  note.properties["zeros"] = std::string(3, '\0');
  const TransactionNote no_text{"", "", {{"a", ""}}};
  TransactionNote large;
  large.description.resize(kMaxNoteBytes - large.bytes(), 'x');
  commit_noted(1, {put(3, "c"), put(1, "a"), put(2, "b")}, note);
  commit(store(), 2, {erase(2)});
  commit_noted(3, {}, no_text);
  commit_noted(4, {put(1, "a2")}, large);
  commit_noted(5, {put(1, "a3")}, TransactionNote{});
  const std::vector<TransactionInfo> found = all(Tid{1}, kInfinity, HistoryOrder::oldest_first, 2);
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0].note, note);
  EXPECT_EQ(found[0].objects, (std::vector<Oid>{Oid{3}, Oid{1}, Oid{2}}));
  EXPECT_EQ(found[1].note, TransactionNote{});
  EXPECT_EQ(found[1].objects, std::vector<Oid>{Oid{2}});
  EXPECT_EQ(found[2].note, no_text);
  EXPECT_TRUE(found[2].objects.empty());
  EXPECT_EQ(found[3].note, large);
  EXPECT_TRUE(found[4].note.empty());
}

TEST_P(HistoryConformance, ANoteThatIsTooLargeIsRefusedAndNothingKept) {
  TransactionNote note;
  note.user.resize(kMaxNoteBytes - note.bytes() + 1, 'x');
  EXPECT_THROW(commit_noted(1, {put(1, "a")}, note), std::invalid_argument);
  EXPECT_EQ(store().last_tid(), Tid{0});
  EXPECT_TRUE(history().transactions(Tid{0}, kInfinity, HistoryOrder::oldest_first, 10).empty());
  commit_noted(1, {put(1, "a")}, TransactionNote{"now", "", {}});
  EXPECT_EQ(all(Tid{0}, kInfinity, HistoryOrder::oldest_first, 1).size(), 1u);
}

TEST_P(HistoryConformance, WhatACommitRefusedIsNoHistory) {
  commit(store(), 10, {put(1, "a")});
  const std::vector<ObjectWrite> good{put(1, "b")};
  const std::vector<ObjectWrite> twice{put(2, "b"), put(2, "c")};
  const std::vector<TransactionWrite> group{{Tid{11}, good}, {Tid{12}, twice}};
  EXPECT_THROW(store().commit(group), std::invalid_argument);
  EXPECT_EQ(tids(Tid{0}, kInfinity, HistoryOrder::oldest_first), Tids{10});
  EXPECT_EQ(history().revisions(Oid{1}, kInfinity, 10).size(), 1u);
  commit(store(), 11, {put(1, "b")});
  EXPECT_EQ(tids(Tid{0}, kInfinity, HistoryOrder::oldest_first), (Tids{10, 11}));
}

TEST_P(HistoryConformance, RevisionsOfAnObject) {
  commit_noted(10, {put(1, "one"), put(2, "x")}, {"ada", "made", {}});
  commit(store(), 20, {put(1, "three")});
  commit(store(), 30, {put(2, "y")});
  commit_noted(40, {erase(1)}, {"bob", "", {}});
  commit(store(), 50, {put(1, "back")});
  const std::vector<RevisionInfo> found = history().revisions(Oid{1}, kInfinity, 10);
  ASSERT_EQ(found.size(), 4u);
  const std::vector<std::optional<Revision>> loaded{store().load(Oid{1}, Tid{50}), store().load(Oid{1}, Tid{40}),
                                                    store().load(Oid{1}, Tid{20}), store().load(Oid{1}, Tid{10})};
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].begin, loaded[i]->begin) << i;
    EXPECT_EQ(found[i].end, loaded[i]->end) << i;
    EXPECT_EQ(found[i].erased, loaded[i]->erased) << i;
    EXPECT_EQ(found[i].bytes, loaded[i]->record.size()) << i;
  }
  EXPECT_EQ(found[1].note.user, "bob");
  EXPECT_EQ(found[3].note, (TransactionNote{"ada", "made", {}}));
  EXPECT_TRUE(found[0].note.empty());
  EXPECT_EQ(all_revisions(Oid{1}, kInfinity, 1), found);
  EXPECT_EQ(all_revisions(Oid{1}, kInfinity, 3), found);
  EXPECT_EQ(all_revisions(Oid{1}, Tid{39}, 2), std::vector(found.begin() + 2, found.end()));
  EXPECT_EQ(all_revisions(Oid{1}, Tid{40}, 2), std::vector(found.begin() + 1, found.end()));
  EXPECT_TRUE(history().revisions(Oid{1}, Tid{9}, 10).empty());
  EXPECT_TRUE(history().revisions(Oid{3}, kInfinity, 10).empty());
  const std::vector<TransactionInfo> made = history().transactions(Tid{10}, Tid{10}, HistoryOrder::oldest_first, 1);
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(found[3].time, made[0].time);
}

TEST_P(HistoryConformance, TimesLeadToTids) {
  const CommitTime before = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  for (std::uint64_t tid = 10; tid <= 400; tid += 13) commit(store(), tid, {put(1, record_of(1, tid))});
  const CommitTime after = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  const std::vector<TransactionInfo> found = all(Tid{0}, kInfinity, HistoryOrder::oldest_first, 7);
  ASSERT_EQ(found.size(), 31u);
  EXPECT_TRUE(std::ranges::is_sorted(found, {}, &TransactionInfo::time));
  EXPECT_LE(found.back().time, std::max(after, found.front().time));
  EXPECT_GE(found.front().time, before);
  for (const TransactionInfo& info : found) {
    const auto last = std::ranges::find_if(found.rbegin(), found.rend(),
                                           [&](const TransactionInfo& other) { return other.time == info.time; });
    EXPECT_EQ(history().tid_at(info.time), last->tid);
    const auto next = std::ranges::find_if(found, [&](const TransactionInfo& other) { return other.time > info.time; });
    if (next == found.end()) continue;
    EXPECT_EQ(history().tid_at(next->time - std::chrono::microseconds(1)), last->tid);
  }
  EXPECT_EQ(history().tid_at(found.front().time - std::chrono::microseconds(1)), Tid{0});
  EXPECT_EQ(history().tid_at(CommitTime::max()), found.back().tid);
}

TEST_P(HistoryConformance, AgreesWithAModel) {
  std::mt19937_64 random(7);
  std::map<std::uint64_t, std::pair<std::vector<Oid>, std::string>> model;
  std::map<std::uint64_t, Tids> revisions;
  std::uint64_t tid = 0;
  for (int round = 0; round < 150; ++round) {
    std::vector<std::vector<ObjectWrite>> writes(1 + random() % 3);
    std::vector<TransactionNote> notes(writes.size());
    std::vector<TransactionWrite> group;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      tid += 1 + (random() % 4 == 0 ? random() % 1000 : 0);
      std::set<std::uint64_t> oids;
      for (std::uint64_t n = random() % 6; n > 0; --n) oids.insert(1 + random() % 30);
      if (random() % 3 == 0) notes[i].description = record_of(tid, tid, 1 + random() % 50);
      for (std::uint64_t oid : oids) {
        writes[i].push_back(random() % 7 == 0 ? erase(oid) : put(oid, "r"));
        model[tid].first.push_back(Oid{oid});
        revisions[oid].insert(revisions[oid].begin(), tid);
      }
      model[tid].second = notes[i].description;
      group.push_back({Tid{tid}, writes[i], &notes[i]});
    }
    store().commit(group);
  }
  for (int question = 0; question < 60; ++question) {
    const std::uint64_t from = random() % (tid + 3);
    const std::uint64_t to = from + random() % (tid / 2);
    const HistoryOrder order = random() % 2 == 0 ? HistoryOrder::oldest_first : HistoryOrder::newest_first;
    std::vector<TransactionInfo> found = all(Tid{from}, Tid{to}, order, 1 + random() % 40);
    if (order == HistoryOrder::newest_first) std::ranges::reverse(found);
    auto expected = model.lower_bound(from);
    for (const TransactionInfo& info : found) {
      ASSERT_NE(expected, model.end());
      ASSERT_EQ(info.tid.value, expected->first);
      ASSERT_EQ(info.objects, expected->second.first);
      ASSERT_EQ(info.note.description, expected->second.second);
      ++expected;
    }
    ASSERT_TRUE(expected == model.end() || expected->first > to);
    const std::uint64_t oid = 1 + random() % 31;
    Tids listed;
    for (const RevisionInfo& info : all_revisions(Oid{oid}, Tid{to}, 1 + random() % 5))
      listed.push_back(info.begin.value);
    Tids wanted = revisions[oid];
    std::erase_if(wanted, [&](std::uint64_t begin) { return begin > to; });
    ASSERT_EQ(listed, wanted);
  }
}

// Whoever reads while commits go on sees whole transactions, without a gap, and nothing above `last_tid`.
TEST_P(HistoryConformance, PagesWhileCommitsGoOn) {
  constexpr std::uint64_t kCommits = 300;
  std::atomic<bool> stop{false};
  std::atomic<int> pages{0};
  std::jthread reader([&] {
    std::mt19937 random(3);
    while (!stop || pages < 3) {
      const Tid last = store().last_tid();
      const bool ascends = random() % 2 == 0;
      const std::vector<TransactionInfo> found =
          all(Tid{1}, last, ascends ? HistoryOrder::oldest_first : HistoryOrder::newest_first, 1 + random() % 100);
      ASSERT_EQ(found.size(), last.value);
      for (std::size_t i = 0; i < found.size(); ++i) {
        const std::uint64_t tid = ascends ? i + 1 : last.value - i;
        ASSERT_EQ(found[i].tid.value, tid);
        ASSERT_EQ(found[i].objects, (std::vector<Oid>{Oid{1}, Oid{tid + 1}}));
      }
      const std::vector<RevisionInfo> revisions = history().revisions(Oid{1}, last, 1000);
      ASSERT_EQ(revisions.size(), last.value);
      ++pages;
    }
  });
  for (std::uint64_t tid = 1; tid <= kCommits; ++tid) commit(store(), tid, {put(1, "x"), put(tid + 1, "y")});
  stop = true;
}

INSTANTIATE_TEST_SUITE_P(Stores, HistoryConformance, ::testing::ValuesIn(stores_with(&StoreKind::has_history)),
                         name_of_store);

}  // namespace
}  // namespace cow::testing
