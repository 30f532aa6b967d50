// The committer: turns concurrent commits into groups, checks each for conflicts, makes the group durable in one step,
// publishes it and moves the frontier.
//
// Thread safety: `commit` may be called from any thread. One of the callers leads a group, the others wait for it.
//
// Invariants:
//  1. First committer wins: a transaction commits only if none of the objects that it changed has a revision above its
//     snapshot; a serializable one only if none of those that it read has.
//  2. Within a group: validate all, write all durably, publish all, then move the frontier once. Who begins sees a whole
//     group or nothing of it.
//  3. What the store refuses leaves no trace: the recent writes are rolled back, the frontier stays.
//  4. `recent_` knows the newest tid of every object written after `recent_since_`; older ones are in the store.
//  5. A state that a read log holds is its object's newest revision if nothing has set its `end`, it has not died, and
//     no transaction of this group writes the object: publishing sets the end of what the cache has, and only leaders
//     publish. What has died before (an eviction) may have been written since without its knowing: then invariant 4.
//
// Group commit: DeWitt et al., SIGMOD 1984; the hand-off of leadership follows LevelDB's writer queue.
#pragma once

#include <tsl/robin_map.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "detail/pause.hpp"
#include "errors.hpp"
#include "read_log.hpp"
#include "record.hpp"
#include "state_factory.hpp"
#include "store.hpp"
#include "write_set.hpp"

namespace cow {

/// One transaction's wish to commit, from encoding to outcome. Lives on the stack of the waiting thread.
class CommitRequest {
 public:
  /// Encodes the private states into records, outside of any lock. `reads`: of a serializable transaction; null of others.
  /// Throws what the codecs throw.
  CommitRequest(WriteSet& writes, Tid snapshot, const ReadLog* reads = nullptr)
      : writes_(writes), snapshot_(snapshot), reads_(reads) {
    std::vector<std::size_t> ends;
    ends.reserve(writes.size());
    for (const WriteSetEntry& entry : writes) {
      entry.state->operations->encode(*entry.state, records_);
      ends.push_back(records_.size());
    }
    objects_.reserve(writes.size());
    std::size_t start = 0;
    for (std::size_t i = 0; const WriteSetEntry& entry : writes) {
      std::size_t end = ends[i++];
      objects_.push_back({entry.oid, entry.erased, std::string_view(records_).substr(start, end - start)});
      weigh(*entry.state, end - start);
      start = end;
    }
  }

 private:
  friend class Committer;

  enum Progress : int { kWaiting, kLeading, kDone };

  WriteSet& writes_;
  Tid snapshot_;
  const ReadLog* reads_;  // its owner waits for the leader, so nothing is added meanwhile
  std::string records_;
  std::vector<ObjectWrite> objects_;
  Tid tid_{};
  std::exception_ptr error_;
  std::atomic<int> progress_{kWaiting};
};

class Committer {
 public:
  explicit Committer(Store& store)
      : store_(store), last_tid_(store.last_tid()), recent_since_(last_tid_), frontier_(last_tid_.value) {}

  /// The tid of the last published commit. Begins read it with acquire; that pairs with the release after publishing.
  const std::atomic<std::uint64_t>& frontier() const noexcept { return frontier_; }

  /// Commits: `cache.publish` runs on the leader's thread. The caller then ends the transaction and calls `cache.settle` with
  /// the write set. Throws ConflictError or what the store throws; the write set is untouched then. Returns the
  /// transaction's tid.
  template <class Cache>
  Tid commit(CommitRequest& request, Cache& cache) {
    if (lead_or_wait(request)) lead(request, cache);
    if (request.error_) std::rethrow_exception(request.error_);
    return request.tid_;
  }

  /// Takes over a transaction that was written to the store before anybody could begin.
  void adopt(Tid tid) noexcept {
    last_tid_ = recent_since_ = recent_rotated_at_ = tid;
    frontier_.store(tid.value, std::memory_order_seq_cst);
  }

  /// Bytes of the tables of recent writes.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t commits() const noexcept { return commits_.load(std::memory_order_relaxed); }
  std::uint64_t conflicts() const noexcept { return conflicts_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kRecentObjects = 1 << 15;
  static constexpr int kSpins = 256;  // some microseconds: an unsynced group takes not much longer
  static constexpr std::chrono::microseconds kLongestLead{50};

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
    // Acquire: pairs with the release of whoever finished the request or handed over to it.
    for (int spin = 0; spin < kSpins; ++spin) {
      if (int progress = request.progress_.load(std::memory_order_acquire); progress != CommitRequest::kWaiting) {
        return progress == CommitRequest::kLeading;
      }
      detail::pause();
    }
    request.progress_.wait(CommitRequest::kWaiting, std::memory_order_acquire);
    return request.progress_.load(std::memory_order_acquire) == CommitRequest::kLeading;
  }

  /// Commits groups, first the one that holds its own request, until nobody waits. Who waits may be asleep, and waking it
  /// to lead would cost more than a short group: with more threads than cores every commit would then wait for the
  /// scheduler. After kLongestLead, though, the next one leads: with a slow store a leader would never come back.
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
      if (next != nullptr) signal(*next, CommitRequest::kLeading);
      for (CommitRequest* request : group) {
        if (request != &own) signal(*request, CommitRequest::kDone);  // and is gone from then on
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

  template <class Cache>
  void run(const std::vector<CommitRequest*>& group, Cache& cache) noexcept {
    std::vector<CommitRequest*> valid;
    std::vector<TransactionWrite> writes;
    valid.reserve(group.size());  // what is noted, listed and numbered below must go together
    writes.reserve(group.size());
    undo_.clear();
    Tid tid = last_tid_;
    for (CommitRequest* request : group) {
      try {
        validate(*request);
      } catch (...) {
        request->error_ = std::current_exception();
        continue;
      }
      // From here on nothing may fail but for memory, which ends the program (noexcept): half a note would be a lie.
      request->tid_ = tid = Tid{tid.value + 1};
      for (const ObjectWrite& object : request->objects_) note_write(object.oid, tid);
      valid.push_back(request);
      writes.push_back({tid, request->objects_});
    }
    if (valid.empty()) return;
    try {
      store_.commit(writes);
    } catch (...) {
      roll_back_recent();
      for (CommitRequest* request : valid) request->error_ = std::current_exception();
      return;
    }
    last_tid_ = tid;
    for (CommitRequest* request : valid) cache.publish(request->writes_, request->tid_);
    // Seq_cst, and so release: pairs with the acquire in begin; the total order is for SharedCache::refresh_snapshots.
    frontier_.store(tid.value, std::memory_order_seq_cst);
    commits_.fetch_add(valid.size(), std::memory_order_relaxed);
    rotate_recent();
  }

  void validate(const CommitRequest& request) {
    std::vector<ConflictError::Conflict> conflicts;
    for (const WriteSetEntry& entry : request.writes_) {
      if (entry.created) continue;  // nobody else has ever heard of the oid
      Tid newest = newest_revision(entry.oid, request.snapshot_);
      if (newest > request.snapshot_) conflicts.push_back({entry.oid, entry.base, newest});
    }
    if (conflicts.empty() && request.reads_ != nullptr) validate_reads(*request.reads_, request.snapshot_, conflicts);
    if (conflicts.empty()) return;
    conflicts_.fetch_add(1, std::memory_order_relaxed);
    throw ConflictError(std::move(conflicts));
  }

  /// Invariant 5. One conflict is enough: a transaction may have read a million objects.
  void validate_reads(const ReadLog& reads, Tid snapshot, std::vector<ConflictError::Conflict>& conflicts) {
    reads.for_each([&](StateHandle handle) {
      // Relaxed throughout: what earlier leaders have published, and what was evicted before that, happened before this
      // thread became the leader.
      const StateHeader& state = *StateMemory::instance().state_of(handle);
      std::uint64_t key = state.key.load(std::memory_order_relaxed);
      Oid oid = oid_in(key);
      if (!conflicts.empty() || !oid) return;  // without an oid: a private state that was erased
      Tid newest = snapshot;
      if (state.end.load(std::memory_order_relaxed) != kInfinity.value || (key & kDeadMark) != 0) {
        newest = newest_revision(oid, snapshot);
      } else if (!undo_.empty()) {
        if (auto found = recent_.find(oid); found != recent_.end()) newest = found->second;
      }
      if (newest <= snapshot) return;
      conflicts.push_back({oid, Tid{state.begin.load(std::memory_order_relaxed)}, newest, false});
    });
  }

  /// The newest tid of an object, or any tid not above `snapshot` if it has not changed since.
  Tid newest_revision(Oid oid, Tid snapshot) {
    for (const Recent* recent : {&recent_, &less_recent_}) {
      if (auto found = recent->find(oid); found != recent->end()) return found->second;
    }
    if (snapshot >= recent_since_) return snapshot;
    std::optional<Revision> revision = store_.load(oid, kInfinity);
    return revision ? revision->begin : Tid{};
  }

  void note_write(Oid oid, Tid tid) {
    auto [found, fresh] = recent_.try_emplace(oid, tid);
    undo_.push_back({oid, fresh ? Tid{} : found->second});
    found.value() = tid;
  }

  void roll_back_recent() {
    for (; !undo_.empty(); undo_.pop_back()) {
      auto [oid, tid] = undo_.back();
      if (tid == Tid{}) {
        recent_.erase(oid);
      } else {
        recent_[oid] = tid;
      }
    }
  }

  /// Forgets the older half of the recent writes when there are many.
  void rotate_recent() {
    std::size_t buckets = recent_.bucket_count() + less_recent_.bucket_count();
    bytes_.store(buckets * kBucketBytes, std::memory_order_relaxed);  // a mere figure
    if (recent_.size() < kRecentObjects) return;
    less_recent_ = std::exchange(recent_, {});
    recent_since_ = std::exchange(recent_rotated_at_, last_tid_);
  }

  using Recent = tsl::robin_map<Oid, Tid>;
  static constexpr std::size_t kBucketBytes = sizeof(Recent::value_type) + 8;  // and the distance from home

  Store& store_;

  // The leader's alone; leadership changes hands under queue_mutex_ or by a request's release and acquire.
  Tid last_tid_;
  Recent recent_, less_recent_;
  Tid recent_since_, recent_rotated_at_ = recent_since_;
  std::vector<std::pair<Oid, Tid>> undo_;  // what this group has noted in `recent_`, and what stood there

  alignas(64) std::atomic<std::uint64_t> frontier_;  // read by every begin: a line of its own
  alignas(64) std::mutex queue_mutex_;
  std::vector<CommitRequest*> queue_;
  bool led_ = false;
  std::atomic<std::uint64_t> commits_{0}, conflicts_{0};
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace cow
