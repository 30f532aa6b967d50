// The read log: the states that one transaction has looked at. It is the transaction's hazard list and its read set.
//
// Thread safety: one thread at a time uses a log (the one that runs its transaction); any thread may scan it at the same
// time through `LogTable`. A scanner holds the slot's `log_lock`.
//
// Invariants:
//  1. Each handle stands in the log at most once: reading a state again costs a lookup and writes nothing, so the log is
//     bounded by the distinct states read.
//  2. An entry is announced (detail::store_before_look) before the header of its state is looked at, in the table that
//     scanners see. Growing publishes a full copy before anything is added to it.
//  3. An entry is never removed before the transaction ends; clearing (release) happens after the transaction's last use
//     of any state, and a scanner reads entries with acquire at least.
//
// The log is a hash set of 4-byte handles in buckets of four lanes, compared in one vector operation; a full bucket
// overflows into the next. Multiplicative hashing spreads slabs, which are arithmetic progressions, almost evenly.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "detail/asymmetric_fence.hpp"
#include "state_memory.hpp"
#include "transaction_slot.hpp"

namespace cow {

class ReadLog {
 public:
  enum class Outcome { present, inserted, diverted };

  ReadLog() noexcept = default;

  /// Takes over the (empty) table of the transaction's slot.
  void open(TransactionSlot& slot) noexcept {
    slot_ = &slot;
    use(*slot.log.load(std::memory_order_relaxed));  // only the slot's owner changes it
    count_ = 0;
  }

  /// Empties the log. REQUIRES: no state that it protects is used any more.
  void close() noexcept {
    if (count_ > 0) {
      LogTable& table = *slot_->log.load(std::memory_order_relaxed);
      clear(table);
      shrink(table);
    }
    *this = ReadLog{};
  }

  /// True if the state was logged, and is not marked as diverted. The one check that a repeated read pays.
  bool contains(StateHandle handle) const noexcept {
    return any_lane(*reinterpret_cast<const Lanes*>(bucket_at(offset_of(handle))), handle);
  }

  /// Logs a state before it is looked at. Throws std::bad_alloc when the log must grow and cannot.
  Outcome add(StateHandle handle) {
    if (count_ >= limit_) [[unlikely]]
      grow();  // first, so that what follows cannot be in the wrong table
    for (std::uint64_t offset = offset_of(handle);; offset = next(offset, mask_)) {
      const Lanes& bucket = *reinterpret_cast<const Lanes*>(bucket_at(offset));
      if (any_lane(bucket, handle)) return Outcome::present;
      if (any_lane(bucket, diverted(handle))) return Outcome::diverted;
      int free = first_free_lane(bucket);
      if (free == kNone) continue;
      ++count_;
      last_ = bucket_at(offset) + free;
      detail::store_before_look(*last_, handle);
      return Outcome::inserted;
    }
  }

  /// Takes back the last `add` that inserted: its state turned out to be of no use. REQUIRES: no `add` since.
  void undo_add() noexcept {
    // Nothing was inserted behind it, so no chain of buckets breaks. Release: as in close().
    last_->store(0, std::memory_order_release);
    --count_;
  }

  /// Makes the next `add` unable to fail. Throws std::bad_alloc.
  void reserve_one() {
    if (count_ >= limit_) grow();
  }

  /// Marks a logged state as the base of a private clone: `contains` says no from now on, so reads look for the clone.
  void mark_diverted(StateHandle handle) noexcept {
    for (std::uint64_t offset = offset_of(handle);; offset = next(offset, mask_)) {
      std::atomic<StateHandle>* lanes = bucket_at(offset);
      for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
        StateHandle entry = lanes[lane].load(std::memory_order_relaxed);
        if (entry == handle) {
          // Relaxed: a scanner ignores the mark, so it reads the same state before and after.
          lanes[lane].store(diverted(handle), std::memory_order_relaxed);
          return;
        }
        if (entry == 0 || entry == diverted(handle)) return;
      }
    }
  }

  /// Number of distinct states logged.
  std::uint32_t size() const noexcept { return count_; }

  /// The handle of an entry, marked or not.
  static constexpr StateHandle handle_in(StateHandle entry) noexcept { return entry | 1; }

  /// Calls `visit(StateHandle)` for every state in a table. REQUIRES: the caller owns the log, or holds its slot's lock.
  template <class Visitor>
  static void for_each(LogTable& table, Visitor&& visit) {
    for (std::uint32_t lane = 0; lane < table.lanes; ++lane) {
      // Seq_cst: the scanner's side of "log before look" (detail/asymmetric_fence.hpp, invariant 3).
      StateHandle entry = table.entries()[lane].load(std::memory_order_seq_cst);
      if (entry != 0) visit(handle_in(entry));
    }
  }

 private:
  static constexpr std::uint32_t kLanes = LogTable::kLanesPerBucket;
  // A vector load of atomics that this thread alone writes, while scanners only load, cannot tear.
  using Lanes [[gnu::may_alias]] = std::uint32_t __attribute__((vector_size(16)));
  static_assert(sizeof(Lanes) == kLanes * sizeof(StateHandle));

  static constexpr StateHandle diverted(StateHandle handle) noexcept { return handle ^ 1; }

  /// The home bucket of a handle as an offset in bytes. Multiplicative hashing (Knuth, TAOCP 3, 6.4), but the mask takes
  /// bits from the middle of the product, where the golden ratio clusters the handles of a slab (18% to 36% at home with
  /// 256 B and larger slots). This factor came out of a search: 98% at home for every size class and fill.
  static std::uint64_t offset_in(StateHandle handle, std::uint64_t mask) noexcept {
    return (handle * std::uint64_t{0xE54E889AEACB7BEF}) >> 32 & mask;
  }
  static std::uint64_t next(std::uint64_t offset, std::uint64_t mask) noexcept {
    return (offset + sizeof(Lanes)) & mask;
  }
  static std::uint64_t mask_of(const LogTable& table) noexcept { return (table.lanes / kLanes - 1) * sizeof(Lanes); }

  std::uint64_t offset_of(StateHandle handle) const noexcept { return offset_in(handle, mask_); }
  std::atomic<StateHandle>* bucket_at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<std::atomic<StateHandle>*>(reinterpret_cast<std::byte*>(entries_) + offset);
  }

  static constexpr int kNone = -1;

  /// Lanes fill in order and only the last one filled is ever freed, so the free ones are at the end.
  static int first_free_lane(Lanes lanes) noexcept {
#if defined(__SSE2__)
    auto free = lanes == 0;
    int mask = _mm_movemask_ps(reinterpret_cast<__m128>(free));
    return mask == 0 ? kNone : std::countr_zero(static_cast<unsigned>(mask));
#else
    for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
      if (lanes[lane] == 0) return lane;
    }
    return kNone;
#endif
  }

  /// Release, in invariant 3: whoever sees an entry gone sees all reads of its state done.
  static void clear(LogTable& table) noexcept {
    if constexpr (detail::kThreadSanitizer) {  // which knows no fences
      for (std::uint32_t i = 0; i < table.lanes; ++i) table.entries()[i].store(0, std::memory_order_release);
    } else {
      std::atomic_thread_fence(std::memory_order_release);  // pairs with the scanners' loads, like a release store each
      // Four entries a store; a scanner sees each of them whole, before or after.
      auto* buckets = reinterpret_cast<Lanes*>(table.entries());
      for (std::uint32_t i = 0; i < table.lanes / kLanes; ++i) buckets[i] = Lanes{};
      std::atomic_signal_fence(std::memory_order_seq_cst);  // the stores may not sink below the end of the transaction
    }
  }

  static bool any_lane(Lanes lanes, StateHandle handle) noexcept {
    auto equal = lanes == handle;
#if defined(__SSE2__)
    return _mm_movemask_epi8(reinterpret_cast<__m128i>(equal)) != 0;
#else
    std::uint64_t halves[2];
    std::memcpy(halves, &equal, sizeof halves);
    return (halves[0] | halves[1]) != 0;
#endif
  }

  void use(LogTable& table) noexcept {
    entries_ = table.entries();
    mask_ = mask_of(table);
    limit_ = table.lanes / 8 * 5;
  }

  void grow() {
    LogTable& old = *slot_->log.load(std::memory_order_relaxed);
    LogTable* larger = LogTable::make(old.lanes * 2);
    std::uint64_t mask = mask_of(*larger);
    for (std::uint32_t i = 0; i < old.lanes; ++i) {
      StateHandle entry = old.entries()[i].load(std::memory_order_relaxed);
      if (entry == 0) continue;
      for (std::uint64_t offset = offset_in(handle_in(entry), mask);; offset = next(offset, mask)) {
        std::atomic<StateHandle>* lanes = larger->entries() + offset / sizeof(StateHandle);
        std::uint32_t lane = 0;
        while (lane < kLanes && lanes[lane].load(std::memory_order_relaxed) != 0) ++lane;
        if (lane == kLanes) continue;
        lanes[lane].store(entry, std::memory_order_relaxed);  // published with the table
        break;
      }
    }
    replace(larger, old);
  }

  /// A slot keeps its table for its next transactions, which are likely to read as much: growing again costs more than
  /// clearing. It is halved when it was far too large for many in a row, and dropped where idle slots would sit on a lot
  /// of memory.
  void shrink(LogTable& table) noexcept {
    table.uses_far_too_large = count_ < table.lanes / 8 ? table.uses_far_too_large + 1 : 0;
    std::uint32_t lanes = table.lanes;
    if (lanes > LogTable::kMostKept) {
      lanes = LogTable::kFewestLanes;
    } else if (lanes > LogTable::kFewestLanes && table.uses_far_too_large >= LogTable::kPatience) {
      lanes /= 2;
    }
    if (lanes == table.lanes) return;
    try {
      replace(LogTable::make(lanes), table);
    } catch (const std::bad_alloc&) {
      // Then the next transaction has the large one.
    }
  }

  /// Publishes `table` and frees `old` once no scanner reads it.
  void replace(LogTable* table, LogTable& old) noexcept {
    slot_->log.store(table, std::memory_order_seq_cst);  // seq_cst: part of "log before look", like the entries in it
    use(*table);
    slot_->lock_log();  // waits for a scanner of this very table
    slot_->unlock_log();
    if (slot_->log_bytes != nullptr) {  // relaxed: a mere figure
      slot_->log_bytes->fetch_add(table->bytes() - old.bytes(), std::memory_order_relaxed);
    }
    LogTable::destroy(&old);
  }

  alignas(16) static inline std::atomic<StateHandle> no_entries_[kLanes] = {};

  // A closed log contains nothing: one empty bucket, shared by all.
  std::atomic<StateHandle>* entries_ = no_entries_;
  std::uint64_t mask_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t limit_ = 0;
  std::atomic<StateHandle>* last_ = nullptr;  // where the last insertion went
  TransactionSlot* slot_ = nullptr;
};

}  // namespace cow
