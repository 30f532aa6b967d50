// An asymmetric pair of fences: free for the many readers, dear for the one reclaimer.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. [log-before-look] Dekker, asymmetric. A reader does `announce(entry); validate(key)`; the reclaimer does
//     `mark_before_fence(key); heavy_fence(); read entry`. Then either the reclaimer reads the entry, or the look reads dead.
//     (Another thread may have marked: what it did happens before the fence, for it has handed the state over.)
//     Proof, asymmetric mode: membarrier(2) makes every running thread of the process execute a full barrier at some point
//     between its call and its return. If the reader's store comes before that point in its program order, the
//     reclaimer's later load reads it. Otherwise the look, which the compiler may not move before the store, comes after
//     the point as well and reads the mark, which happens before the call. (The kernel's barriers are cumulative.)
//     Proof, symmetric mode: all four accesses are seq_cst, so one total order S has them; if the reclaimer's load of the
//     entry does not read the store, it precedes it in S, hence the mark precedes the look in S.
//     The end of a transaction is such a pair as well: the owner announces it, then looks at a flag; a reclaimer sets the
//     flag, fences, then reads the announcement ([held-at-the-end], transaction_registry.hpp).
//  2. The mode is chosen once, at start-up, and never changes. (Static initialisers that run before see the symmetric
//     reader, which is also right under an asymmetric reclaimer: it only fences more.)
//  3. [seq-cst-scanner] The reclaimer's loads of announcements are seq_cst in both modes; its marks in the symmetric one.
//
// ThreadSanitizer does not know membarrier, so it gets the symmetric mode: what it checks there is this very protocol.
// Source: the "hazard pointers with asymmetric fences" idea of folly and of P1202 (asymmetric fences).
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "cow_cache/detail/sanitizers.hpp"

namespace cow::detail {

/// True where the kernel can fence the other threads for us.
inline bool register_membarrier() noexcept {
  if (kThreadSanitizer) return false;
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
inline const bool asymmetric_fences = register_membarrier();

/// Whether `announce_quickly` and `validate_quickly` may be used.
inline bool may_announce_quickly() noexcept { return kThreadSanitizer || asymmetric_fences; }

/// The reader's announcement, ordered before any later `validate`. It does not ask which mode it is. REQUIRES:
/// may_announce_quickly(). (`Atomic` is std::atomic but where the protocol is checked: tests/models/relacy.)
template <template <class> class Atomic, class Value>
[[gnu::always_inline]] inline void announce_quickly(Atomic<Value>& entry, Value value) noexcept {
  if constexpr (kThreadSanitizer) {
    entry.store(value, std::memory_order_seq_cst);
  } else {
    // Relaxed, and a compiler barrier: heavy_fence() supplies the hardware's part (invariant 1).
    entry.store(value, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

/// The same in either mode.
template <template <class> class Atomic, class Value>
[[gnu::always_inline]] inline void announce(Atomic<Value>& entry, Value value) noexcept {
  if (asymmetric_fences) [[likely]] {
    announce_quickly(entry, value);
  } else {
    entry.store(value, std::memory_order_seq_cst);
  }
}

/// The same, and a release: what the thread did before happens before whatever acquires the value.
template <template <class> class Atomic, class Value>
[[gnu::always_inline]] inline void announce_with_release(Atomic<Value>& entry, Value value) noexcept {
  if (asymmetric_fences) [[likely]] {
    entry.store(value, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    entry.store(value, std::memory_order_seq_cst);
  }
}

/// The reader's look, ordered after `announce_quickly`. Acquire at least: it pairs with the release that published the state, so
/// that a reader that sees a live key sees the value. REQUIRES: as there.
template <template <class> class Atomic, class Value>
[[gnu::always_inline]] inline Value validate_quickly(const Atomic<Value>& key) noexcept {
  if constexpr (kThreadSanitizer) {
    return key.load(std::memory_order_seq_cst);
  } else {
    return key.load(std::memory_order_acquire);
  }
}

/// The same in either mode.
template <template <class> class Atomic, class Value>
[[gnu::always_inline]] inline Value validate(const Atomic<Value>& key) noexcept {
  return asymmetric_fences ? validate_quickly(key) : key.load(std::memory_order_seq_cst);
}

/// The reclaimer's mark, ordered before any later heavy_fence(). Release in either mode: for a thread that acquires it.
template <template <class> class Atomic, class Value>
[[gnu::always_inline]] inline void mark_before_fence(Atomic<Value>& key, Value value) noexcept {
  if (asymmetric_fences) [[likely]] {
    key.store(value, std::memory_order_release);
  } else {
    key.store(value, std::memory_order_seq_cst);
  }
}

/// The reclaimer's side: between marking states dead and reading the announcements.
inline void heavy_fence() noexcept {
  if (!asymmetric_fences) return;
  // It costs 1 us alone and tens of us when other CPUs run our threads. It cannot fail once registered (membarrier(2)),
  // unless somebody forbids the call later; going on without the fence would free what others read.
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) std::abort();
}

}  // namespace cow::detail
