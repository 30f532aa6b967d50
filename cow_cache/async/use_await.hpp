// use_await: the completion token by which a Task awaits an operation of Asio.
//
//   auto [error, bytes] = co_await socket.async_read_some(buffer, cow::use_await);
//
// Thread safety: the operation's completion resumes the coroutine, on the executor of the I/O object.
//
// Invariants:
//  1. An operation that completes before its initiation has returned, as `dispatch` does on its own loop, does not resume the
//     coroutine: the coroutine has not suspended, and goes on. So any number of such operations need no stack.
//  2. An operation that completes in another thread resumes the coroutine there at once, be its initiation at an end or not.
//     After the initiation nothing of the operation is touched, for it may be gone.
#pragma once

#include "detail/coroutines.hpp"

#include <boost/asio/async_result.hpp>
#include <coroutine>
#include <optional>
#include <tuple>
#include <utility>

#include "cow_cache/detail/visibility.hpp"

namespace cow {

/// `co_await operation(use_await)` is what a handler of the operation would get: one value as it is, several as a tuple.
/// An error code among them is not thrown, for most of those who wait on a network expect it to fail.
struct UseAwait {};
inline constexpr UseAwait use_await;

namespace detail {

/// That this thread is initiating an operation. Nobody suspends meanwhile, so a thread_local list will do.
class COW_CACHE_ONE_PER_PROCESS InitiationUnderWay {
 public:
  explicit InitiationUnderWay(const void* operation) noexcept : operation_(operation), outer_(innermost_) {
    innermost_ = this;
  }
  InitiationUnderWay(const InitiationUnderWay&) = delete;
  InitiationUnderWay& operator=(const InitiationUnderWay&) = delete;
  ~InitiationUnderWay() { innermost_ = outer_; }

  bool completed() const noexcept { return completed_; }

  /// Notes that the operation has completed, if this thread is still at its initiation. `initiation` may have gone, and another
  /// one be in its place; but only of another operation, for this one is awaited until it has completed.
  static bool complete(const InitiationUnderWay* initiation, const void* operation) noexcept {
    for (InitiationUnderWay* any = innermost_; any != nullptr; any = any->outer_) {
      if (any == initiation && any->operation_ == operation) return any->completed_ = true;
    }
    return false;
  }

 private:
  static inline constinit thread_local InitiationUnderWay* innermost_ = nullptr;

  const void* operation_;
  InitiationUnderWay* outer_;
  bool completed_ = false;
};

/// An operation that begins when it is awaited, and keeps what it completes with in the coroutine's frame.
template <class Initiation, class Arguments, class... Results>
class AsioAwait {
 public:
  AsioAwait(Initiation initiation, Arguments arguments)
      : initiation_(std::move(initiation)), arguments_(std::move(arguments)) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    InitiationUnderWay initiating(this);
    // Moved to the stack: the operation may complete on another thread, and end this object, before it returns.
    std::apply([initiation = std::move(initiation_), handler = Handler{this, &initiating}](
                   auto&&... arguments) mutable { std::move(initiation)(std::move(handler), std::move(arguments)...); },
               Arguments(std::move(arguments_)));
    return !initiating.completed();
  }
  auto await_resume() {
    if constexpr (sizeof...(Results) == 1) {
      return std::get<0>(*std::move(results_));
    } else if constexpr (sizeof...(Results) > 1) {
      return *std::move(results_);
    }
  }

 private:
  struct Handler {
    AsioAwait* self;
    const InitiationUnderWay* initiation;
    template <class... Values>
    void operator()(Values&&... values) const {
      self->results_.emplace(std::forward<Values>(values)...);
      if (!InitiationUnderWay::complete(initiation, self)) self->coroutine_.resume();
    }
  };

  Initiation initiation_;
  Arguments arguments_;
  std::coroutine_handle<> coroutine_;
  std::optional<std::tuple<Results...>> results_;
};

}  // namespace detail
}  // namespace cow

template <class... Results>
class boost::asio::async_result<cow::UseAwait, void(Results...)> {
 public:
  template <class Initiation, class... Arguments>
  static auto initiate(Initiation&& initiation, cow::UseAwait, Arguments&&... arguments) {
    using Kept = std::tuple<std::decay_t<Arguments>...>;
    return cow::detail::AsioAwait<std::decay_t<Initiation>, Kept, std::decay_t<Results>...>(
        std::forward<Initiation>(initiation), Kept(std::forward<Arguments>(arguments)...));
  }
};
