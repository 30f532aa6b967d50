// Loads under way: one thread loads an object, the others wait for it, as threads or as continuations.
//
// Thread safety: `LoadTickets` REQUIRES the lock of its stripe (OidTable::mutex_of). A ticket is finished once, by its
// loader, and waited for by any number of threads and continuations that hold the shared pointer.
//
// Invariants:
//  1. [withdrawn-by-commit] A commit of an object withdraws its ticket, another process's as well, once this one hears of it. The loader installs only if its ticket still stands, so a record that
//     was read before the commit can never be installed as current.
//  2. A finished ticket says nothing of a load that succeeded: a thread that waited looks at the table again. Of one that
//     failed it has the failure, so that thousands of waiters do not fail one after the other. The failure is set before the
//     ticket finishes, and never changes. It stays out if a commit has withdrawn the ticket, and may have made it untrue.
//  3. A TicketHolder finishes its ticket, whatever happens to the load: no waiter is left behind.
//  4. A waiter that has subscribed is resumed exactly once, on the loader's thread, in the order of subscription; one that
//     was refused is not. Only a thread that loads right now holds a ticket, so every ticket finishes.
//  5. A thread that holds a ticket waits for no other one. Codecs may read, so a loader may meet another thread's ticket: it
//     loads that object for itself then (loader.hpp). So no threads wait for each other in a cycle.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/types.hpp"
#include "load_failure.hpp"

namespace cow::detail {

/// A waiter for a load that holds no thread. Lives in what waits (a coroutine's frame), and is the
/// ticket's between a successful `subscribe` and the call of `resume`.
struct LoadWaiter {
  void (*resume)(LoadWaiter&) noexcept;  ///< runs on the loader's thread: hand the work over to your own, and return
  bool alone = false;           ///< loads for itself instead of waiting: see SharedCache::Loader::must_load_alone
  LoadWaiter* next = nullptr;   ///< the ticket's
  SharedLoadFailure failure{};  ///< set before `resume` if the load has failed
};

class LoadTicket {
 public:
  /// What a ticket takes: itself, the count of its owners, and a place in the list of its stripe.
  static constexpr std::size_t kBytes = 64;

  /// Counts its bytes in `bytes` as long as anybody has it.
  LoadTicket(Oid of, std::atomic<std::size_t>& bytes) noexcept : oid(of), bytes_(bytes) {
    bytes_.fetch_add(kBytes, std::memory_order_relaxed);  // a statistic
  }
  LoadTicket(const LoadTicket&) = delete;
  LoadTicket& operator=(const LoadTicket&) = delete;
  ~LoadTicket() { bytes_.fetch_sub(kBytes, std::memory_order_relaxed); }

  /// The load has failed. REQUIRES: called at most once, by the loader, before `finish`.
  void fail(SharedLoadFailure failure) noexcept { failure_ = std::move(failure); }

  /// REQUIRES: no lock is held.
  void finish() noexcept {
    finished_.store(true, std::memory_order_release);  // pairs with the acquire in wait
    finished_.notify_all();
    // Acquire: pairs with the release in subscribe, so the waiters are complete. Release: pairs with the acquires there, so
    // those that are refused see the failure.
    LoadWaiter* newest = waiters_.exchange(closed(), std::memory_order_acq_rel);
    LoadWaiter* oldest = nullptr;
    while (newest != nullptr) {
      LoadWaiter* next = std::exchange(newest->next, oldest);
      oldest = std::exchange(newest, next);
    }
    while (oldest != nullptr) {
      LoadWaiter& waiter = *std::exchange(oldest, oldest->next);  // read first: resumed, the waiter may be gone
      waiter.failure = failure_;
      waiter.resume(waiter);
    }
  }
  void wait() const noexcept { finished_.wait(false, std::memory_order_acquire); }

  /// True: `waiter` will be resumed, perhaps before this returns. False: the load has ended already.
  bool subscribe(LoadWaiter& waiter) noexcept {
    // Acquire, here and where the exchange fails: a waiter that finds it closed reads the failure. Release where it succeeds: see finish.
    LoadWaiter* newest = waiters_.load(std::memory_order_acquire);
    do {
      if (newest == closed()) return false;
      waiter.next = newest;
    } while (!waiters_.compare_exchange_weak(newest, &waiter, std::memory_order_acq_rel, std::memory_order_acquire));
    return true;
  }

  /// Null: it has not failed. REQUIRES: `wait` has returned, or `subscribe` has refused.
  const LoadFailure* failure() const noexcept { return failure_.get(); }

  const Oid oid;

 private:
  /// Stands in the list of waiters when nobody may join it any more. An address that no waiter has; never followed.
  LoadWaiter* closed() noexcept { return reinterpret_cast<LoadWaiter*>(this); }

  std::atomic<std::size_t>& bytes_;
  std::atomic<bool> finished_{false};
  SharedLoadFailure failure_;
  std::atomic<LoadWaiter*> waiters_{nullptr};  ///< the newest first
};

/// The tickets of one stripe: as many as threads load from it right now, so a list is searched fastest.
class LoadTickets {
 public:
  /// The ticket of an object's load, or null.
  std::shared_ptr<LoadTicket> find(Oid oid) const {
    auto found = position_of(oid);
    return found == tickets_.end() ? nullptr : *found;
  }

  bool any() const noexcept { return !tickets_.empty(); }

  /// REQUIRES: the object has none. Throws std::bad_alloc.
  void add(std::shared_ptr<LoadTicket> ticket) { tickets_.push_back(std::move(ticket)); }

  /// Takes an object's ticket away, if there is one.
  void withdraw(Oid oid) noexcept {
    if (auto found = position_of(oid); found != tickets_.end()) tickets_.erase(found);
  }

  void withdraw_all() noexcept { tickets_.clear(); }

  /// Takes this ticket away. False if somebody else has done so.
  bool withdraw(const LoadTicket& ticket) noexcept {
    auto found = position_of(ticket.oid);
    if (found == tickets_.end() || found->get() != &ticket) return false;
    tickets_.erase(found);
    return true;
  }

 private:
  using Tickets = std::vector<std::shared_ptr<LoadTicket>>;

  Tickets::const_iterator position_of(Oid oid) const noexcept {
    return std::find_if(tickets_.begin(), tickets_.end(), [&](const auto& ticket) { return ticket->oid == oid; });
  }

  Tickets tickets_;
};

/// A loader's hold of its ticket, which stands in the list: takes it away and finishes it at the end, however that comes.
class TicketHolder {
 public:
  /// `stripe`: the lock of `tickets`. All three outlive the holder.
  TicketHolder(const std::shared_ptr<LoadTicket>& ticket, LoadTickets& tickets, BackoffLock& stripe) noexcept
      : ticket_(ticket), tickets_(tickets), stripe_(stripe) {}
  TicketHolder(const TicketHolder&) = delete;
  TicketHolder& operator=(const TicketHolder&) = delete;
  /// REQUIRES: no lock is held.
  ~TicketHolder() {
    if (!withdrawn_) {
      std::scoped_lock lock(stripe_);
      tickets_.withdraw(*ticket_);
    }
    ticket_->finish();
  }

  /// Takes the ticket away. False: a commit has done so. REQUIRES: the stripe's lock; called once.
  bool withdraw() noexcept {
    withdrawn_ = true;
    return tickets_.withdraw(*ticket_);
  }

  /// The load has failed. REQUIRES: no lock is held; the ticket was not withdrawn by its holder.
  void fail(SharedLoadFailure failure) noexcept {
    bool stands;
    {
      std::scoped_lock lock(stripe_);
      stands = withdraw();
    }
    // What the store has of the object may be another thing since the commit; that it could not be asked is as true as before.
    if (stands || failure->of == LoadFailure::Of::store) ticket_->fail(std::move(failure));
  }

 private:
  const std::shared_ptr<LoadTicket>& ticket_;
  LoadTickets& tickets_;
  BackoffLock& stripe_;
  bool withdrawn_ = false;
};

}  // namespace cow::detail
