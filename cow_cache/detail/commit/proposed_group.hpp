// What the leader of a group does where other processes commit to the store, too: it proposes the group to the engine behind it, and
// applies what others have committed.
//
// Thread safety: `run` is the leader's alone (committer.hpp), so what a poller applies queues up like a commit. Everything else may be
// called from any thread.
//
// Invariants:
//  1. [engine-decides] A commit is one because the engine has said so. What is refused here is known to conflict with something that is
//     committed.
//  2. [tids-in-order] The cache hears of commits, those of other processes and those of this one, in the order of their tids, each once, and
//     of none before all below it are known. The frontier is the last one that it has heard of. So a snapshot is a prefix of
//     the order that the engine has given.
//  3. [gap-ends-work] Where tids are not contiguous nothing further is applied or committed, and nothing begins: `require_whole`.
//  4. [nobody-else-meets-own] A commit of this process is applied as another's only if the leader could not publish it: from the proposal
//     until the publication it leads, and a poller waits.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "commit_request.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/shared.hpp"
#include "group_failure.hpp"
#include "recent_writes.hpp"

namespace cow::detail {

/// A cache that can be told what other processes have committed.
template <class Cache>
concept SupersedesObjects = requires(Cache& cache, std::span<const Oid> objects, Tid tid, StateChain& forgotten) {
  requires noexcept(cache.supersede(objects, tid));
  cache.forget_all(forgotten);
};

/// Names for attempts to commit: a number of 128 bits that was drawn once, and counted up.
class CommitTokens {
 public:
  CommitTokens() {
    std::random_device random;
    for (std::uint64_t* half : {&high_, &low_}) *half = std::uint64_t{random()} << 32 | random();
  }
  CommitToken next() noexcept {
    if (++low_ == 0) ++high_;
    CommitToken token;
    static_assert(sizeof(token) == 2 * sizeof(std::uint64_t));
    std::memcpy(token.data(), &high_, sizeof(high_));
    std::memcpy(token.data() + sizeof(high_), &low_, sizeof(low_));
    return token;
  }

 private:
  std::uint64_t high_ = 0, low_ = 0;
};

class ProposedGroup {
 public:
  /// The committer's.
  struct Parts {
    const StoreCapabilities& capabilities;
    RecentWrites& recent;
    Tid& last_tid;
    std::atomic<std::uint64_t>& frontier;
    std::atomic<std::uint64_t>& commits;
  };

  explicit ProposedGroup(const Parts& parts) : parts_(parts) {}

  /// What other processes have committed from one tid to another, a page of it. Throws TidGapError, and what the store throws.
  /// A page of them may be empty, and a gap may be, where a pack has gone beyond: `is_packed_beyond`.
  std::vector<TransactionInfo> remote(Tid from, Tid to) const {
    std::vector<TransactionInfo> page;
    try {
      page = parts_.capabilities.history->transactions(from, to, HistoryOrder::oldest_first, kPage);
    } catch (const StoreCorruptError& error) {
      throw TidGapError(Tid{from.value - 1}, error.what());
    }
    for (std::uint64_t expected = from.value; const TransactionInfo& transaction : page) {
      if (transaction.tid.value != expected) throw TidGapError(Tid{expected - 1}, transaction.tid);
      ++expected;
    }
    return page;
  }

  /// With fewer of them a page is the last one.
  static constexpr std::size_t kPage = 256;

  /// Proposes a group, and publishes what the engine has committed of it, with what others have committed before.
  template <class Cache>
  [[gnu::noinline]] void run(CommitRequest* group, Cache& cache) noexcept {
    Tid known = parts_.last_tid;
    try {
      proposals_.clear();
      proposed_.clear();
      for (CommitRequest* request = group; request != nullptr; request = request->next_) {
        if (request->engine_->is_news()) {
          learn(*request, cache);
        } else if (may_be_proposed(*request)) {
          proposed_.push_back(request);
          proposals_.push_back(
              {request->snapshot_, request->engine_->writes, request->engine_->reads, request->note_, tokens_.next()});
        }
      }
      move_frontier(known);
      if (proposals_.empty()) return;
      settled_.reserve(proposals_.size());  // before the engine has them: nothing can fail for want of memory any more
      outcomes_ = parts_.capabilities.shared->propose(proposals_);
      if (outcomes_.size() != proposals_.size())
        throw OutcomeUnknownError(parts_.last_tid, "the store has lost the outcomes of some proposals");
    } catch (...) {
      move_frontier(known);
      for (CommitRequest* request = group; request != nullptr; request = request->next_) {
        if (!request->engine_->is_news() && request->conflicts_.empty() && !request->error_)
          request->error_ = failure_for_one_of_group();
      }
      return;
    }
    settle(cache);
  }

  /// Whether the store may have forgotten what was committed after a tid.
  bool is_packed_beyond(Tid known) const noexcept { return parts_.capabilities.oldest_tid() > known; }

  /// Throws TidGapError, if one has ended the work of this database.
  void require_whole() const {
    // Acquire: pairs with the release in `end_work`.
    if (has_ended_.load(std::memory_order_acquire)) [[unlikely]]
      throw TidGapError(*end_);  // each thread has an exception of its own
  }

  /// Nothing begins or commits from now on. The first reason counts. Throws std::bad_alloc.
  void end_work(const TidGapError& reason) {
    const std::lock_guard lock(end_mutex_);
    if (end_) return;
    end_.emplace(reason);
    has_ended_.store(true, std::memory_order_release);
  }

  /// Commits of other processes that were applied.
  std::uint64_t applied() const noexcept { return applied_.load(std::memory_order_relaxed); }
  /// The greatest oid that one of these has written.
  Oid highest_oid() const noexcept { return Oid{highest_oid_.load(std::memory_order_relaxed)}; }

 private:
  static constexpr std::size_t kMaxReadsToLookUp = 64;  // some microseconds of the leader's time

  /// False: it says why not. What it conflicts with is known to be committed. Throws std::bad_alloc.
  bool may_be_proposed(CommitRequest& request) {
    require_whole();
    for (const ProposedWrite& write : request.engine_->writes) {
      const Tid newest = parts_.recent.newest(write.write.oid);
      if (newest > request.snapshot_) request.conflicts_.push_back({write.write.oid, write.base, newest});
    }
    if (request.engine_->reads.size() > kMaxReadsToLookUp) return request.conflicts_.empty();
    for (const ProposedRead& read : request.engine_->reads) {
      const Tid newest = parts_.recent.newest(read.oid);
      if (newest > request.snapshot_) request.conflicts_.push_back({read.oid, read.revision, newest, false});
    }
    return request.conflicts_.empty();
  }

  /// What the engine has said, for each request. Publishes in the order of tids.
  template <class Cache>
  void settle(Cache& cache) noexcept {
    const Tid known = parts_.last_tid;
    Tid wanted{};  // what is in the way of a request, so that who tries again sees it
    settled_.clear();
    for (std::size_t i = 0; i < outcomes_.size(); ++i) {
      CommitRequest& request = *proposed_[i];
      Outcome& outcome = outcomes_[i];
      if (outcome.kind == Outcome::Kind::committed) {
        request.tid_ = outcome.tid;
        settled_.push_back(&request);  // there is room
      } else if (outcome.kind == Outcome::Kind::conflict && !outcome.conflicts.empty()) {
        for (const ConflictError::Conflict& conflict : outcome.conflicts) wanted = std::max(wanted, conflict.current);
        request.conflicts_ = std::move(outcome.conflicts);
      } else {
        request.error_ = outcome.error != nullptr
                             ? std::move(outcome.error)
                             : std::make_exception_ptr(StoreError("the store says nothing of what it has refused"));
      }
    }
    std::sort(settled_.begin(), settled_.end(), [](const auto* a, const auto* b) { return a->tid_ < b->tid_; });
    std::exception_ptr behind;
    for (CommitRequest* request : settled_) {
      if (behind == nullptr) behind = learn_until(request->tid_, kTries, cache);
      if (behind == nullptr) {
        publish(*request, cache);
      } else {
        request->error_ = unseen(request->tid_, behind);
      }
    }
    if (behind == nullptr && wanted > parts_.last_tid && wanted < kInfinity)
      (void)learn_until(Tid{wanted.value + 1}, 1, cache);
    move_frontier(known);
    outcomes_.clear();
  }

  template <class Cache>
  [[gnu::noinline]] void publish(CommitRequest& request, Cache& cache) noexcept {
    parts_.recent.begin_group();
    for (const ObjectWrite& object : request.objects()) note(object.oid, request.tid_);
    cache.publish(request.writes_, request.tid_);
    request.accepted_ = true;
    parts_.last_tid = request.tid_;
    // Relaxed: a statistic, which the leader alone writes.
    parts_.commits.store(parts_.commits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  /// Applies all below a tid of this process. Null, or why that was not possible.
  template <class Cache>
  std::exception_ptr learn_until(Tid tid, int tries, Cache& cache) noexcept {
    for (auto pause = kFirstPause;; pause *= kPauseFactor) {
      try {
        if (tid <= parts_.last_tid) throw TidGapError(parts_.last_tid, tid);  // it was given to another one already
        while (parts_.last_tid.value + 1 < tid.value) {
          const auto page = remote(Tid{parts_.last_tid.value + 1}, Tid{tid.value - 1});
          if (page.empty()) throw TidGapError(parts_.last_tid, tid);
          for (const TransactionInfo& transaction : page) apply_one(transaction, cache);
        }
        return nullptr;
      } catch (const TidGapError& gap) {
        // Behind a pack the poller jumps; so it is not seen yet.
        return is_packed_beyond(parts_.last_tid) ? std::current_exception() : end_with(gap);
      } catch (...) {
        if (--tries <= 0) return std::current_exception();
      }
      std::this_thread::sleep_for(pause);  // all other commits wait, too: they would be behind as well
    }
  }

  /// What a poller has learned.
  template <class Cache>
  void learn(CommitRequest& request, Cache& cache) noexcept {
    try {
      require_whole();
      if (request.engine_->jump != nullptr) jump(*request.engine_->jump, cache);
      for (const TransactionInfo& transaction : request.engine_->remote) {
        if (transaction.tid <= parts_.last_tid) continue;
        if (transaction.tid.value != parts_.last_tid.value + 1) throw TidGapError(parts_.last_tid, transaction.tid);
        apply_one(transaction, cache);
      }
    } catch (const TidGapError& gap) {
      request.error_ = end_with(gap);
    } catch (...) {
      request.error_ = std::current_exception();
    }
  }

  /// Goes on at a tid whatever was committed up to that: nothing of the cache is known to be current any more. What was read of the store
  /// before is not installed, and all loads that begin from now on find what is committed up to that tid.
  template <class Cache>
  void jump(RemoteJump& jump, Cache& cache) {
    if (jump.to <= parts_.last_tid) return;
    cache.forget_all(jump.forgotten);
    parts_.recent.start_at(jump.to);
    parts_.last_tid = jump.to;
    jump.done = true;
  }

  std::exception_ptr end_with(const TidGapError& gap) noexcept {
    try {
      end_work(gap);
      return std::make_exception_ptr(gap);
    } catch (...) {
      return std::current_exception();
    }
  }

  /// REQUIRES: it is the next one.
  template <class Cache>
  void apply_one(const TransactionInfo& transaction, Cache& cache) noexcept {
    parts_.recent.begin_group();
    std::uint64_t highest = highest_oid_.load(std::memory_order_relaxed);
    for (const Oid oid : transaction.objects) {
      note(oid, transaction.tid);
      highest = std::max(highest, oid.value);
    }
    cache.supersede(transaction.objects, transaction.tid);
    parts_.last_tid = transaction.tid;
    // Relaxed, both: statistics, and what saves questions. The leader alone writes them.
    highest_oid_.store(highest, std::memory_order_relaxed);
    applied_.store(applied_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  /// Without memory for it all is forgotten: then more is left to the engine.
  void note(Oid oid, Tid tid) noexcept {
    try {
      parts_.recent.note(oid, tid);
    } catch (const std::bad_alloc&) {
      parts_.recent.start_at(tid);
    }
  }

  /// After what `known` was the last of: all of this was applied and published.
  [[gnu::noinline]] void move_frontier(Tid known) noexcept {
    if (parts_.last_tid == known) return;
    // Release: pairs with the acquire in begin, as in Committer::run.
    parts_.frontier.store(parts_.last_tid.value, std::memory_order_release);
    parts_.recent.rotate(parts_.last_tid);
  }

  std::exception_ptr unseen(Tid tid, const std::exception_ptr& why) const noexcept {
    return std::make_exception_ptr(CommittedUnseenError(tid, parts_.last_tid, why));
  }

  static constexpr int kTries = 3;
  static constexpr std::chrono::milliseconds kFirstPause{5};
  static constexpr int kPauseFactor = 10;

  // The leader's alone.
  const Parts parts_;
  CommitTokens tokens_;
  std::vector<Proposal> proposals_;
  std::vector<CommitRequest*> proposed_;  // the request of each
  std::vector<Outcome> outcomes_;
  std::vector<CommitRequest*> settled_;  // those that are committed

  std::atomic<std::uint64_t> applied_{0}, highest_oid_{0};
  std::mutex end_mutex_;
  std::optional<TidGapError> end_;                  // written once, under the mutex, before `has_ended_`
  alignas(64) std::atomic<bool> has_ended_{false};  // read by every begin, written once: a line of its own
};

}  // namespace cow::detail
