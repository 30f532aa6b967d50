// Making and unmaking of states that no other transaction knows yet: from records, as clones, new, as tombstones.
//
// Thread safety: all functions may be called from any thread; a state and a write set belong to one caller at a time.
//
// Invariants:
//  1. What comes out of here is dead (key 0) and complete but for its key: the caller publishes it.
//  2. When a function throws, the slot it took has gone back and the write set is unchanged.
//  3. A state's charge is its slot plus its heap members: measured when it is built, weighed again when it is
//     committed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "detail/heap_meter.hpp"
#include "errors.hpp"
#include "record.hpp"
#include "state.hpp"
#include "state_memory.hpp"
#include "store.hpp"
#include "types.hpp"
#include "write_set.hpp"

namespace cow {

/// Destroys the value of a dead state that nobody can reach, and releases its slot.
inline void destroy_state(StateHeader& state) noexcept {
  state.operations->destroy(state);
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

/// A revision as a state of the type, or as a tombstone; its interval is set. Throws what decoding throws.
inline StateHeader& decode_state(const Revision& revision, Oid oid, const TypeOperations& operations) {
  detail::HeapMeter meter;
  StateHeader& state = build_state(revision.erased ? erased_operations : operations, [&](StateHeader& raw) {
    raw.operations->decode(raw, revision.record, oid, revision.begin);
  });
  set_charge(state, meter.kept(revision.record.size()));
  state.begin.store(revision.begin.value, std::memory_order_relaxed);
  state.end.store(revision.end.value, std::memory_order_relaxed);
  return state;
}

/// A copy of a state's value in a state of its own.
inline StateHeader& clone_state(const StateHeader& base) {
  detail::HeapMeter meter;
  StateHeader& clone = build_state(*base.operations, [&](StateHeader& raw) { raw.operations->copy(raw, base); });
  std::size_t heap_of_base = base.charge.load(std::memory_order_relaxed) - size_classes::bytes_of(base.size_class);
  set_charge(clone, meter.kept(heap_of_base));
  return clone;
}

/// A state around a new value; its heap members are weighed when it is committed.
template <class T>
StateHeader& new_state(T&& value) {
  StateHeader& state =
      build_state(type_operations<T>, [&](StateHeader& raw) { ::new (&value_of<T>(raw)) T(std::forward<T>(value)); });
  set_charge(state, 0);
  return state;
}

inline StateHeader& new_tombstone() {
  StateHeader& state = build_state(erased_operations, [](StateHeader&) {});
  set_charge(state, 0);
  return state;
}

/// Adds an entry to a write set, or destroys its state and throws std::bad_alloc.
inline void add_write(WriteSet& writes, WriteSetEntry entry) {
  try {
    writes.add(entry);
  } catch (...) {
    destroy_state(*entry.state);
    throw;
  }
}

/// Throws TypeMismatchError unless the state is of the type.
inline void check_type(const StateHeader& state, Oid oid, const TypeOperations& operations) {
  if (state.operations == &operations) return;
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
  if (entry->erased) throw DanglingReferenceError(oid, snapshot);
  check_type(*entry->state, oid, operations);
  return entry;
}

}  // namespace cow
