// Seats: where the sessions of a reclaimer are found by the thread that reclaims, and which participant each uses now.
//
// Thread safety: all functions of Seats may be called from any thread; a seat is its session's to write and anybody's to read.
//
// Invariants:
//  1. [seat-before-read] A session writes its participant into its seat before its transaction reads, and the participant has announced
//     its epoch before. A reclaimer that reads the epoch, then the seats, and then the announcements misses no transaction that may use
//     a state with a stamp below that epoch, but for one that finds the state dead.
//     Proof: as of [epoch-rule] (transaction_registry.hpp), with the exchange of the seat in place of that of the announcement: if the
//     reclaimer's load (seq_cst) misses the exchange (seq_cst), it precedes it in their total order, and so does the step that drew the
//     stamp; the session's load of the epoch after the exchange reads that step or a later one and synchronises with it.
//  2. A participant may be somebody else's by the time it is found here. Then it only protects what that one has a seat for, too.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "cow_cache/detail/reclaim/participant.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"

namespace cow::bench {

struct alignas(128) Seat {
  std::atomic<cow::detail::Participant*> participant{nullptr};

  /// REQUIRES: the participant has begun, and has read nothing yet.
  void sit(cow::detail::Participant& begun, const cow::detail::TransactionRegistry& registry) noexcept {
    if (participant.load(std::memory_order_relaxed) == &begun)
      return;  // only this session writes it; announced afresh by `begin`
    participant.exchange(&begun, std::memory_order_seq_cst);
    (void)registry.epoch();  // invariant 1
  }
};

/// `Of`: a Seat, and what else a scheme needs of a session.
template <class Of>
class Seats {
 public:
  Of& take() {
    std::scoped_lock lock(mutex_);
    if (free_.empty()) {
      free_.reserve(all_.size() + 1);  // so that giving back cannot fail
      all_.push_back(std::make_unique<Of>());
      return *all_.back();
    }
    Of* seat = free_.back();
    free_.pop_back();
    return *seat;
  }

  /// REQUIRES: its session has no open transaction.
  void give_back(Of& seat) noexcept {
    seat.participant.store(nullptr, std::memory_order_seq_cst);
    std::scoped_lock lock(mutex_);
    free_.push_back(&seat);
  }

  /// Calls `visit(Of&)` for every seat, taken or not.
  template <class Visitor>
  void for_each(Visitor&& visit) {
    std::scoped_lock lock(mutex_);
    for (const std::unique_ptr<Of>& seat : all_) visit(*seat);
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Of>> all_;
  std::vector<Of*> free_;
};

}  // namespace cow::bench
