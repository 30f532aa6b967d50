// The life of a state that no other transaction knows yet, or any more: built, cloned, charged, destroyed.
//
// Thread safety: all functions may be called from any thread; a state belongs to one caller at a time.
//
// Invariants:
//  1. What is built is dead (key 0) and complete but for its key: the caller publishes it.
//  2. When a function throws, the slot that it took has gone back.
//  3. A state's charge is its slot plus its heap members, as of when it was decoded or committed. It never changes while
//     others know the state.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "quarantine.hpp"
#include "state.hpp"
#include "state_memory.hpp"

namespace cow::detail {

/// Under AddressSanitizer: slots beyond so many bytes leave the quarantine and may be handed out. 0: there are no others.
inline void shrink_quarantine(std::size_t bytes) noexcept {
  if constexpr (kAddressSanitizer) {
    while (StateHeader* slot = Quarantine::instance().take_beyond(bytes)) StateMemory::instance().release(slot);
  }
}

/// Destroys the value of a dead state that nobody can reach, and releases its slot. Under AddressSanitizer by way of the
/// quarantine: the slot is free and poisoned at once, but not handed out again for a while.
inline void destroy_state(StateHeader& state) noexcept {
  state.operations->destroy(state);
  // Shows ThreadSanitizer a free that does not come after all reads: a write to what every read looks at.
  if constexpr (kThreadSanitizer) state.operations = nullptr;
  if constexpr (kAddressSanitizer) {
    state.key.store(0, std::memory_order_relaxed);  // as in StateMemory::release
    poison(&state + 1, size_classes::bytes_of(state.size_class) - sizeof(StateHeader));
    if (Quarantine::instance().put(&state)) {
      shrink_quarantine(Quarantine::kBytes);
      return;
    }
  }
  StateMemory::instance().release(&state);
}

/// A dead state whose value `construct(StateHeader&)` makes in raw memory. Throws std::bad_alloc and what that throws.
template <class Construct>
StateHeader& build_state(const TypeOperations& operations, Construct&& construct) {
  StateHeader& state = *StateMemory::instance().allocate(size_classes::class_of(operations.state_bytes));
  state.operations = &operations;
  try {
    construct(state);
  } catch (...) {
    StateMemory::instance().release(&state);
    throw;
  }
  return state;
}

inline std::uint32_t charge_of(std::size_t slot_bytes, std::size_t heap_bytes) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(slot_bytes + heap_bytes, std::numeric_limits<std::uint32_t>::max()));
}

inline void set_charge(StateHeader& state, std::size_t heap_bytes) noexcept {
  state.charge.store(charge_of(size_classes::bytes_of(state.size_class), heap_bytes), std::memory_order_relaxed);
}

/// A copy of a state's value in a state of its own; its heap members are weighed when it is committed.
inline StateHeader& clone_state(const StateHeader& base) {
  StateHeader& clone = build_state(*base.operations, [&](StateHeader& raw) { raw.operations->copy(raw, base); });
  clone.charge.store(base.charge.load(std::memory_order_relaxed), std::memory_order_relaxed);
  return clone;
}

/// Throws TypeMismatchError unless the state is of the type.
inline void check_type(const StateHeader& state, Oid oid, const TypeOperations& operations) {
  if (same_type(*state.operations, operations)) return;
  Tid begin{state.begin.load(std::memory_order_relaxed)};
  throw TypeMismatchError(oid, begin, operations.name, state.operations->name);
}

}  // namespace cow::detail
