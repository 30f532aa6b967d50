// When a transaction has to give up: because somebody says so, or because it is late.
//
// Thread safety: a value; the std::stop_source behind it may be used from any thread.
//
// What is cancelled stops at its next suspension point, and a task that waits is woken for it at the time: while it waits to be
// admitted, for a thread of a pool or for somebody else's load, while it sleeps or waits outside. The store is not asked
// afterwards. What the store is at already is waited for: a read of the store ends by itself, and the transaction gives up
// then; a commit under way has an outcome that its transaction must learn. Hits ask nobody, they cost what they cost.
#pragma once

#include "detail/coroutines.hpp"

#include <chrono>
#include <stop_token>
#include <utility>

#include "cow_cache/errors.hpp"

namespace cow {

/// Has constructors rather than being an aggregate, for GCC 12 destroys a temporary aggregate in a co_await twice.
struct Cancellation {
  using Clock = std::chrono::steady_clock;

  Cancellation() = default;
  /// By a token (an empty one: never), by a deadline, or by whichever comes first.
  explicit Cancellation(std::stop_token token, Clock::time_point latest = Clock::time_point::max())
      : stop(std::move(token)), deadline(latest) {}
  explicit Cancellation(Clock::time_point latest) : deadline(latest) {}

  std::stop_token stop;
  Clock::time_point deadline = Clock::time_point::max();

  bool requested() const noexcept { return stop.stop_requested() || late(); }
  bool late() const noexcept { return deadline != Clock::time_point::max() && Clock::now() >= deadline; }

  /// Throws CancelledError or DeadlineExceededError if it is time to give up.
  void throw_if_requested() const {
    if (stop.stop_requested()) throw CancelledError();
    if (late()) throw DeadlineExceededError();
  }
};

}  // namespace cow
