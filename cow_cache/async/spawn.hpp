// Starting tasks: spawn(executor, task, token).
//
// Thread safety: `spawn` may be called from any thread.
//
// Invariants:
//  1. The task runs on its executor alone. While it waits, the executor has work: a loop does not run dry under it.
//  2. The token's handler is called once, after the task's frame has gone, on the handler's own executor if it has one.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "task.hpp"

namespace cow {

/// Where coroutines run: an io_context's executor, a strand, a pool's executor.
using AnyExecutor = boost::asio::any_io_executor;

namespace detail {

/// A coroutine that nobody awaits: it starts at once and destroys itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }  // of a handler
  };
};

/// Lets go of the task before it returns: what the task held is free when its handler runs.
template <class T>
Task<std::optional<T>> run_and_free(Task<T> task, std::exception_ptr& error) {
  std::optional<T> result;
  try {
    Task<T> running = std::move(task);
    result.emplace(co_await running);
  } catch (...) {
    error = std::current_exception();
  }
  co_return result;
}

template <class T, class Handler>
Detached run_task(AnyExecutor executor, Task<T> task, Handler handler) {
  AnyExecutor working = boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked);
  auto handlers_own = boost::asio::get_associated_executor(handler, executor);
  std::exception_ptr error;
  if constexpr (std::is_void_v<T>) {
    try {
      Task<T> running = std::move(task);
      co_await running;
    } catch (...) {
      error = std::current_exception();
    }
    boost::asio::dispatch(handlers_own, [handler = std::move(handler), error]() mutable { handler(error); });
  } else {
    std::optional<T> result = co_await run_and_free(std::move(task), error);
    boost::asio::dispatch(handlers_own, [handler = std::move(handler), error, result = std::move(result)]() mutable {
      // Who gets an error gets an empty value, as Asio's conventions want it.
      handler(error, result ? *std::move(result) : T());
    });
  }
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
template <class T, class Token>
auto spawn(const AnyExecutor& executor, Task<T> task, Token&& token) {
  return boost::asio::async_initiate<Token, typename detail::SpawnSignature<T>::Type>(
      [](auto handler, AnyExecutor on, Task<T> running) {
        boost::asio::post(on, [on, running = std::move(running), handler = std::move(handler)]() mutable {
          detail::run_task(on, std::move(running), std::move(handler));
        });
      },
      token, executor, std::move(task));
}

/// An awaitable as a task, for `spawn`. What it gives by reference comes as a pointer.
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

}  // namespace cow
