// Retire lists: where a thread leaves the states that it has retired, in small batches with one epoch stamp each.
//
// Thread safety: everything REQUIRES the list's mutex, the counter of bytes apart.
//
// Invariants:
//  1. Batches are in the order of their stamps.
//  2. A list belongs to the reclaimer, not to the thread that uses it first: nothing is left behind when a thread ends.
//  3. Adding needs no memory (state_chain.hpp). Closing does; where there is none the open batch goes on growing, and what
//     is in it is freed later.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <new>
#include <utility>

#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/detail/state/state_chain.hpp"

namespace cow::detail {

/// States that were retired one after the other. One stamp, one atomic step of the epoch and one visit to the
/// announcements for all of them.
struct RetireBatch {
  static constexpr std::size_t kMaxStates = kSmallBatches ? 1 : 32;
  static constexpr std::size_t kEnoughBytes = 16 << 10;  // so that a list cannot sit on much

  std::uint64_t stamp = 0;
  StateChain states;

  bool full() const noexcept { return states.size() >= kMaxStates || states.bytes() >= kEnoughBytes; }
};

/// A list of nodes, so that batches move between lists without being copied.
using RetireBatches = std::list<RetireBatch>;

struct alignas(64) RetireList {
  BackoffLock mutex;
  StateChain open;  ///< without a stamp yet
  RetireBatches closed;
  std::size_t retired_since_look = 0;      ///< states, since this list last had the announcements read
  std::atomic<std::size_t> open_bytes{0};  ///< of `open`, for statistics

  /// Adds a state; true: the open batch is full, close it.
  bool add(StateHeader& state) noexcept {
    open.add(state);
    open_bytes.store(open.bytes(), std::memory_order_relaxed);  // a statistic
    ++retired_since_look;
    return open.size() >= RetireBatch::kMaxStates || open.bytes() >= RetireBatch::kEnoughBytes;
  }

  /// Closes the open batch with the stamp that `stamp()` draws; it is called after the last state was added. Returns the
  /// bytes of the batch; 0: there is no memory for it, so it stays open.
  template <class Stamp>
  std::size_t close(Stamp&& stamp) noexcept {
    try {
      closed.emplace_back();
    } catch (const std::bad_alloc&) {
      return 0;
    }
    RetireBatch& batch = closed.back();
    batch.stamp = stamp();
    batch.states = std::move(open);
    open_bytes.store(0, std::memory_order_relaxed);
    return batch.states.bytes();
  }
};

}  // namespace cow::detail
