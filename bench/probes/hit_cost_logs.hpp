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

/// One layout from the first state on, whatever the states, where ReadLog would change over. Like a participant of the registry it keeps
/// its table for the next transaction.
template <cow::detail::LogLayout Layout>
class OneLayoutLog {
 public:
  OneLayoutLog() = default;
  OneLayoutLog(const OneLayoutLog&) = delete;
  OneLayoutLog& operator=(const OneLayoutLog&) = delete;

  void open(Participant&) {
    if (kept_ == nullptr) kept_ = Layout::make();
    if (kept_ == nullptr) throw std::bad_alloc();
    entries_ = Layout(*kept_);
  }
  void close() noexcept {
    if (std::exchange(size_, 0) > 0) entries_.clear();
  }
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept { return entries_.contains(handle); }

  ReadLog::Outcome add(StateHandle handle) {
    if (is_full()) [[unlikely]]
      grow();
    bool inserted = entries_.add(handle);
    size_ += inserted;
    return inserted ? ReadLog::Outcome::inserted : ReadLog::Outcome::present;
  }
  [[gnu::always_inline]] bool try_add(StateHandle handle) noexcept {
    if (is_full() || !entries_.try_add(handle)) return false;
    ++size_;
    return true;
  }
  void undo_add(StateHandle handle) noexcept {
    entries_.undo_add(handle);
    --size_;
  }
  std::uint32_t size() const noexcept { return size_; }

  /// Gives up the table that other objects made so large. REQUIRES: no log is open.
  static void forget() noexcept {
    if (kept_ != nullptr) ReadLog::destroy_table(std::exchange(kept_, nullptr));
  }

 private:
  static constexpr bool kGrows = requires(const Layout& layout) { layout.capacity(); };

  [[gnu::always_inline]] bool is_full() const noexcept {
    if constexpr (kGrows) return size_ == entries_.capacity();
    return false;
  }
  void grow() {
    if constexpr (kGrows) {
      LogTable* larger = Layout::make(kept_->capacity * 2);
      Layout entries(*larger);
      Layout::for_each(*kept_, [&](std::uint32_t entry) { entries.add(entry); });
      entries_ = entries;
      ReadLog::destroy_table(std::exchange(kept_, larger));
    }
  }

  static inline thread_local LogTable* kept_ = nullptr;
  Layout entries_;
  std::uint32_t size_ = 0;
};
using HashLog = OneLayoutLog<cow::detail::HashLog>;
using BitmapLog = OneLayoutLog<cow::detail::BitmapLog>;

}  // namespace cow::bench
