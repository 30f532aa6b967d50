// Retire lists: where a thread leaves the states that it has retired, in small batches with one epoch stamp each.
//
// Thread safety: everything REQUIRES the list's mutex, the counter of bytes apart.
//
// Invariants:
//  1. Batches are in the order of their stamps.
//  2. A list belongs to the reclaimer, not to the thread that uses it first: nothing is left behind when a thread ends.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>

#include "detail/sanitizers.hpp"
#include "state.hpp"

namespace cow {

/// Constant from the time when a state is retired on.
inline std::uint32_t charge_in(const StateHeader& state) noexcept {
  return state.charge.load(std::memory_order_relaxed);
}

/// States that were retired one after the other. One stamp, one atomic step of the epoch and one visit to the
/// announcements for all of them.
struct RetireBatch {
  static constexpr std::uint32_t kMostStates = detail::kSmallBatches ? 1 : 32;
  static constexpr std::size_t kEnoughBytes = 16 << 10;  // so that a list cannot sit on much

  std::uint64_t stamp = 0;
  std::size_t bytes = 0;
  std::uint32_t count = 0;
  std::array<StateHeader*, kMostStates> states;

  auto begin() const noexcept { return states.begin(); }
  auto end() const noexcept { return states.begin() + count; }

  bool full() const noexcept { return count == kMostStates || bytes >= kEnoughBytes; }
  void add(StateHeader& state) noexcept {
    states[count++] = &state;
    bytes += charge_in(state);
  }
};

/// A list of nodes, so that batches move between lists without being copied.
using RetireBatches = std::list<RetireBatch>;

struct alignas(64) RetireList {
  mutable std::mutex mutex;
  RetireBatches open = RetireBatches(1);  ///< one batch, without a stamp yet
  RetireBatches closed;
  std::size_t retired_since_look = 0;      ///< states, since this list last had the announcements read
  std::atomic<std::size_t> open_bytes{0};  ///< of `open`, for statistics

  /// Adds a state; true: the open batch is full, close it.
  bool add(StateHeader& state) noexcept {
    open.front().add(state);
    open_bytes.store(open.front().bytes, std::memory_order_relaxed);  // a statistic
    ++retired_since_look;
    return open.front().full();
  }

  /// Returns the bytes of the closed batch. REQUIRES: `stamp` was drawn after the last state was added.
  std::size_t close(std::uint64_t stamp) {
    RetireBatches next(1);
    RetireBatch& batch = open.front();
    batch.stamp = stamp;
    closed.splice(closed.end(), open);
    open.swap(next);
    open_bytes.store(0, std::memory_order_relaxed);
    return batch.bytes;
  }
};

}  // namespace cow
