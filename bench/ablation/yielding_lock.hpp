// A lock whose waiters yield.
//
// Thread safety: all functions may be called from any thread.
//
// A thread that waits here goes on to take signals, under ThreadSanitizer as well, which puts them off while a thread is within
// a mutex: ping (ping_domain.hpp) would wait for ever for the answer of a thread that waits for a lock of the one that asks.
#pragma once

#include <sched.h>

#include <atomic>

namespace cow::bench {

class YieldingLock {
 public:
  void lock() noexcept {
    while (!try_lock()) ::sched_yield();
  }
  /// Acquire: pairs with the release in `unlock`.
  bool try_lock() noexcept { return !taken_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

}  // namespace cow::bench
