// A transaction's public face: what reclaimers and pruners must know of it. The registry keeps them side by side.
//
// Thread safety: the transaction's thread writes, any thread reads.
//
// Invariants:
//  1. `announced` is the epoch at which the transaction began or went on, or kParked, kEnding or kIdle. What that means for
//     reclaimers stands in transaction_registry.hpp.
//  2. `snapshot` is valid whenever `announced` is below kEnding: it is written before.
//  3. `log` always points at a table; it is freed only while `log_lock` is free of scanners.
//  4. [parked-by-lock] While `asleep` is set the owner logs nothing, and the thread that has `log_lock` may park the transaction: a change of
//     `announced` to kParked is that thread's. The owner clears `asleep` under the lock.
//  5. `held` is guarded by `log_lock`. Before anything is added to it, `waited_for` is set; the owner reads the flag after
//     it has announced kEnding, and then takes what is held ([held-at-the-end], transaction_registry.hpp).
//  6. Whatever the end of a transaction has to do for others is done before `announced` becomes kIdle: from then on the
//     participant may be the next transaction's, on another thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/detail/oid_set.hpp"
#include "cow_cache/store/note.hpp"
#include "log_table.hpp"

namespace cow::detail {

/// Two cache lines, so that neighbours never share one (nor a pair that the hardware prefetches together).
struct alignas(128) Participant {
  /// Above every epoch. From kEnding on no state is used any more.
  static constexpr std::uint64_t kIdle = ~std::uint64_t{0}, kEnding = kIdle - 1, kParked = kIdle - 2;

  std::atomic<std::uint64_t> announced{kIdle};
  std::atomic<std::uint64_t> snapshot{0};
  std::atomic<LogTable*> log{nullptr};
  BackoffLock log_lock;  ///< guards the read log: a scanner holds it while it reads, the owner only briefly
  std::atomic<bool> asleep{false};
  std::atomic<bool> waited_for{false};  ///< invariant 5
  bool owned_by_thread = false;         ///< waits for its thread's next transaction, rather than in the free list
  bool leaves_more = false;         ///< the owner's: since it began it has slept, found something absent, or has a note
  std::vector<std::uint32_t> held;  ///< what it holds in TransactionRegistry::held(), with repetitions
  std::atomic<std::size_t>* log_bytes = nullptr;  ///< where the registry counts the bytes of all logs, if it does
  std::unique_ptr<OidSet> absent;         ///< the owner's: what it has asked for without getting a state; null: none
  std::unique_ptr<TransactionNote> note;  ///< the owner's: what its commit will say of itself; null: nothing
};
static_assert(sizeof(Participant) == 128);

}  // namespace cow::detail
