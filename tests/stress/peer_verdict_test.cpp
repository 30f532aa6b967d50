// What is found in histories of processes that were made up: each breach of what clients were told, and that the lists are checked; and what
// is left of a journal whose process was killed.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <utility>
#include <vector>

#include "bench/history/journal.hpp"
#include "bench/history/verdict.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

using bench::history::Anomaly;
using bench::history::Breach;
using bench::history::EngineCommit;
using bench::history::HistoryOperation;
using bench::history::HistoryTransaction;
using bench::history::Journal;
using bench::history::Judge;
using bench::history::name_of;
using bench::history::Recorded;
using bench::history::Verdict;
using HistoryOutcome = bench::history::Outcome;

HistoryOperation append(std::uint32_t key, std::uint64_t value) { return {key, value, {}}; }
HistoryOperation found(std::uint32_t key, std::vector<std::uint64_t> values) { return {key, 0, std::move(values)}; }

/// One that has committed at `tid`, begun and ended at these times, and has asked for all that was acknowledged.
Recorded did(std::uint64_t id, std::uint64_t snapshot, std::uint64_t tid, std::vector<HistoryOperation> operations,
             std::int64_t begin, std::int64_t end) {
  return {.what = {begin, end, HistoryOutcome::committed, std::move(operations)},
          .id = id,
          .snapshot = Tid{snapshot},
          .tid = Tid{tid},
          .began = begin,
          .asked = begin + 1};
}
EngineCommit commit(std::uint64_t tid, std::uint64_t id, std::vector<std::uint64_t> keys) {
  EngineCommit made{Tid{tid}, id};
  for (const std::uint64_t key : keys) made.objects.push_back(Oid{10 * key});
  return made;
}

/// Two appends to list 1, in turn, by two processes; the engine's history; who has read it in the end.
struct Example {
  std::vector<Recorded> recorded{did(7, 0, 1, {append(1, 70)}, 0, 10),
                                 did(8, 1, 2, {found(1, {70}), append(1, 80), append(2, 81)}, 20, 30)};
  std::vector<EngineCommit> engine{commit(1, 7, {1}), commit(2, 8, {1, 2})};
  HistoryTransaction last{100, 110, HistoryOutcome::committed, {found(1, {70, 80}), found(2, {81})}};
  bool may_be_open = false;

  Verdict judge() const {
    return Judge(
               {0, 10, 20}, [this](const Recorded&) { return may_be_open; },
               [](std::uint32_t client) { return client; })
        .judge(recorded, engine, last, Isolation::serializable);
  }
};

TEST(PeerVerdict, FindsNothingWhereNothingIsWrong) {
  EXPECT_EQ(Example().judge().wrongs(), 0u) << Example().judge().text();
  Example run;
  run.recorded[1].what.outcome = HistoryOutcome::unknown;  // and there
  run.may_be_open = true;
  EXPECT_EQ(run.judge().wrongs(), 0u) << run.judge().text();
  EXPECT_EQ(run.judge().open_done, 1u);
  run.may_be_open = false;
  run.recorded[1].has_ended = false;  // its process was killed
  EXPECT_EQ(run.judge().wrongs(), 0u) << run.judge().text();
  run.engine.pop_back();  // or not there
  run.last.operations = {found(1, {70}), found(2, {})};
  EXPECT_EQ(run.judge().wrongs(), 0u) << run.judge().text();
}

TEST(PeerVerdict, FindsEachBreach) {
  const std::vector<std::pair<Breach, std::function<void(Example&)>>> mutations = {
      {Breach::lost,
       [](Example& run) {  // nobody has read it: the lists alone do not show it
         run.recorded.push_back(did(9, 2, 3, {append(2, 90)}, 40, 50));
         run.last.operations.pop_back();
       }},
      {Breach::misnamed, [](Example& run) { run.recorded[1].tid = Tid{3}; }},
      {Breach::doubled,
       [](Example& run) {
         run.engine.push_back(commit(3, 8, {1, 2}));
       }},
      {Breach::refused_but_done, [](Example& run) { run.recorded[1].what.outcome = HistoryOutcome::aborted; }},
      {Breach::refused_but_done,
       [](Example& run) {  // of a transaction that was open when its process was killed
         run.engine.push_back(commit(3, 9, {2}));
       }},
      {Breach::torn, [](Example& run) { run.engine[1] = commit(2, 8, {1}); }},
      {Breach::needlessly_open, [](Example& run) { run.recorded[1].what.outcome = HistoryOutcome::unknown; }},
      {Breach::stale, [](Example& run) { run.recorded.push_back(did(9, 1, 1, {}, 40, 50)); }},
      {Breach::own_unseen,
       [](Example& run) {
         run.recorded.push_back(did(9, 1, 1, {}, 40, 50));
         run.recorded[2].what.begin = INT64_MIN;
       }},
      {Breach::gap, [](Example& run) { run.engine[1].tid = run.recorded[1].tid = Tid{3}; }},
  };
  for (const auto& [breach, mutate] : mutations) {
    Example run;
    mutate(run);
    const Verdict verdict = run.judge();
    EXPECT_GT(verdict.of(breach), 0u) << name_of(breach) << " is not found\n" << verdict.text();
    EXPECT_GT(verdict.wrongs(), 0u);
  }
}

TEST(PeerVerdict, HasTheListsChecked) {
  const std::vector<std::pair<Anomaly, std::function<void(Example&)>>> mutations = {
      {Anomaly::lost_append, [](Example& run) { run.last.operations[1].found.clear(); }},
      {Anomaly::garbage,
       [](Example& run) {
         run.last.operations[0].found = {70, 80, 80};
       }},
      {Anomaly::lost_update,
       [](Example& run) {
         run.recorded.push_back(did(9, 2, 3, {found(1, {70}), append(1, 90)}, 20, 50));
         run.last.operations[0].found = {70, 80, 90};
       }},
      {Anomaly::real_time, [](Example& run) { run.recorded.push_back(did(9, 2, 2, {found(2, {})}, 40, 50)); }},
  };
  for (const auto& [anomaly, mutate] : mutations) {
    Example run;
    mutate(run);
    const Verdict verdict = run.judge();
    EXPECT_GT(verdict.report.of(anomaly), 0u) << name_of(anomaly) << " is not found\n" << verdict.text();
    EXPECT_GT(verdict.anomalies, 0u);
  }
}

// ---- journals

TEST(PeerJournal, KeepsWhatWasWrittenWhereverItsProcessWasKilled) {
  const ScratchDirectory scratch;
  const std::filesystem::path path = scratch.store();
  Recorded one = did(7, 3, 4, {found(1, {5, 6}), append(1, 70)}, 0, 10);
  one.is_unseen = true;
  Recorded read_only = did(8, 4, 4, {found(1, {})}, 12, 13);
  read_only.asked = 0;
  read_only.client = 2;
  {
    Journal journal(path);
    journal.asks(one);
    journal.is_answered(one);
    journal.has_ended(read_only);
  }
  std::size_t asked = 0, answered = 0, all = 0;
  for (auto size = static_cast<std::int64_t>(std::filesystem::file_size(path)); size >= 0; --size) {
    std::filesystem::resize_file(path, static_cast<std::uintmax_t>(size));
    std::vector<Recorded> read;
    read_journal(path, read);
    all += read.size() == 2;
    if (read.empty()) continue;
    EXPECT_EQ(read[0].id, 7u);
    EXPECT_EQ(read[0].snapshot, Tid{3});
    ASSERT_EQ(read[0].what.operations.size(), 2u);
    EXPECT_EQ(read[0].what.operations[0].found, (std::vector<std::uint64_t>{5, 6}));
    EXPECT_EQ(read[0].what.operations[1].appended, 70u);
    ++(read[0].has_ended ? answered : asked);
    EXPECT_EQ(read[0].what.outcome, read[0].has_ended ? HistoryOutcome::committed : HistoryOutcome::unknown);
    EXPECT_EQ(read[0].tid, read[0].has_ended ? Tid{4} : read[0].tid);
    if (read.size() < 2) continue;
    EXPECT_TRUE(read[0].is_unseen);
    EXPECT_EQ(read[1].client, 2u);
    EXPECT_EQ(read[1].asked, 0);
    EXPECT_EQ(read[1].what.end, 13);
  }
  EXPECT_EQ(all, 1u);
  EXPECT_GT(answered, 1u);
  EXPECT_GT(asked, 1u);
}

}  // namespace
}  // namespace cow::testing
