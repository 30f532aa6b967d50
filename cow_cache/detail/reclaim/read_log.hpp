// The read log: the states that one transaction has looked at. It is the transaction's hazard list and its read set.
//
// Thread safety: one thread at a time uses a log (the one that runs its transaction); any thread may scan it at the same
// time through `LogTable`. A scanner holds the participant's `log_lock`.
//
// Invariants:
//  1. Each state stands in the log at most once: reading it again costs a lookup and writes nothing, so the log is
//     bounded by the distinct states read.
//  2. An entry is announced (detail::announce) before the header of its state is looked at, in the table that
//     scanners see. Changing the table publishes a full copy before anything is added to it.
//  3. An entry is never removed before the transaction ends, but for one whose state turned out to be of no use; clearing (release)
//     happens after the transaction's last use of any state, and a scanner reads entries with acquire at least.
//  4. An index, if there is one, knows for every object in the log a state of it. An empty log has none: its end then costs nothing.
//
// A log begins as a hash set of handles (hash_log.hpp), and becomes a bitmap (bitmap_log.hpp) when it is not small and its
// states lie close together. What both can do is the concept LogLayout (log_table.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "bitmap_log.hpp"
#include "hash_log.hpp"
#include "log_front.hpp"
#include "participant.hpp"
#include "state_index.hpp"

namespace cow::detail {

class ReadLog {
 public:
  enum class Outcome { present, inserted };

  ReadLog() noexcept = default;

  /// Takes over the (empty) table of the transaction's participant. `cache_bits`: those in the keys of the states that it will log.
  /// For the others see check_at and allow_try_add.
  void open(Participant& participant, std::uint64_t cache_bits = 0, std::uint32_t check_at = kNever,
            bool may_try_add = may_announce_quickly()) noexcept {
    participant_ = &participant;
    front_.cache_bits = cache_bits;
    check_at_ = check_at;
    may_try_add_ = may_try_add;
    look_into(table());
  }

  /// Whether `try_add` may log, and not `add` alone. REQUIRES: true only where may_announce_quickly().
  void allow_try_add(bool does) noexcept {
    may_try_add_ = does;
    limit_quick_ways();
  }

  /// Whether it may for now.
  bool may_try_add() const noexcept { return size_ < quick_limit_; }

  /// The size from which on only `add` logs, so that the caller can see to something.
  std::uint32_t check_at() const noexcept { return check_at_; }
  void check_next_at(std::uint32_t size) noexcept {
    check_at_ = size;
    limit_quick_ways();
  }
  static constexpr std::uint32_t kNever = ~std::uint32_t{0};

  /// Empties the log. REQUIRES: no state that it protects is used any more.
  void close() noexcept {
    if (size_ > 0) clear();
    front_ = {};
    limit_ = quick_limit_ = 0;
    participant_ = nullptr;
  }

  /// What a hit looks at.
  const LogFront& front() const noexcept { return front_; }
  std::uint64_t cache_bits() const noexcept { return front_.cache_bits; }

  /// True if the state was logged, and is not marked as diverted. The one check that a repeated read pays. Now and then
  /// false although it was: `contains_displaced` and `add` know.
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept { return front_.contains(handle); }

  /// Logs a state before it is looked at. Throws std::bad_alloc when the log must grow and cannot.
  Outcome add(StateHandle handle) {
    if (front_.bits ? front_.bits.is_too_sparse_for(size_) : is_full()) [[unlikely]]
      change_table();  // first, so that what follows cannot be in the wrong one
    bool inserted = front_.bits ? add_to_bitmap(handle) : front_.set.add(handle);
    size_ += inserted;
    return inserted ? Outcome::inserted : Outcome::present;
  }

  /// `add` where that is quick and allowed, and inserts. False, and nothing is changed, where `add` must decide.
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept { return try_add_below(quick_limit_, handle); }
  /// The same, whatever is allowed. REQUIRES: may_announce_quickly().
  [[gnu::always_inline]] bool try_add_anyway(StateHandle handle) noexcept { return try_add_below(limit_, handle); }

  /// Whether a state was logged for which `contains` is false, and is not marked.
  [[gnu::always_inline]] bool contains_displaced(StateHandle handle) const noexcept {
    return !front_.bits && front_.set.contains_displaced(handle);
  }

  /// Takes back the last `add`, which has inserted `handle`: its state turned out to be of no use.
  void undo_add(StateHandle handle) noexcept {
    front_.bits ? front_.bits.undo_add(handle) : front_.set.undo_add(handle);
    --size_;
  }

  /// Makes the next `add` unable to fail. Throws std::bad_alloc.
  void reserve_one() {
    if (!front_.bits && is_full()) change_table();
  }

  /// Marks a logged state as the base of a private clone: `contains` says no from now on, so reads look for the clone.
  void mark_diverted(StateHandle handle) noexcept {
    table().has_marks.store(true, std::memory_order_relaxed);  // log_table.hpp, invariant 2
    front_.bits ? front_.bits.mark_diverted(handle) : front_.set.mark_diverted(handle);
  }

  /// Makes an index of the states logged, if any; from then on the caller adds what it logs (`index`). Throws std::bad_alloc.
  void make_index() {
    if (size_ == 0) return;
    auto index = std::make_unique<StateIndex>(size());
    for_each([&](StateHandle handle) { index->add(handle); });
    index_ = index.release();
    count_bytes(index_->bytes());
  }

  /// The logged state of an object, or null. REQUIRES: make_index was called, and `index` for each state logged since.
  StateHeader* find(Oid oid) const noexcept { return index_ == nullptr ? nullptr : index_->find(oid); }

  /// Adds a logged state to the index. False: there is no memory for it, and no index any more.
  bool index(StateHandle handle) noexcept {
    try {
      if (index_ == nullptr) {
        make_index();  // the first one: `handle` is in the log
        return true;
      }
      std::size_t bytes = index_->bytes();
      index_->add(handle);
      count_bytes(index_->bytes() - bytes);
      return true;
    } catch (const std::bad_alloc&) {
      drop_index();
      return false;
    }
  }

  /// Number of distinct states logged.
  std::uint32_t size() const noexcept { return size_; }

  /// Calls `visit(StateHandle)` for every state in this log.
  template <class Visitor>
  void for_each(Visitor&& visit) const {
    for_each(table(), visit);
  }

  /// Calls `visit(StateHandle)` for every state in a table. REQUIRES: the caller owns the log, or holds its participant's lock.
  template <class Visitor>
  static void for_each(LogTable& table, Visitor&& visit) {
    for_each_entry<StateMemory>(table, [&](StateHandle handle, bool) { visit(handle); });
  }

  /// The memory of a log, for a participant that has none yet. Throws std::bad_alloc.
  static LogTable* make_table() { return HashLog::make(); }
  static void destroy_table(LogTable* table) noexcept {
    table->is_bitmap() ? BitmapLog::destroy(table) : HashLog::destroy(table);
  }
  /// REQUIRES: the caller owns the log.
  static std::size_t bytes_of(const LogTable& table) noexcept {
    return table.is_bitmap() ? BitmapLog::bytes(table) : HashLog::bytes(table);
  }

  static constexpr std::size_t kMaxKept = 64 << 10;  // bytes that a participant keeps for its next transaction
  static_assert(BitmapLog::kMaxSparse <= kMaxKept, "a sparse bitmap is as much as a participant keeps");
  static constexpr std::uint32_t kPatience = 32;  // transactions in a row that needed an eighth, before it shrinks

 private:
  /// Calls `visit(handle, is_marked)`. A template of the memory as well: it is defined elsewhere, where tables are scanned.
  template <class Memory, class Visitor>
  static void for_each_entry(LogTable& table, Visitor&& visit) {
    auto with_mark = [&](std::uint32_t entry) {
      // Which of the two it is, only the memory knows. Relaxed: log_table.hpp, invariant 2.
      bool is_marked = table.has_marks.load(std::memory_order_relaxed) && !Memory::instance().is_handle(entry);
      visit(is_marked ? diverted(entry) : entry, is_marked);
    };
    table.is_bitmap() ? BitmapLog::for_each(table, with_mark) : HashLog::for_each(table, with_mark);
  }

  // Relaxed: only its owner changes it.
  LogTable& table() const noexcept { return *participant_->log.load(std::memory_order_relaxed); }

  bool is_full() const noexcept { return size_ == front_.set.capacity(); }

  [[gnu::always_inline]] bool try_add_below(std::uint32_t limit, StateHandle handle) noexcept {
    if (size_ >= limit) [[unlikely]]
      return false;
    if (!(front_.bits ? front_.bits.try_add(handle) : front_.set.try_add(handle))) return false;
    ++size_;
    return true;
  }

  bool add_to_bitmap(StateHandle handle) noexcept {
    std::uint32_t pages = table().pages;
    bool inserted = front_.bits.add(handle);
    if (table().pages != pages) [[unlikely]]
      count_bytes(LogBitmap::kPageBytes);
    return inserted;
  }

  void look_into(LogTable& table) noexcept {
    bool is_bitmap = table.is_bitmap();
    front_.bits = is_bitmap ? BitmapLog(table) : BitmapLog();
    front_.set = is_bitmap ? HashLog() : HashLog(table);
    limit_quick_ways();
  }

  void limit_quick_ways() noexcept {
    limit_ = front_.bits || check_at_ < front_.set.capacity() ? check_at_ : front_.set.capacity();
    quick_limit_ = may_try_add_ ? limit_ : 0;
  }

  /// Another table for what the log holds, with room for one more. Throws std::bad_alloc; but a bitmap that is too sparse
  /// merely stays then.
  void change_table() {
    if (front_.bits) {
      try {
        change_to<HashLog>(*HashLog::make(std::bit_ceil(std::max(size_ + 1, HashLog::kMinCapacity))));
      } catch (const std::bad_alloc&) {
      }
    } else if (LogTable* bitmap = lies_close_together(table()) ? BitmapLog::make() : nullptr) {
      change_to<BitmapLog>(*bitmap);
    } else {
      change_to<HashLog>(*HashLog::make(table().capacity * 2));
    }
  }

  /// To an empty table that has room for all.
  template <LogLayout Log>
  void change_to(LogTable& empty) noexcept {
    LogTable& old = table();
    Log log(empty);
    for_each_entry<StateMemory>(old, [&](StateHandle handle, bool is_marked) {
      log.add(handle);
      if (is_marked) log.mark_diverted(handle);
    });
    // Relaxed: seen by who sees the table.
    empty.has_marks.store(old.has_marks.load(std::memory_order_relaxed), std::memory_order_relaxed);
    publish(&empty, old);
    look_into(empty);
  }

  /// The entries of a hash set would make a bitmap worth while.
  static bool lies_close_together(LogTable& set) noexcept {
    if (set.capacity < kMinCapacityForBitmap) return false;
    std::unique_ptr<std::bitset<LogBitmap::kPages>> seen(new (std::nothrow) std::bitset<LogBitmap::kPages>);
    if (seen == nullptr) return false;  // nor is there memory for a bitmap
    std::uint32_t entries = 0, pages = 0;
    HashLog::for_each(set, [&](std::uint32_t entry) {
      auto page = (*seen)[entry >> LogBitmap::kPageShift];
      ++entries;
      pages += !page;
      page = true;
    });
    return entries >= pages * BitmapLog::kMinPerPage;
  }
  static constexpr std::uint32_t kMinCapacityForBitmap = 256;

  /// A participant keeps its table for its next transactions, which are likely to read as much: growing again costs more than
  /// clearing. It shrinks when it was far too large for many in a row, and is dropped where idle participants would sit on a lot
  /// of memory.
  void shrink(std::uint32_t used) noexcept {
    LogTable& old = table();
    std::uint32_t few = old.is_bitmap() ? kMinCapacityForBitmap / 8 : old.capacity / 8;
    old.uses_far_too_large = used < few ? old.uses_far_too_large + 1 : 0;
    std::uint32_t capacity = old.capacity;
    if (bytes_of(old) > kMaxKept + sizeof(LogTable)) {
      capacity = HashLog::kMinCapacity;
    } else if (capacity != HashLog::kMinCapacity && old.uses_far_too_large >= kPatience) {
      capacity = std::max(capacity / 2, HashLog::kMinCapacity);
    }
    if (capacity == old.capacity) return;
    try {
      publish(HashLog::make(capacity), old);
    } catch (const std::bad_alloc&) {
      // Then the next transaction has the large one.
    }
  }

  /// Shows a table to scanners instead of the old one, and frees that once none reads it.
  void publish(LogTable* table, LogTable& old) noexcept {
    // Seq_cst: part of "log before look", like the entries in it.
    participant_->log.store(table, std::memory_order_seq_cst);
    { std::scoped_lock wait(participant_->log_lock); }  // for a scanner of the old one
    count_bytes(bytes_of(*table) - bytes_of(old));
    destroy_table(&old);
  }

  // Not inlined, nor what it calls: a transaction that has read nothing needs no register for it.
  [[gnu::noinline]] void clear() noexcept {
    front_.bits ? front_.bits.clear() : front_.set.clear();
    shrink(std::exchange(size_, 0));
    drop_index();
  }

  void drop_index() noexcept {
    if (index_ == nullptr) return;
    count_bytes(-index_->bytes());
    delete std::exchange(index_, nullptr);
  }

  void count_bytes(std::size_t difference) noexcept {
    // Relaxed: a statistic.
    if (participant_->log_bytes != nullptr) participant_->log_bytes->fetch_add(difference, std::memory_order_relaxed);
  }

  LogFront front_;  // first: a transaction that knows no more of its reader looks into it (detail/apart/held.hpp)
  Participant* participant_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t quick_limit_ = 0;  // up to which size `try_add` may log
  std::uint32_t limit_ = 0;        // the same, whatever is allowed
  std::uint32_t check_at_ = kNever;
  bool may_try_add_ = false;
  StateIndex* index_ = nullptr;  // owned; not a smart pointer, so that a log is moved like plain data
};

}  // namespace cow::detail
