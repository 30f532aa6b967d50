// A transaction's public face: what reclaimers and pruners must know of it, in one slot of a contiguous registry.
//
// Thread safety: the transaction's thread writes, any thread reads.
//
// Invariants:
//  1. `announced` is the epoch at which the transaction began or went on, or kIdle, or kParked. What that means for
//     reclaimers stands in transaction_registry.hpp.
//  2. `snapshot` is valid whenever `announced` is not kIdle: it is written before.
//  3. `log` always points at a table; it is freed only while `log_lock` is free of scanners.
//  4. While `asleep` is set the owner logs nothing, and whoever has `log_lock` may park the transaction: `held` and a change
//     of `announced` to kParked are his. The owner clears `asleep` under the lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "detail/log_table.hpp"
#include "detail/oid_set.hpp"

namespace cow {

/// Of a log: held by a scanner for one log, by the owner for an instant. So a spin lock, that yields when it must wait.
class LogLock {
 public:
  void lock() noexcept {
    while (taken_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();  // pairs with unlock
  }
  void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

/// Two cache lines, so that neighbours never share one (nor a pair that the hardware prefetches together).
struct alignas(128) TransactionSlot {
  static constexpr std::uint64_t kIdle = ~std::uint64_t{0}, kParked = kIdle - 1;  // above every epoch

  std::atomic<std::uint64_t> announced{kIdle};
  std::atomic<std::uint64_t> snapshot{0};
  std::atomic<LogTable*> log{nullptr};
  LogLock log_lock;
  std::atomic<bool> asleep{false};
  std::vector<std::uint32_t> held;  ///< invariant 4: what it has in TransactionRegistry::held(), ascending
  std::atomic<std::size_t>* log_bytes = nullptr;  ///< where the registry counts the bytes of all logs, if it does
  bool owned_by_thread = false;            ///< waits for its thread's next transaction, rather than in the free list
  bool leaves_more = false;                ///< the owner's: since it began it has slept, or found something absent
  std::unique_ptr<detail::OidSet> absent;  ///< the owner's: what it has asked for without getting a state; null: none
};

}  // namespace cow
