// periodic: calls into the application at fixed times, as a clock server makes them.
//
// Thread safety: the body runs on the executor, one call at a time.
#pragma once

#include <stdexcept>
#include <utility>

#include "sleep.hpp"
#include "task.hpp"

namespace cow {

/// Awaits `body()`, a Task, every `period`, counted from the start, until it is cancelled; then it returns. Calls never
/// overlap: the times that a long call misses are left out. Throws what the body throws; std::invalid_argument for a period
/// that is not positive. One that no clock can show never ends.
template <class Body>
Task<> periodic(AnyExecutor executor, Cancellation::Clock::duration period, Cancellation cancellation, Body body) {
  using Clock = Cancellation::Clock;
  if (period <= Clock::duration::zero()) throw std::invalid_argument("periodic: a period that is not positive");
  for (Clock::time_point next = detail::time_after(period);;
       next = period < Clock::time_point::max() - next ? next + period : Clock::time_point::max()) {
    Clock::time_point now = Clock::now();
    if (next < now) next += (now - next) / period * period + period;
    try {
      co_await sleep_until(executor, next, cancellation);
    } catch (const CancelledError&) {
      co_return;
    }
    co_await body();
  }
}

}  // namespace cow
