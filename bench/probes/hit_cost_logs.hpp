// Logs for the variants of hit_cost_reader.hpp: none at all, and the two layouts of ReadLog for themselves.
//
// Thread safety: a log belongs to one thread; no reclaimer scans these.
#pragma once

#include <bit>
#include <cstdint>
#include <new>
#include <utility>

#include "cow_cache/detail/reclaim/read_log.hpp"

namespace cow::bench {

using cow::detail::LogTable;
using cow::detail::Participant;
using cow::detail::ReadLog;
using cow::detail::StateHandle;

/// Logs nothing, and so knows nothing.
struct NoLog {
  void open(Participant&) noexcept {}
  void close() noexcept {}
  bool contains(StateHandle) const noexcept { return false; }
  ReadLog::Outcome add(StateHandle) noexcept { return ReadLog::Outcome::inserted; }
  bool try_add(StateHandle) noexcept { return true; }
  void undo_add(StateHandle) noexcept {}
  std::uint32_t size() const noexcept { return 0; }
  static void forget() noexcept {}
};

/// A hash set however many states there are, where ReadLog would change over to a bitmap. Like a participant of the registry it
/// keeps its table for the next transaction.
class HashLog {
 public:
  HashLog() = default;
  HashLog(const HashLog&) = delete;
  HashLog& operator=(const HashLog&) = delete;

  void open(Participant&) {
    if (kept_ == nullptr) kept_ = cow::detail::HashLog::make();
    handles_ = cow::detail::HashLog(*kept_);
  }
  void close() noexcept {
    if (std::exchange(size_, 0) > 0) handles_.clear();
  }
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept { return handles_.contains(handle); }

  ReadLog::Outcome add(StateHandle handle) {
    if (size_ == handles_.capacity()) [[unlikely]]
      grow();
    bool inserted = handles_.add(handle);
    size_ += inserted;
    return inserted ? ReadLog::Outcome::inserted : ReadLog::Outcome::present;
  }
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    if (size_ == handles_.capacity() || !handles_.try_add(handle)) return false;
    ++size_;
    return true;
  }
  void undo_add(StateHandle handle) noexcept {
    handles_.undo_add(handle);
    --size_;
  }
  std::uint32_t size() const noexcept { return size_; }

  /// Gives up the table that other objects made so large. REQUIRES: no log is open.
  static void forget() noexcept {
    if (kept_ != nullptr) ReadLog::destroy_table(std::exchange(kept_, nullptr));
  }

 private:
  void grow() {
    LogTable* larger = cow::detail::HashLog::make(kept_->capacity * 2);
    cow::detail::HashLog handles(*larger);
    cow::detail::HashLog::for_each(*kept_, [&](std::uint32_t entry) { handles.add(entry); });
    handles_ = handles;
    ReadLog::destroy_table(kept_);
    kept_ = larger;
  }

  static inline thread_local LogTable* kept_ = nullptr;
  cow::detail::HashLog handles_;
  std::uint32_t size_ = 0;
};

/// A bitmap from the first state on.
class BitmapLog {
 public:
  BitmapLog() = default;
  BitmapLog(const BitmapLog&) = delete;
  BitmapLog& operator=(const BitmapLog&) = delete;

  void open(Participant&) {
    if (kept_ == nullptr) kept_ = cow::detail::BitmapLog::make();
    if (kept_ == nullptr) throw std::bad_alloc();
    bits_ = cow::detail::BitmapLog(*kept_);
  }
  void close() noexcept {
    if (std::exchange(size_, 0) > 0) bits_.clear();
  }
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept { return bits_.contains(handle); }
  ReadLog::Outcome add(StateHandle handle) noexcept {
    bool inserted = bits_.add(handle);
    size_ += inserted;
    return inserted ? ReadLog::Outcome::inserted : ReadLog::Outcome::present;
  }
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    if (!bits_.try_add(handle)) return false;
    ++size_;
    return true;
  }
  void undo_add(StateHandle handle) noexcept {
    bits_.undo_add(handle);
    --size_;
  }
  std::uint32_t size() const noexcept { return size_; }

  /// As HashLog::forget.
  static void forget() noexcept {
    if (kept_ != nullptr) ReadLog::destroy_table(std::exchange(kept_, nullptr));
  }

 private:
  static inline thread_local LogTable* kept_ = nullptr;
  cow::detail::BitmapLog bits_;
  std::uint32_t size_ = 0;
};

}  // namespace cow::bench
