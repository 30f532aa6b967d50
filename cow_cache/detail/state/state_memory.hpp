// State memory: where states live. Type-stable slabs in one reserved range of addresses.
//
// Thread safety: all functions may be called from any thread. `allocate` and `release` touch only the calling thread's
// magazine in the normal case, and a mutex per size class every dozen calls or two.
//
// Invariants:
//  1. [type-stable] An address that ever was the header of a state of size class k is a header of class k for ever.
//     Slots are reused, never merged, split or unmapped. So a stale hint always points at some header, and looking at it
//     is defined. (Linux calls the pattern SLAB_TYPESAFE_BY_RCU; see include/linux/slab.h there.)
//  2. A free slot has key 0, memory never used or given back to the system included: it reads as zeros.
//  3. Slots start at multiples of 16 bytes, take 48 at least, and none lies at a multiple of 2^36. So `handle_of` is unique and not 0,
//     and the handles of two states are never neighbours.
//
// The design follows Bonwick's slabs and magazines (USENIX ATC 2001): a thread keeps a few free slots of each class for
// itself and trades them with the class's depot in batches. The depot (detail/state/depot.hpp) knows of each chunk
// which slots are free, so it sees when one is empty and gives it back to the system.
//
// The only allocation that may end the program is glibc's own, a few bytes when a thread first uses its magazines: without them
// its destructor could not be registered, and glibc aborts (__cxa_thread_atexit).
//
// What a magazine holds keeps its chunk from being empty: an idle thread pins a chunk per slot at worst.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>

#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "depot.hpp"
#include "magazines.hpp"
#include "range.hpp"
#include "size_classes.hpp"
#include "state.hpp"
#include "state_handle.hpp"

namespace cow::detail {

/// The process-wide memory of states. One instance, never destroyed: hints may outlive every database.
class COW_CACHE_ONE_PER_PROCESS StateMemory {
 public:
  static StateMemory& instance() {
    // Acquire: pairs with the release in `make`.
    StateMemory* memory = of_process_.load(std::memory_order_acquire);
    return memory != nullptr ? *memory : make();
  }

  /// Whether `memory` is what the calling code means by the process's memory. Not so where the code is that of a shared
  /// library which was opened by a program that exports none of its symbols: the linker then leaves it a memory of its own.
  static bool is_ours(const StateMemory* memory) noexcept {
    return memory == of_process_.load(std::memory_order_relaxed);  // only compared
  }

  /// The state that a handle stands for. REQUIRES: there is one.
  StateHeader* state_of(StateHandle handle) const noexcept {
    std::uintptr_t window = reinterpret_cast<std::uintptr_t>(range_.base()) & ~(kStateWindow - 1);
    return reinterpret_cast<StateHeader*>(window | std::uintptr_t{handle} << kStateAlignmentBits) - 1;
  }

  /// Whether a handle, or one with its lowest bit changed, is the handle. REQUIRES: there is a state that one of the two stands for.
  bool is_handle(StateHandle handle) const noexcept {
    auto offset = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(state_of(handle)) - range_.base());
    if (offset >= range_.used()) return true;  // tests log what is nowhere, and mark none of it
    const Chunk* chunk = range_.chunk_at(offset);
    return chunk == nullptr || chunk->is_slot(range_.base() + offset);
  }

  /// A dead slot of the class, its header initialised; its key is 0. Throws std::bad_alloc, LimitError.
  StateHeader* allocate(std::uint8_t size_class) {
    Magazine& magazine = magazines_.of_class[size_class];
    std::uint32_t count =
        magazine.count.load(std::memory_order_relaxed);  // this thread's; others read it as a statistic
    if (count == 0) [[unlikely]]
      count = refill(size_class, magazine);
    StateHeader* state = magazine.slots[--count];
    magazine.count.store(count, std::memory_order_relaxed);
    unpoison(state + 1, size_classes::bytes_of(size_class) - sizeof(StateHeader));
    // Relaxed: the slot is dead, so nobody trusts these fields until the key is published with release.
    state->begin.store(kInfinity.value, std::memory_order_relaxed);
    state->end.store(kInfinity.value, std::memory_order_relaxed);
    state->older.store(nullptr, std::memory_order_relaxed);
    state->set_size_class(size_class);
    return state;
  }

  /// Takes back a slot. REQUIRES: it is dead, its value is destroyed, and no transaction can still read it.
  void release(StateHeader* state) noexcept {
    std::uint8_t size_class = state->size_class();
    state->key.store(0, std::memory_order_relaxed);  // it was dead to everybody already
    poison(state + 1, size_classes::bytes_of(size_class) - sizeof(StateHeader));
    Magazine& magazine = magazines_.of_class[size_class];
    std::uint32_t count = magazine.count.load(std::memory_order_relaxed);
    if (count == magazine.capacity) [[unlikely]] {
      if (!spill(size_class, magazine)) return depots_[size_class].put(range_, {&state, 1});
      count = magazine.count.load(std::memory_order_relaxed);
    }
    magazine.count.store(count + 1, std::memory_order_relaxed);
    magazine.slots[count] = state;
  }

  /// Gives back what the calling thread keeps for itself. After many states were released in no order of addresses its slots
  /// lie in as many chunks, and each keeps its chunk from being empty.
  void give_back_magazines() noexcept {
    for (std::size_t i = 0; i < size_classes::kCount; ++i) empty(i, magazines_.of_class[i]);
  }

  /// Calls `visit(StateHeader&)` for the slots among the `slots` positions from position `hand` on, in address order, and
  /// returns where to go on (wrapping at the end). Stops early when a visit returns false. The headers may be dead, or die
  /// and be reborn meanwhile. Empty chunks are passed over, so memory that was given back stays so. For policies that go round
  /// through the memory (bench/baselines): new chunks may appear at any address meanwhile, so a sweep of all positions
  /// need not meet every state. A cache that must meet all of its states walks its table.
  template <class Visitor>
  std::size_t sweep(std::size_t hand, std::size_t slots, Visitor&& visit) {
    std::size_t end = range_.used();
    if (end == 0) return 0;
    while (slots > 0) {
      if (hand >= end) hand = 0;
      Chunk* chunk = range_.chunk_at(hand);
      if (chunk == nullptr) {
        hand += size_classes::kUnit - hand % size_classes::kUnit;
        continue;
      }
      std::size_t slot_bytes = chunk->slot_bytes, start = static_cast<std::size_t>(chunk->start - range_.base());
      std::size_t chunk_end = start + chunk->slots * slot_bytes;
      if (chunk->empty()) {
        std::size_t passed = std::min(slots, (chunk_end - hand) / slot_bytes);
        hand += passed * slot_bytes;
        slots -= passed;
      } else {
        for (; hand < chunk_end && slots > 0; hand += slot_bytes, --slots) {
          if (!visit(*reinterpret_cast<StateHeader*>(range_.base() + hand))) return hand + slot_bytes;
        }
      }
      if (hand == chunk_end) hand = start + chunk->bytes;
    }
    return hand;
  }

  /// Positions of a full sweep.
  std::size_t slot_count() const noexcept { return range_.slot_count(); }

  /// Where the memory is, in bytes; as of some time during the call.
  struct Usage {
    std::size_t resident = 0;      ///< chunks that were not given back
    std::size_t in_depots = 0;     ///< of these: free slots, and ends of chunks
    std::size_t in_magazines = 0;  ///< of these: free slots that threads keep for themselves
    std::size_t in_use() const noexcept { return resident - std::min(resident, in_depots + in_magazines); }
  };
  Usage usage() {
    Usage usage;
    for (const Depot& depot : depots_) {
      std::size_t resident = depot.resident_bytes();
      usage.resident += resident;
      usage.in_depots += resident - std::min(resident, depot.out_bytes());
    }
    std::scoped_lock lock(threads_mutex_);
    for (const Magazines* magazines = threads_; magazines != nullptr; magazines = magazines->next) {
      for (std::size_t i = 0; i < size_classes::kCount; ++i) {
        std::size_t count = magazines->of_class[i].count.load(std::memory_order_relaxed);
        usage.in_magazines += count * size_classes::bytes_of(i);
      }
    }
    return usage;
  }

 private:
  /// Closes a thread's magazines when it ends.
  struct Closing {
    ~Closing() { instance().close(magazines_); }
  };

  StateMemory() = default;

  [[gnu::cold, gnu::noinline]] static StateMemory& make() {
    static StateMemory* const memory = new StateMemory;
    of_process_.store(memory, std::memory_order_release);
    return *memory;
  }

  /// Lets the thread keep slots (detail/state/magazines.hpp). False: the thread is ending.
  [[gnu::noinline]] bool open(Magazines& magazines) noexcept {
    if (magazines.has_ended) return false;
    thread_local Closing closing;
    (void)&closing;
    magazines.set_capacities();
    std::scoped_lock lock(threads_mutex_);
    magazines.next = std::exchange(threads_, &magazines);
    if (magazines.next != nullptr) magazines.next->previous = &magazines;
    return true;
  }

  [[gnu::noinline]] void close(Magazines& magazines) noexcept {
    magazines.has_ended = true;
    for (std::size_t i = 0; i < size_classes::kCount; ++i) {
      magazines.of_class[i].capacity = 0;
      empty(i, magazines.of_class[i]);
    }
    std::scoped_lock lock(threads_mutex_);
    (magazines.previous != nullptr ? magazines.previous->next : threads_) = magazines.next;
    if (magazines.next != nullptr) magazines.next->previous = magazines.previous;
  }

  void empty(std::size_t size_class, Magazine& magazine) noexcept {
    std::uint32_t count =
        magazine.count.exchange(0, std::memory_order_relaxed);  // this thread's; a statistic to others
    depots_[size_class].put(range_, std::span(magazine.slots).first(count));
  }

  /// Fills half of an empty magazine; returns its count.
  [[gnu::noinline]] std::uint32_t refill(std::uint8_t size_class, Magazine& magazine) {
    std::uint32_t wanted = magazine.capacity > 0 || open(magazines_) ? (magazine.capacity + 1) / 2 : 1;
    std::span<StateHeader*> half = std::span(magazine.slots).first(wanted);
    std::size_t taken = depots_[size_class].take(range_, size_class, half);
    std::reverse(half.begin(), half.begin() + static_cast<std::ptrdiff_t>(taken));  // the lowest address goes out first
    return static_cast<std::uint32_t>(taken);
  }

  /// Empties half of a full magazine. The slots released last stay: they are in the processor's cache. False: the thread is
  /// ending, and has no magazine.
  [[gnu::noinline]] bool spill(std::uint8_t size_class, Magazine& magazine) noexcept {
    std::uint32_t count = magazine.capacity, half = (count + 1) / 2;
    if (count == 0) return open(magazines_);
    depots_[size_class].put(range_, std::span(magazine.slots).first(half));
    std::copy(magazine.slots.begin() + half, magazine.slots.begin() + count, magazine.slots.begin());
    magazine.count.store(count - half, std::memory_order_relaxed);
    return true;
  }

  // Used only inside allocate and release, which never suspend: safe under fibers and coroutines.
  static inline constinit thread_local Magazines magazines_;

  static inline constinit std::atomic<StateMemory*> of_process_{nullptr};

  StateRange range_;
  std::array<Depot, size_classes::kCount> depots_;
  std::mutex threads_mutex_;
  Magazines* threads_ = nullptr;  // the magazines of all threads
};

}  // namespace cow::detail
