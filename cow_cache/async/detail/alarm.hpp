// Alarm: how a suspended task is woken by other threads, or by the time, when no memory is left.
//
// To post to a loop takes memory at the moment of the wake-up, when a failure could be reported to nobody: the thread that
// wakes is not the one that waits. An alarm has all of it before: it is set to a time, or to none, while the task can still
// throw, and to cancel that timer takes no memory.
//
// Thread safety: `wake` may be called from any thread, at any time, also after `close`. All else is called by the task that
// waits, on its executor, which is serial.
//
// Invariants:
//  1. From `set` until it is over the loop has work: it does not run dry under the task.
//  2. Once it is set, neither the wait nor `wake` nor the resumption fails on an executor of an io_context or a thread_pool. On
//     others (a strand) the resumption is posted; if that fails, the loop's thread tries until it succeeds. (Asio's strand
//     itself may not survive a failed allocation: it can lose a wake-up of its own.)
//  3. `close` waits for a `wake` that is under way. So once the task has closed its alarm, no other thread is inside of its
//     loop on its behalf, and the loop may be destroyed.
//  4. The loop shares the alarm while it is set: one that is closed then goes when the loop has noticed.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "cow_cache/async/spawn.hpp"

namespace cow::detail {

/// Runs what it is given where it is: on the thread of the loop whose timer has ended. It is as small as a pointer, and to copy
/// it takes no memory, which a type-erased executor does not promise.
class InlineExecutor {
 public:
  explicit InlineExecutor(boost::asio::execution_context& context) noexcept : context_(&context) {}

  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return *context_; }
  template <class Function>
  void execute(Function&& function) const {
    std::decay_t<Function> own(std::forward<Function>(function));
    own();
  }
  bool operator==(const InlineExecutor& other) const noexcept { return context_ == other.context_; }
  bool operator!=(const InlineExecutor& other) const noexcept { return context_ != other.context_; }

 private:
  boost::asio::execution_context* context_;
};

using AlarmTimer =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                      InlineExecutor>;

/// Lives in a shared pointer. Once it has rung, to wait for it ends at once.
class Alarm : public std::enable_shared_from_this<Alarm> {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  /// Throws std::bad_alloc.
  explicit Alarm(AnyExecutor executor) : executor_(std::move(executor)) { timer_.emplace(inline_executor()); }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  void wake() noexcept {
    std::scoped_lock lock(mutex_);
    rung_ = true;
    if (timer_) timer_->cancel();
  }

  /// Throws std::bad_alloc. REQUIRES: it is open, and not set.
  void set(Clock::time_point time) {
    std::scoped_lock lock(mutex_);
    set_under_lock(time);
  }

  /// For a timer beside it, whose handler runs on a thread of the loop. REQUIRES: it is open.
  InlineExecutor inline_executor() const {
    return InlineExecutor(boost::asio::query(executor_, boost::asio::execution::context));
  }

  /// Ends its connection with the loop. REQUIRES: nobody waits.
  void close() noexcept {
    std::scoped_lock lock(mutex_);
    timer_.reset();
    executor_ = AnyExecutor();
  }

  class Wait {
   public:
    Wait(Alarm& alarm, bool sets, Clock::time_point time) noexcept : alarm_(&alarm), time_(time), sets_(sets) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> coroutine) const { return alarm_->wait(coroutine, sets_, time_); }
    void await_resume() const noexcept {}

   private:
    Alarm* alarm_;
    Clock::time_point time_;
    bool sets_;
  };

  /// `co_await alarm.over()`: until the time that it is set to, or until it rings. Does not fail. REQUIRES: it is set.
  Wait over() noexcept { return Wait(*this, false, kNever); }

  /// `co_await alarm.until(time)`: sets it, and waits. Throws like `set`, before it waits.
  Wait until(Clock::time_point time) noexcept { return Wait(*this, true, time); }

 private:
  static constexpr std::size_t kOperationBytes = 96;  // it takes 64 with Boost 1.81

  /// Gives the alarm's own memory, to the one operation that it waits for at a time.
  template <class T>
  struct OwnMemory {
    using value_type = T;
    explicit OwnMemory(Alarm* of) noexcept : alarm(of) {}
    template <class U>
    // NOLINTNEXTLINE(google-explicit-constructor): as allocators are
    OwnMemory(const OwnMemory<U>& other) noexcept : alarm(other.alarm) {}

    T* allocate(std::size_t count) {
      if constexpr (kFits) {
        return reinterpret_cast<T*>(alarm->operation_);
      } else {  // another version of Boost
        return std::allocator<T>().allocate(count);
      }
    }
    void deallocate([[maybe_unused]] T* memory, [[maybe_unused]] std::size_t count) noexcept {
      if constexpr (!kFits) std::allocator<T>().deallocate(memory, count);
    }
    template <class U>
    bool operator==(const OwnMemory<U>& other) const noexcept {
      return alarm == other.alarm;
    }
    template <class U>
    bool operator!=(const OwnMemory<U>& other) const noexcept {
      return alarm != other.alarm;
    }

    // NOLINTNEXTLINE(misc-redundant-expression): not of every T
    static constexpr bool kFits = sizeof(T) <= kOperationBytes && alignof(T) <= alignof(std::max_align_t);
    Alarm* alarm;
  };

  struct IsOver {
    using allocator_type = OwnMemory<void>;
    // Null where Asio asks one that it has moved from, to return the memory when the timer could not be queued.
    allocator_type get_allocator() const noexcept { return allocator_type(alarm.get()); }
    void operator()(const boost::system::error_code&) const { alarm->is_over(); }
    std::shared_ptr<Alarm> alarm;  // invariant 4
  };

  /// REQUIRES: the lock.
  void set_under_lock(Clock::time_point time) {
    timer_->expires_at(rung_ ? Clock::time_point::min() : time);
    timer_->async_wait(IsOver{shared_from_this()});
    is_over_ = false;
  }

  /// False: it is over already.
  bool wait(std::coroutine_handle<> coroutine, bool sets, Clock::time_point time) {
    std::scoped_lock lock(mutex_);
    if (sets) {
      if (rung_) return false;
      set_under_lock(time);
    } else if (is_over_) {
      return false;
    }
    coroutine_ = coroutine;
    return true;
  }

  /// Runs on a thread of the loop. Throws what a handler throws that the task calls.
  void is_over() {
    std::coroutine_handle<> coroutine;
    bool is_there;
    {
      std::scoped_lock lock(mutex_);
      is_over_ = true;
      coroutine = std::exchange(coroutine_, nullptr);
      if (!coroutine) return;  // the task does not wait yet, or has closed it
      is_there = executor_.target<boost::asio::io_context::executor_type>() != nullptr ||
                 executor_.target<boost::asio::thread_pool::executor_type>() != nullptr;
    }
    if (is_there) return coroutine.resume();
    for (;;) {
      try {
        return boost::asio::post(executor_, [coroutine] { coroutine.resume(); });
      } catch (const std::bad_alloc&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }

  std::mutex mutex_;
  AnyExecutor executor_;
  // Under the lock; invariant 3. The service behind it may be used from any thread, but not one timer.
  std::optional<AlarmTimer> timer_;
  bool rung_ = false, is_over_ = false;
  std::coroutine_handle<> coroutine_;
  alignas(std::max_align_t) std::byte operation_[kOperationBytes];
};

}  // namespace cow::detail
