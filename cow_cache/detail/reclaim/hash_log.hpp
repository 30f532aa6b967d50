// The layout of a small or scattered read log: a hash set of entries in buckets of four.
//
// Thread safety, and what an entry means to a scanner: read_log.hpp.
//
// A bucket is compared in one vector operation; a full one overflows into the next. Entries are never removed but for the
// last one, so free lanes are at a bucket's end.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstring>
#include <new>

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_handle.hpp"
#include "log_table.hpp"

namespace cow::detail {

class HashLog {
 public:
  static constexpr std::uint32_t kMinLanes = 32;  // 128 bytes: transactions that read a dozen objects

  /// An empty table. `lanes` is a power of two, at least kMinLanes. Throws std::bad_alloc.
  static LogTable* make(std::uint32_t lanes = kMinLanes) {
    void* memory = ::operator new (sizeof(LogTable) + lanes * sizeof(LogWord), std::align_val_t{64});
    auto* table = ::new (memory) LogTable{.lanes = lanes};
    for (std::uint32_t i = 0; i < lanes; ++i) ::new (words_of(*table) + i) LogWord(0);
    return table;
  }
  static void destroy(LogTable* table) noexcept { ::operator delete (table, std::align_val_t{64}); }
  static std::size_t bytes(const LogTable& table) noexcept { return sizeof(LogTable) + table.lanes * sizeof(LogWord); }
  static void clear(LogTable& table) noexcept { clear_entries(words_of(table), table.lanes); }

  HashLog() noexcept = default;
  /// REQUIRES: the table is an empty hash table.
  explicit HashLog(LogTable& table) noexcept
      : words_(words_of(table)), mask_((table.lanes / kLogLanes - 1) * kBucketBytes), limit_(table.lanes / 8 * 5) {}

  /// May be false for what has overflowed.
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept {
    return any_lane(*reinterpret_cast<const LogLanes*>(bucket_at(home_of(handle))), handle);
  }

  [[gnu::always_inline]] bool full() const noexcept { return count_ >= limit_; }

  /// False: it was there, marked or not. REQUIRES: not full.
  bool add(StateHandle handle) noexcept {
    for (std::uint64_t offset = home_of(handle);; offset = next(offset)) {
      LogLanes bucket = *reinterpret_cast<const LogLanes*>(bucket_at(offset));
      if (has_entry(bucket, handle)) return false;
      int free = first_free_lane(bucket);
      if (free == kNone) continue;
      insert(bucket_at(offset) + free, handle);
      return true;
    }
  }

  /// `add` where it takes one look at one bucket. False, and nothing is changed: it was there, or there was no room.
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    LogWord* home = bucket_at(home_of(handle));
    LogLanes bucket = *reinterpret_cast<const LogLanes*>(home);
    int free = first_free_lane(bucket);  // one at home: then it is in no other bucket
    if (full() || free == kNone || has_entry(bucket, handle)) return false;
    insert(home + free, handle);
    return true;
  }

  void undo_add() noexcept {
    // Nothing was inserted behind it, so no chain of buckets breaks. Release: as in clear_entries.
    last_->store(0, std::memory_order_release);
    --count_;
  }

  void mark_diverted(StateHandle handle) noexcept {
    for (std::uint64_t offset = home_of(handle);; offset = next(offset)) {
      LogWord* lanes = bucket_at(offset);
      for (std::uint32_t lane = 0; lane < kLogLanes; ++lane) {
        std::uint32_t entry = lanes[lane].load(std::memory_order_relaxed);
        if (entry == handle) {
          // Relaxed: a scanner ignores the mark, so it finds the same state before and after.
          lanes[lane].store(diverted(handle), std::memory_order_relaxed);
          return;
        }
        if (entry == 0 || entry == diverted(handle)) return;
      }
    }
  }

  std::uint32_t size() const noexcept { return count_; }

  /// Lanes of a table that is not full with so many entries.
  static std::uint32_t lanes_for(std::uint32_t entries) noexcept {
    const std::uint32_t lanes = entries / 5 * 8 + 8;
    return std::bit_ceil(lanes < kMinLanes ? kMinLanes : lanes);
  }

  /// Calls `visit(entry)` for every entry.
  template <class Visitor>
  static void for_each(LogTable& table, Visitor&& visit) {
    for (std::uint32_t lane = 0; lane < table.lanes; ++lane) {
      // Seq_cst: the scanner's side of [log-before-look] ([seq-cst-scanner], asymmetric_fence.hpp).
      std::uint32_t entry = words_of(table)[lane].load(std::memory_order_seq_cst);
      if (entry != 0) visit(entry);
    }
  }

 private:
  static LogWord* words_of(LogTable& table) noexcept { return reinterpret_cast<LogWord*>(&table + 1); }

  static constexpr std::uint64_t kBucketBytes = kLogLanes * sizeof(LogWord);

  /// The home bucket of a handle as an offset in bytes. Multiplicative hashing (Knuth, TAOCP 3, 6.4), but the mask takes
  /// bits from the middle of the product, where the golden ratio clusters the handles of a slab (18% to 36% at home with
  /// 256 B and larger slots). This factor came out of a search: 98% at home for every size class and fill.
  [[gnu::always_inline]] std::uint64_t home_of(StateHandle handle) const noexcept {
    return (handle * std::uint64_t{0xE54E889AEACB7BEF}) >> 32 & mask_;
  }
  std::uint64_t next(std::uint64_t offset) const noexcept { return (offset + kBucketBytes) & mask_; }
  [[gnu::always_inline]] LogWord* bucket_at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<LogWord*>(reinterpret_cast<std::byte*>(words_) + offset);
  }

  [[gnu::always_inline]] void insert(LogWord* lane, StateHandle handle) noexcept {
    ++count_;
    last_ = lane;
    announce(*lane, handle);
  }

  /// Marked or not.
  [[gnu::always_inline]] static bool has_entry(LogLanes bucket, StateHandle handle) noexcept {
    return any_lane(bucket | LogLanes{1, 1, 1, 1}, handle);  // handle_in, four at once
  }

  static constexpr int kNone = -1;

  [[gnu::always_inline]] static int first_free_lane(LogLanes lanes) noexcept {
#if defined(__SSE2__)
    auto free = lanes == 0;
    int mask = _mm_movemask_ps(reinterpret_cast<__m128>(free));
    return mask == 0 ? kNone : std::countr_zero(static_cast<unsigned>(mask));
#else
    for (int lane = 0; lane < static_cast<int>(kLogLanes); ++lane) {
      if (lanes[lane] == 0) return lane;
    }
    return kNone;
#endif
  }

  [[gnu::always_inline]] static bool any_lane(LogLanes lanes, std::uint32_t entry) noexcept {
    auto equal = lanes == entry;
#if defined(__SSE2__)
    return _mm_movemask_epi8(reinterpret_cast<__m128i>(equal)) != 0;
#else
    std::uint64_t halves[2];
    std::memcpy(halves, &equal, sizeof halves);
    return (halves[0] | halves[1]) != 0;
#endif
  }

  alignas(16) static inline LogWord no_words_[kLogLanes] = {};

  // Without a table it contains nothing: one empty bucket, shared by all.
  LogWord* words_ = no_words_;
  std::uint64_t mask_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t limit_ = 0;
  LogWord* last_ = nullptr;  // where the last insertion went
};

static_assert(LogLayout<HashLog>);

}  // namespace cow::detail
