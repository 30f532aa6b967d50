// A mutex in one byte: what guards read logs, stripes of the oid table, retire lists and queues of old revisions.
//
// Thread safety: a mutex; all functions may be called from any thread.
#pragma once

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "pause.hpp"

namespace cow::detail {

/// For critical sections of nanoseconds, which nearly always find it free. Then a lock is one locked instruction and an unlock a
/// store, where std::mutex takes two locked instructions in two calls: on a commit of one object every locked instruction counts.
/// A thread that finds it taken spins, then sleeps for a while, twice as long each time. (An unlock that wakes must know whether
/// somebody sleeps, which costs the second locked instruction.) It does sleep: the holder may be preempted, and a thread of
/// real-time priority that only yielded would keep it from running. (Test-and-test-and-set with exponential backoff: Anderson,
/// IEEE TPDS 1(1), 1990.)
class BackoffLock {
 public:
  [[gnu::always_inline]] void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_slowly();
  }
  [[gnu::always_inline]] bool try_lock() noexcept {
    return !taken_.exchange(true, std::memory_order_acquire);  // acquire: pairs with the release in unlock
  }
  [[gnu::always_inline]] void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  static constexpr int kSpins = 64;                                        // some microseconds
  static constexpr long kShortestSleep = 10'000, kLongestSleep = 100'000;  // ns

  [[gnu::noinline, gnu::cold]] void lock_slowly() noexcept {
    for (long sleep = kShortestSleep;; sleep = std::min(2 * sleep, kLongestSleep)) {
      for (int spin = 0; spin < kSpins; ++spin) {
        pause();
        // Relaxed: only looks, which leaves the line with the holder; `try_lock` decides.
        if (!taken_.load(std::memory_order_relaxed) && try_lock()) return;
      }
      const timespec time{0, sleep};
      ::syscall(SYS_nanosleep, &time, nullptr);  // glibc's functions that sleep are cancellation points
    }
  }

  std::atomic<bool> taken_{false};
};
static_assert(sizeof(BackoffLock) == 1);

}  // namespace cow::detail
