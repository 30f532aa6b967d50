// The layout of a small or scattered read log: a list of entries, which scanners read, and a hash set of them, which answers.
//
// Thread safety, and what an entry means to a scanner: read_log.hpp. The set is the owner's alone.
//
// A hit looks into one slot of the set, the home of its handle: one load and one comparison. A first read whose home is free
// makes two stores, there and at the end of the list. Handles whose homes are taken stand elsewhere (double hashing: Knuth, TAOCP 3,
// 6.4); the slow path finds them. Nothing is removed but the last one, and at most half of the slots are in use.
//
// Invariants:
//  1. Entries are in use from the first on, without a gap; behind them all is 0. So a scanner reads up to the first 0: it finds
//     an entry that was announced before its fence ([log-before-look]), for those in front of it were announced before as well.
//  2. The set has what the list has, each once. The marks of diverted bases stand in the set alone: scanners need none.
//  3. On the way of each handle, from its home to its slot, no slot is free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_handle.hpp"
#include "log_table.hpp"

namespace cow::detail {

class ListLog {
 public:
  static constexpr std::uint32_t kMinCapacity = 16;  // 256 bytes in all: a transaction that reads a dozen objects

  /// An empty table. `capacity`, of entries, is a power of two, at least kMinCapacity. Throws std::bad_alloc.
  static LogTable* make(std::uint32_t capacity = kMinCapacity) {
    std::size_t slots = std::size_t{capacity} * kSlotsPerEntry;
    void* memory = ::operator new (bytes_for(capacity), std::align_val_t{64});
    auto* table = ::new (memory) LogTable{.capacity = capacity};
    for (std::uint32_t i = 0; i < capacity; ++i) ::new (words_of(*table) + i) LogWord(0);
    ::new (words_of(*table) + capacity) Slot[slots]();  // zeros
    return table;
  }
  static void destroy(LogTable* table) noexcept { ::operator delete (table, std::align_val_t{64}); }
  static std::size_t bytes(const LogTable& table) noexcept { return bytes_for(table.capacity); }

  ListLog() noexcept = default;
  /// REQUIRES: the table is an empty list.
  explicit ListLog(LogTable& table) noexcept
      : slots_(reinterpret_cast<Slot*>(words_of(table) + table.capacity)),
        mask_((table.capacity * kSlotsPerEntry - 1) * sizeof(Slot)),
        next_(words_of(table)) {}

  /// False for what does not stand in its home.
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept {
    return *slot_at(home_of(handle)) == handle;
  }

  /// Whether it was logged and is not marked, wherever it stands.
  [[gnu::always_inline]] bool contains_anywhere(StateHandle handle) const noexcept {
    return *search(handle, [handle](Slot slot) { return slot == handle; }) == handle;
  }

  bool full() const noexcept { return next_ == end(); }

  /// False: it was there, marked or not. REQUIRES: not full.
  bool add(StateHandle handle) noexcept {
    Slot& slot = *find(handle);
    if (slot != 0) return false;
    slot = handle;
    announce(*next_++, handle);
    return true;
  }

  /// `add` where the home is free. False, and nothing is changed: it is not. REQUIRES: not full, and as announce_quickly.
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    Slot& slot = *slot_at(home_of(handle));
    if (slot != 0) return false;
    slot = handle;
    announce_quickly(*next_++, handle);
    return true;
  }
  /// Whether there is room before `limit`, which is end() or null.
  [[gnu::always_inline]] bool has_room_below(const LogWord* limit) const noexcept { return next_ < limit; }

  void undo_add(StateHandle handle) noexcept {
    *find(handle) = 0;                               // nothing was added behind it
    (--next_)->store(0, std::memory_order_release);  // as in clear_entries
  }

  void mark_diverted(StateHandle handle) noexcept {
    Slot& slot = *find(handle);
    if (slot == handle) slot = diverted(handle);
  }

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(next_ - begin()); }

  const LogWord* end() const noexcept { return reinterpret_cast<const LogWord*>(slots_); }

  void clear() noexcept {
    std::uint32_t count = size();
    for (Slot *slot = slots_, *behind = slot + slot_count(); slot != behind; ++slot) *slot = 0;
    next_ = begin();
    clear_entries(next_, (count + kLogLanes - 1) / kLogLanes * kLogLanes);
  }

  /// Calls `visit(entry)` for every entry, without its mark.
  template <class Visitor>
  static void for_each(LogTable& table, Visitor&& visit) {
    for (LogWord *word = words_of(table), *end = word + table.capacity; word != end; ++word) {
      // Seq_cst: the scanner's side of [log-before-look] ([seq-cst-scanner], asymmetric_fence.hpp).
      std::uint32_t entry = word->load(std::memory_order_seq_cst);
      if (entry == 0) return;
      visit(entry);
    }
  }
  /// The same with marks. The owner's.
  template <class Visitor>
  void for_each_marked(Visitor&& visit) const {
    for (const Slot *slot = slots_, *behind = slot + slot_count(); slot != behind; ++slot) {
      if (*slot != 0) visit(*slot);
    }
  }

 private:
  using Slot = std::uint32_t;                         // an entry, or 0
  static constexpr std::uint32_t kSlotsPerEntry = 2;  // of the capacity

  static std::size_t bytes_for(std::uint32_t capacity) noexcept {
    return sizeof(LogTable) + std::size_t{capacity} * (sizeof(LogWord) + kSlotsPerEntry * sizeof(Slot));
  }
  static LogWord* words_of(LogTable& table) noexcept { return reinterpret_cast<LogWord*>(&table + 1); }

  /// The set comes right behind the list.
  [[gnu::always_inline]] LogWord* begin() const noexcept {
    return reinterpret_cast<LogWord*>(slots_) - slot_count() / kSlotsPerEntry;
  }
  std::uint32_t slot_count() const noexcept { return static_cast<std::uint32_t>(mask_ / sizeof(Slot)) + 1; }

  /// The home of a handle as an offset in bytes. Multiplicative hashing (Knuth, TAOCP 3, 6.4), but the mask takes bits from
  /// the middle of the product, where the golden ratio clusters the handles of a slab. This factor came out of a search over
  /// size classes and fills: neighbours in a slab are at home in 93 of 100 cases on the average; at worst half of them, a third above 512 bytes.
  [[gnu::always_inline]] std::uint64_t home_of(StateHandle handle) const noexcept { return hash(handle) >> 32 & mask_; }
  /// Handles of one home go on from it in steps of their own; these are odd, so each comes to all slots.
  static constexpr std::uint64_t step_of(StateHandle handle) noexcept {
    return (hash(handle) >> 48 | 1) * sizeof(Slot);
  }
  static constexpr std::uint64_t hash(StateHandle handle) noexcept {
    return handle * std::uint64_t{0x7C6A3C32730724B5};
  }
  [[gnu::always_inline]] Slot* slot_at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<Slot*>(reinterpret_cast<std::byte*>(slots_) + offset);
  }

  /// The slot of a handle, marked or not; a free one where it belongs, if there is none.
  Slot* find(StateHandle handle) const noexcept {
    return search(handle, [handle](Slot slot) { return handle_in(slot) == handle; });
  }
  /// On the way of a handle: the first slot for whose content `is_it`, or that is free.
  template <class IsIt>
  [[gnu::always_inline]] Slot* search(StateHandle handle, IsIt is_it) const noexcept {
    const std::uint64_t step = step_of(handle);
    for (std::uint64_t offset = home_of(handle);; offset = (offset + step) & mask_) {
      Slot* slot = slot_at(offset);
      if (is_it(*slot) || *slot == 0) return slot;
    }
  }

  static inline Slot no_slots_[1] = {};

  // Without a table it contains nothing, and is full: a set of one free slot, shared by all.
  Slot* slots_ = no_slots_;
  std::uint64_t mask_ = 0;
  LogWord* next_ = reinterpret_cast<LogWord*>(no_slots_);
};

static_assert(LogLayout<ListLog>);

}  // namespace cow::detail
