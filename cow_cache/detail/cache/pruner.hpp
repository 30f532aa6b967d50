// The pruner: after a commit, drops what no snapshot sees any more of the objects that it has changed, and of others that wait.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants: those of old_revisions.hpp, which says who waits where and why that is bounded.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/state/resident_bytes.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/types.hpp"
#include "old_revisions.hpp"
#include "version_chains.hpp"

namespace cow::detail {

/// States that have died with a commit, to be retired and counted.
struct DroppedStates {
  StateChain states;
  ResidentBytes bytes;

  void add(StateHeader& state) noexcept {
    bytes += ResidentBytes(state);
    states.add(state);
  }
};

class Pruner {
 public:
  /// Throws std::bad_alloc.
  Pruner(VersionChains& chains, const TransactionRegistry& registry, const std::atomic<std::uint64_t>& frontier)
      : chains_(chains), registry_(registry), frontier_(frontier) {}

  /// Whether a transaction that is being published is the only active one, as far as that is quickly known: where old revisions
  /// wait, others are likely to be active, and their announcements stand on lines that these write.
  bool is_alone() noexcept { return !queues_.of_thread().any_waiting() && registry_.has_one_at_most(); }

  /// Works off the objects that a commit has changed, and some of those that wait in a queue.
  void prune(WriteSet& writes, DroppedStates& dropped) noexcept {
    OldRevisionQueue& queue = queues_.of_thread();
    bool any = queue.any_waiting();
    for (const WriteSetEntry& entry : writes) any = any || entry.prunes;
    if (any) {
      if (registry_.participant_count() > FewSnapshots::kMax) {
        prune_among_many(queue, writes, dropped);
      } else {
        prune_among_few(queue, writes, dropped);
      }
    }
    if (OldRevisionQueue* other = queues_.to_help(queue)) [[unlikely]]
      help(*other, writes, dropped);
  }

  /// A transaction has loaded an old revision.
  void note_old_revision(Oid oid) noexcept {
    OldRevisionQueue& queue = queues_.of_thread();
    std::scoped_lock lock(queue.mutex);
    queue.push(oid);
  }

  /// Works off what waits, whoever has left it, for a thread that learns of other processes' commits: what those make old here, threads
  /// that only read leave behind. Bounded; true: there is more to do.
  [[gnu::noinline, gnu::cold]] bool work_off(DroppedStates& dropped) noexcept {
    WriteSet nothing;
    const std::size_t before = dropped.states.size();
    queues_.for_each([&](OldRevisionQueue& queue) {
      if (queue.any_waiting()) help(queue, nothing, dropped);
    });
    return dropped.states.size() > before;
  }

  std::size_t bytes() const noexcept { return queues_.bytes(); }

 private:
  // Of the objects that wait in the queue, a commit looks at some for each that it has changed; and those from which something
  // can be dropped do not count, up to a bound, as that was paid for when they were changed.
  static constexpr std::size_t kMaxProductive = 256;

  [[gnu::noinline]] void prune_among_few(OldRevisionQueue& queue, WriteSet& writes, DroppedStates& dropped) noexcept {
    std::optional<FewSnapshots> list;
    auto in_use = [&]() -> const FewSnapshots& { return list ? *list : list.emplace(registry_, frontier_); };
    bool some_stay = false;
    for (WriteSetEntry& entry : writes) {  // without the lock of the queue
      if (!entry.prunes) continue;
      entry.prunes = prune_one(entry.oid, OldRevisionQueue::Source::commit, in_use, dropped).comes_again;
      some_stay = some_stay || entry.prunes;
    }
    if (!some_stay && !queue.any_waiting()) return;
    std::optional<Turns> turns;
    auto entry = writes.begin();
    do {
      std::scoped_lock lock(queue.mutex);
      if (!turns) turns.emplace(queue.turns(writes.size()));
      std::size_t steps = OldRevisionQueue::kMaxSteps;  // then other threads may have the lock
      prune_waiting(queue, writes, *turns, steps, in_use, dropped);
      for (; entry != writes.end() && steps > 0; ++entry, --steps) {
        if (entry->prunes) queue.push(entry->oid);
      }
    } while (entry != writes.end() || turns->left > 0);
  }

  [[gnu::noinline]] void prune_among_many(OldRevisionQueue& queue, WriteSet& writes, DroppedStates& dropped) noexcept {
    auto in_use = [&] { return queue.snapshots(registry_, frontier_); };
    std::optional<Turns> turns;
    auto entry = writes.begin();
    do {
      std::scoped_lock lock(queue.mutex);
      if (!turns) turns.emplace(queue.turns(writes.size()));
      queue.begin_round(registry_);
      std::size_t steps = OldRevisionQueue::kMaxSteps;  // then other threads may have the lock
      for (; entry != writes.end() && steps > 0; ++entry, --steps) {
        if (!entry->prunes) continue;
        entry->prunes = prune_one(entry->oid, OldRevisionQueue::Source::commit, in_use, dropped).comes_again;
        if (entry->prunes) queue.push(entry->oid);
      }
      if (steps > 0) prune_waiting(queue, writes, *turns, steps, in_use, dropped);
    } while (entry != writes.end() || turns->left > 0);
  }

  /// [queues-are-worked-off], for a thread that may commit no more.
  [[gnu::noinline]] void help(OldRevisionQueue& queue, WriteSet& writes, DroppedStates& dropped) noexcept {
    std::unique_lock lock(queue.mutex, std::try_to_lock);
    if (!lock) return;  // a thread of its own is at it
    queue.begin_round(registry_);
    auto in_use = [&] { return queue.snapshots(registry_, frontier_); };
    Turns turns{OldRevisionQueue::kFurtherPerChange * OldRevisionQueue::kHelpEvery};
    std::size_t steps = kMaxProductive;
    prune_waiting(queue, writes, turns, steps, in_use, dropped);
  }

  template <class InUse>
  VersionChains::Pruned prune_one(Oid oid, OldRevisionQueue::Source source, InUse& in_use,
                                  DroppedStates& dropped) noexcept {
    VersionChains::Pruned pruned = chains_.prune(oid, source, in_use, dropped.states);
    dropped.bytes += pruned.bytes;
    return pruned;
  }

  /// What a commit still looks at of a queue, and how many objects it has dropped something of.
  struct Turns {
    explicit Turns(std::size_t most) noexcept : left(most) {}
    std::size_t left, productive = 0;
  };
  /// REQUIRES: the queue's mutex.
  template <class InUse>
  void prune_waiting(OldRevisionQueue& queue, WriteSet& writes, Turns& turns, std::size_t& steps, InUse& in_use,
                     DroppedStates& dropped) noexcept {
    turns.left = std::min(turns.left, queue.waiting());
    for (; steps > 0 && turns.left > 0; --steps) {
      Oid oid = queue.front();
      // One that was changed has just had its turn, and some stay. If none do, it leaves the queue: where a thread changes the same
      // objects again and again, they would wait there for ever, and the thread would never be alone.
      if (const WriteSetEntry* changed = writes.find(oid); changed != nullptr && changed->prunes) {
        if (!queue.put_back()) turns.left = 0;
        if (turns.left > 0) --turns.left;
        continue;
      }
      VersionChains::Pruned pruned = prune_one(oid, OldRevisionQueue::Source::queue, in_use, dropped);
      if (!pruned.comes_again) {
        queue.pop();
      } else if (!queue.put_back()) {
        turns.left = 1;
      }
      queue.note_look(pruned.dropped > 0);
      if (pruned.dropped == 0 || ++turns.productive > kMaxProductive) --turns.left;
      turns.left = std::min(turns.left, queue.waiting());
    }
  }

  VersionChains& chains_;
  const TransactionRegistry& registry_;
  const std::atomic<std::uint64_t>& frontier_;
  OldRevisionQueues queues_;
};

}  // namespace cow::detail
