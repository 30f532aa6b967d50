// The committer: turns concurrent commits into groups, checks each for conflicts, makes the group durable in one step,
// publishes it and moves the frontier.
//
// Thread safety: `commit` may be called from any thread. One of the callers leads a group, the others wait for it.
//
// Invariants:
//  1. First committer wins: a transaction commits only if none of the objects that it changed has a revision above its
//     snapshot; a serializable one only if none of those that it read has.
//  2. Within a group: validate all, write all durably, publish all, then move the frontier once. A transaction that begins
//     sees a whole group or nothing of it.
//  3. What the store refuses leaves no trace: the recent writes are rolled back, the frontier stays.
//  4. [leader-never-reads] The leader asks the store for nothing. What a transaction read or wrote before the recent
//     writes was checked by its own thread before it queued, up to a frontier (commit_request.hpp); the leader looks at
//     what was written since. If the recent writes do not reach back to that frontier by then, it gives the request back
//     unchanged, and its thread checks again and queues anew.
//  5. A request is given back once at most: the second time its thread holds a pin, so the recent writes reach back to
//     its second frontier ([pin], recent_writes.hpp). One thread at a time does so; the others wait for their turn. And once for each
//     collection of garbage that begins meanwhile: [asked-before], collected_oids.hpp.
//     None is given back where the engine behind the store validates: there the leader proposes its group (proposed_group.hpp).
//  6. The queue is null when nobody leads. Otherwise a thread leads, and it is the last request that waits, which points at the
//     one before it, and so on; or `nobody_waits()`. Who finds it null leads; only the leader takes requests out, all at once.
//
// Group commit: DeWitt et al., SIGMOD 1984; the hand-off of leadership follows LevelDB's writer queue.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "collected_oids.hpp"
#include "commit_request.hpp"
#include "cow_cache/detail/pause.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "group_failure.hpp"
#include "proposed_group.hpp"
#include "recent_writes.hpp"
#include "write_set.hpp"

namespace cow::detail {

class Committer {
 public:
  explicit Committer(Store& store)
      : store_(store), last_tid_(store.last_tid()), recent_(last_tid_), frontier_(last_tid_.value) {}

  /// From now on what commits is proposed to the engine behind the store. REQUIRES: nobody has begun to commit; the store is shared,
  /// and has a history; `capabilities` outlives this. Throws std::bad_alloc.
  void propose_to(const StoreCapabilities& capabilities) {
    proposed_ =
        std::make_unique<ProposedGroup>(ProposedGroup::Parts{capabilities, recent_, last_tid_, frontier_, commits_});
    recent_.always_ask();
  }

  /// Applies what other processes have committed, in the order of tids; what is known already is passed over. Throws TidGapError, and what
  /// has ended the database's work before. REQUIRES: `propose_to`.
  template <class Cache>
  void apply(std::span<const TransactionInfo> remote, RemoteJump* jump, Cache& cache) {
    EngineRequest engine{.writes = {}, .reads = {}, .remote = remote, .jump = jump};
    if (!engine.is_news()) return;
    WriteSet nothing;
    CommitRequest request(nothing);
    request.engine_ = &engine;
    lead_or_wait(request, cache);
    if (request.error_) std::rethrow_exception(request.error_);
  }

  /// Null: what is committed is not proposed.
  ProposedGroup* proposed() noexcept { return proposed_.get(); }

  /// The tid of the last published commit. Begins read it with acquire; that pairs with the release after publishing.
  const std::atomic<std::uint64_t>& frontier() const noexcept { return frontier_; }

  /// Commits: `cache.publish` runs on the leader's thread. The caller then ends the transaction and calls `cache.after_commit` with
  /// the write set. Throws ConflictError, CollectedReferenceError or what the store throws; the write set is untouched then. Returns the
  /// transaction's tid.
  template <class Cache>
  Tid commit(CommitRequest& request, Cache& cache) {
    try {
      ask_collected(request);
      if (request.serializable() || request.snapshot_ < recent_.since_for_all()) [[unlikely]] {
        if (proposed_ != nullptr) return propose(request, cache);  // RecentWrites::always_ask
        // Acquire: pairs with the release after publishing ([alive-is-newest], commit_request.hpp).
        request.check(store_, Tid{frontier_.load(std::memory_order_acquire)}, recent_.since_for_all());
      }
      lead_or_wait(request, cache);
      while (request.overtaken_) [[unlikely]] commit_again(request, cache);  // once: invariant 5
      if (!request.conflicts_.empty()) [[unlikely]]
        request.throw_conflicts();
    } catch (const ConflictError&) {
      conflicts_.fetch_add(1, std::memory_order_relaxed);
      throw;
    }
    if (request.error_) std::rethrow_exception(request.error_);
    return request.tid_;
  }

  /// Takes over a transaction that was written to the store before anybody could begin.
  void adopt(Tid tid) noexcept {
    last_tid_ = tid;
    recent_.start_at(tid);
    frontier_.store(tid.value, std::memory_order_release);  // as in `run`
  }

  /// What was collected as garbage, which no commit may bring back.
  CollectedOids& collected() noexcept { return collected_; }

  /// From when this returns on no request commits that was not asked by the collection that has begun last; what has committed before is
  /// published. Throws std::bad_alloc.
  template <class Cache>
  void adopt_generation(Cache& cache) {
    WriteSet nothing;
    CommitRequest request(nothing);
    request.generation_ = collected_.generation();
    lead_or_wait(request, cache);
    if (request.error_) std::rethrow_exception(request.error_);
  }

  /// Bytes of the tables of recent writes.
  std::size_t bytes() const noexcept { return recent_.bytes(); }
  std::uint64_t commits() const noexcept { return commits_.load(std::memory_order_relaxed); }
  std::uint64_t conflicts() const noexcept { return conflicts_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kSpins = 256;  // some microseconds: an unsynced group takes not much longer
  static constexpr std::chrono::microseconds kLongestLead{50};

  /// Commits where the engine behind the store validates.
  template <class Cache>
  [[gnu::noinline, gnu::cold]] Tid propose(CommitRequest& request, Cache& cache) {
    EngineRequest engine;
    request.make_proposal(engine);
    lead_or_wait(request, cache);
    request.throw_conflicts();
    if (request.error_) std::rethrow_exception(request.error_);
    return request.tid_;
  }

  /// Invariant 5.
  template <class Cache>
  [[gnu::noinline]] void commit_again(CommitRequest& request, Cache& cache) {
    ask_collected(request);  // without a lock: it may wait for a collection
    std::scoped_lock turn(pin_mutex_);
    RecentWrites::Pin pin(recent_, frontier_);
    request.check(store_, pin.frontier(), kInfinity);
    request.overtaken_ = false;
    request.progress_.store(CommitRequest::waiting, std::memory_order_relaxed);  // nobody else knows the request now
    request.pinned_ = true;
    lead_or_wait(request, cache);
  }

  void ask_collected(CommitRequest& request) {
    request.generation_ = collected_.generation();
    if (request.generation_ != 0) [[unlikely]]
      collected_.require_kept(request.writes_, request.objects());
  }

  // ---- the queue

  /// What the queue holds while a thread leads and nobody waits. An address that no request has; never followed.
  CommitRequest* nobody_waits() noexcept { return reinterpret_cast<CommitRequest*>(this); }

  /// Commits the request, and perhaps others, or has it committed by another leader.
  template <class Cache>
  void lead_or_wait(CommitRequest& request, Cache& cache) {
    request.next_ = nullptr;
    CommitRequest *newest = nullptr, *group = &request;
    // Acquire: pairs with the release in `retire_from_lead`.
    if (!queue_.compare_exchange_strong(newest, nobody_waits(), std::memory_order_acquire, std::memory_order_relaxed))
        [[unlikely]]
      group = queue_up(request, newest);
    if (group != nullptr) lead(request, group, cache);
  }

  /// The group that this thread is to lead, which holds the request; null: the request is done. `newest`: the last in the queue.
  [[gnu::noinline]] CommitRequest* queue_up(CommitRequest& request, CommitRequest* newest) noexcept {
    request.queued_at_ = std::chrono::steady_clock::now();
    for (bool queued = false; !queued;) {
      if (newest == nullptr) {  // the leader has gone meanwhile
        request.next_ = nullptr;
        // Acquire: as in lead_or_wait.
        if (queue_.compare_exchange_weak(newest, nobody_waits(), std::memory_order_acquire, std::memory_order_relaxed))
          return &request;
      } else {
        request.next_ = newest == nobody_waits() ? nullptr : newest;
        // Release: pairs with the acquires of the leader that finds the request.
        queued = queue_.compare_exchange_weak(newest, &request, std::memory_order_release, std::memory_order_relaxed);
      }
    }
    // Acquire: pairs with the store in `signal`, of the leader that has finished the request or hands over to it.
    int progress = CommitRequest::waiting;
    for (int spin = 0; spin < kSpins && progress == CommitRequest::waiting; ++spin) {
      pause();
      progress = request.progress_.load(std::memory_order_acquire);
    }
    if (progress == CommitRequest::waiting) {
      request.progress_.wait(CommitRequest::waiting, std::memory_order_acquire);
      progress = request.progress_.load(std::memory_order_acquire);
    }
    return progress == CommitRequest::leading ? take_group() : nullptr;
  }

  /// All that wait, the first one first. REQUIRES: this thread leads; somebody waits.
  CommitRequest* take_group() noexcept {
    // Acquire: pairs with the release of those that have queued up, each of which adds to what it found.
    CommitRequest *newest = queue_.exchange(nobody_waits(), std::memory_order_acquire), *oldest = nullptr;
    while (newest != nullptr) {
      CommitRequest* next = std::exchange(newest->next_, oldest);
      oldest = std::exchange(newest, next);
    }
    return oldest;
  }

  /// The one that has waited longest; null: nobody waits, and nobody leads any more. REQUIRES: this thread leads.
  CommitRequest* retire_from_lead() noexcept {
    CommitRequest* newest = nobody_waits();
    // Release: pairs with the acquire of the next leader. Acquire where that fails: pairs with the release in queue_up.
    if (queue_.compare_exchange_strong(newest, nullptr, std::memory_order_acq_rel, std::memory_order_acquire))
      return nullptr;
    while (newest->next_ != nullptr) newest = newest->next_;
    return newest;
  }

  /// Commits groups, this one first, until nobody waits. A waiting thread may be asleep, and waking it to lead would cost more
  /// than a short group: with more threads than cores every commit would then wait for the scheduler. After kLongestLead,
  /// though, the next one leads: with a slow store a leader would never come back. That is counted from when the first one has
  /// queued up, so that a thread that nobody waits for need not look at the clock.
  template <class Cache>
  void lead(const CommitRequest& own, CommitRequest* group, Cache& cache) {
    std::optional<std::chrono::steady_clock::time_point> since;
    for (bool leads = true; leads;) {
      run(group, cache);
      CommitRequest* next = retire_from_lead();
      leads = next != nullptr;
      if (leads) [[unlikely]] {
        if (!since) since = next->queued_at_;
        if (std::chrono::steady_clock::now() - *since > kLongestLead) {
          signal(*next, CommitRequest::leading);
          leads = false;
        }
      }
      finish(group, own);
      if (leads) group = take_group();
    }
  }

  /// Lets the threads of a group go on.
  static void finish(CommitRequest* group, const CommitRequest& own) noexcept {
    while (group != nullptr) {
      CommitRequest& request = *group;
      group = request.next_;  // read before the request is gone
      if (&request != &own) signal(request, CommitRequest::done);
    }
  }

  static void signal(CommitRequest& request, CommitRequest::Progress progress) noexcept {
    std::atomic<int>& target = request.progress_;
    // Release would do for what the request's thread reads. Seq_cst, for libstdc++'s notify_one first looks whether anybody waits: a
    // load that must not be done before this store is seen, or a thread that goes to sleep just then is never woken.
    target.store(progress, std::memory_order_seq_cst);
    // The request may be gone by now; notifying needs its address only (the wake-up goes by address).
    target.notify_one();
  }

  /// What fails (for memory, too) fails a request, or all of the group, before the store is asked. Once the store has them
  /// nothing can fail any more.
  template <class Cache>
  void run(CommitRequest* group, Cache& cache) noexcept {
    if constexpr (SupersedesObjects<Cache>) {
      if (proposed_ != nullptr) [[unlikely]]
        return proposed_->run(group, cache);
    }
    Tid tid = last_tid_;
    try {
      std::size_t count = 0;
      for (CommitRequest* request = group; request != nullptr; request = request->next_) ++count;
      writes_.clear();
      writes_.reserve(count);
      recent_.begin_group();
      for (CommitRequest* request = group; request != nullptr; request = request->next_) {
        if (!accept(*request, Tid{tid.value + 1})) continue;
        tid = request->tid_;
        writes_.push_back({tid, request->objects(), request->note_});
      }
      if (writes_.empty()) return;
      store_.commit(writes_);
    } catch (...) {
      recent_.roll_back();
      for (CommitRequest* request = group; request != nullptr; request = request->next_) {
        if (request->accepted_ || writes_.empty()) request->error_ = failure_for_one_of_group();
      }
      return;
    }
    last_tid_ = tid;
    for (CommitRequest* request = group; request != nullptr; request = request->next_) {
      if (request->accepted_) cache.publish(request->writes_, request->tid_);
    }
    // Release: pairs with the acquire in begin. (A pin needs more: RecentWrites::rotate.)
    frontier_.store(tid.value, std::memory_order_release);
    // Relaxed: a statistic. No step of its own: the leader alone writes it.
    commits_.store(commits_.load(std::memory_order_relaxed) + writes_.size(), std::memory_order_relaxed);
    recent_.rotate(tid);
  }

  /// Validates a request and notes what it writes. False: it says why it may not be written, and nothing is noted.
  bool accept(CommitRequest& request, Tid tid) noexcept {
    std::size_t noted = recent_.noted_by_group();
    try {
      if (!validate(request)) return false;
      for (const ObjectWrite& object : request.objects()) recent_.note(object.oid, tid);
    } catch (...) {
      recent_.roll_back(noted);
      request.error_ = std::current_exception();
      return false;
    }
    request.tid_ = tid;
    request.accepted_ = true;
    return true;
  }

  /// Whether the request may be written; if not, it says why. It has been checked up to a frontier (invariant 4).
  bool validate(CommitRequest& request) {
    if (request.generation_ > generation_) [[unlikely]]
      generation_ = request.generation_;  // the first one that was asked since a collection began
    if (request.checked_ < recent_.since() || request.generation_ < generation_) {
      request.overtaken_ = true;
      return false;
    }
    for (const WriteSetEntry& entry : request.writes_) {
      if (entry.created) continue;  // nobody else has ever heard of the oid
      Tid newest = recent_.newest(entry.oid);
      if (newest > request.snapshot_) request.conflicts_.push_back({entry.oid, entry.base, newest});
    }
    if (request.conflicts_.empty() && request.serializable()) validate_reads(request);
    return request.conflicts_.empty() && !request.overtaken_;
  }

  /// What was written since its own thread looked: normally nothing, or the writes of a group or two. After more than is
  /// known in order, that thread looks again; only if it has done so already is each of its reads looked up here.
  void validate_reads(CommitRequest& request) {
    auto look_up = [&](Oid oid, Tid checked) {
      if (!request.conflicts_.empty()) return;
      if (Tid newest = recent_.newest(oid); newest > checked) request.add_conflict(oid, newest);
    };
    for (Oid oid : request.unsure_) look_up(oid, request.snapshot_);
    if (request.reads_checked_ >= recent_.ordered_since()) {
      recent_.for_each_after(request.reads_checked_, [&](Oid oid, Tid tid) {
        if (request.conflicts_.empty() && request.read_oids_.contains(oid)) request.add_conflict(oid, tid);
      });
    } else if (request.pinned_) {
      request.read_oids_.for_each([&](Oid oid) { look_up(oid, request.reads_checked_); });
    } else {
      request.overtaken_ = request.conflicts_.empty();
    }
  }

  Store& store_;
  CollectedOids collected_;

  // The leader's alone; leadership changes hands by the queue's release and acquire, or a request's.
  Tid last_tid_;
  std::vector<TransactionWrite> writes_;   // the group's that is being written
  std::atomic<std::uint64_t> commits_{0};  // any thread reads it
  std::uint64_t generation_ = 0;           // requests that were not asked since are given back
  RecentWrites recent_;
  std::unique_ptr<ProposedGroup> proposed_;  // set before anybody commits

  alignas(64) std::atomic<std::uint64_t> frontier_;         // read by every begin: a line of its own
  alignas(64) std::atomic<CommitRequest*> queue_{nullptr};  // invariant 6
  alignas(64) std::mutex pin_mutex_;                        // whose turn it is to pin: invariant 5
  std::atomic<std::uint64_t> conflicts_{0};
};

}  // namespace cow::detail
