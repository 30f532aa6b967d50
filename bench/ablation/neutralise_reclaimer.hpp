// NeutraliseReclaimer: epochs, and above the budget the oldest transactions are aborted until enough is free.
//
// Thread safety: as Reclaimer; see AttachedReclaimer.
//
// Invariants:
//  1. [void-is-unused] A transaction is void once it is marked as aborted and was then found outside of a read. It uses no state any more.
//     Proof: a read does `announce(busy); validate(aborted)`, the reclaimer marks, fences, and reads `busy`: as of [log-before-look]
//     (asymmetric_fence.hpp), either the reclaimer finds it busy, or the read finds the mark and throws. What it did in earlier reads happens
//     before (release in `leave`, acquire here). Its owner aborts it; that only clears its log, and touches no state.
//  2. A mark is the number of a transaction of that seat: the next one is not meant.
//  3. What is retired with a stamp below the epoch and all announcements but those of void transactions is free ([epoch-rule],
//     transaction_registry.hpp). The reclaimer reads an announcement before the number of the transaction: so, if it has read the announcement
//     of the next one, it does not take that for void.
//
// Source: neutralising what stands in the way is DEBRA+'s (Brown, PODC 2015) and NBR's (Singh, Brown, Mashtizadeh, "NBR: Neutralization
// Based Reclamation", PPoPP 2021). These interrupt a reader by a signal, and it jumps back to where it began; a transaction has objects that
// must be destroyed, so here it is told at its next read, and its time between reads is what a signal could interrupt. To its user it is
// what stores with a bounded history say: "snapshot too old". NBR signals all threads at once as well.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "bagged_reclaimer.hpp"
#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"
#include "seats.hpp"

namespace cow::bench {

/// What tests break on purpose.
enum class NeutraliseFault { none, aborts_within_a_read, does_not_tell, means_the_next_one };

template <NeutraliseFault kFault = NeutraliseFault::none>
class NeutraliseReclaimer final : public BaggedReclaimer {
 public:
  NeutraliseReclaimer(cow::detail::TransactionRegistry& registry, std::size_t limbo_budget)
      : BaggedReclaimer(registry), limbo_budget_(limbo_budget) {}

  std::unique_ptr<Attachment> attach() override { return std::make_unique<Session>(*this); }

  std::uint64_t aborted() const noexcept override { return aborted_.load(std::memory_order_relaxed); }

 private:
  struct AbortableSeat : Seat {
    std::atomic<std::uint64_t> transaction{1};  ///< its number; written by the session
    std::atomic<std::uint64_t> aborted{0};      ///< the number of one that shall end; written by reclaimers
    std::atomic<std::uint64_t> voided{0};       ///< of one that is void; as well
    std::atomic<std::uint32_t> busy{0};         ///< with a read
  };

  class Session final : public Attachment {
   public:
    explicit Session(NeutraliseReclaimer& reclaimer) : reclaimer_(reclaimer), seat_(reclaimer.seats_.take()) {}
    ~Session() override { reclaimer_.seats_.give_back(seat_); }

    void opening() noexcept override {
      if (kFault == NeutraliseFault::means_the_next_one) return;
      number_ = seat_.transaction.load(std::memory_order_relaxed) + 1;  // the session's own
      seat_.transaction.store(number_, std::memory_order_seq_cst);      // before the announcement: invariant 3
    }
    void opened(cow::detail::Participant& participant) override { seat_.sit(participant, reclaimer_.registry()); }
    void enter(std::uint32_t) override {
      cow::detail::announce(seat_.busy, std::uint32_t{1});
      if (kFault != NeutraliseFault::does_not_tell && cow::detail::validate(seat_.aborted) == number_) {
        leave();
        throw SnapshotTooOldError();
      }
    }
    void leave() noexcept override { seat_.busy.store(0, std::memory_order_release); }  // invariant 1

   private:
    NeutraliseReclaimer& reclaimer_;
    AbortableSeat& seat_;
    std::uint64_t number_ = 1;
  };

  void take_free(cow::detail::RetireBatches& batches, Sift, cow::detail::StateChain& free) override {
    std::uint64_t below = oldest();
    while (!batches.empty() && batches.front().stamp < below) {  // in the order of their stamps
      free.append(std::move(batches.front().states));
      batches.pop_front();
    }
  }

  void retired() noexcept override {
    if (limbo_bytes() <= limbo_budget_) return;
    std::unique_lock aborting(aborting_, std::try_to_lock);
    if (!aborting) return;  // somebody is about it
    sift_all(Sift::as_needed);
    while (limbo_bytes() > limbo_budget_ && abort_oldest()) sift_all(Sift::as_needed);
  }

  /// The lowest epoch that a transaction has announced which is not void; the present one, if there is none.
  std::uint64_t oldest() {
    std::uint64_t found = registry().epoch();  // first: as in TransactionRegistry::safe_below
    for_each_in_the_way(~std::uint64_t{0}, [&](AbortableSeat&, std::uint64_t announced, std::uint64_t) {
      found = std::min(found, announced);
    });
    return found;
  }

  /// Calls `visit(AbortableSeat&, epoch, number)` for each transaction that has announced `up_to` or less and is not void.
  template <class Visitor>
  void for_each_in_the_way(std::uint64_t up_to, Visitor&& visit) {
    seats_.for_each([&](AbortableSeat& seat) {
      const cow::detail::Participant* participant = seat.participant.load(std::memory_order_seq_cst);
      if (participant == nullptr) return;
      std::uint64_t announced = participant->announced.load(std::memory_order_seq_cst);
      std::uint64_t transaction = seat.transaction.load(std::memory_order_seq_cst);  // afterwards: invariant 3
      if (announced >= cow::detail::Participant::kEnding || announced > up_to) return;
      if (seat.voided.load(std::memory_order_acquire) != transaction) visit(seat, announced, transaction);
    });
  }

  /// Aborts all that must end before anything more is free: those that began no later than the oldest garbage was retired. Together,
  /// so that thousands of them cost two looks at all seats and a fence, and not as many each. False: there is none, or each of them ends
  /// by itself or reads just now, and will end with its next read. REQUIRES: aborting_.
  bool abort_oldest() {
    const std::uint64_t retired = oldest_stamp();
    bool any = false, progress = false;
    for_each_in_the_way(retired, [&](AbortableSeat& seat, std::uint64_t, std::uint64_t transaction) {
      seat.aborted.store(transaction, std::memory_order_seq_cst);
      any = true;
    });
    if (!any) return false;
    cow::detail::heavy_fence();
    for_each_in_the_way(retired, [&](AbortableSeat& seat, std::uint64_t, std::uint64_t transaction) {
      // Another one has begun since. Relaxed: written under aborting_.
      if (seat.aborted.load(std::memory_order_relaxed) != transaction) return;
      if (kFault != NeutraliseFault::aborts_within_a_read && seat.busy.load(std::memory_order_seq_cst) != 0) return;
      seat.voided.store(transaction, std::memory_order_release);
      aborted_.fetch_add(1, std::memory_order_relaxed);  // a statistic
      progress = true;
    });
    return progress;
  }

  const std::size_t limbo_budget_;
  Seats<AbortableSeat> seats_;
  YieldingLock aborting_;
  std::atomic<std::uint64_t> aborted_{0};
};

}  // namespace cow::bench
