// periodic: calls into the application at fixed times, as a clock server makes them.
//
// Thread safety: the body runs on the executor, one call at a time.
#pragma once

#include "detail/coroutines.hpp"

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "detail/by_name.hpp"
#include "sleep.hpp"
#include "task.hpp"

namespace cow {

namespace detail {

template <class Body>
Task<> call_periodically(AnyExecutor executor, Cancellation::Clock::duration period, Cancellation cancellation,
                         Body body) {
  using Clock = Cancellation::Clock;
  if (period <= Clock::duration::zero()) throw std::invalid_argument("periodic: a period that is not positive");
  for (Clock::time_point next = time_after(period);; next = later(next, period)) {
    Clock::time_point now = Clock::now();
    if (next < now) next += (now - next) / period * period + period;
    try {
      co_await sleep_until(executor, next, cancellation);
    } catch (const CancelledError&) {
      co_return;
    }
    co_await returned(body());
  }
}

}  // namespace detail

/// Awaits `body()`, a Task, every `period`, counted from the start, until it is cancelled; then it returns. Calls never
/// overlap: the times that a long call misses are left out. Throws what the body throws; std::invalid_argument for a period
/// that is not positive. One that no clock can show never ends. With GCC 12 a body that has captured what must be destroyed
/// needs a name (by_name.hpp).
template <class Body, class Rep, class Period>
auto periodic(AnyExecutor executor, std::chrono::duration<Rep, Period> period, Cancellation cancellation, Body&& body) {
  static_assert(
      MakesTask<std::decay_t<Body>&>,
      "cow: the body of `periodic` is a coroutine that takes nothing: []() -> cow::Task<> { ... co_return; }");
  if constexpr (MakesTask<std::decay_t<Body>&>) {
    return detail::made_with<Body>(detail::call_periodically<std::decay_t<Body>>(
        std::move(executor), detail::clock_duration(period), std::move(cancellation), std::forward<Body>(body)));
  } else {
    return Task<>();
  }
}

}  // namespace cow
