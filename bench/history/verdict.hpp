// Holds what clients of several processes have recorded against what the engine has committed, and has the history checked.
//
// Thread safety: used by one thread, after the run.
//
// The checker (history_checker.hpp) sees the lists only. Here it is known of each commit, too, whose it is: a transaction says so in its
// note. So what was acknowledged, refused or left open is compared with what is there, one by one, whether anybody has read it or not.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "history_checker.hpp"
#include "journal.hpp"

namespace cow::bench::history {

/// What the engine has committed, in the order of tids.
struct EngineCommit {
  Tid tid;
  std::uint64_t id = 0;           ///< of the transaction; 0: of none of the clients'
  std::vector<Oid> objects = {};  ///< that it has written
};

enum class Breach : std::uint8_t {
  lost,              ///< acknowledged, and not there
  misnamed,          ///< acknowledged as another tid
  doubled,           ///< committed twice
  refused_but_done,  ///< refused, aborted or never asked for, and there
  torn,              ///< it has not written what it has written
  needlessly_open,   ///< of unknown outcome, where it could have been found out
  stale,             ///< began without what it had asked to see
  own_unseen,        ///< began without what its own process had committed
  gap,               ///< tids that are missing, or not in order
  count
};

inline const char* name_of(Breach breach) {
  static constexpr const char* kNames[] = {"acknowledged and lost", "acknowledged as another tid", "committed twice",
                                           "refused and committed", "committed in part",           "needlessly unknown",
                                           "an old snapshot",       "own commits unseen",          "a gap of tids"};
  return kNames[static_cast<int>(breach)];
}

struct Verdict {
  std::array<std::uint64_t, static_cast<std::size_t>(Breach::count)> breaches{};
  std::vector<std::string> examples;
  HistoryReport report;         ///< of the checker
  std::uint64_t anomalies = 0;  ///< that the level forbids
  std::uint64_t transactions = 0, acknowledged = 0, refused = 0, open = 0, open_done = 0, cut_short = 0, skews = 0;

  std::uint64_t of(Breach breach) const { return breaches[static_cast<std::size_t>(breach)]; }
  /// Everything that must not be.
  std::uint64_t wrongs() const {
    std::uint64_t sum = anomalies;
    for (const std::uint64_t count : breaches) sum += count;
    return sum;
  }
  /// Counts only.
  Verdict& operator+=(const Verdict& other) {
    for (std::size_t i = 0; i < breaches.size(); ++i) breaches[i] += other.breaches[i];
    for (const auto count : {&Verdict::anomalies, &Verdict::transactions, &Verdict::acknowledged, &Verdict::refused,
                             &Verdict::open, &Verdict::open_done, &Verdict::cut_short, &Verdict::skews})
      this->*count += other.*count;
    return *this;
  }
  std::string text() const {
    std::string text = report.text();
    for (const std::string& example : examples) text += "  " + example + "\n";
    return text;
  }
  void add(Breach breach, const std::string& example) {
    if (breaches[static_cast<std::size_t>(breach)]++ < 2)
      examples.push_back(std::string(name_of(breach)) + ": " + example);
  }
};

class Judge {
 public:
  /// `oids` of the lists by key; `may_be_open`: whether the outcome of a transaction could not be found out, though its process lived;
  /// `process_of` a client.
  Judge(std::vector<std::uint64_t> oids, std::function<bool(const Recorded&)> may_be_open,
        std::function<std::uint32_t(std::uint32_t)> process_of)
      : oids_(std::move(oids)), may_be_open_(std::move(may_be_open)), process_of_(std::move(process_of)) {}

  /// `last`: one that has read everything when all others had ended.
  Verdict judge(std::vector<Recorded> recorded, const std::vector<EngineCommit>& engine, HistoryTransaction last,
                Isolation level) {
    verdict_ = {};
    check_engine(engine);
    for (const Recorded& one : recorded) check(one);
    for (const auto& [id, tid] : done_) verdict_.add(Breach::refused_but_done, name(id) + " was never asked for");
    check_snapshots(recorded);
    std::vector<HistoryTransaction> history;
    history.reserve(recorded.size() + 1);
    for (Recorded& one : recorded) history.push_back(std::move(one.what));
    history.push_back(std::move(last));
    verdict_.transactions = recorded.size();
    verdict_.report = HistoryChecker::check(history);
    for (std::size_t i = 0; i < verdict_.report.counts.size(); ++i) {
      HistoryReport alone;
      alone.counts[i] = verdict_.report.counts[i];
      if (!alone.allowed(level)) verdict_.anomalies += alone.counts[i];
    }
    verdict_.skews = verdict_.report.of(Anomaly::write_skew);
    return std::move(verdict_);
  }

 private:
  static std::string name(std::uint64_t id) {
    return "transaction " + std::to_string(id & ((std::uint64_t{1} << 40) - 1)) + " of client " +
           std::to_string(id >> 40);
  }

  void check_engine(const std::vector<EngineCommit>& engine) {
    Tid before{};
    for (const EngineCommit& commit : engine) {
      if (commit.tid.value != before.value + 1)
        verdict_.add(Breach::gap, std::to_string(commit.tid.value) + " follows " + std::to_string(before.value));
      before = commit.tid;
      if (commit.id == 0) continue;
      const auto [first, fresh] = done_.emplace(commit.id, &commit);
      if (!fresh)
        verdict_.add(Breach::doubled, name(commit.id) + ", at " + std::to_string(first->second->tid.value) + " and " +
                                          std::to_string(commit.tid.value));
    }
  }

  void check(const Recorded& one) {
    bool writes = false;
    for (const HistoryOperation& operation : one.what.operations) writes = writes || operation.appended != 0;
    const auto found = done_.find(one.id);
    const EngineCommit* const there = found == done_.end() ? nullptr : found->second;
    if (there != nullptr) done_.erase(found);
    if (one.what.outcome == Outcome::committed) {
      ++verdict_.acknowledged;
      if (writes && there == nullptr)
        verdict_.add(Breach::lost, name(one.id) + ", tid " + std::to_string(one.tid.value));
      if (there != nullptr && there->tid != one.tid)
        verdict_.add(Breach::misnamed, name(one.id) + ", as " + std::to_string(one.tid.value) + ", is " +
                                           std::to_string(there->tid.value));
    } else if (one.what.outcome == Outcome::aborted) {
      ++verdict_.refused;
      if (there != nullptr)
        verdict_.add(Breach::refused_but_done, name(one.id) + ", tid " + std::to_string(there->tid.value));
    } else {
      ++(one.has_ended ? verdict_.open : verdict_.cut_short);
      verdict_.open_done += there != nullptr;
      if (one.has_ended && !may_be_open_(one)) verdict_.add(Breach::needlessly_open, name(one.id));
    }
    if (there != nullptr && !writes_all(one, *there)) verdict_.add(Breach::torn, name(one.id));
  }

  bool writes_all(const Recorded& one, const EngineCommit& there) const {
    std::vector<Oid> asked, done = there.objects;
    for (const HistoryOperation& operation : one.what.operations) {
      if (operation.appended != 0) asked.push_back(Oid{oids_.at(operation.key)});
    }
    std::ranges::sort(asked);
    asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
    std::ranges::sort(done);
    return asked == done;
  }

  /// Who asked for all that had been acknowledged has it; and each process has what it has itself committed.
  void check_snapshots(const std::vector<Recorded>& recorded) {
    std::vector<const Recorded*> by_begin, by_end;
    for (const Recorded& one : recorded) {
      by_begin.push_back(&one);
      if (one.what.outcome == Outcome::committed) by_end.push_back(&one);
    }
    std::ranges::sort(by_begin, {}, [](const Recorded* one) { return one->began; });
    std::ranges::sort(by_end, {}, [](const Recorded* one) { return one->what.end; });
    Tid anywhere{};
    std::map<std::uint32_t, Tid> own;
    auto next = by_end.begin();
    for (const Recorded* one : by_begin) {
      for (; next != by_end.end() && (*next)->what.end < one->began; ++next) {
        anywhere = std::max(anywhere, (*next)->tid);
        Tid& its = own[process_of_((*next)->client)];
        if (!(*next)->is_unseen) its = std::max(its, (*next)->tid);
      }
      const bool asks_for_all = one->what.begin == one->began;
      const auto describe = [&](Tid missing) {
        return name(one->id) + " of snapshot " + std::to_string(one->snapshot.value) + ", after " +
               std::to_string(missing.value) + " was acknowledged";
      };
      if (asks_for_all && one->snapshot < anywhere) verdict_.add(Breach::stale, describe(anywhere));
      const Tid its = own[process_of_(one->client)];
      if (one->snapshot < its) verdict_.add(Breach::own_unseen, describe(its));
    }
  }

  const std::vector<std::uint64_t> oids_;
  const std::function<bool(const Recorded&)> may_be_open_;
  const std::function<std::uint32_t(std::uint32_t)> process_of_;
  Verdict verdict_;
  std::unordered_map<std::uint64_t, const EngineCommit*> done_;  ///< by id; without those that were looked at
};

}  // namespace cow::bench::history
