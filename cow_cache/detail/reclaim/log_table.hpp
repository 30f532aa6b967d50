// The memory of a read log, in one of two layouts: a hash table of entries, or a bitmap of them.
//
// Thread safety: the owner of the log writes, any thread reads.
//
// Invariants:
//  1. An entry is the handle of a state, or a handle with its lowest bit cleared: the mark of a diverted base. 0: none.
//  2. A page of a bitmap is flagged as touched before an entry in it is announced, and stays flagged while it may be
//     resident. It is flagged as dirty as well while it may have entries: clearing goes by that, so that a transaction pays
//     for the pages that it has used itself, whatever those before it did.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/detail/visibility.hpp"

namespace cow::detail {

using LogWord = std::atomic<std::uint32_t>;

/// Between the two kinds of entries, and from any entry to its handle (invariant 1).
constexpr std::uint32_t diverted(std::uint32_t handle) noexcept { return handle ^ 1; }
constexpr std::uint32_t handle_in(std::uint32_t entry) noexcept { return entry | 1; }

/// Four words at once. What this thread alone writes, while scanners only load, cannot tear.
using LogLanes [[gnu::may_alias]] = std::uint32_t __attribute__((vector_size(16)));
inline constexpr std::uint32_t kLogLanes = 4;

/// A bit for each possible entry: 512 MiB of addresses, and a page of memory for every MiB of state memory in which
/// something was logged.
struct COW_CACHE_ONE_PER_PROCESS LogBitmap {
  static constexpr unsigned kWordShift = 5, kPageShift = 15;  // from an entry to its word, to its page
  static constexpr std::size_t kPageBytes = std::size_t{1} << kPageShift >> 3;
  static constexpr std::uint32_t kWordsPerPage = kPageBytes / sizeof(LogWord);
  static constexpr std::size_t kPages = std::size_t{1} << (32 - kPageShift);

  struct Flags {  // of 32 pages
    LogWord touched;
    std::uint32_t dirty;  // the owner's
  };
  static constexpr std::size_t kFlags = kPages / 32, kGroups = kFlags / 32;

  Flags flags[kFlags];
  LogWord words[std::size_t{1} << (32 - kWordShift)];

  /// Null where there are no addresses for it.
  static LogBitmap* make() noexcept {
    if (count_.fetch_add(1, std::memory_order_relaxed) < kMost) {  // a mere limit
      void* memory = ::mmap(nullptr, sizeof(LogBitmap), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory != MAP_FAILED) {
        (void)::madvise(memory, sizeof(LogBitmap), MADV_NOHUGEPAGE);  // resident for a few bits
        (void)::madvise(memory, sizeof(LogBitmap), MADV_DONTDUMP);
        return static_cast<LogBitmap*>(memory);  // zeros are atomics that hold zero
      }
    }
    count_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  static void destroy(LogBitmap* bitmap) noexcept {
    (void)::munmap(bitmap, sizeof(LogBitmap));
    count_.fetch_sub(1, std::memory_order_relaxed);
  }

  /// Calls `visit(words)` for every page that was touched, with its kWordsPerPage words.
  template <class Visitor>
  void for_each_page(Visitor&& visit) {
    for (std::size_t i = 0; i < kFlags; ++i) {
      // Seq_cst: the scanner's side of [log-before-look] ([seq-cst-scanner], asymmetric_fence.hpp), as for the entries.
      for_each_bit(flags[i].touched.load(std::memory_order_seq_cst), [&](unsigned bit) { visit(page(i * 32 + bit)); });
    }
  }

  LogWord* page(std::size_t number) noexcept { return words + number * kWordsPerPage; }

  template <class Visitor>
  static void for_each_bit(std::uint32_t bits, Visitor&& visit) {
    for (; bits != 0; bits &= bits - 1) visit(static_cast<unsigned>(std::countr_zero(bits)));
  }

 private:
  static constexpr std::uint32_t kMost = 1 << 11;  // a tebibyte of addresses; further logs do with hash tables
  static inline constinit std::atomic<std::uint32_t> count_{0};
};

struct alignas(64) LogTable {
  static constexpr std::uint32_t kFewestLanes = 32;   // 128 bytes: transactions that read a dozen objects
  static constexpr std::size_t kMostKept = 64 << 10;  // bytes that a slot keeps for its next transaction
  static constexpr std::uint32_t kPatience = 32;      // transactions in a row that needed an eighth, before it shrinks

  std::uint32_t lanes = 0;               // of the hash table: a power of two; 0: it is a bitmap
  std::uint32_t uses_far_too_large = 0;  // the owner's
  std::uint32_t pages = 0;               // the owner's: how many of the bitmap are touched
  LogBitmap* bitmap = nullptr;

  /// Of a hash table.
  LogWord* words() noexcept { return reinterpret_cast<LogWord*>(this + 1); }
  /// Of a bitmap, the owner's: a bit for each of its flags that has dirty pages.
  std::uint32_t* dirty_groups() noexcept { return reinterpret_cast<std::uint32_t*>(this + 1); }

  /// REQUIRES: the caller owns the log.
  std::size_t bytes() const noexcept {
    if (bitmap == nullptr) return sizeof(LogTable) + lanes * sizeof(LogWord);
    std::size_t flags = 1;  // pages of them; one serves 16 GiB of state memory
    return kBytesOfBitmap + (pages + flags) * LogBitmap::kPageBytes;
  }

  /// Removes all entries. REQUIRES: the caller owns the log.
  void clear() noexcept {
    if (bitmap == nullptr) return clear(words(), lanes);
    for (std::size_t i = 0; i < LogBitmap::kGroups; ++i) {
      LogBitmap::for_each_bit(dirty_groups()[i], [&](unsigned group) {
        std::size_t index = i * 32 + group;
        LogBitmap::for_each_bit(bitmap->flags[index].dirty,
                                [&](unsigned bit) { clear(bitmap->page(index * 32 + bit), LogBitmap::kWordsPerPage); });
        bitmap->flags[index].dirty = 0;
      });
      dirty_groups()[i] = 0;
    }
  }

  /// A hash table. `lanes` is a power of two, at least kFewestLanes. Throws std::bad_alloc.
  static LogTable* make(std::uint32_t lanes) {
    void* memory = ::operator new (sizeof(LogTable) + lanes * sizeof(LogWord), std::align_val_t{64});
    auto* table = ::new (memory) LogTable{.lanes = lanes};
    for (std::uint32_t i = 0; i < lanes; ++i) ::new (table->words() + i) LogWord(0);
    return table;
  }
  /// A bitmap; null where there is no memory, or are no addresses, for one.
  static LogTable* make_bitmap() noexcept {
    void* memory = ::operator new (kBytesOfBitmap, std::align_val_t{64}, std::nothrow);
    if (memory == nullptr) return nullptr;
    auto* table = ::new (memory) LogTable{.bitmap = LogBitmap::make()};
    std::fill_n(table->dirty_groups(), LogBitmap::kGroups, 0);
    if (table->bitmap != nullptr) return table;
    destroy(table);
    return nullptr;
  }
  static void destroy(LogTable* table) noexcept {
    if (table->bitmap != nullptr) LogBitmap::destroy(table->bitmap);
    ::operator delete (table, std::align_val_t{64});
  }

 private:
  static constexpr std::size_t kBytesOfBitmap = 64 + LogBitmap::kGroups * sizeof(std::uint32_t);

  /// Release: a scanner that sees an entry gone sees all reads of its state done. Pairs with the scanners' loads.
  static void clear(LogWord* words, std::uint32_t count) noexcept {
    if constexpr (kThreadSanitizer) {  // which knows no fences
      for (std::uint32_t i = 0; i < count; ++i) words[i].store(0, std::memory_order_release);
    } else {
      std::atomic_thread_fence(std::memory_order_release);
      // Four words a store; a scanner sees each of them whole, before or after.
      auto* lanes = reinterpret_cast<LogLanes*>(words);
      for (std::uint32_t i = 0; i < count / kLogLanes; ++i) lanes[i] = LogLanes{};
      std::atomic_signal_fence(std::memory_order_seq_cst);  // the stores may not sink below the end of the transaction
    }
  }
};
static_assert(sizeof(LogTable) == 64);

}  // namespace cow::detail
