// A small number for each thread: which of a few lists it uses first, so that threads rarely meet on one.
//
// Thread safety: a plain function. The number is only a preference: a fiber that moves between asking and using it uses
// another thread's list, which is guarded as well.
#pragma once

#include <atomic>
#include <cstdint>

namespace cow::detail {

inline std::uint32_t thread_number() noexcept {
  static std::atomic<std::uint32_t> next{0};
  // Relaxed: all that matters is that the numbers differ.
  thread_local const std::uint32_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace cow::detail
