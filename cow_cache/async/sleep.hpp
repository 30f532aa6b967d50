// Sleeping without a thread.
//
// Thread safety: a Sleeper belongs to one task, whose executor is serial (an io_context that one thread runs, or a
// strand); its waker may be called from any thread, at any time, also after the sleeper has gone.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <stop_token>
#include <utility>

#include "cancellation.hpp"
#include "spawn.hpp"
#include "task.hpp"
#include "use_await.hpp"

namespace cow {

/// A sleep that can be ended early. Once woken, it does not sleep again.
class Sleeper {
  struct State {
    explicit State(const AnyExecutor& executor) : timer(executor) {}
    boost::asio::steady_timer timer;
    bool woken = false;  // touched on the executor only
  };

 public:
  class Waker {
   public:
    void operator()() const {
      boost::asio::post(state_->timer.get_executor(), [state = state_] {
        state->woken = true;
        state->timer.cancel();
      });
    }

   private:
    friend Sleeper;
    explicit Waker(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  explicit Sleeper(const AnyExecutor& executor) : state_(std::make_shared<State>(executor)) {}

  Waker waker() const { return Waker(state_); }

  /// Until `time`, or until woken.
  Task<> until(Cancellation::Clock::time_point time) {
    if (state_->woken) co_return;
    state_->timer.expires_at(time);
    (void)co_await state_->timer.async_wait(use_await);
  }

 private:
  std::shared_ptr<State> state_;
};

/// Suspends the caller. Throws CancelledError, DeadlineExceededError as soon as it is cancelled.
inline Task<> sleep_until(AnyExecutor executor, Cancellation::Clock::time_point time,
                          Cancellation cancellation = Cancellation()) {
  cancellation.throw_if_requested();
  Sleeper sleeper(executor);
  std::stop_callback wake(cancellation.stop, sleeper.waker());
  co_await sleeper.until(std::min(time, cancellation.deadline));
  cancellation.throw_if_requested();
}

inline Task<> sleep_for(AnyExecutor executor, Cancellation::Clock::duration duration,
                        Cancellation cancellation = Cancellation()) {
  return sleep_until(std::move(executor), Cancellation::Clock::now() + duration, std::move(cancellation));
}

}  // namespace cow
