// Old revisions: which objects have some, and which snapshots may still see them.
//
// Thread safety: everything REQUIRES `mutex`, `bytes`, `any_waiting` and FewSnapshots apart.
//
// Invariants:
//  1. Pruning is nobody's business while it leads commits: `publish` links the new revision, and the thread that asked for
//     the commit prunes after the end of its transaction (SharedCache::after_commit).
//  2. An object whose old revisions could not all be dropped stands in the queue, once. Its entry stays when it is evicted,
//     and goes when its turn comes. So the queue has no more entries than objects were changed since the oldest snapshot,
//     however often they are evicted and loaded again while nobody commits. Each commit looks at some entries for each
//     object that it has changed, in turn, so old revisions that no snapshot sees any more go while others commit, and
//     right away where no other transaction is active.
//  3. A chain of k revisions that snapshots see is walked again only after k / 2 further commits of the object, or looks at
//     its entry in the queue: `prune_after` counts them, in the header of the newest state. So a commit's share of the walk
//     is some steps whatever k is, and a chain is at most half longer than what snapshots see of it.
//  4. Locks are taken in the order: this one, stripe.
#pragma once

#include <tsl/robin_set.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// A list of the snapshots in use. Snapshots that are taken after it was made are not below its frontier, so an old list
/// stays good: it only keeps more.
class SnapshotsInUse {
 public:
  void refresh(const TransactionRegistry& registry, const std::atomic<std::uint64_t>& frontier) noexcept {
    try {
      std::uint64_t now = frontier.load(std::memory_order_seq_cst);  // before the scan: registry, active_snapshots
      registry.active_snapshots(snapshots_);
      frontier_ = now;
    } catch (const std::bad_alloc&) {
      // Then some are missing, and what they see is loaded again where it is read.
    }
  }

  /// Asks about the revisions of one object, from the newest on: so the list is gone through once.
  class Descent {
   public:
    explicit Descent(const SnapshotsInUse& list) noexcept : list_(list), left_(list.snapshots_.size()) {}

    /// Whether a snapshot sees what is valid in [begin, end). REQUIRES: not above the interval asked about before.
    bool sees(std::uint64_t begin, std::uint64_t end) noexcept {
      if (end > list_.frontier_) return true;
      const std::vector<std::uint64_t>& snapshots = list_.snapshots_;
      // Far away: a search; otherwise it is one of the next.
      if (left_ > 0 && snapshots[left_ - 1] >= end) {
        auto first = snapshots.begin(), last = first + static_cast<std::ptrdiff_t>(left_);
        for (std::size_t step = 1; left_ > step && snapshots[left_ - 1 - step] >= end; step *= 2)
          last = first + static_cast<std::ptrdiff_t>(left_ - step);
        left_ = static_cast<std::size_t>(std::lower_bound(first, last, end) - first);
      }
      return left_ > 0 && snapshots[left_ - 1] >= begin;
    }

   private:
    const SnapshotsInUse& list_;
    std::size_t left_;  // those before it are below the end of the interval that was asked about last
  };

  std::size_t bytes() const noexcept { return snapshots_.capacity() * sizeof(std::uint64_t); }

 private:
  std::vector<std::uint64_t> snapshots_;  // ascending
  std::uint64_t frontier_ = 0;
};

/// The same of few transactions, as of when it was made, for one commit: it needs neither memory nor the mutex.
class FewSnapshots {
 public:
  static constexpr std::uint32_t kMax = 16;

  FewSnapshots(const TransactionRegistry& registry, const std::atomic<std::uint64_t>& frontier) noexcept
      : frontier_(frontier.load(std::memory_order_seq_cst)) {  // before the scan: registry, active_snapshots
    registry.for_each_snapshot([&](std::uint64_t snapshot) {
      if (count_ < kMax) snapshots_[count_] = snapshot;
      ++count_;
    });
  }

  /// Whether a snapshot sees what is valid in [begin, end).
  bool sees(std::uint64_t begin, std::uint64_t end) const noexcept {
    if (end > frontier_ || count_ > kMax) return true;  // some are missing, for further ones have begun meanwhile
    return std::any_of(snapshots_, snapshots_ + count_, [&](std::uint64_t at) { return begin <= at && at < end; });
  }

 private:
  const std::uint64_t frontier_;
  std::uint32_t count_ = 0;
  std::uint64_t snapshots_[kMax];
};

class OldRevisions {
 public:
  OldRevisions() { queued_.min_load_factor(0.1F); }  // gives memory back when the queue has become short

  /// Why an object is looked at: it has just been changed, or its turn in the queue has come, or both.
  enum class Source { commit, queue, queue_and_commit };

  static constexpr std::size_t kMaxSteps = 64;  // objects, before the mutex is given up for a moment

  std::mutex mutex;

  /// Before a commit's objects are looked at.
  void begin_round(const TransactionRegistry& registry) noexcept {
    // Making the list costs a look at every participant, so it is made less often when there are many.
    is_fresh_ = is_fresh_ && rounds_ < registry.participant_count() / 16;
    ++rounds_;
  }

  /// The snapshots in use, as of this round or some rounds ago.
  SnapshotsInUse::Descent snapshots(const TransactionRegistry& registry,
                                    const std::atomic<std::uint64_t>& frontier) noexcept {
    if (!is_fresh_) {
      snapshots_.refresh(registry, frontier);
      is_fresh_ = true;
      rounds_ = 0;
      note_bytes();
    }
    return SnapshotsInUse::Descent(snapshots_);
  }

  /// Puts an object into the queue unless it is there. Without memory for it the object's old revisions stay until its next
  /// commits, or its eviction.
  void push(Oid oid) noexcept {
    try {
      if (!queued_.insert(oid).second) return;
      queue_.push_back(oid);
      note_waiting();
    } catch (const std::bad_alloc&) {
      queued_.erase(oid);
    }
    note_bytes();
  }

  std::optional<Oid> pop() noexcept {
    if (queue_.empty()) return std::nullopt;
    Oid oid = queue_.front();
    queue_.pop_front();
    queued_.erase(oid);
    note_waiting();
    return oid;
  }

  std::size_t waiting() const noexcept { return queue_.size(); }
  /// Without the mutex. Relaxed: a thread that does not see what another one has just left may look next time.
  bool any_waiting() const noexcept { return any_waiting_.load(std::memory_order_relaxed); }

  /// Without the mutex.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  /// Written where it changes only: every commit reads it. Relaxed: see any_waiting.
  void note_waiting() noexcept {
    if (any_waiting_.load(std::memory_order_relaxed) == queue_.empty())
      any_waiting_.store(!queue_.empty(), std::memory_order_relaxed);
  }

  /// Relaxed: a statistic.
  void note_bytes() noexcept {
    bytes_.store(queue_.size() * sizeof(Oid) + queued_.bucket_count() * sizeof(Queued::value_type) + snapshots_.bytes(),
                 std::memory_order_relaxed);
  }

  using Queued = tsl::robin_set<Oid>;

  std::deque<Oid> queue_;
  Queued queued_;  // what is in it
  SnapshotsInUse snapshots_;
  bool is_fresh_ = false;
  std::size_t rounds_ = 0;  // since the list was made
  std::atomic<std::size_t> bytes_{0};
  alignas(64) std::atomic<bool> any_waiting_{false};
};

}  // namespace cow::detail
