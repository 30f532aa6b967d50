// The layout of a read log of many states that lie close together: a bitmap of entries.
//
// Thread safety, and what an entry means to a scanner: read_log.hpp.
//
// A transaction that reads 40,000 states would probe half a megabyte of a hash set at random. But objects that are
// created or loaded together lie together, and are read together: in the bitmap they share a cache line.
//
// Invariants:
//  1. A page of the bitmap is flagged as touched before an entry in it is announced, and stays flagged while it may be
//     resident. It is flagged as dirty as well while it may have entries: clearing goes by that, so that a transaction pays
//     for the pages that it has used itself, whatever those before it did.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_handle.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "log_table.hpp"

namespace cow::detail {

/// A bit for each possible entry: 512 MiB of addresses, and a page of memory for every 512 KiB of state memory in which
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
    if (count_.fetch_add(1, std::memory_order_relaxed) < kMaxBitmaps) {  // a mere limit
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
  static constexpr std::uint32_t kMaxBitmaps = 1 << 11;  // a tebibyte of addresses; further logs do with hash sets
  static inline constinit std::atomic<std::uint32_t> count_{0};
};

class BitmapLog {
 public:
  /// A bitmap is worth its memory from so many states per page on: 40 bytes each then, but few cache lines.
  static constexpr std::uint32_t kMinPerPage = 100;

  static constexpr std::size_t kMaxSparse = std::size_t{64} << 10;  // bytes of a bitmap that may be sparse

  /// An empty table; null where there is no memory, or are no addresses, for one.
  static LogTable* make() noexcept {
    void* memory = ::operator new (kHeadBytes, std::align_val_t{64}, std::nothrow);
    if (memory == nullptr) return nullptr;
    auto* table = ::new (memory) LogTable{.bitmap = LogBitmap::make()};
    for (std::size_t i = 0; i < LogBitmap::kGroups; ++i) dirty_groups_of(*table)[i] = 0;
    if (table->bitmap != nullptr) return table;
    ::operator delete (table, std::align_val_t{64});
    return nullptr;
  }
  static void destroy(LogTable* table) noexcept {
    LogBitmap::destroy(table->bitmap);
    ::operator delete (table, std::align_val_t{64});
  }
  static std::size_t bytes(const LogTable& table) noexcept {
    std::size_t flags = 1;  // pages of them; one serves 8 GiB of state memory
    return kHeadBytes + (table.pages + flags) * LogBitmap::kPageBytes;
  }
  BitmapLog() noexcept = default;
  /// REQUIRES: the table is a bitmap's.
  explicit BitmapLog(LogTable& table) noexcept : words_(table.bitmap->words), table_(&table) {}

  /// False if it has no table.
  explicit operator bool() const noexcept { return words_ != nullptr; }

  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept {
    // Relaxed: only this thread writes it.
    return (word_of(handle).load(std::memory_order_relaxed) >> handle % (1u << LogBitmap::kWordShift) & 1) != 0;
  }

  /// False: it was there, marked or not.
  bool add(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    std::uint32_t bits = word.load(std::memory_order_relaxed);
    if ((bits & both_bits_of(handle)) != 0) return false;
    use(handle >> LogBitmap::kPageShift);
    announce(word, bits | bit_of(handle));
    return true;
  }

  /// `add` in a page that is in use already, which makes nothing sparser. False, and nothing is changed: it was there, or
  /// the page is not. REQUIRES: as announce_quickly.
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    std::uint32_t bits = word.load(std::memory_order_relaxed);
    if ((bits & both_bits_of(handle)) != 0) return false;
    if (bits == 0 && !is_dirty(handle >> LogBitmap::kPageShift)) return false;
    announce_quickly(word, bits | bit_of(handle));
    return true;
  }

  void undo_add(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    // Release: as in clear_entries.
    word.store(word.load(std::memory_order_relaxed) & ~bit_of(handle), std::memory_order_release);
  }

  void mark_diverted(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    std::uint32_t bits = word.load(std::memory_order_relaxed);
    if ((bits & bit_of(handle)) == 0) return;
    // In one store: a scanner finds the same state before and after. Release: log_table.hpp, invariant 2.
    word.store((bits & ~bit_of(handle)) | bit_of(diverted(handle)), std::memory_order_release);
  }

  void clear() noexcept {
    LogBitmap& bitmap = *table_->bitmap;
    for (std::size_t i = 0; i < LogBitmap::kGroups; ++i) {
      LogBitmap::for_each_bit(dirty_groups_of(*table_)[i], [&](unsigned group) {
        std::size_t index = i * 32 + group;
        LogBitmap::for_each_bit(bitmap.flags[index].dirty, [&](unsigned bit) {
          clear_entries(bitmap.page(index * 32 + bit), LogBitmap::kWordsPerPage);
        });
        bitmap.flags[index].dirty = 0;
      });
      dirty_groups_of(*table_)[i] = 0;
    }
  }

  /// With `size` entries it takes several times the memory of a hash set, and more than a participant keeps.
  bool is_too_sparse_for(std::uint32_t size) const noexcept {
    return table_->pages * LogBitmap::kPageBytes > kMaxSparse && size < table_->pages * kMinPerPage / 2;
  }

  /// Calls `visit(entry)` for every entry.
  template <class Visitor>
  static void for_each(LogTable& table, Visitor&& visit) {
    LogBitmap& bitmap = *table.bitmap;
    bitmap.for_each_page([&](LogWord* page) {
      for (LogWord* word = page; word != page + LogBitmap::kWordsPerPage; ++word) {
        // Seq_cst: the scanner's side of [log-before-look] ([seq-cst-scanner], asymmetric_fence.hpp).
        for (std::uint32_t bits = word->load(std::memory_order_seq_cst); bits != 0; bits &= bits - 1) {
          visit(static_cast<std::uint32_t>(word - bitmap.words) << LogBitmap::kWordShift |
                static_cast<std::uint32_t>(std::countr_zero(bits)));
        }
      }
    });
  }

 private:
  static constexpr std::size_t kHeadBytes = sizeof(LogTable) + LogBitmap::kGroups * sizeof(std::uint32_t);

  /// The owner's: a bit for each of the bitmap's flags that has dirty pages.
  static std::uint32_t* dirty_groups_of(LogTable& table) noexcept {
    return reinterpret_cast<std::uint32_t*>(&table + 1);
  }

  static constexpr std::uint32_t bit_of(std::uint32_t entry) noexcept {
    return std::uint32_t{1} << entry % (1u << LogBitmap::kWordShift);
  }
  /// Of a handle and its mark, which are neighbours.
  static constexpr std::uint32_t both_bits_of(StateHandle handle) noexcept { return 3 * bit_of(handle & ~1u); }
  LogWord& word_of(std::uint32_t entry) const noexcept { return words_[entry >> LogBitmap::kWordShift]; }

  bool is_dirty(std::uint32_t page) const noexcept {
    return (table_->bitmap->flags[page / 32].dirty >> page % 32 & 1) != 0;
  }

  void use(std::uint32_t page) noexcept {
    if (is_dirty(page)) return;
    LogBitmap::Flags& flags = table_->bitmap->flags[page / 32];
    std::uint32_t flag = std::uint32_t{1} << page % 32;
    flags.dirty |= flag;
    dirty_groups_of(*table_)[page / 32 / 32] |= std::uint32_t{1} << page / 32 % 32;
    std::uint32_t touched = flags.touched.load(std::memory_order_relaxed);
    if ((touched & flag) != 0) return;
    ++table_->pages;
    announce(flags.touched, touched | flag);  // a part of the announcement that follows
  }

  LogWord* words_ = nullptr;
  LogTable* table_ = nullptr;
};

static_assert(LogLayout<BitmapLog>);

}  // namespace cow::detail
