// The layout of a small or scattered read log: a hash set of entries.
//
// Thread safety, and what an entry means to a scanner: read_log.hpp.
//
// A hit looks into one slot of the set, the home of its handle: one load and one comparison. A first read whose home is free
// makes one store there. Handles whose homes are taken stand elsewhere (double hashing: Knuth, TAOCP 3, 6.4); the slow path
// finds them. Nothing is removed but the last one, and at most half of the slots are in use.
//
// Invariants:
//  1. On the way of each handle, from its home to its slot, no slot is free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_handle.hpp"
#include "log_table.hpp"

namespace cow::detail {

class HashLog {
 public:
  static constexpr std::uint32_t kMinCapacity = 16;  // 192 bytes in all: a transaction that reads a dozen objects

  /// An empty table. `capacity`, of entries, is a power of two, at least kMinCapacity. Throws std::bad_alloc.
  static LogTable* make(std::uint32_t capacity = kMinCapacity) {
    void* memory = ::operator new (bytes_for(capacity), std::align_val_t{64});
    auto* table = ::new (memory) LogTable{.capacity = capacity};
    for (std::uint32_t i = 0; i < slots_for(capacity); ++i) ::new (slots_of(*table) + i) LogWord(0);
    return table;
  }
  static void destroy(LogTable* table) noexcept { ::operator delete (table, std::align_val_t{64}); }
  static std::size_t bytes(const LogTable& table) noexcept { return bytes_for(table.capacity); }

  /// Of no table: it contains nothing.
  HashLog() noexcept = default;
  /// REQUIRES: the table is a hash set's.
  explicit HashLog(LogTable& table) noexcept
      : slots_(slots_of(table)), mask_((slots_for(table.capacity) - 1) * sizeof(LogWord)) {}

  std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(mask_ / sizeof(LogWord) + 1) / 2; }

  /// False for what does not stand in its home.
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept {
    return entry_in(slot_at(home_of(handle))) == handle;
  }

  /// Whether it was logged and is not marked, but does not stand in its home.
  [[gnu::always_inline]] bool contains_displaced(StateHandle handle) const noexcept {
    return entry_in(search(next(home_of(handle), step_of(handle)), handle,
                           [handle](std::uint32_t entry) { return entry == handle; })) == handle;
  }

  /// False: it was there, marked or not. REQUIRES: fewer entries than the capacity.
  bool add(StateHandle handle) noexcept {
    LogWord& slot = find(handle);
    if (entry_in(slot) != 0) return false;
    announce(slot, handle);
    return true;
  }

  /// `add` where the home is free. False, and nothing is changed: it is not. REQUIRES: as `add`, and as announce_quickly.
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    LogWord& slot = slot_at(home_of(handle));
    if (entry_in(slot) != 0) return false;
    announce_quickly(slot, handle);
    return true;
  }

  /// REQUIRES: it was the last one added.
  void undo_add(StateHandle handle) noexcept {
    find(handle).store(0, std::memory_order_release);  // as in clear_entries
  }

  void mark_diverted(StateHandle handle) noexcept {
    LogWord& slot = find(handle);
    // A scanner finds the same state before and after. Release: log_table.hpp, invariant 2.
    if (entry_in(slot) == handle) slot.store(diverted(handle), std::memory_order_release);
  }

  void clear() noexcept { clear_entries(slots_, slots_for(capacity())); }

  /// Calls `visit(entry)` for every entry.
  template <class Visitor>
  static void for_each(LogTable& table, Visitor&& visit) {
    for (LogWord *slot = slots_of(table), *end = slot + slots_for(table.capacity); slot != end; ++slot) {
      // Seq_cst: the scanner's side of [log-before-look] ([seq-cst-scanner], asymmetric_fence.hpp).
      if (std::uint32_t entry = slot->load(std::memory_order_seq_cst); entry != 0) visit(entry);
    }
  }

 private:
  static constexpr std::uint32_t slots_for(std::uint32_t capacity) noexcept { return capacity * 2; }
  static constexpr std::size_t bytes_for(std::uint32_t capacity) noexcept {
    return sizeof(LogTable) + std::size_t{slots_for(capacity)} * sizeof(LogWord);
  }
  static LogWord* slots_of(LogTable& table) noexcept { return reinterpret_cast<LogWord*>(&table + 1); }

  /// What only this thread writes it may read like plain memory. (GCC makes an instruction more of an atomic load.)
  [[gnu::always_inline]] static std::uint32_t entry_in(const LogWord& slot) noexcept {
    return *reinterpret_cast<const LogLane*>(&slot);
  }

  /// The home of a handle as an offset in bytes. Multiplicative hashing (Knuth, TAOCP 3, 6.4), but the mask takes bits from
  /// the middle of the product, where the golden ratio clusters the handles of a slab. This factor came out of a search over
  /// size classes and fills: neighbours in a slab are at home in 93 of 100 cases on the average; at worst half of them, a third
  /// above 512 bytes.
  [[gnu::always_inline]] std::uint64_t home_of(StateHandle handle) const noexcept { return hash(handle) >> 32 & mask_; }
  /// Handles of one home go on from it in steps of their own; these are odd, so each comes to all slots.
  static constexpr std::uint64_t step_of(StateHandle handle) noexcept {
    return (hash(handle) >> 48 | 1) * sizeof(LogWord);
  }
  static constexpr std::uint64_t hash(StateHandle handle) noexcept {
    return handle * std::uint64_t{0x7C6A3C32730724B5};
  }
  [[gnu::always_inline]] LogWord& slot_at(std::uint64_t offset) const noexcept {
    return *reinterpret_cast<LogWord*>(reinterpret_cast<std::byte*>(slots_) + offset);
  }

  /// The slot of a handle, marked or not; a free one where it belongs, if there is none.
  LogWord& find(StateHandle handle) const noexcept {
    return search(home_of(handle), handle, [handle](std::uint32_t entry) { return is_of(entry, handle); });
  }
  /// On the way of a handle, from `offset` on: the first slot for whose entry `is_it`, or that is free.
  template <class IsIt>
  [[gnu::always_inline]] LogWord& search(std::uint64_t offset, StateHandle handle, IsIt is_it) const noexcept {
    for (const std::uint64_t step = step_of(handle);; offset = next(offset, step)) {
      LogWord& slot = slot_at(offset);
      if (std::uint32_t entry = entry_in(slot); is_it(entry) || entry == 0) return slot;
    }
  }
  std::uint64_t next(std::uint64_t offset, std::uint64_t step) const noexcept { return (offset + step) & mask_; }

  static inline constinit LogWord no_slots_[1] = {};

  LogWord* slots_ = no_slots_;  // of no table: one that stays free
  std::uint64_t mask_ = 0;
};

static_assert(LogLayout<HashLog>);

}  // namespace cow::detail
