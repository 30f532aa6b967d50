// What a co_await takes, as far as coroutines of any library need to know it.
//
// Thread safety: nothing here runs.
#pragma once

namespace cow::detail {

template <class T>
concept CanBeAwaited = requires(T value) {
  value.await_ready();
};

}  // namespace cow::detail
