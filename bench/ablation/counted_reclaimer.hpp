// CountedReclaimer: a transaction has a counted handle for each state that it has logged; the last one to let go frees it.
//
// Thread safety: as Reclaimer; see AttachedReclaimer.
//
// Invariants:
//  1. A state is counted within the read that has logged it, which has announced the epoch at which it began. A retired state whose stamp
//     is below the epochs of all reads under way cannot be counted by anybody any more but by those that have counted it already.
//     Proof: as of [log-before-look] (asymmetric_fence.hpp), with the epoch of the read in place of the entry. If the reclaimer, after its
//     fence, misses the announcement, the looks of the read find the state dead; if it finds one above the stamp, they do so by
//     [epoch-rule] (transaction_registry.hpp), for the read has acquired the epoch.
//  2. Such a state is free if nobody has counted it, and otherwise left to those who have (HandleCounts, invariant 2).
//
// Source: counted handles for what a request uses are CacheLib's (Berg et al., "The CacheLib Caching Engine", OSDI 2020: an item handle;
// its ObjectCache hands out shared pointers), and std::shared_ptr's. There the count is raised under the lock of a bucket; here within an
// epoch as short as one read, which is how the Linux kernel takes references in lists under RCU (Desnoyers et al., TPDS 2012).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "bagged_reclaimer.hpp"
#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "handle_counts.hpp"
#include "seats.hpp"

namespace cow::bench {

/// What tests break on purpose.
enum class CountedFault { none, ignores_reads_under_way, forgets_every_other_state, lets_go_at_leave };

template <CountedFault kFault = CountedFault::none>
class CountedReclaimer final : public BaggedReclaimer {
 public:
  CountedReclaimer(cow::detail::TransactionRegistry& registry, std::size_t) : BaggedReclaimer(registry) {}

  std::unique_ptr<Attachment> attach() override { return std::make_unique<Session>(*this); }

 private:
  static constexpr std::uint64_t kNoRead = ~std::uint64_t{0};

  struct ReadingSeat : Seat {
    std::atomic<std::uint64_t> read_began{kNoRead};  ///< the epoch
  };

  class Session final : public Attachment {
   public:
    explicit Session(CountedReclaimer& reclaimer) : reclaimer_(reclaimer), seat_(reclaimer.seats_.take()) {}
    ~Session() override { reclaimer_.seats_.give_back(seat_); }

    void enter(std::uint32_t) override { cow::detail::announce(seat_.read_began, reclaimer_.registry().epoch()); }
    void logged(cow::detail::StateHandle state) override {
      if (kFault == CountedFault::forgets_every_other_state && ++faults_ % 2 == 0) return;
      held_.push_back(state);  // first: it may throw
      reclaimer_.counts_.add(state);
    }
    void leave() noexcept override {
      if (kFault == CountedFault::lets_go_at_leave) closed();
      // Release: what was counted is counted before a reclaimer finds no read under way (seq_cst in take_free).
      seat_.read_began.store(kNoRead, std::memory_order_release);
    }
    void closed() noexcept override {
      cow::detail::StateChain free;
      for (cow::detail::StateHandle state : held_) {
        if (reclaimer_.counts_.remove(state)) free.add(*cow::detail::StateMemory::instance().state_of(state));
      }
      held_.clear();
      if (!free.empty()) reclaimer_.give_back(std::move(free));
    }

   private:
    CountedReclaimer& reclaimer_;
    ReadingSeat& seat_;
    std::vector<cow::detail::StateHandle> held_;
    [[maybe_unused]] unsigned faults_ = 0;
  };

  void take_free(cow::detail::RetireBatches& batches, Sift, cow::detail::StateChain& free) override {
    cow::detail::heavy_fence();
    std::uint64_t below = registry().epoch();
    seats_.for_each(
        [&](const ReadingSeat& seat) { below = std::min(below, seat.read_began.load(std::memory_order_seq_cst)); });
    if (kFault == CountedFault::ignores_reads_under_way) below = kNoRead;
    count_scan();
    sort_out(batches, free, [&](std::uint64_t stamp, const cow::detail::StateHeader& state) {
      if (stamp >= below) return Fate::kept;
      return counts_.leave(cow::detail::handle_of(&state)) ? Fate::handed_over : Fate::free;
    });
  }

  HandleCounts counts_;
  Seats<ReadingSeat> seats_;
};

}  // namespace cow::bench
