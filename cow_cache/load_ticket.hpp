// A load under way. It stands in the oid's cell, so that one thread loads and the others wait for it.
//
// Thread safety: `finish` once, by the loader; `wait` by any number of threads that hold the shared pointer.
//
// Invariants:
//  1. A commit that meets a ticket replaces it. The loader installs only if its ticket still stands in the cell, so a
//     record that was read before the commit can never be installed as current.
//  2. A finished ticket says nothing about the outcome: who waited looks at the cell again.
#pragma once

#include <atomic>
#include <memory>

namespace cow {

struct LoadTicket : std::enable_shared_from_this<LoadTicket> {
  void finish() noexcept {
    finished_.store(true, std::memory_order_release);  // pairs with the acquire in wait
    finished_.notify_all();
  }
  void wait() const noexcept { finished_.wait(false, std::memory_order_acquire); }

 private:
  std::atomic<bool> finished_{false};
};

}  // namespace cow
