// State memory: where states live. Type-stable slabs in one reserved range of addresses.
//
// Thread safety: all functions may be called from any thread. `allocate` and `release` touch only the calling thread's
// magazine in the normal case, and a mutex per size class every few dozen calls.
//
// Invariants:
//  1. Type stability: an address that ever was the header of a state of size class k is a header of class k for ever.
//     Slots are reused, never merged, split or unmapped. So a stale hint always points at some header, and looking at it
//     is defined. (Linux calls the pattern SLAB_TYPESAFE_BY_RCU; see include/linux/slab.h there.)
//  2. A free slot has key 0, memory never used included: the system hands it out as zeros.
//  3. Slots start on a cache line, and one address in 2^37 is never handed out, so `handle_of` is unique and neither 0 nor 1.
//
// The design follows Bonwick's slabs and magazines (USENIX ATC 2001): a thread keeps a few free slots of each class for
// itself and trades them with the class's depot in batches.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

#include "detail/sanitizers.hpp"
#include "state.hpp"

namespace cow {

/// Four bytes that stand for a state: the address of its value divided by 32, cut to 32 bits. Unique within the state
/// memory, which spans at most 2^37 bytes. The lowest bit is always 1, so that a read log can use it as a mark.
using StateHandle = std::uint32_t;

inline StateHandle handle_of(const StateHeader* state) noexcept {
  return static_cast<StateHandle>(reinterpret_cast<std::uintptr_t>(state + 1) >> 5);
}

/// For hash tables of handles, which come as arithmetic progressions: a multiplicative hash (Knuth, TAOCP 3, 6.4).
struct StateHandleHash {
  std::size_t operator()(StateHandle handle) const noexcept { return handle * std::uint64_t{0x9E3779B97F4A7C15} >> 32; }
};

namespace size_classes {

/// Slots of 64, 128, ..., 512 bytes, then four sizes per doubling up to 1 MiB.
inline constexpr std::size_t kSmallest = 64, kLargestLinear = 512, kLargest = std::size_t{1} << 20;
inline constexpr std::size_t kCount = 8 + 4 * 11;

constexpr std::size_t bytes_of(std::size_t size_class) {
  if (size_class < 8) return (size_class + 1) * kSmallest;
  std::size_t doubling = (size_class - 8) / 4, step = (size_class - 8) % 4 + 1;
  return (kLargestLinear << doubling) + step * (kLargestLinear << doubling) / 4;
}

/// The smallest class whose slots hold `bytes` (<= kLargest).
constexpr std::uint8_t class_of(std::size_t bytes) {
  if (bytes <= kLargestLinear) return static_cast<std::uint8_t>((bytes + kSmallest - 1) / kSmallest - 1);
  std::size_t doubling = std::bit_width(bytes - 1) - std::bit_width(kLargestLinear);
  std::size_t quarter = (kLargestLinear << doubling) / 4;
  std::size_t steps = (bytes - (kLargestLinear << doubling) + quarter - 1) / quarter;
  return static_cast<std::uint8_t>(8 + doubling * 4 + steps - 1);
}
static_assert(bytes_of(kCount - 1) == kLargest && class_of(kLargest) == kCount - 1);
static_assert(class_of(513) == 8 && class_of(640) == 8 && class_of(641) == 9 && class_of(1024) == 11 &&
              class_of(1025) == 12);

}  // namespace size_classes

/// The process-wide memory of states. One instance, never destroyed: hints may outlive every database.
class StateMemory {
 public:
  static StateMemory& instance() {
    static StateMemory* const memory = new StateMemory;
    return *memory;
  }

  /// A dead slot of the class, its header initialised but for `operations`. Throws std::bad_alloc.
  StateHeader* allocate(std::uint8_t size_class) {
    Magazine& magazine = magazine_of(size_class);
    if (magazine.count == 0) refill(size_class, magazine);
    auto* state = static_cast<StateHeader*>(magazine.slots[--magazine.count]);
    detail::unpoison(state + 1, size_classes::bytes_of(size_class) - sizeof(StateHeader));
    // Relaxed: the slot is dead, so nobody trusts these fields until the key is published with release.
    state->begin.store(kInfinity.value, std::memory_order_relaxed);
    state->end.store(kInfinity.value, std::memory_order_relaxed);
    state->older.store(nullptr, std::memory_order_relaxed);
    state->charge.store(0, std::memory_order_relaxed);
    state->visited.store(false, std::memory_order_relaxed);
    state->size_class = size_class;
    return state;
  }

  /// Takes back a slot. REQUIRES: it is dead, its value is destroyed, and no transaction can still read it.
  void release(StateHeader* state) noexcept {
    std::uint8_t size_class = state->size_class;
    state->key.store(0, std::memory_order_relaxed);  // it was dead to everybody already
    detail::poison(state + 1, size_classes::bytes_of(size_class) - sizeof(StateHeader));
    Magazine& magazine = magazine_of(size_class);
    if (magazine.count == magazine_capacity(size_class)) spill(size_class, magazine);
    magazine.slots[magazine.count++] = state;
  }

  /// Calls `visit(StateHeader&)` for up to `slots` slots from position `hand` on, in address order, and returns where to
  /// go on (wrapping at the end). The headers may be dead, or die and be reborn meanwhile.
  template <class Visitor>
  std::size_t sweep(std::size_t hand, std::size_t slots, Visitor&& visit) {
    std::size_t end = used_.load(std::memory_order_acquire);  // pairs with the release in new_chunk: its class is known
    if (end == 0) return 0;
    while (slots > 0) {
      if (hand >= end) hand = 0;
      std::size_t unit = hand / kUnit;
      while (chunk_class_[unit] == kContinuation) --unit;  // the class stands at the first unit of a chunk
      std::uint8_t size_class = chunk_class_[unit] - 1;
      std::size_t slot_bytes = size_classes::bytes_of(size_class);
      std::size_t chunk = unit * kUnit, chunk_end = chunk + chunk_bytes(size_class);
      for (; hand + slot_bytes <= chunk_end && slots > 0; hand += slot_bytes, --slots) {
        if (!visit(*reinterpret_cast<StateHeader*>(base_ + hand))) return hand + slot_bytes;
      }
      if (hand + slot_bytes > chunk_end) hand = chunk_end;
    }
    return hand;
  }

  /// Number of slots that a full sweep visits.
  std::size_t slot_count() const noexcept { return slot_count_.load(std::memory_order_relaxed); }
  /// Bytes of address range in use, free slots included.
  std::size_t used_bytes() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 37, kLeastBytes = std::size_t{1} << 30;
  static constexpr std::size_t kUnit = 64 << 10;
  static constexpr std::uint8_t kContinuation = 0xFF;
  static constexpr std::size_t kMagazineSlots = 32;

  struct Magazine {
    std::array<void*, kMagazineSlots> slots;
    std::size_t count = 0;
  };

  /// A thread's free slots. They go back to the depots when the thread ends.
  struct Magazines {
    std::array<Magazine, size_classes::kCount> of_class;
    ~Magazines() {
      for (std::size_t i = 0; i < size_classes::kCount; ++i) {
        Magazine& magazine = of_class[i];
        if (magazine.count > 0) instance().give_back(static_cast<std::uint8_t>(i), magazine, magazine.count);
      }
    }
  };

  struct alignas(64) Depot {
    std::mutex mutex;
    std::vector<void*> free;
    std::size_t fresh = 0, fresh_end = 0;  // offsets of slots of the newest chunk that were never used
  };

  StateMemory() {
    for (std::size_t bytes = kMostBytes; bytes >= kLeastBytes; bytes /= 2) {
      void* range = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (range == MAP_FAILED) continue;
      base_ = static_cast<std::byte*>(range);
      bytes_ = bytes;
      // A random walk over many objects pays a TLB miss per step with 4 KiB pages. Failure only costs speed.
      (void)::madvise(range, bytes, MADV_HUGEPAGE);
      (void)::madvise(range, bytes, MADV_DONTDUMP);
      chunk_class_ = static_cast<std::uint8_t*>(
          ::mmap(nullptr, bytes / kUnit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
      if (chunk_class_ != MAP_FAILED) return;
      break;
    }
    throw std::bad_alloc();
  }

  /// Larger classes have larger chunks, so that little is lost at their ends.
  static constexpr std::size_t chunk_bytes(std::uint8_t size_class) {
    return std::max(kUnit, (8 * size_classes::bytes_of(size_class) + kUnit - 1) / kUnit * kUnit);
  }

  /// Fewer slots of the large classes: a thread should not sit on megabytes.
  static constexpr std::size_t magazine_capacity(std::uint8_t size_class) {
    return std::clamp<std::size_t>((32 << 10) / size_classes::bytes_of(size_class), 2, kMagazineSlots);
  }

  void refill(std::uint8_t size_class, Magazine& magazine) {
    Depot& depot = depots_[size_class];
    std::size_t wanted = (magazine_capacity(size_class) + 1) / 2, slot_bytes = size_classes::bytes_of(size_class);
    std::scoped_lock lock(depot.mutex);
    while (magazine.count < wanted) {
      if (!depot.free.empty()) {
        magazine.slots[magazine.count++] = depot.free.back();
        depot.free.pop_back();
        continue;
      }
      if (depot.fresh + slot_bytes > depot.fresh_end) {
        if (magazine.count > 0) return;  // enough to go on with
        new_chunk(size_class, depot);
      }
      auto* state = reinterpret_cast<StateHeader*>(base_ + depot.fresh);
      depot.fresh += slot_bytes;
      if (handle_of(state) != 1) magazine.slots[magazine.count++] = state;
    }
  }

  void new_chunk(std::uint8_t size_class, Depot& depot) {
    std::size_t bytes = chunk_bytes(size_class);
    std::scoped_lock lock(chunks_mutex_);
    std::size_t offset = used_.load(std::memory_order_relaxed);  // written only under this mutex
    if (offset + bytes > bytes_) throw std::bad_alloc();
    chunk_class_[offset / kUnit] = size_class + 1;
    for (std::size_t unit = 1; unit < bytes / kUnit; ++unit) chunk_class_[offset / kUnit + unit] = kContinuation;
    slot_count_.fetch_add(bytes / size_classes::bytes_of(size_class), std::memory_order_relaxed);  // a mere count
    used_.store(offset + bytes, std::memory_order_release);  // pairs with the acquire in sweep
    depot.fresh = offset;
    depot.fresh_end = offset + bytes;
  }

  void spill(std::uint8_t size_class, Magazine& magazine) noexcept {
    give_back(size_class, magazine, (magazine.count + 1) / 2);
  }

  void give_back(std::uint8_t size_class, Magazine& magazine, std::size_t count) noexcept {
    Depot& depot = depots_[size_class];
    std::scoped_lock lock(depot.mutex);
    for (; count > 0; --count) depot.free.push_back(magazine.slots[--magazine.count]);
  }

  /// Used only inside allocate and release, which never suspend: safe under fibers and coroutines.
  static Magazine& magazine_of(std::uint8_t size_class) noexcept {
    thread_local Magazines magazines;
    return magazines.of_class[size_class];
  }

  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint8_t* chunk_class_ = nullptr;  // per 64 KiB unit: 0 unused, class + 1, or kContinuation
  std::mutex chunks_mutex_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> slot_count_{0};
  std::array<Depot, size_classes::kCount> depots_;
};

}  // namespace cow
