// Which versions must be kept for transactions that sleep, counted for four rules. Nothing but arithmetic: no cache, no time.
//
// Thread safety: plain values.
//
// One object is updated after the other. Time is the number of updates so far; a version lives from its update to the next one of its
// object. Sleepers begin evenly over the first half of the updates. Each reads some objects at its snapshot, one with each update from then
// on, and then sleeps. At the end a version is kept
//   epochs:    if it was superseded after the first sleeper began;
//   interval:  if it lived at a time between some sleeper's begin and its last read (2GEIBR: Wen et al., PPoPP 2018);
//   visible:   if some sleeper's snapshot can see it (stores of many versions);
//   logged:    if some sleeper has read it (the rule of this cache).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace cow::bench {

struct PinnedPlan {
  std::vector<std::uint32_t> updates;             ///< the object of each
  std::vector<std::vector<std::uint32_t>> reads;  ///< of each sleeper: different objects
  std::uint32_t objects = 0;

  std::uint64_t begin_of(std::size_t sleeper) const noexcept { return sleeper * (updates.size() / 2) / reads.size(); }
};

/// Versions that a rule keeps.
struct Kept {
  std::uint64_t superseded = 0, newest = 0;
};

struct PinnedCounts {
  Kept epochs, interval, visible, logged;
};

class PinnedSimulation {
 public:
  explicit PinnedSimulation(const PinnedPlan& plan) : plan_(plan), readers_of_(plan.objects) {
    for (std::size_t sleeper = 0; sleeper < plan.reads.size(); ++sleeper) {
      begins_.push_back(plan.begin_of(sleeper));
      longest_ = std::max<std::uint64_t>(longest_, plan.reads[sleeper].size());
      for (std::uint32_t object : plan.reads[sleeper]) readers_of_[object].push_back(begins_.back());
    }
  }

  PinnedCounts count() const {
    PinnedCounts counts;
    std::vector<std::uint64_t> born(plan_.objects, 0);
    std::uint64_t time = 0;
    for (std::uint32_t object : plan_.updates) {
      ++time;
      add(counts, object, born[object], time, &Kept::superseded);
      born[object] = time;
    }
    for (std::uint32_t object = 0; object < plan_.objects; ++object)
      add(counts, object, born[object], kNever, &Kept::newest);
    return counts;
  }

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  /// A version that lives in [born, died).
  void add(PinnedCounts& counts, std::uint32_t object, std::uint64_t born, std::uint64_t died,
           std::uint64_t Kept::*kind) const {
    if (begins_.empty()) return;
    // The first read is at the begin of a sleeper, the last one so many updates later.
    const std::uint64_t reading = longest_ == 0 ? 0 : longest_ - 1;
    counts.epochs.*kind += died > begins_.front();
    counts.interval.*kind += any_in(begins_, born > reading ? born - reading : 0, died);
    counts.visible.*kind += any_in(begins_, born, died);
    counts.logged.*kind += any_in(readers_of_[object], born, died);
  }

  /// Whether one of the ascending times is in [from, to).
  static bool any_in(std::span<const std::uint64_t> times, std::uint64_t from, std::uint64_t to) noexcept {
    auto found = std::lower_bound(times.begin(), times.end(), from);
    return found != times.end() && *found < to;
  }

  const PinnedPlan& plan_;
  std::vector<std::uint64_t> begins_;  // ascending
  std::vector<std::vector<std::uint64_t>>
      readers_of_;  // of each object the begins of the sleepers that read it, ascending
  std::uint64_t longest_ = 0;
};

}  // namespace cow::bench
