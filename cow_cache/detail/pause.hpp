// Waiting for another core.
//
// Thread safety: a plain function.
#pragma once

#include <atomic>

namespace cow::detail {

/// Tells the processor that this is a spin loop: some tens of nanoseconds on x86, during which a sibling hyper-thread has
/// the core to itself. Unlike a yield it costs no system call, which a crowd of waiting threads would pay again and again.
inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace cow::detail
