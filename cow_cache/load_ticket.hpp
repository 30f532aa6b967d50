// Loads under way: one thread loads an object, the others wait for it.
//
// Thread safety: `LoadTickets` REQUIRES the lock of its stripe (OidTable::mutex_of). A ticket is finished once, by its
// loader, and waited for by any number of threads that hold the shared pointer.
//
// Invariants:
//  1. A commit of an object withdraws its ticket. The loader installs only if its ticket still stands, so a record that
//     was read before the commit can never be installed as current.
//  2. A finished ticket says nothing about the outcome: who waited looks at the table again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "types.hpp"

namespace cow {

class LoadTicket {
 public:
  /// What a ticket takes: itself, the count of its owners, and a place in the list of its stripe.
  static constexpr std::size_t kBytes = 64;

  /// Counts its bytes in `bytes` as long as anybody has it.
  LoadTicket(Oid of, std::atomic<std::size_t>& bytes) noexcept : oid(of), bytes_(bytes) {
    bytes_.fetch_add(kBytes, std::memory_order_relaxed);  // a mere figure
  }
  LoadTicket(const LoadTicket&) = delete;
  LoadTicket& operator=(const LoadTicket&) = delete;
  ~LoadTicket() { bytes_.fetch_sub(kBytes, std::memory_order_relaxed); }

  void finish() noexcept {
    finished_.store(true, std::memory_order_release);  // pairs with the acquire in wait
    finished_.notify_all();
  }
  void wait() const noexcept { finished_.wait(false, std::memory_order_acquire); }

  const Oid oid;

 private:
  std::atomic<std::size_t>& bytes_;
  std::atomic<bool> finished_{false};
};

/// The tickets of one stripe: as many as threads load from it right now, so a list is searched fastest.
class LoadTickets {
 public:
  /// The ticket of an object's load, or null.
  std::shared_ptr<LoadTicket> find(Oid oid) const {
    auto found = position_of(oid);
    return found == tickets_.end() ? nullptr : *found;
  }

  /// REQUIRES: the object has none. Throws std::bad_alloc.
  void add(std::shared_ptr<LoadTicket> ticket) { tickets_.push_back(std::move(ticket)); }

  /// Takes an object's ticket away, if there is one.
  void withdraw(Oid oid) noexcept {
    if (auto found = position_of(oid); found != tickets_.end()) tickets_.erase(found);
  }

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

}  // namespace cow
