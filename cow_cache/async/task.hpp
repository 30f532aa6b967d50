// Task<T>: a coroutine that runs when it is awaited, and returns to the coroutine that awaits it.
//
// Why not asio::awaitable: its frames accept only Asio's own operations (its await_transform), and each operation is a frame
// more. A task awaits anything that can be awaited, so that a read that hits is neither a suspension nor an allocation.
// Asio's operations are awaited with the token `use_await` (use_await.hpp); a task is started with `spawn` (spawn.hpp),
// by any completion token, from a coroutine of Asio too.
//
// Thread safety: one thread at a time, the one on which the coroutine was resumed.
//
// Invariants:
//  1. A task runs at most once, and is destroyed with its frame. REQUIRES: one that has begun is destroyed only after it
//     has ended; so a loop runs until its tasks are done (stop them with a std::stop_token).
//  2. Control passes by symmetric transfer: a chain of any length of tasks that do not wait needs no stack (with
//     optimisation; without it, GCC makes calls of transfers).
//  3. Nothing here is thread_local: a coroutine may go on in another thread after any co_await.
#pragma once

#include "detail/coroutines.hpp"

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

namespace cow {

template <class T = void>
class Task;

namespace detail {

class TransactFrame;

/// What tasks of all types have: what is to be resumed at the end, and the innermost transaction that they run inside of.
struct TaskPromiseBase {
  struct ReturnToCaller {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept {
      return ended.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  ReturnToCaller final_suspend() const noexcept { return {}; }

  std::coroutine_handle<> continuation;
  TransactFrame* frame = nullptr;  // passed on to the tasks that it awaits
};

/// `co_await InnermostFrame()`: the frame that a task passes on, to be changed. No suspension.
class InnermostFrame {
 public:
  InnermostFrame() noexcept = default;
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> coroutine) noexcept {
    frame_ = &coroutine.promise().frame;
    return false;
  }
  TransactFrame*& await_resume() const noexcept { return *frame_; }

 private:
  TransactFrame** frame_ = nullptr;
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  Task<T> get_return_object() noexcept;
  template <class Value>
  void return_value(Value&& value) {
    result.template emplace<1>(std::forward<Value>(value));
  }
  void unhandled_exception() noexcept { result.template emplace<2>(std::current_exception()); }
  T take() {
    if (result.index() == 2) std::rethrow_exception(std::get<2>(result));
    return std::move(std::get<1>(result));
  }

  std::variant<std::monostate, T, std::exception_ptr> result;
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { error = std::current_exception(); }
  void take() const {
    if (error) std::rethrow_exception(error);
  }

  std::exception_ptr error;
};

}  // namespace detail

/// The return type of a coroutine. Await it once, as an rvalue: `co_await do_something()`.
template <class T>
class [[nodiscard]] Task {
 public:
  static_assert(!std::is_reference_v<T>, "return a pointer");
  using promise_type = detail::TaskPromise<T>;

  Task() noexcept = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() { destroy(); }

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> caller) const noexcept {
    handle_.promise().continuation = caller;
    if constexpr (std::is_base_of_v<detail::TaskPromiseBase, Promise>) handle_.promise().frame = caller.promise().frame;
    return handle_;
  }
  T await_resume() const { return handle_.promise().take(); }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  void destroy() noexcept {
    if (handle_) handle_.destroy();
  }

  std::coroutine_handle<promise_type> handle_;
};

template <class T>
Task<T> detail::TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
inline Task<void> detail::TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

/// What a function that returns a Task, called with these arguments, is a task for.
template <class Function, class... Arguments>
using TaskResult = decltype(std::declval<std::invoke_result_t<Function, Arguments...>>().await_resume());

/// Whether Function, called with these arguments, is a coroutine.
template <class Function, class... Arguments>
concept MakesTask = requires {
  typename TaskResult<Function, Arguments...>;
};

}  // namespace cow
