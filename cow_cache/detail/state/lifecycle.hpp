// The life of a state that no other transaction knows yet, or any more: built, cloned, charged, destroyed.
//
// Thread safety: all functions may be called from any thread; a state belongs to one caller at a time.
//
// Invariants:
//  1. What is built is private (state.hpp, invariant 5) and complete but for its key: the caller publishes it.
//  2. When a function throws, the slot that it took has gone back.
//  3. A state's charge is its slot plus its heap members, as of when it was decoded or committed. It never changes while
//     others know the state.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "quarantine.hpp"
#include "state.hpp"
#include "state_memory.hpp"
#include "type_table.hpp"

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
  state.operations().destroy(state);
  // Shows ThreadSanitizer a free that does not come after all reads: a write to what readers look at.
  if constexpr (kThreadSanitizer) *reinterpret_cast<volatile std::uint64_t*>(&state + 1) = 0;
  if constexpr (kAddressSanitizer) {
    state.key.store(0, std::memory_order_relaxed);  // as in StateMemory::release
    poison(&state + 1, size_classes::bytes_of(state.size_class()) - sizeof(StateHeader));
    if (Quarantine::instance().put(&state)) {
      shrink_quarantine(Quarantine::kBytes);
      return;
    }
  }
  StateMemory::instance().release(&state);
}

/// A private state whose value `construct(StateHeader&)` makes in raw memory. `type_bits`: those of the operations (TypeTable);
/// `size_class`: has room for such a state. Throws std::bad_alloc and what that throws.
template <class Construct>
[[gnu::always_inline]] inline StateHeader& build_state(const TypeOperations& operations, std::uint64_t type_bits,
                                                       std::uint8_t size_class, Construct&& construct) {
  StateHeader& state = *StateMemory::instance().allocate(size_class);
  state.key.store(type_bits, std::memory_order_relaxed);  // private: nobody looks for such a key
  if (type_bits == kUnnumberedType) [[unlikely]]
    *operations_in_slot(state) = &operations;
  try {
    construct(state);
  } catch (...) {
    StateMemory::instance().release(&state);
    throw;
  }
  return state;
}

template <class Construct>
StateHeader& build_state(const TypeOperations& operations, Construct&& construct) {
  std::uint64_t type_bits = TypeTable::bits_of(operations);
  std::size_t bytes = operations.state_bytes + (type_bits == kUnnumberedType ? sizeof(void*) : 0);
  return build_state(operations, type_bits, size_classes::class_of(bytes), std::forward<Construct>(construct));
}

inline void set_charge(StateHeader& state, std::size_t heap_bytes) noexcept {
  state.set_charge(size_classes::bytes_of(state.size_class()) + heap_bytes);
}

/// A copy of a state's value, made by `copy(StateHeader&)`, in a state of its own; its heap members are weighed when it is committed.
template <class Copy>
[[gnu::always_inline]] inline StateHeader& clone_state_by(const StateHeader& base, const TypeOperations& operations,
                                                          Copy&& copy) {
  StateHeader& clone = build_state(operations, base.type_bits(), base.size_class(), std::forward<Copy>(copy));
  clone.set_charge_of(base);
  return clone;
}
inline StateHeader& clone_state(const StateHeader& base) {
  const TypeOperations& operations = base.operations();
  return clone_state_by(base, operations, [&](StateHeader& raw) { operations.copy(raw, base); });
}
/// The same where the type is known: nothing is looked up, and the copy is inlined. REQUIRES: the state is of the type, whose
/// operations these are.
template <class T>
[[gnu::always_inline]] inline StateHeader& clone_state(const StateHeader& base, const TypeOperations& operations) {
  return clone_state_by(base, operations, [&](StateHeader& raw) { ::new (&value_of<T>(raw)) T(value_of<T>(base)); });
}

/// Throws TypeMismatchError unless the state is of the type.
inline void check_type(const StateHeader& state, Oid oid, const TypeOperations& operations) {
  const TypeOperations& found = state.operations();
  if (same_type(found, operations)) return;
  Tid begin{state.begin.load(std::memory_order_relaxed)};
  throw TypeMismatchError(oid, begin, operations.name, found.name);
}

}  // namespace cow::detail
