// Starting tasks: spawn(executor, task, token).
//
// Thread safety: `spawn` may be called from any thread.
//
// Invariants:
//  1. The task runs on its executor alone. While it waits, the executor has work: a loop does not run dry under it.
//  2. The token's handler is called once, after the task's frame has gone, on the handler's own executor if it has one; that
//     executor, too, has work from the call of `spawn` until the handler has returned.
//  3. A thread that spawns holds work of the loop until it has let go of its queue; one that wakes a task has let go before
//     the task goes on (alarm.hpp). So a loop may be destroyed as soon as its `run` has returned.
//  4. No exception of a handler passes through a coroutine.
#pragma once

#include "detail/coroutines.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "cow_cache/detail/awaitable.hpp"
#include "detail/by_name.hpp"
#include "task.hpp"

namespace cow {

/// Where coroutines run: an io_context's executor, a strand, a pool's executor.
using AnyExecutor = boost::asio::any_io_executor;

namespace detail {

/// A coroutine that nobody awaits. It is made first and started later, so that no memory for it is an exception where it is
/// made, and it destroys itself at its end.
class Spawned {
 public:
  struct promise_type {
    Spawned get_return_object() noexcept { return Spawned(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }  // no memory to queue a handler
  };

  Spawned(Spawned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Spawned& operator=(Spawned&&) = delete;
  ~Spawned() {
    if (handle_) handle_.destroy();
  }

  void start() noexcept { std::exchange(handle_, nullptr).resume(); }

 private:
  explicit Spawned(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  std::coroutine_handle<promise_type> handle_;
};

/// Calls a handler. It may run inside of the coroutine that has ended, where the executor allows that: so what it throws is
/// thrown anew from the executor's queue, perhaps by another thread: the exception goes there whole, so the catch ends first.
template <class Executor, class Call>
void call_handler(const Executor& executor, Call&& call) {
  std::exception_ptr error;
  try {
    return call();
  } catch (...) {
    error = std::current_exception();
  }
  boost::asio::post(executor, [error = std::move(error)]() mutable { std::rethrow_exception(std::move(error)); });
}

/// What a task without a result gives its handler.
template <class T>
using SpawnResult = std::conditional_t<std::is_void_v<T>, std::monostate, std::optional<T>>;

/// Queues the handler of a task that has ended, or runs it, where its executor allows that. The handler gets the only reference
/// to the exception: it may take it to another thread.
template <class T, class Executor, class Handler>
void dispatch_handler(const Executor& on, Handler&& handler, std::exception_ptr error, SpawnResult<T>&& result) {
  boost::asio::dispatch(on, [on, handler = std::forward<Handler>(handler), error = std::move(error),
                             result = std::move(result)]() mutable {
    call_handler(on, [&] {
      if constexpr (std::is_void_v<T>) {
        handler(std::move(error));
      } else {
        // With an error comes an empty value, as Asio's conventions want it.
        handler(std::move(error), result ? *std::move(result) : T());
      }
    });
  });
}

/// Lets go of the task before its handler runs: what the task held is free then. Two guards of work: that of the task's
/// executor, and that of the handler's. (An executor takes 50 bytes or so of the frame, which lives as long as the task does:
/// hence no more than these.)
template <class T, class Handler, class Work>
Spawned run_task([[maybe_unused]] boost::asio::executor_work_guard<AnyExecutor> tasks_own, Task<T> task,
                 Handler handler, Work handlers_own) {
  std::exception_ptr error;
  SpawnResult<T> result;
  try {
    Task<T> running = std::move(task);
    if constexpr (std::is_void_v<T>) {
      co_await running;
    } else {
      result.emplace(co_await running);
    }
  } catch (...) {
    error = std::current_exception();
  }
  dispatch_handler<T>(handlers_own.get_executor(), std::move(handler), std::move(error), std::move(result));
}

template <class T>
struct SpawnSignature {
  using Type = void(std::exception_ptr, T);
};
template <>
struct SpawnSignature<void> {
  using Type = void(std::exception_ptr);
};

}  // namespace detail

/// Runs a task on an executor, and completes with `void(std::exception_ptr, T)`: a callback gets both, `asio::use_future`
/// and `asio::use_awaitable` return the T or throw, `asio::detached` ignores both. T must have a default constructor.
/// An exception that a handler throws leaves the `run` of the loop on which the handler runs, whatever executor that is, as with
/// Asio's own operations; what else is in the loop's queue stays there, for the next `run`. (A boost::asio::thread_pool, which
/// nobody runs, ends the program.) Throws std::bad_alloc: then nothing was begun, and the handler is not called.
template <class T, class Token>
auto spawn(const AnyExecutor& executor, Task<T> task, Token&& token) {
  return boost::asio::async_initiate<Token, typename detail::SpawnSignature<T>::Type>(
      [](auto handler, AnyExecutor on, Task<T> running) {
        auto handlers_own = boost::asio::make_work_guard(boost::asio::get_associated_executor(handler, on));
        auto working = boost::asio::make_work_guard(on);  // invariant 3
        boost::asio::post(on, [spawned = detail::run_task(working, std::move(running), std::move(handler),
                                                          std::move(handlers_own))]() mutable { spawned.start(); });
      },
      token, executor, std::move(task));
}

/// The same where the task was made with an unnamed callable; what the token makes of it may not be awaited (by_name.hpp).
template <class T, class Callable, class Token>
auto spawn(const AnyExecutor& executor, detail::AwaitedByName<Task<T>, Callable>&& task, Token&& token) {
  using Made = decltype(spawn(executor, Task<T>(), std::forward<Token>(token)));
  detail::require_named_callable<!detail::CanBeAwaited<Made>, Callable>();
  return spawn(executor, static_cast<Task<T>&&>(task), std::forward<Token>(token));
}

/// An awaitable as a task, for `spawn`. What it gives by reference comes as a pointer. What must be awaited by its name is
/// awaited by the task's.
template <class Awaitable>
auto as_task(Awaitable awaitable) -> Task<
    std::conditional_t<std::is_reference_v<decltype(awaitable.await_resume())>,
                       std::add_pointer_t<decltype(awaitable.await_resume())>, decltype(awaitable.await_resume())>> {
  if constexpr (std::is_reference_v<decltype(awaitable.await_resume())>) {
    co_return &co_await awaitable;
  } else {
    co_return co_await awaitable;
  }
}
template <class Awaitable, class Callable>
auto as_task(detail::AwaitedByName<Awaitable, Callable> awaitable) {
  using Made = decltype(as_task(static_cast<Awaitable&&>(awaitable)));
  return detail::AwaitedByName<Made, Callable>(as_task(static_cast<Awaitable&&>(awaitable)));
}

}  // namespace cow
