// RetryPolicy: how `transact`, `async_transact` and `fiber_transact` behave when somebody else committed first, or a pack went
// beyond their snapshot.
//
// Thread safety: a plain value.
#pragma once

#include "version.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace cow {

struct RetryPolicy {
  int most_attempts = 32;
  std::chrono::microseconds first_pause{50};  ///< doubled with each attempt, with full jitter
  std::chrono::microseconds longest_pause{20000};

  /// How long to wait after the given attempt, from 1: exponential back-off with full jitter (Brooker, "Exponential
  /// Backoff And Jitter", 2015).
  std::chrono::microseconds pause_after(int attempt) const {
    thread_local std::minstd_rand random(std::random_device{}());
    auto most = std::min(longest_pause, first_pause * (std::int64_t{1} << std::min(attempt - 1, 20)));
    return std::chrono::duration_cast<std::chrono::microseconds>(most * std::uniform_real_distribution<>(0, 1)(random));
  }
};

}  // namespace cow
