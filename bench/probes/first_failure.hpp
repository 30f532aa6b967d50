// FirstFailure: what a thread of a measurement has thrown, for the thread that waits for it.
//
// Thread safety: all functions may be called from any thread.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>

namespace cow::bench {

class FirstFailure {
 public:
  /// Calls `work()` and keeps what it throws, if nothing else was kept before.
  template <class Work>
  void guard(Work&& work) noexcept {
    try {
      work();
    } catch (...) {
      std::scoped_lock lock(mutex_);
      if (!kept_) kept_ = std::current_exception();
      any_.store(true, std::memory_order_release);
    }
  }

  /// For loops that would wait for ever for somebody who has failed.
  bool any() const noexcept { return any_.load(std::memory_order_acquire); }

  void rethrow() const {
    std::scoped_lock lock(mutex_);
    if (kept_) std::rethrow_exception(kept_);
  }

 private:
  mutable std::mutex mutex_;
  std::exception_ptr kept_;
  std::atomic<bool> any_{false};
};

}  // namespace cow::bench
