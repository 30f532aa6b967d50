// The state: one immutable revision of one object, header and decoded C++ value side by side.
//
// Thread safety: a published state is read by any number of threads. Its value never changes; of its header only `end`,
// `older`, whether it was visited, and `key` (once, to dead) do.
//
// Invariants:
//  1. The header comes first, and the key last in it: so a repeated read finds the key and the first bytes of the value in one
//     cache line, but where a line begins with the value (size_classes.hpp).
//  2. `key` is written last when a state is published (release) and read first (acquire): a reader that sees a live key
//     sees the whole state.
//  3. `key` (key.hpp) names the cache and the type as well as the object: a hint that wanders into another cache's
//     database, or to an object of another type, fails there like any stale hint.
//  4. Free is 0: memory that was never a state, or was given back to the system, reads as free. A state that died but may
//     still be read keeps its key with `kDeadMark` in it: a transaction that had logged it before knows it again, no
//     other does.
//  5. A state that only one thread knows has its type in its key, but no cache and no oid (private_key). Type 0 is none, so it is
//     not free; no reference looks for such a key.
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
#include "state_link.hpp"

namespace cow {
class HeapSum;
}  // namespace cow

namespace cow::detail {

struct StateHeader;
struct TypeDescription;

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
  /// Constructs the value of `target` from a record. Throws RecordError or TypeMismatchError.
  void (*decode)(StateHeader& target, std::string_view record, Oid oid, Tid tid);
  /// Adds up what belongs to the value of `state` on the heap (heap_bytes.hpp).
  void (*add_heap_bytes)(const StateHeader& state, HeapSum& sum);
  /// What a store remembers of the type (field_set.hpp). Null: nothing. Runs default constructors.
  TypeDescription (*describe)();
};

/// Whether two tables are those of one type: each shared library may have a table of its own.
inline bool same_type(const TypeOperations& a, const TypeOperations& b) noexcept {
  if (&a == &b) return true;
  return a.name == b.name && a.schema == b.schema && a.state_bytes == b.state_bytes && a.spelled == b.spelled &&
         names_one_type(a.spelled);
}

/// The ends of states that nothing has superseded: infinity, or as much less than that as `StateHeader::prune_after` says. No commit
/// has such a tid.
inline constexpr std::uint64_t kMaxPruneAfter = 0xFFFF;
inline constexpr Tid kFirstInfinity{kInfinity.value - kMaxPruneAfter};

/// What a state is charged with, in 24 bits: a multiple of 16 bytes up to 128 MiB, then one of 8 KiB up to 64 GiB. Rounded up.
struct Charge {
  static constexpr std::uint32_t kCoarse = 1u << 23;
  static constexpr std::size_t kFineBytes = 16, kCoarseBytes = std::size_t{8} << 10;

  static constexpr std::uint32_t packed(std::size_t bytes) noexcept {
    std::size_t fine = bytes / kFineBytes + (bytes % kFineBytes != 0);
    if (fine < kCoarse) return static_cast<std::uint32_t>(fine);
    std::size_t coarse = bytes / kCoarseBytes + (bytes % kCoarseBytes != 0);
    return kCoarse | static_cast<std::uint32_t>(coarse < kCoarse ? coarse : kCoarse - 1);
  }
  static constexpr std::size_t bytes(std::uint32_t packed) noexcept {
    return packed < kCoarse ? packed * kFineBytes : (packed - kCoarse) * kCoarseBytes;
  }
};

struct alignas(16) StateHeader {
  StateLink older;                       ///< the next older state of the object that is resident
  std::atomic<std::uint32_t> packed{0};  ///< charge, size class and whether it was visited: see below
  std::atomic<std::uint64_t> begin{kInfinity.value};
  std::atomic<std::uint64_t> end{kInfinity.value};  ///< up from kFirstInfinity: nothing has superseded it
  std::atomic<std::uint64_t> key{0};                ///< last: in a cache line with the first bytes of the value

  // Relaxed: a state may die or be superseded at any time. What must be seen here, the caller has acquired elsewhere.
  /// REQUIRES: the caller holds the state (invariant 4), as for the next.
  bool is_dead() const noexcept { return (key.load(std::memory_order_relaxed) & kDeadMark) != 0; }
  bool is_superseded() const noexcept { return end.load(std::memory_order_relaxed) < kFirstInfinity.value; }

  Oid oid() const noexcept { return oid_in(key.load(std::memory_order_relaxed)); }
  /// Of what is alive, dead or private.
  std::uint64_t type_bits() const noexcept { return key.load(std::memory_order_relaxed) & kTypeMask; }
  /// The key of this state as that object in that cache.
  std::uint64_t key_as(Oid oid, std::uint64_t cache_bits) const noexcept {
    return cache_bits | type_bits() | oid.value;
  }
  /// Its key while nobody else knows it: of no cache and no object.
  std::uint64_t private_key() const noexcept { return type_bits(); }

  /// What is done with its value (type_table.hpp). REQUIRES: it is alive, dead or private, not free.
  inline const TypeOperations& operations() const noexcept;

  // `packed`, from its lowest bit on: visited, 7 bits of size class, 24 bits of charge. Relaxed, all of it: who marks a visit
  // holds the state, and the other bits change only while nobody else knows it; so marks may be lost (a miss at most), but nothing else.
  /// The class is constant for ever at this address.
  std::uint8_t size_class() const noexcept {
    return static_cast<std::uint8_t>((packed.load(std::memory_order_relaxed) & kClassBits) >> kClassShift);
  }
  /// Bytes of this state, heap members included.
  std::size_t charge() const noexcept { return Charge::bytes(packed.load(std::memory_order_relaxed) >> kChargeShift); }
  /// REQUIRES: nobody else knows the state; so for the next.
  void set_charge(std::size_t bytes) noexcept {
    std::uint32_t others = packed.load(std::memory_order_relaxed) & (kClassBits | kVisited);
    packed.store(Charge::packed(bytes) << kChargeShift | others, std::memory_order_relaxed);
  }
  /// As another state of its size class. REQUIRES: as well, and that it was not visited.
  void set_charge_of(const StateHeader& other) noexcept {
    packed.store(other.packed.load(std::memory_order_relaxed) & ~kVisited, std::memory_order_relaxed);
  }
  void set_size_class(std::uint8_t size_class) noexcept {  // charged with nothing, not visited
    packed.store(std::uint32_t{size_class} << kClassShift, std::memory_order_relaxed);
  }

  /// Read since the replacement policy last looked.
  bool visited() const noexcept { return (packed.load(std::memory_order_relaxed) & kVisited) != 0; }
  /// Tested first, so that hits write no shared line.
  [[gnu::always_inline]] void mark_visited() noexcept {
    std::uint32_t bits = packed.load(std::memory_order_relaxed);
    if ((bits & kVisited) == 0) packed.store(bits | kVisited, std::memory_order_relaxed);
  }
  /// Whether it was; from now on it was not.
  bool take_visited() noexcept {
    std::uint32_t bits = packed.load(std::memory_order_relaxed);
    if ((bits & kVisited) != 0) packed.store(bits & ~kVisited, std::memory_order_relaxed);
    return (bits & kVisited) != 0;
  }

  /// Of the newest state of an object: its old revisions are looked at again after so many further commits. Relaxed: guarded by
  /// the lock of its stripe, and to all others one end is as infinite as the other. REQUIRES: that lock, and that nothing has
  /// superseded the state.
  unsigned prune_after() const noexcept {
    return static_cast<unsigned>(kInfinity.value - end.load(std::memory_order_relaxed));
  }
  void set_prune_after(unsigned commits) noexcept {  // at most kMaxPruneAfter
    end.store(kInfinity.value - commits, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kVisited = 1, kClassBits = 0xFE, kClassShift = 1, kChargeShift = 8;
};
static_assert(sizeof(StateHeader) == 32, "half a cache line");

/// The largest sizeof(T): what fits into the largest slot of the state memory beside the header and the address that a type without a
/// number needs (type_table.hpp); a State is a multiple of its alignment.
inline constexpr std::size_t kMaxValueBytes = (std::size_t{1} << 20) - sizeof(StateHeader) - alignof(StateHeader);

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

/// Where the hint of a reference points that has none: dead for ever, so that a read needs no test for null. A read that takes
/// it for a state logs it, looks, and takes it back. (It lies outside of the state memory, so its handle may be that of a state, too:
/// found in the log, it fails at the key.)
struct NullState {
  StateHeader header;
  std::byte value[16] = {};
};
COW_CACHE_ONE_PER_PROCESS inline constinit NullState null_state{};
}  // namespace cow::detail
