// Old revisions: which objects have some, and which snapshots may still see them.
//
// Thread safety: of OldRevisionQueues and FewSnapshots all functions may be called from any thread; everything else REQUIRES the
// queue's `mutex`, but `any_waiting`, `is_left_alone` and `helps_now`.
//
// Invariants:
//  1. Pruning is nobody's business while it leads commits: `publish` links the new revision, and drops the one before it where no
//     other transaction is active. All else the thread that asked for the commit prunes after the end of its transaction
//     (SharedCache::after_commit).
//  2. An object whose old revisions could not all be dropped stands in the queue of the thread that has found that, once. (There
//     are kQueues; threads by their number.) Its entry stays when it is evicted, and goes when its turn comes. So a queue has no
//     more entries than objects were changed since the oldest snapshot, however often they are evicted and loaded again while
//     nobody commits.
//  3. [queues-are-worked-off] Each commit looks at some entries of its thread's queue for each object that it has changed, in turn;
//     one commit in kPatience does, while looks find nothing to drop. Each kHelpEvery-th commit looks at some of another queue that
//     has some and whose threads have not committed lately. So old revisions that no snapshot sees any more go while others
//     commit, whoever has left them, and right away where no other transaction is active. Where other processes commit, the thread that
//     learns of that works off all queues (Pruner::work_off).
//  4. A chain of k revisions that snapshots see is walked again only after k / 2 further commits of the object, or looks at
//     its entry in a queue: `prune_after` counts them, in the header of the newest state. So a commit's share of the walk
//     is some steps whatever k is, and a chain is at most half longer than what snapshots see of it.
//  5. Locks are taken in the order: queue, stripe. No thread has those of two queues.
//
// Two threads that commit nearly always leave old revisions, which the other one's snapshot sees. With one queue for all, its mutex
// and its lines went to and fro between them at every commit.
#pragma once

#include <tsl/robin_set.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <vector>

#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/detail/reclaim/thread_number.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// A list of the snapshots in use. Snapshots that are taken after it was made are not below its frontier, so an old list
/// stays good: it only keeps more. (But for those of the past, `begin_at`, which load what was dropped before they began.)
class SnapshotsInUse {
 public:
  void refresh(const TransactionRegistry& registry, const std::atomic<std::uint64_t>& frontier) noexcept {
    try {
      std::uint64_t now = frontier.load(std::memory_order_acquire);  // acquire: before the scan (for_each_snapshot)
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
  static constexpr std::uint32_t kMax = TransactionRegistry::kFew;

  FewSnapshots(const TransactionRegistry& registry, const std::atomic<std::uint64_t>& frontier) noexcept
      : frontier_(frontier.load(std::memory_order_acquire)) {  // acquire: before the scan (for_each_snapshot)
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

class alignas(64) OldRevisionQueue {
 public:
  OldRevisionQueue() { queued_.min_load_factor(0.1F); }  // gives memory back when the queue has become short

  /// Why an object is looked at: it has just been changed, or its turn in the queue has come.
  enum class Source { commit, queue };

  static constexpr std::size_t kMaxSteps = 64;  // objects, before the mutex is given up for a moment

  BackoffLock mutex;

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

  /// Takes the first one out. REQUIRES: one waits.
  void pop() noexcept {
    queued_.erase(queue_.front());
    queue_.pop_front();
    note_waiting();
    note_bytes();
  }

  /// The object whose turn it is. REQUIRES: one waits.
  Oid front() const noexcept { return queue_.front(); }
  /// It has to wait until all others have had their turn. Where there is no memory for that, it goes on being the first.
  bool put_back() noexcept {
    try {
      queue_.push_back(queue_.front());
    } catch (const std::bad_alloc&) {
      return false;
    }
    queue_.pop_front();
    return true;
  }

  /// How many of those that wait a commit looks at that has changed so many objects. Where many looks in a row have found nothing
  /// to drop, a snapshot sees all that waits, and goes on to do so: then one commit in kPatience looks, until one finds something.
  std::size_t turns(std::size_t changes) noexcept {
    bool is_vain = vain_looks_ >= kVainLooks && ++passed_over_ % kPatience != 0;
    return is_vain ? 0 : kFurtherPerChange * changes;
  }
  void note_look(bool has_dropped) noexcept { vain_looks_ = has_dropped ? 0 : vain_looks_ + 1; }
  static constexpr std::size_t kFurtherPerChange = 2;

  std::size_t waiting() const noexcept { return queue_.size(); }
  /// Whether nobody has committed here since this was asked last. Without the mutex. Relaxed, and no step of its own: one that counts or
  /// asks at the same time may be missed, and then it is asked again.
  bool is_left_alone() noexcept {
    std::uint32_t commits = commits_.load(std::memory_order_relaxed);
    if (commits == commits_when_asked_.load(std::memory_order_relaxed)) return true;
    commits_when_asked_.store(commits, std::memory_order_relaxed);
    return false;
  }
  /// Without the mutex. Relaxed: a thread that does not see what another one has just left may look next time.
  bool any_waiting() const noexcept { return any_waiting_.load(std::memory_order_relaxed); }

  /// Whether the thread helps another queue now. Without the mutex.
  bool helps_now() noexcept {
    // Relaxed, and no step of its own: threads that share a queue may count for one another.
    std::uint32_t commits = commits_.load(std::memory_order_relaxed) + 1;
    commits_.store(commits, std::memory_order_relaxed);
    return commits % kHelpEvery == 0;
  }
  static constexpr std::uint32_t kHelpEvery = 8;

 private:
  /// Written where it changes only: every commit reads it. Relaxed: see any_waiting.
  void note_waiting() noexcept {
    if (any_waiting_.load(std::memory_order_relaxed) == queue_.empty())
      any_waiting_.store(!queue_.empty(), std::memory_order_relaxed);
  }

  /// For all queues together, on a line that every commit reads: so it is written only where it changes by much. Relaxed: a
  /// statistic.
  void note_bytes() noexcept {
    std::size_t bytes = queue_.size() / kOidsAtOnce * kOidsAtOnce * sizeof(Oid) +
                        queued_.bucket_count() * sizeof(Queued::value_type) + snapshots_.bytes();
    if (bytes == bytes_) return;
    all_bytes_->fetch_add(bytes - bytes_, std::memory_order_relaxed);
    bytes_ = bytes;
  }
  static constexpr std::size_t kOidsAtOnce = 64;
  static constexpr std::size_t kVainLooks = 64, kPatience = 4;

  friend class OldRevisionQueues;
  using Queued = tsl::robin_set<Oid>;

  std::deque<Oid> queue_;
  Queued queued_;  // what is in it
  SnapshotsInUse snapshots_;
  bool is_fresh_ = false;
  std::size_t rounds_ = 0;  // since the list was made
  std::size_t bytes_ = 0;   // as noted
  std::size_t vain_looks_ = 0, passed_over_ = 0;
  std::atomic<std::size_t>* all_bytes_ = nullptr;
  std::atomic<std::uint32_t> commits_{0}, commits_when_asked_{0};
  std::atomic<bool> any_waiting_{false};
};

class OldRevisionQueues {
 public:
  /// Throws std::bad_alloc.
  OldRevisionQueues() {
    for (OldRevisionQueue& queue : queues_) queue.all_bytes_ = &bytes_;
  }

  /// That of the calling thread, or of several.
  OldRevisionQueue& of_thread() noexcept { return queues_[thread_number() % kQueues]; }

  /// Another one in which some wait, and whose threads do not commit; null: there is none, or it is not yet time to help.
  OldRevisionQueue* to_help(OldRevisionQueue& own) noexcept {
    if (!own.helps_now()) return nullptr;
    std::uint32_t from = next_.load(std::memory_order_relaxed);  // relaxed: any one will do
    for (std::uint32_t i = 0; i < kQueues; ++i) {
      OldRevisionQueue& queue = queues_[(from + i) % kQueues];
      if (&queue == &own || !queue.any_waiting() || !queue.is_left_alone()) continue;
      next_.store(from + i + 1, std::memory_order_relaxed);
      return &queue;
    }
    return nullptr;
  }

  template <class Visitor>
  void for_each(Visitor&& visit) {
    for (OldRevisionQueue& queue : queues_) visit(queue);
  }

  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kQueues = 8;

  std::array<OldRevisionQueue, kQueues> queues_;
  alignas(64) std::atomic<std::size_t> bytes_{0};
  std::atomic<std::uint32_t> next_{0};
};

}  // namespace cow::detail
