// States of values: decoded from records, new, or tombstones; and what a value weighs.
//
// Thread safety: all functions may be called from any thread; a state belongs to one caller at a time.
//
// Invariants:
//  1. What comes out of here is private and complete but for its key, and when a function throws, the slot that it took has
//     gone back (state/lifecycle.hpp).
//  2. A type has its number in keys, which takes memory, before there is a state of it (state/type_table.hpp): publishing cannot fail.
#pragma once

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <new>
#include <utility>

#include "cow_cache/detail/state/heap_meter.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/size_classes.hpp"
#include "cow_cache/heap_sum.hpp"
#include "cow_cache/store.hpp"
#include "operations.hpp"

namespace cow::detail {

/// What the value says. To ask it runs user code, which may throw: then the sum is not complete, and the object is none the worse.
inline HeapSum heap_bytes_of(const StateHeader& state) {
  HeapSum sum;
  try {
    state.operations().add_heap_bytes(state, sum);
  } catch (const abi::__forced_unwind&) {  // the thread is being cancelled
    throw;
  } catch (...) {
    sum.note_unknown();
  }
  return sum;
}

/// Charges a state that a program may have changed with what its value says that it has on the heap. Where that is not
/// all: with the last charge at least, and with its record if that is more than the value itself holds.
[[gnu::always_inline]] inline void weigh(StateHeader& state, std::size_t record_bytes) {
  HeapSum sum = heap_bytes_of(state);
  std::size_t heap_bytes = sum.bytes();
  if (!sum.complete()) {
    std::size_t slot_bytes = size_classes::bytes_of(state.size_class());
    std::size_t charge = state.charge();
    heap_bytes = std::max(heap_bytes, charge - slot_bytes);
    if (record_bytes > state.operations().state_bytes - sizeof(StateHeader))
      heap_bytes = std::max(heap_bytes, record_bytes);
  }
  set_charge(state, heap_bytes);
}

/// A revision as a state of the type, or as a tombstone; its interval is set. Throws what decoding throws.
inline StateHeader& decode_state(const Revision& revision, Oid oid, const TypeOperations& operations) {
  const TypeOperations& made = revision.erased ? erased_operations : operations;
  made.prepare_decode();
  HeapMeter meter;
  StateHeader& state =
      build_state(made, [&](StateHeader& raw) { made.decode(raw, revision.record, oid, revision.begin); });
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

}  // namespace cow::detail
