// use_await: the completion token by which a Task awaits an operation of Asio.
//
//   auto [error, bytes] = co_await socket.async_read_some(buffer, cow::use_await);
//
// Thread safety: the operation's completion resumes the coroutine, on the executor of the I/O object.
#pragma once

#include <boost/asio/async_result.hpp>
#include <coroutine>
#include <optional>
#include <tuple>
#include <utility>

namespace cow {

/// `co_await operation(use_await)` is what a handler of the operation would get: one value as it is, several as a tuple.
/// An error code among them is not thrown, for most of those who wait on a network expect it to fail.
struct UseAwait {};
inline constexpr UseAwait use_await;

namespace detail {

/// An operation that begins when it is awaited, and keeps what it completes with in the coroutine's frame.
template <class Initiation, class Arguments, class... Results>
class AsioAwait {
 public:
  AsioAwait(Initiation initiation, Arguments arguments)
      : initiation_(std::move(initiation)), arguments_(std::move(arguments)) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    // Moved to the stack: the operation may complete on another thread, and end this object, before it returns.
    std::apply([initiation = std::move(initiation_), handler = Handler{this}](
                   auto&&... arguments) mutable { std::move(initiation)(std::move(handler), std::move(arguments)...); },
               Arguments(std::move(arguments_)));
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
    template <class... Values>
    void operator()(Values&&... values) const {
      self->results_.emplace(std::forward<Values>(values)...);
      self->coroutine_.resume();
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
