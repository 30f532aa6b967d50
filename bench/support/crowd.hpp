// Threads that do the same again and again until they are stopped.
//
// Thread safety: used by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace cow::bench {

class Crowd {
 public:
  /// Starts threads that call `step(random)` until `stop`. Each has its own seed.
  template <class Step>
  Crowd(int threads, Step step) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, step, i]() mutable {
        std::mt19937_64 random(static_cast<std::uint64_t>(i));
        std::uint64_t done = 0;
        for (; !stopped_.load(std::memory_order_relaxed); ++done) step(random);
        steps_ += done;
      });
    }
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() { stop(); }

  /// Waits for the threads. Returns the steps of all of them.
  std::uint64_t stop() {
    stopped_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return steps_;
  }

 private:
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> steps_{0};
  std::vector<std::thread> threads_;
};

}  // namespace cow::bench
