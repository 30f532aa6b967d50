// InvalidationLog: what recent commits have changed, for caches that must forget it.
//
// Thread safety: all functions may be called from any thread; `append` by one committer at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/types.hpp"

namespace cow::bench {

using cow::detail::WriteSet;
using cow::detail::WriteSetEntry;

/// Bounded: a session that was away for too long must assume that everything changed.
class InvalidationLog {
 public:
  struct Change {
    Tid tid;
    Oid oid;
  };

  /// `start`: sessions begin at this tid or later.
  explicit InvalidationLog(Tid start) : complete_after_(start) {}

  void append(WriteSet& writes, Tid tid) noexcept {
    append_all(writes, tid, [](const WriteSetEntry& entry) { return entry.oid; });
  }

  /// The same of a commit of another process.
  void append(std::span<const Oid> objects, Tid tid) noexcept {
    append_all(objects, tid, [](Oid oid) { return oid; });
  }

  /// Commits were missed: whatever was read before the next one may be old.
  void break_off() noexcept {
    std::unique_lock lock(mutex_);
    changes_.clear();
    complete_after_ = kInfinity;
  }

  /// The changes of the commits in (after, upto]; nothing if the log does not reach back that far.
  std::optional<std::vector<Change>> between(Tid after, Tid upto) const {
    std::shared_lock lock(mutex_);
    if (after < complete_after_) return std::nullopt;
    auto above = [](Tid tid, const Change& change) { return tid < change.tid; };
    auto first = std::upper_bound(changes_.begin(), changes_.end(), after, above);
    return std::vector<Change>(first, std::upper_bound(first, changes_.end(), upto, above));
  }

  std::size_t bytes() const {
    std::shared_lock lock(mutex_);
    return changes_.size() * sizeof(Change);
  }

 private:
  template <class Objects, class OidOf>
  void append_all(Objects& objects, Tid tid, OidOf oid_of) noexcept {
    std::unique_lock lock(mutex_);
    if (complete_after_ == kInfinity) complete_after_ = Tid{tid.value - 1};
    try {
      for (const auto& object : objects) changes_.push_back({tid, oid_of(object)});
    } catch (...) {
      changes_.clear();
      complete_after_ = tid;
    }
    for (; changes_.size() > kMaxChanges; changes_.pop_front()) complete_after_ = changes_.front().tid;
  }

  static constexpr std::size_t kMaxChanges = std::size_t{1} << 17;

  mutable std::shared_mutex mutex_;
  std::deque<Change> changes_;  // tids ascend
  Tid complete_after_;          // commits above this one are in the log
};

}  // namespace cow::bench
