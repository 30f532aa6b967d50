// IntervalReclaimer: a state is kept for a transaction if the life of the one meets the interval of the other.
//
// Thread safety: as Reclaimer; see AttachedReclaimer.
//
// Invariants:
//  1. A state lives from the commit that made it (its `begin`) to its retirement (its stamp). A transaction's interval goes from the epoch
//     that it has announced to its snapshot. The state is free once, of every open transaction, the announced epoch is above the stamp, or
//     the snapshot is below the state's begin.
//     Proof: the first half is [epoch-rule]. A transaction whose snapshot is below the begin of a state may look at its header, which is
//     always possible ([type-stable], state_memory.hpp), finds it too new, and never uses its value.
//  2. [interval-in-one-piece] The two ends are those of one transaction: the announcement is read before and after the snapshot, and again
//     if it has changed. Had a further transaction announced the same epoch in between, its snapshot would only protect more, for
//     snapshots grow; and what the earlier one did happens before the second load of the announcement (acquire).
//
// Source: the two ends are those of 2GEIBR (Wen, Izraelevitz, Cai, Beadle, Scott, "Interval-Based Memory Reclamation", PPoPP 2018), with
// commits as the clock of births. There a reader moves the upper end of its interval with each era in which it reads; a snapshot fixes it
// once and for all, so nothing is added to a read. What is kept is what some snapshot can see, as in stores of many versions, and of the
// order of what Hazard Eras (Ramalhete, Correia, SPAA 2017) and Hyaline-S (Nikolaev, Ravindran, PLDI 2021) keep.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "bagged_reclaimer.hpp"
#include "seats.hpp"

namespace cow::bench {

/// What tests break on purpose.
enum class IntervalFault { none, birth_at_the_snapshot_is_later, retired_in_its_epoch_is_earlier, last_session_only };

template <IntervalFault kFault = IntervalFault::none>
class IntervalReclaimer final : public BaggedReclaimer {
 public:
  IntervalReclaimer(cow::detail::TransactionRegistry& registry, std::size_t) : BaggedReclaimer(registry) {}

  std::unique_ptr<Attachment> attach() override { return std::make_unique<Session>(*this); }

 private:
  class Session final : public Attachment {
   public:
    explicit Session(IntervalReclaimer& reclaimer) : reclaimer_(reclaimer), seat_(reclaimer.seats_.take()) {}
    ~Session() override { reclaimer_.seats_.give_back(seat_); }
    void opened(cow::detail::Participant& participant) override { seat_.sit(participant, reclaimer_.registry()); }

   private:
    IntervalReclaimer& reclaimer_;
    Seat& seat_;
  };

  struct Interval {
    std::uint64_t epoch, snapshot;
    bool operator<(const Interval& other) const noexcept { return epoch < other.epoch; }
  };

  void take_free(cow::detail::RetireBatches& batches, Sift, cow::detail::StateChain& free) override {
    std::vector<Interval> open = intervals();
    count_scan();
    sort_out(batches, free, [&](std::uint64_t stamp, const cow::detail::StateHeader& state) {
      // The transactions that began no later than the retirement: the last of them has the highest snapshot of all.
      auto later = kFault == IntervalFault::retired_in_its_epoch_is_earlier
                       ? std::lower_bound(open.begin(), open.end(), Interval{stamp, 0})
                       : std::upper_bound(open.begin(), open.end(), Interval{stamp, 0});
      if (later == open.begin()) return Fate::free;
      std::uint64_t highest = std::prev(later)->snapshot;
      // Relaxed: constant since the state was published, and whoever retired it has acquired that.
      std::uint64_t birth = state.begin.load(std::memory_order_relaxed);
      bool seen = kFault == IntervalFault::birth_at_the_snapshot_is_later ? birth < highest : birth <= highest;
      return seen ? Fate::kept : Fate::free;
    });
  }

  /// By epoch; each with the highest snapshot of those up to it.
  std::vector<Interval> intervals() {
    std::vector<Interval> open;
    seats_.for_each([&](const Seat& seat) {
      const cow::detail::Participant* participant = seat.participant.load(std::memory_order_seq_cst);
      if (participant == nullptr) return;
      std::uint64_t announced = participant->announced.load(std::memory_order_seq_cst), before = 0, snapshot = 0;
      do {  // invariant 2
        before = announced;
        snapshot = participant->snapshot.load(std::memory_order_relaxed);
        announced = participant->announced.load(std::memory_order_seq_cst);
      } while (announced != before);
      if (announced >= cow::detail::Participant::kEnding) return;
      if (kFault == IntervalFault::last_session_only) open.clear();
      open.push_back({announced, snapshot});
    });
    std::sort(open.begin(), open.end());
    std::uint64_t highest = 0;
    for (Interval& one : open) one.snapshot = highest = std::max(highest, one.snapshot);
    return open;
  }

  Seats<Seat> seats_;
};

}  // namespace cow::bench
