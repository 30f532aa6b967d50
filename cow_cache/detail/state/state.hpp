// The state: one immutable revision of one object, header and decoded C++ value side by side.
//
// Thread safety: a published state is read by any number of threads. Its value never changes; of its header only `end`,
// `older`, `visited` and `key` (once, to dead) do; and what is guarded by the lock of the oid's stripe.
//
// Invariants:
//  1. The header comes first and a state starts on a cache line, so the check of a hint and the first bytes of the value
//     cost one cache miss.
//  2. `key` is written last when a state is published (release) and read first (acquire): a reader that sees a live key
//     sees the whole state.
//  3. `key` (key.hpp) names the cache and the type as well as the object: a hint that wanders into another cache's
//     database, or to an object of another type, fails there like any stale hint.
//  4. Free is 0: memory that was never a state, or was given back to the system, reads as free. A state that died but may
//     still be read keeps its key with `kDeadMark` in it: a transaction that had logged it before knows it again, no
//     other does.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cow_cache/detail/spelled_name.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/stored_type.hpp"
#include "cow_cache/types.hpp"
#include "key_bits.hpp"

namespace cow {
class HeapSum;
}  // namespace cow

namespace cow::detail {

struct StateHeader;

/// What the cache must know about a C++ type: one constant table per type, shared by all its states.
struct TypeOperations {
  std::string_view name;         ///< as written into records
  std::string_view spelled;      ///< as the compiler spells it
  std::uint32_t schema;          ///< schema number, as written into records
  std::uint32_t state_bytes;     ///< sizeof(State<T>)
  std::uint64_t (*type_bits)();  ///< in keys
  void (*destroy)(StateHeader& state) noexcept;
  /// Copy-constructs the value of `source` into `target`, whose value is raw memory.
  void (*copy)(StateHeader& target, const StateHeader& source);
  /// Appends the record of `state` to `out`. Throws UnstorableValueError, which names `oid`, and what the codec throws.
  void (*encode)(const StateHeader& state, Oid oid, std::string& out);
  /// Makes what `decode` keeps for its next call: before allocations are counted.
  void (*prepare_decode)();
  /// Constructs the value of `target` from a record. Throws CorruptRecordError or TypeMismatchError.
  void (*decode)(StateHeader& target, std::string_view record, Oid oid, Tid tid);
  /// Adds up what belongs to the value of `state` on the heap (heap_bytes.hpp).
  void (*add_heap_bytes)(const StateHeader& state, HeapSum& sum);
};

/// Whether two tables are those of one type: each shared library may have a table of its own.
inline bool same_type(const TypeOperations& a, const TypeOperations& b) noexcept {
  if (&a == &b) return true;
  return a.name == b.name && a.schema == b.schema && a.state_bytes == b.state_bytes && a.spelled == b.spelled &&
         names_one_type(a.spelled);
}

inline constexpr std::size_t kStateAlignment = 64;

struct alignas(16) StateHeader {
  std::atomic<std::uint64_t> key{0};
  std::atomic<std::uint64_t> begin{kInfinity.value};
  std::atomic<std::uint64_t> end{kInfinity.value};
  std::atomic<StateHeader*> older{nullptr};
  const TypeOperations* operations = nullptr;
  std::atomic<std::uint32_t> charge{0};  ///< bytes of this state, heap members included
  std::atomic<bool> visited{false};      ///< read since the replacement policy last looked
  std::uint8_t size_class = 0;           ///< constant for ever at this address
  /// Of the newest state of an object, guarded by the lock of its stripe: its old revisions are looked at again after so
  /// many further commits.
  std::uint16_t prune_after = 0;

  // Relaxed: a state may die or be superseded at any time. What must be seen here, the caller has acquired elsewhere.
  /// REQUIRES: the caller holds the state (invariant 4), as for the next.
  bool is_dead() const noexcept { return (key.load(std::memory_order_relaxed) & kDeadMark) != 0; }
  bool is_superseded() const noexcept { return end.load(std::memory_order_relaxed) != kInfinity.value; }

  Oid oid() const noexcept { return oid_in(key.load(std::memory_order_relaxed)); }
  /// The key of this state as that object in that cache.
  std::uint64_t key_as(Oid oid, std::uint64_t cache_bits) const {
    return cache_bits | operations->type_bits() | oid.value;
  }
};
static_assert(sizeof(StateHeader) == 48, "header and the first reference of a value must share a cache line");

/// The largest sizeof(T): what fits into the largest slot of the state memory beside the header.
inline constexpr std::size_t kMaxValueBytes = (std::size_t{1} << 20) - sizeof(StateHeader);

/// A state of a known type.
template <class T>
struct State : StateHeader {
  static_assert(
      DefinedInFull<T>,
      "cow: a stored type is only declared here, or is no type of objects: include the file that defines it before "
      "its objects are used.");
  static_assert(alignof(T) <= alignof(StateHeader), "values aligned to more than 16 bytes are not supported");
  static_assert(sizeof(T) <= kMaxValueBytes, "larger values belong on the heap: in a vector or a string member");
  alignas(StateHeader) T value;  // not in the padding of the header, where a small T could go
};

/// A header and the address of its value, each from the other: the value begins where the header ends.
inline std::byte* value_address(StateHeader& state) noexcept { return reinterpret_cast<std::byte*>(&state + 1); }
inline StateHeader* state_at(std::byte* value) noexcept { return reinterpret_cast<StateHeader*>(value) - 1; }

template <class T>
T& value_of(StateHeader& state) noexcept {
  return static_cast<State<T>&>(state).value;
}
template <class T>
const T& value_of(const StateHeader& state) noexcept {
  return static_cast<const State<T>&>(state).value;
}

/// Where the hint of a reference points that has none: dead for ever, so that a read needs no test for null. Aligned like a
/// state, so that its handle has the form of one: a read that takes it for a state logs it, looks, and takes it back.
struct alignas(kStateAlignment) NullState {
  StateHeader header;
  std::byte value[16] = {};
};
COW_CACHE_ONE_PER_PROCESS inline constinit NullState null_state{};
}  // namespace cow::detail
