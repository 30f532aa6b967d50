// Making and unmaking of states that no other transaction knows yet: from records, as clones, new, as tombstones.
//
// Thread safety: all functions may be called from any thread; a state and a write set belong to one caller at a time.
//
// Invariants:
//  1. What comes out of here is dead (key 0) and complete but for its key: the caller publishes it.
//  2. When a function throws, the slot it took has gone back and the write set is unchanged.
//  3. A state's charge is its slot plus its heap members, as of when it was decoded or committed. It never changes while
//     others know the state.
//  4. A type has its number in keys (key.hpp), which takes memory, before there is a state of it: publishing cannot fail.
#pragma once

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/record/record.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/types.hpp"
#include "heap_meter.hpp"
#include "quarantine.hpp"
#include "state.hpp"
#include "state_memory.hpp"

namespace cow {

/// Under AddressSanitizer: slots beyond so many bytes leave the quarantine and may be handed out. 0: there are no others.
inline void shrink_quarantine(std::size_t bytes) noexcept {
  if constexpr (detail::kAddressSanitizer) {
    while (StateHeader* slot = detail::Quarantine::instance().take_beyond(bytes)) StateMemory::instance().release(slot);
  }
}

/// Destroys the value of a dead state that nobody can reach, and releases its slot. Under AddressSanitizer by way of the
/// quarantine: the slot is free and poisoned at once, but not handed out again for a while.
inline void destroy_state(StateHeader& state) noexcept {
  state.operations->destroy(state);
  // Shows ThreadSanitizer a free that does not come after all reads: a write to what every read looks at.
  if constexpr (detail::kThreadSanitizer) state.operations = nullptr;
  if constexpr (detail::kAddressSanitizer) {
    state.key.store(0, std::memory_order_relaxed);  // as in StateMemory::release
    detail::poison(&state + 1, size_classes::bytes_of(state.size_class) - sizeof(StateHeader));
    if (detail::Quarantine::instance().put(&state)) {
      shrink_quarantine(detail::Quarantine::kBytes);
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

inline void set_charge(StateHeader& state, std::size_t heap_bytes) noexcept {
  state.charge.store(detail::charge_of(size_classes::bytes_of(state.size_class), heap_bytes),
                     std::memory_order_relaxed);
}

/// What the value says. To ask it runs user code, which may throw: then the sum is not complete, and the object is none the worse.
inline HeapSum heap_bytes_of(const StateHeader& state) {
  HeapSum sum;
  try {
    state.operations->add_heap_bytes(state, sum);
  } catch (const abi::__forced_unwind&) {  // the thread is being cancelled
    throw;
  } catch (...) {
    sum.note_unknown();
  }
  return sum;
}

/// Charges a state that a program may have changed with what its value says that it has on the heap. Where that is not
/// all: with the last charge at least, and with its record if that is more than the value itself holds.
inline void weigh(StateHeader& state, std::size_t record_bytes) {
  HeapSum sum = heap_bytes_of(state);
  std::size_t heap_bytes = sum.bytes();
  if (!sum.complete()) {
    std::size_t slot_bytes = size_classes::bytes_of(state.size_class);
    std::size_t charge = state.charge.load(std::memory_order_relaxed);
    heap_bytes = std::max(heap_bytes, charge - slot_bytes);
    if (record_bytes > state.operations->state_bytes - sizeof(StateHeader))
      heap_bytes = std::max(heap_bytes, record_bytes);
  }
  set_charge(state, heap_bytes);
}

/// A revision as a state of the type, or as a tombstone; its interval is set. Throws what decoding throws.
inline StateHeader& decode_state(const Revision& revision, Oid oid, const TypeOperations& operations) {
  (void)(revision.erased ? erased_operations : operations).type_bits();  // invariant 4
  detail::ScratchZone::prepare();
  detail::HeapMeter meter;
  StateHeader& state = build_state(revision.erased ? erased_operations : operations, [&](StateHeader& raw) {
    raw.operations->decode(raw, revision.record, oid, revision.begin);
  });
  HeapSum sum;
  try {
    sum = heap_bytes_of(state);
  } catch (...) {
    destroy_state(state);
    throw;
  }
  // What was allocated is all, but for what the allocator adds; without a count the record must do for what is not known.
  std::size_t at_least = meter.counts() ? meter.kept() : sum.complete() ? 0 : revision.record.size();
  set_charge(state, std::max(sum.bytes(), at_least));
  state.begin.store(revision.begin.value, std::memory_order_relaxed);
  state.end.store(revision.end.value, std::memory_order_relaxed);
  return state;
}

/// A copy of a state's value in a state of its own; its heap members are weighed when it is committed.
inline StateHeader& clone_state(const StateHeader& base) {
  StateHeader& clone = build_state(*base.operations, [&](StateHeader& raw) { raw.operations->copy(raw, base); });
  clone.charge.store(base.charge.load(std::memory_order_relaxed), std::memory_order_relaxed);
  return clone;
}

/// A state around a new value; its heap members are weighed when it is committed.
template <class T>
StateHeader& new_state(T&& value) {
  (void)type_bits<T>();  // invariant 4
  StateHeader& state =
      build_state(type_operations<T>, [&](StateHeader& raw) { ::new (&value_of<T>(raw)) T(std::forward<T>(value)); });
  set_charge(state, 0);
  return state;
}

inline StateHeader& new_tombstone() {
  (void)erased_operations.type_bits();  // invariant 4
  StateHeader& state = build_state(erased_operations, [](StateHeader&) {});
  set_charge(state, 0);
  return state;
}

/// Adds an entry to a write set, or destroys its state and throws std::bad_alloc.
[[gnu::always_inline]] inline WriteSetEntry& add_write(WriteSet& writes, Oid oid, StateHeader& state) {
  try {
    return writes.add(oid, state);
  } catch (...) {
    destroy_state(state);
    throw;
  }
}

/// Throws TypeMismatchError unless the state is of the type.
inline void check_type(const StateHeader& state, Oid oid, const TypeOperations& operations) {
  if (same_type(*state.operations, operations)) return;
  Tid begin{state.begin.load(std::memory_order_relaxed)};
  throw TypeMismatchError(oid, begin, operations.name, state.operations->name);
}

/// What an active transaction itself has made of an object; null: nothing. Throws NullReferenceError,
/// DanglingReferenceError if it has erased the object, TypeMismatchError.
inline WriteSetEntry* find_own_write(WriteSet& writes, Oid oid, const TypeOperations& operations, Tid snapshot) {
  if (!oid) throw NullReferenceError(operations.name);
  if (writes.empty()) return nullptr;
  WriteSetEntry* entry = writes.find(oid);
  if (entry == nullptr) return nullptr;
  if (entry->erased) throw DanglingReferenceError(oid, snapshot, true);
  check_type(*entry->state, oid, operations);
  return entry;
}

}  // namespace cow
