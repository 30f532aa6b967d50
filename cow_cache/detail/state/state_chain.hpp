// A chain of dead states: what is unlinked, retired and freed is strung together by its own headers, so none of that needs
// memory, and none of it can fail.
//
// Thread safety: a chain belongs to one thread at a time, or to the lock that guards it.
//
// Invariants:
//  1. A state is in one chain at most, and only from its death on: the link is `older`, which nobody needs any more.
//     Proof: a reader that goes down a chain of revisions loads `older` first and looks at the key then (reader.hpp). Had it
//     read the link of a chain of dead states (release in `add`, acquire there), it would have synchronised with the thread
//     that marked the state dead before, so the look finds it dead and the reader does not follow.
//  2. Nothing else of a dead state changes: a transaction that has logged it reads its key, its interval and its value.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "state.hpp"

namespace cow::detail {

/// Constant from the time when a state is retired on.
inline std::size_t charge_in(const StateHeader& state) noexcept { return state.charge(); }

class StateChain {
 public:
  StateChain() noexcept = default;
  explicit StateChain(StateHeader& state) noexcept { add(state); }
  StateChain(StateChain&& other) noexcept { *this = std::move(other); }
  StateChain& operator=(StateChain&& other) noexcept {
    first_ = std::exchange(other.first_, nullptr);
    last_ = std::exchange(other.last_, nullptr);
    count_ = std::exchange(other.count_, 0);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return count_; }
  /// The sum of what its states are charged with.
  std::size_t bytes() const noexcept { return bytes_; }

  /// REQUIRES: the state is dead, or was never known to others; it is unlinked and in no chain.
  void add(StateHeader& state) noexcept {
    state.older.store(nullptr, std::memory_order_release);  // invariant 1, as below
    if (last_ == nullptr) {
      first_ = &state;
    } else {
      last_->older.store(&state, std::memory_order_release);
    }
    last_ = &state;
    ++count_;
    bytes_ += charge_in(state);
  }

  /// Moves all states of another chain to the end of this one.
  void append(StateChain other) noexcept {
    if (other.empty()) return;
    if (last_ == nullptr) {
      *this = std::move(other);
      return;
    }
    last_->older.store(other.first_, std::memory_order_release);
    last_ = other.last_;
    count_ += other.count_;
    bytes_ += other.bytes_;
  }

  /// Takes the first state out. REQUIRES: there is one.
  StateHeader& take() noexcept {
    StateHeader& state = *first_;
    first_ = next(state);
    if (first_ == nullptr) last_ = nullptr;
    --count_;
    bytes_ -= charge_in(state);
    return state;
  }

  /// Sorts the states by their addresses. Without memory for that they stay as they are.
  void sort_by_address() noexcept {
    std::vector<StateHeader*> states;
    try {
      states.reserve(count_);
    } catch (const std::bad_alloc&) {
      return;
    }
    for_each([&](StateHeader& state) { states.push_back(&state); });
    std::sort(states.begin(), states.end(), std::less<>());
    StateChain sorted;
    for (StateHeader* state : states) sorted.add(*state);
    *this = std::move(sorted);
  }

  /// Calls `visit(StateHeader&)` for each state; it changes no link.
  template <class Visitor>
  void for_each(Visitor&& visit) const {
    for (StateHeader* state = first_; state != nullptr; state = next(*state)) visit(*state);
  }

 private:
  /// Relaxed: the chain's owner alone writes the links.
  static StateHeader* next(const StateHeader& state) noexcept { return state.older.load(std::memory_order_relaxed); }

  StateHeader *first_ = nullptr, *last_ = nullptr;
  std::size_t count_ = 0, bytes_ = 0;
};

}  // namespace cow::detail
