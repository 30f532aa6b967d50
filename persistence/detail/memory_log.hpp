// What a MemoryStore keeps of its transactions: tid, time, note and objects of each, for HistoryStore.
//
// Thread safety: every function may be called from any number of threads at once, but those that add and take back, which one thread at
// a time calls.
//
// Invariants:
//  1. Entries ascend by tid, and their times never decrease.
//  2. Entries are added at the end and dropped at the beginning. What is above the tid that the caller names is not there yet for
//     readers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "cow_cache/store.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class MemoryLog {
 public:
  /// Adds a transaction of that time, or of the last one's where the clock has gone back. Throws std::bad_alloc; then a part may be
  /// there, which `take_back` removes.
  void add(const TransactionWrite& transaction, CommitTime time) {
    auto note = transaction.note == nullptr || transaction.note->empty()
                    ? nullptr
                    : std::make_unique<const TransactionNote>(*transaction.note);
    const std::unique_lock lock(mutex_);
    if (!entries_.empty()) time = std::max(time, entries_.back().time);
    entries_.push_back({transaction.tid, time, objects_dropped_ + objects_.size(), std::move(note)});
    for (const ObjectWrite& object : transaction.objects) objects_.push_back(object.oid);
  }

  /// Removes what is above `last`. Allocates nothing.
  void take_back(Tid last) noexcept {
    const std::unique_lock lock(mutex_);
    while (!entries_.empty() && entries_.back().tid > last) {
      objects_.resize(entries_.back().first_object - objects_dropped_);
      entries_.pop_back();
    }
  }

  /// Forgets what is below `oldest`.
  void drop_before(Tid oldest) noexcept {
    const std::unique_lock lock(mutex_);
    while (!entries_.empty() && entries_.front().tid < oldest) {
      const std::size_t objects = objects_of(0).size;
      objects_.erase(objects_.begin(), objects_.begin() + static_cast<std::ptrdiff_t>(objects));
      objects_dropped_ += objects;
      entries_.pop_front();
    }
  }

  /// See HistoryStore::transactions. REQUIRES: `to` is committed.
  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) const {
    std::vector<TransactionInfo> page;
    const std::shared_lock lock(mutex_);
    std::size_t first = position_of(from);
    std::size_t end = to < from ? first : position_of(Tid{to.value + 1});
    for (; first < end && page.size() < most; order == HistoryOrder::oldest_first ? ++first : --end)
      page.push_back(info_of(order == HistoryOrder::oldest_first ? first : end - 1));
    return page;
  }

  /// The last transaction up to `last` that was committed at `time` or before.
  Tid tid_at(CommitTime time, Tid last) const {
    const std::shared_lock lock(mutex_);
    const auto next = std::ranges::upper_bound(entries_, time, {}, &Entry::time);
    const std::size_t end =
        std::min(static_cast<std::size_t>(next - entries_.begin()), position_of(Tid{last.value + 1}));
    return end == 0 ? Tid{} : entries_[end - 1].tid;
  }

  /// Fills in what the transaction `revision.begin` says of itself, if it is still known.
  void describe(RevisionInfo& revision) const {
    const std::shared_lock lock(mutex_);
    const std::size_t position = position_of(revision.begin);
    if (position == entries_.size() || entries_[position].tid != revision.begin) return;
    revision.time = entries_[position].time;
    if (entries_[position].note) revision.note = *entries_[position].note;
  }

 private:
  struct Entry {
    Tid tid;
    CommitTime time;
    std::size_t first_object;  // counted from the first one ever
    std::unique_ptr<const TransactionNote> note;
  };
  struct Objects {
    std::size_t first;  // in objects_
    std::size_t size;
  };

  // All of these REQUIRE the lock.

  std::size_t position_of(Tid tid) const noexcept {
    return static_cast<std::size_t>(std::ranges::lower_bound(entries_, tid, {}, &Entry::tid) - entries_.begin());
  }

  Objects objects_of(std::size_t position) const noexcept {
    const std::size_t first = entries_[position].first_object - objects_dropped_;
    const std::size_t end =
        position + 1 < entries_.size() ? entries_[position + 1].first_object - objects_dropped_ : objects_.size();
    return {first, end - first};
  }

  TransactionInfo info_of(std::size_t position) const {
    const Entry& entry = entries_[position];
    const auto [first, size] = objects_of(position);
    TransactionInfo info{entry.tid, entry.time, entry.note ? *entry.note : TransactionNote{}, {}};
    const auto begin = objects_.begin() + static_cast<std::ptrdiff_t>(first);
    info.objects.assign(begin, begin + static_cast<std::ptrdiff_t>(size));
    return info;
  }

  mutable std::shared_mutex mutex_;
  std::deque<Entry> entries_;
  std::deque<Oid> objects_;  // of all entries, one after the other
  std::size_t objects_dropped_ = 0;
};

}  // namespace cow::detail
