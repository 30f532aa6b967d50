// Recent writes: which objects the last commits have changed, and by which tid.
//
// Thread safety: all functions are the leader's alone, but for `since_for_all`, `bytes` and Pin, which any thread may use.
//
// Invariants:
//  1. [recent-complete] The newest tid of every object written above `since()` is known. The tables hold at least
//     kObjects objects, so `since()` lies that many objects back, two large transactions at least.
//  2. [pin] While there is a pin, `since()` does not move beyond the frontier that the pin was taken at. One that holds a
//     pin makes the tables grow by what is written meanwhile; so there is one at a time, and it is held for one commit.
//  3. The last writes are known in their order too: all those above `ordered_since()`, kOrdered of them at least.
#pragma once

#include <tsl/robin_map.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cow_cache/types.hpp"

namespace cow::detail {

class RecentWrites {
 public:
  explicit RecentWrites(Tid last) { start_at(last); }

  /// Forgets everything: nothing above `last` has been written. REQUIRES: nobody commits.
  void start_at(Tid last) {
    recent_ = {};
    less_recent_ = {};
    ordered_.clear();
    noted_ = 0;
    rotated_at_ = ordered_since_ = last;
    set_since(last);
  }

  /// Keeps `since()` from moving beyond `frontier()`. REQUIRES: one at a time.
  class Pin {
   public:
    Pin(RecentWrites& writes, const std::atomic<std::uint64_t>& frontier) noexcept : writes_(writes) {
      // Read-modify-writes here and in `rotate`, so one of the two comes first. Either the leader that is about to rotate sees the
      // pin; or this one reads what the leader's has written, and so (acquire; its release) sees the frontier that it has stored
      // before. What it rotates to is not above that frontier.
      writes_.pinned_.exchange(0, std::memory_order_acq_rel);
      // Acquire: pairs with the release after publishing ([alive-is-newest], commit_request.hpp).
      frontier_ = Tid{frontier.load(std::memory_order_acquire)};
      writes_.pinned_.store(frontier_.value, std::memory_order_release);  // raises the limit only: may be seen late
    }
    ~Pin() { writes_.pinned_.store(kInfinity.value, std::memory_order_release); }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

    Tid frontier() const noexcept { return frontier_; }

   private:
    RecentWrites& writes_;
    Tid frontier_;
  };

  /// Invariant 1.
  Tid since() const noexcept { return since_; }

  /// What `since()` was a moment ago, for threads that do not lead. Relaxed: it only says whether it is worth while to
  /// check before queueing, and the leader asks again.
  Tid since_for_all() const noexcept { return Tid{since_for_all_.load(std::memory_order_relaxed)}; }

  /// The tid of the last write of an object; Tid{0}: none above `since()`.
  Tid newest(Oid oid) const {
    for (const Table* table : {&recent_, &less_recent_}) {
      if (auto found = table->find(oid); found != table->end()) return found->second;
    }
    return Tid{};
  }

  /// Invariant 3.
  Tid ordered_since() const noexcept { return ordered_since_; }

  /// Calls `visit(Oid, Tid)` for every write above `after`, newest first. REQUIRES: after >= ordered_since().
  template <class Visitor>
  void for_each_after(Tid after, Visitor&& visit) const {
    for (std::uint64_t i = noted_, end = noted_ - std::min<std::uint64_t>(noted_, ordered_.size()); i > end; --i) {
      const Write& write = ordered_[(i - 1) % kOrdered];
      if (write.tid <= after) return;  // what was rolled back has Tid{0}
      visit(write.oid, write.tid);
    }
  }

  /// A group begins: what is noted from now on may be rolled back.
  void begin_group() noexcept { undo_.clear(); }

  /// Notes of this group so far.
  std::size_t noted_by_group() const noexcept { return undo_.size(); }

  /// Throws std::bad_alloc, and has changed nothing then.
  [[gnu::always_inline]] void note(Oid oid, Tid tid) {
    std::size_t place = noted_ % kOrdered;
    if (place == ordered_.capacity()) ordered_.reserve(std::min(std::max(kMinOrdered, 2 * place), kOrdered));
    if (undo_.size() == undo_.capacity()) undo_.reserve(std::max<std::size_t>(16, 2 * undo_.size()));
    auto [found, fresh] = recent_.try_emplace(oid, tid);  // the last thing that may fail
    undo_.emplace_back(oid, fresh ? Tid{} : found->second);
    found.value() = tid;
    if (place == ordered_.size()) {
      ordered_.push_back({oid, tid});  // there is room
    } else {
      ordered_since_ = std::max(ordered_since_, ordered_[place].tid);
      ordered_[place] = {oid, tid};
    }
    ++noted_;
  }

  /// Takes back the notes of this group but for the first `left`. Needs no memory.
  void roll_back(std::size_t left = 0) noexcept {
    for (; undo_.size() > left; undo_.pop_back()) {
      auto [oid, tid] = undo_.back();
      if (tid == Tid{}) {
        recent_.erase(oid);
      } else {
        recent_[oid] = tid;
      }
      ordered_[--noted_ % kOrdered].tid = Tid{};
    }
  }

  /// After a group, when the frontier is at its tid: forgets the older half when there are many.
  [[gnu::always_inline]] void rotate(Tid last) {
    std::size_t buckets = recent_.bucket_count() + less_recent_.bucket_count();
    std::size_t bytes = buckets * kBucketBytes + ordered_.capacity() * sizeof(Write);
    // Relaxed: a statistic. Written where it changes only.
    if (bytes_.load(std::memory_order_relaxed) != bytes) bytes_.store(bytes, std::memory_order_relaxed);
    if (recent_.size() < kObjects) return;
    // Invariant 2. Acquire and release: see Pin.
    if (rotated_at_.value > pinned_.fetch_or(0, std::memory_order_acq_rel)) return;
    less_recent_ = std::exchange(recent_, {});
    set_since(std::exchange(rotated_at_, last));
  }

  /// Has every thread do before it queues up what it does where the recent writes do not reach back far enough. REQUIRES: nobody commits.
  void always_ask() noexcept {
    asks_always_ = true;
    set_since(since_);
  }

  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  static constexpr std::size_t kObjects = 1 << 15, kOrdered = 1 << 12, kMinOrdered = 64;

 private:
  struct Write {
    Oid oid;
    Tid tid;
  };
  using Table = tsl::robin_map<Oid, Tid>;
  static constexpr std::size_t kBucketBytes = sizeof(Table::value_type) + 8;  // and the distance from home

  void set_since(Tid since) noexcept {
    since_ = since;
    since_for_all_.store(asks_always_ ? kInfinity.value : since.value,
                         std::memory_order_relaxed);  // see since_for_all
  }

  Table recent_, less_recent_;
  Tid since_, rotated_at_;
  std::vector<std::pair<Oid, Tid>> undo_;  // what this group has noted in `recent_`, and what stood there
  std::vector<Write> ordered_;             // a ring, in the order of the notes
  std::uint64_t noted_ = 0;                // notes so far, without those that were rolled back
  Tid ordered_since_;
  bool asks_always_ = false;

  // Of other threads: a line of their own, which changes with a rotation only, or where a table grows.
  alignas(64) std::atomic<std::uint64_t> since_for_all_{0};
  std::atomic<std::uint64_t> pinned_{kInfinity.value};
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace cow::detail
