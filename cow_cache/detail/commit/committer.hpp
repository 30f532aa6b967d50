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
//     its second frontier ([pin], recent_writes.hpp). One thread at a time does so; the others wait for their turn.
//
// Group commit: DeWitt et al., SIGMOD 1984; the hand-off of leadership follows LevelDB's writer queue.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "commit_request.hpp"
#include "cow_cache/detail/pause.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "group_failure.hpp"
#include "recent_writes.hpp"
#include "write_set.hpp"

namespace cow::detail {

class Committer {
 public:
  explicit Committer(Store& store)
      : store_(store), last_tid_(store.last_tid()), recent_(last_tid_), frontier_(last_tid_.value) {}

  /// The tid of the last published commit. Begins read it with acquire; that pairs with the release after publishing.
  const std::atomic<std::uint64_t>& frontier() const noexcept { return frontier_; }

  /// Commits: `cache.publish` runs on the leader's thread. The caller then ends the transaction and calls `cache.after_commit` with
  /// the write set. Throws ConflictError or what the store throws; the write set is untouched then. Returns the
  /// transaction's tid.
  template <class Cache>
  Tid commit(CommitRequest& request, Cache& cache) {
    try {
      if (request.serializable() || request.snapshot_ < recent_.since_for_all()) [[unlikely]] {
        // Acquire: pairs with the release after publishing ([alive-is-newest], commit_request.hpp).
        request.check(store_, Tid{frontier_.load(std::memory_order_acquire)}, recent_.since_for_all());
      }
      if (lead_or_wait(request)) lead(request, cache);
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
    frontier_.store(tid.value, std::memory_order_seq_cst);
  }

  /// Bytes of the tables of recent writes.
  std::size_t bytes() const noexcept { return recent_.bytes(); }
  std::uint64_t commits() const noexcept { return commits_.load(std::memory_order_relaxed); }
  std::uint64_t conflicts() const noexcept { return conflicts_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kSpins = 256;  // some microseconds: an unsynced group takes not much longer
  static constexpr std::chrono::microseconds kLongestLead{50};

  /// Invariant 5.
  template <class Cache>
  void commit_again(CommitRequest& request, Cache& cache) {
    std::scoped_lock turn(pin_mutex_);
    RecentWrites::Pin pin(recent_, frontier_);
    request.check(store_, pin.frontier(), kInfinity);
    request.overtaken_ = false;
    request.progress_.store(CommitRequest::waiting, std::memory_order_relaxed);  // nobody else knows the request now
    request.pinned_ = true;
    if (lead_or_wait(request)) lead(request, cache);
  }

  /// True: this thread leads the next group, which holds its request. False: the request is done.
  bool lead_or_wait(CommitRequest& request) {
    {
      std::scoped_lock lock(queue_mutex_);
      queue_.push_back(&request);
      if (!led_) {
        led_ = true;
        return true;
      }
    }
    // Acquire: pairs with the release in `signal`, of the leader that has finished the request or hands over to it.
    for (int spin = 0; spin < kSpins; ++spin) {
      if (int progress = request.progress_.load(std::memory_order_acquire); progress != CommitRequest::waiting) {
        return progress == CommitRequest::leading;
      }
      pause();
    }
    request.progress_.wait(CommitRequest::waiting, std::memory_order_acquire);
    return request.progress_.load(std::memory_order_acquire) == CommitRequest::leading;
  }

  /// Commits groups, first the one that holds its own request, until the queue is empty. A waiting thread may be asleep, and
  /// waking it to lead would cost more than a short group: with more threads than cores every commit would then wait for
  /// the scheduler. After kLongestLead, though, the next one leads: with a slow store a leader would never come back.
  template <class Cache>
  void lead(CommitRequest& own, Cache& cache) {
    auto start = std::chrono::steady_clock::now();
    for (bool leading = true; leading;) {
      std::vector<CommitRequest*> group = take_group();
      run(group, cache);
      CommitRequest* next = nullptr;
      {
        std::scoped_lock lock(queue_mutex_);
        if (queue_.empty()) {
          leading = led_ = false;
        } else if (std::chrono::steady_clock::now() - start > kLongestLead) {
          leading = false;
          next = queue_.front();
        }
      }
      if (next != nullptr) signal(*next, CommitRequest::leading);
      for (CommitRequest* request : group) {
        if (request != &own) signal(*request, CommitRequest::done);  // and is gone from then on
      }
    }
  }

  std::vector<CommitRequest*> take_group() {
    std::scoped_lock lock(queue_mutex_);
    return std::exchange(queue_, {});
  }

  static void signal(CommitRequest& request, CommitRequest::Progress progress) {
    std::atomic<int>& target = request.progress_;
    target.store(progress, std::memory_order_release);
    // The request may be gone by now; notifying needs its address only (the wake-up goes by address).
    target.notify_one();
  }

  /// What fails (for memory, too) fails a request, or all of the group, before the store is asked. Once the store has them
  /// nothing can fail any more.
  template <class Cache>
  void run(const std::vector<CommitRequest*>& group, Cache& cache) noexcept {
    std::vector<CommitRequest*> valid;
    std::vector<TransactionWrite> writes;
    Tid tid = last_tid_;
    try {
      valid.reserve(group.size());
      writes.reserve(group.size());
      recent_.begin_group();
      for (CommitRequest* request : group) {
        if (!accept(*request, Tid{tid.value + 1})) continue;
        tid = request->tid_;
        valid.push_back(request);
        writes.push_back({tid, request->objects_});
      }
      if (valid.empty()) return;
      store_.commit(writes);
    } catch (...) {
      recent_.roll_back();
      for (CommitRequest* request : valid.empty() ? group : valid) request->error_ = failure_for_one_of_group();
      return;
    }
    last_tid_ = tid;
    for (CommitRequest* request : valid) cache.publish(request->writes_, request->tid_);
    // Seq_cst, and so release: pairs with the acquire in begin; the total order is for SnapshotsInUse::refresh.
    frontier_.store(tid.value, std::memory_order_seq_cst);
    commits_.fetch_add(valid.size(), std::memory_order_relaxed);
    recent_.rotate(tid);
  }

  /// Validates a request and notes what it writes. False: it says why it may not be written, and nothing is noted.
  bool accept(CommitRequest& request, Tid tid) noexcept {
    std::size_t noted = recent_.noted_by_group();
    try {
      if (!validate(request)) return false;
      for (const ObjectWrite& object : request.objects_) recent_.note(object.oid, tid);
    } catch (...) {
      recent_.roll_back(noted);
      request.error_ = std::current_exception();
      return false;
    }
    request.tid_ = tid;
    return true;
  }

  /// Whether the request may be written; if not, it says why. It has been checked up to a frontier (invariant 4).
  bool validate(CommitRequest& request) {
    if (request.checked_ < recent_.since()) {
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

  // The leader's alone; leadership changes hands under queue_mutex_ or by a request's release and acquire.
  Tid last_tid_;
  RecentWrites recent_;

  alignas(64) std::atomic<std::uint64_t> frontier_;  // read by every begin: a line of its own
  alignas(64) std::mutex queue_mutex_;
  std::vector<CommitRequest*> queue_;
  bool led_ = false;
  std::mutex pin_mutex_;  // whose turn it is to pin: invariant 5
  std::atomic<std::uint64_t> commits_{0}, conflicts_{0};
};

}  // namespace cow::detail
