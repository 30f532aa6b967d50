// Sleeping without a thread.
//
// Thread safety: a Sleeper belongs to one task, whose executor is serial (an io_context that one thread runs, or a
// strand); its waker may be called from any thread, at any time, also after the sleeper has gone. To wake takes no memory
// and cannot fail (alarm.hpp).
#pragma once

#include "detail/coroutines.hpp"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>  // for what is awaited with use_await
#include <chrono>
#include <memory>
#include <stop_token>
#include <utility>

#include "cancellation.hpp"
#include "detail/alarm.hpp"
#include "spawn.hpp"
#include "task.hpp"
#include "use_await.hpp"

namespace cow {

/// A sleep that can be ended early. Once woken, it does not sleep again.
class Sleeper {
 public:
  class Waker {
   public:
    void operator()() const noexcept { alarm_->wake(); }

   private:
    friend Sleeper;
    explicit Waker(std::shared_ptr<detail::Alarm> alarm) noexcept : alarm_(std::move(alarm)) {}
    std::shared_ptr<detail::Alarm> alarm_;
  };

  /// Throws std::bad_alloc.
  explicit Sleeper(const AnyExecutor& executor) : alarm_(std::make_shared<detail::Alarm>(executor)) {}
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() { alarm_->close(); }

  Waker waker() const noexcept { return Waker(alarm_); }

  /// `co_await sleeper.until(time)`: until then, or until woken. Throws std::bad_alloc before it sleeps, not later.
  auto until(Cancellation::Clock::time_point time) noexcept { return alarm_->until(time); }

 private:
  std::shared_ptr<detail::Alarm> alarm_;
};

namespace detail {

/// As the clock counts; one that is too long for it, or no number, is its longest.
template <class Rep, class Period>
constexpr Cancellation::Clock::duration clock_duration(std::chrono::duration<Rep, Period> duration) noexcept {
  using Longest = Cancellation::Clock::duration;
  using Seconds = std::chrono::duration<long double>;
  if (!(Seconds(duration) < Seconds(Longest::max()))) return Longest::max();
  if (Seconds(duration) <= Seconds(Longest::min())) return Longest::min();
  return std::chrono::duration_cast<Longest>(duration);
}

/// What no clock can show is never: the last time that it can.
constexpr Cancellation::Clock::time_point later(Cancellation::Clock::time_point time,
                                                Cancellation::Clock::duration duration) noexcept {
  using Time = Cancellation::Clock::time_point;
  return duration < Time::max() - time ? time + duration : Time::max();
}

/// `duration` from now; one that is below zero counts as none.
template <class Rep, class Period>
Cancellation::Clock::time_point time_after(std::chrono::duration<Rep, Period> duration) noexcept {
  using Clock = Cancellation::Clock;
  return later(Clock::now(), std::max(clock_duration(duration), Clock::duration::zero()));
}

}  // namespace detail

/// Suspends the caller. Throws CancelledError, DeadlineExceededError as soon as it is cancelled.
inline Task<> sleep_until(AnyExecutor executor, Cancellation::Clock::time_point time,
                          Cancellation cancellation = Cancellation()) {
  cancellation.throw_if_requested();
  Sleeper sleeper(executor);
  std::stop_callback wake(cancellation.stop, sleeper.waker());
  co_await sleeper.until(std::min(time, cancellation.deadline));
  cancellation.throw_if_requested();
}

/// The same for a duration of any unit; one that is too long to be told, as the longest of any unit is, never ends by itself.
template <class Rep, class Period>
Task<> sleep_for(AnyExecutor executor, std::chrono::duration<Rep, Period> duration,
                 Cancellation cancellation = Cancellation()) {
  return sleep_until(std::move(executor), detail::time_after(duration), std::move(cancellation));
}

}  // namespace cow
