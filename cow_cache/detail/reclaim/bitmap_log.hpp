// The layout of a read log of many states that lie close together: a bitmap of entries.
//
// Thread safety, and what an entry means to a scanner: read_log.hpp.
//
// A transaction that reads 40,000 states would probe half a megabyte of hash table at random. But objects that are
// created or loaded together lie together, and are read together: in the bitmap they share a cache line.
#pragma once

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "log_table.hpp"

namespace cow::detail {

class BitmapLog {
 public:
  /// A bitmap is worth its memory from so many states per page on: 40 bytes each then, but few cache lines.
  static constexpr std::uint32_t kFewestPerPage = 100;

  BitmapLog() noexcept = default;
  /// REQUIRES: the table is an empty bitmap.
  explicit BitmapLog(LogTable& table) noexcept : words_(table.bitmap->words), table_(&table) {}

  /// False if it has no table.
  explicit operator bool() const noexcept { return words_ != nullptr; }

  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept {
    // Relaxed: only this thread writes it.
    return (word_of(handle).load(std::memory_order_relaxed) & bit_of(handle)) != 0;
  }

  /// False: it was there, marked or not.
  bool add(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    std::uint32_t bits = word.load(std::memory_order_relaxed);
    if ((bits & (bit_of(handle) | bit_of(diverted(handle)))) != 0) return false;
    use(handle >> LogBitmap::kPageShift);
    ++count_;
    last_ = handle;
    store_before_look(word, bits | bit_of(handle));
    return true;
  }

  /// `add` in a page that is in use already, which makes nothing sparser. False, and nothing is changed: it was there, or
  /// the page is not.
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    std::uint32_t bits = word.load(std::memory_order_relaxed);
    if ((bits & (bit_of(handle) | bit_of(diverted(handle)))) != 0 || !is_dirty(handle >> LogBitmap::kPageShift))
      return false;
    ++count_;
    last_ = handle;
    store_before_look(word, bits | bit_of(handle));
    return true;
  }

  void undo_add() noexcept {
    LogWord& word = word_of(last_);
    // Release: as in LogTable::clear.
    word.store(word.load(std::memory_order_relaxed) & ~bit_of(last_), std::memory_order_release);
    --count_;
  }

  void mark_diverted(StateHandle handle) noexcept {
    LogWord& word = word_of(handle);
    std::uint32_t bits = word.load(std::memory_order_relaxed);
    if ((bits & bit_of(handle)) == 0) return;
    // Relaxed, and in one store: a scanner finds the same state before and after.
    word.store((bits & ~bit_of(handle)) | bit_of(diverted(handle)), std::memory_order_relaxed);
  }

  std::uint32_t size() const noexcept { return count_; }

  /// It takes several times the memory of a hash table, and more than a slot would keep.
  bool too_sparse() const noexcept {
    return table_->pages * LogBitmap::kPageBytes > LogTable::kMostKept && count_ < table_->pages * kFewestPerPage / 2;
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
  static constexpr std::uint32_t bit_of(std::uint32_t entry) noexcept {
    return std::uint32_t{1} << entry % (1u << LogBitmap::kWordShift);
  }
  LogWord& word_of(std::uint32_t entry) const noexcept { return words_[entry >> LogBitmap::kWordShift]; }

  bool is_dirty(std::uint32_t page) const noexcept {
    return (table_->bitmap->flags[page / 32].dirty >> page % 32 & 1) != 0;
  }

  void use(std::uint32_t page) noexcept {
    if (is_dirty(page)) return;
    LogBitmap::Flags& flags = table_->bitmap->flags[page / 32];
    std::uint32_t flag = std::uint32_t{1} << page % 32;
    flags.dirty |= flag;
    table_->dirty_groups()[page / 32 / 32] |= std::uint32_t{1} << page / 32 % 32;
    std::uint32_t touched = flags.touched.load(std::memory_order_relaxed);
    if ((touched & flag) != 0) return;
    ++table_->pages;
    store_before_look(flags.touched, touched | flag);  // a part of the announcement that follows
  }

  LogWord* words_ = nullptr;
  LogTable* table_ = nullptr;
  std::uint32_t count_ = 0;
  StateHandle last_ = 0;  // what the last insertion was
};

}  // namespace cow::detail
