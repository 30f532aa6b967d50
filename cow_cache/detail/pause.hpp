// Waiting for another core.
//
// Thread safety: a plain function.
#pragma once

#include <atomic>

namespace cow::detail {

/// Tells the processor that this is a spin loop: some tens of nanoseconds, during which on x86 a sibling hyper-thread has
/// the core to itself. Unlike a yield it costs no system call, which a crowd of waiting threads would pay again and again.
/// On AArch64 `yield` is a no-op without hyper-threads; an ISB waits for the pipeline to drain, which takes about as long as
/// x86's pause (so do Rust's `spin_loop` and Folly's `asm_volatile_pause`).
inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" : : : "memory");
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace cow::detail
