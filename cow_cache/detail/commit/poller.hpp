// The poller: a thread that learns what other processes commit to the store, so that the frontier follows; and all else that a database
// does about them.
//
// Thread safety: every function may be called from any thread, construction and destruction apart.
//
// Invariants:
//  1. What was learned is applied by the leader of commits (proposed_group.hpp, [tids-in-order]). Any thread may learn; what two have
//     learned is applied once.
//  2. [staleness-bounded] `fresh_` is a time by which the frontier was all that was committed: when the store was asked for what comes
//     after it, noted once all of that was applied. When `max_staleness` has passed since, nothing begins. A thread that waits for an
//     answer, or catches up, does not count as one that has it: the clock is looked at by those who begin.
//  3. [held] The store is told the oldest snapshot in use, and never one above the frontier of one round before: a transaction that has
//     read the frontier, and has not announced itself yet, is as old as that at most, unless it was stopped for a whole round.
//     Then its loads are refused by the store, which knows what it has packed.
//  4. Where a pack has gone beyond the frontier, what was committed is not known any more. The cache is emptied then, and the frontier jumps to
//     the last commit: that loses time, and no transaction sees anything wrong.
//  5. A leader learns all below the tids of its group. So a thread that was woken by commits of this process alone has nothing to learn,
//     and rests for some milliseconds before it lets itself be woken again.
//  6. Errors stay within the thread: they are kept to be looked at, and it tries again. Values are destroyed by it, too.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "committer.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/options.hpp"
#include "cow_cache/peer_status.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/capabilities.hpp"

namespace cow::detail {

template <class Cache>
class Poller {
 public:
  /// All of these outlive it. Throws std::system_error, what the store throws. REQUIRES: what is committed is proposed.
  Poller(Store& store, const StoreCapabilities& capabilities, Committer& committer, Cache& cache,
         const PeerOptions& options)
      : store_(store),
        capabilities_(capabilities),
        shared_(*capabilities.shared),
        committer_(committer),
        cache_(cache),
        options_(options) {
    const std::int64_t asked = now();
    try {
      hold(frontier());                           // nothing has begun
    } catch (const SnapshotTooOldError& error) {  // others have committed since it was read, and packed
      hold(error.oldest);
      jump();
    }
    note_fresh(asked);
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  /// Waits for a poll that is under way.
  ~Poller() = default;

  /// Before a transaction begins. Throws StaleFrontierError, TidGapError.
  void require_fresh() const {
    committer_.proposed()->require_whole();
    if (now() - fresh_.load(std::memory_order_relaxed) > in_ns(options_.max_staleness)) [[unlikely]]
      refuse();
  }

  /// Learns what is committed, until the frontier has reached `tid`; for `longest` at most. False: it has not. Throws what the store
  /// throws, TidGapError.
  bool sync(Tid tid, std::chrono::milliseconds longest) {
    const auto began = std::chrono::steady_clock::now();
    for (;;) {
      const auto left = [&] {
        const auto waited = std::chrono::steady_clock::now() - began;
        return longest - std::chrono::duration_cast<std::chrono::milliseconds>(waited);
      };
      constexpr std::chrono::milliseconds kNone{0};
      learn(tid, [&] { return left() > kNone; });
      if (frontier() >= tid) return true;
      const auto rest = left();
      if (rest <= kNone) return false;
      (void)shared_.wait_beyond(frontier(), std::min(rest, options_.poll_every));
    }
  }

  /// A pack of this process goes as far as `oldest`, which is not above any snapshot in use. Throws what the store throws.
  void hold(Tid oldest) {
    const std::lock_guard lock(hold_mutex_);
    hold_locked(oldest);
  }

  /// A transaction that reads the past has announced its snapshot. Throws SnapshotTooOldError, and what the store throws.
  void hold_also(Tid snapshot) {
    const std::lock_guard lock(hold_mutex_);
    if (snapshot.value < held_.load(std::memory_order_relaxed)) hold_locked(snapshot);
  }

  PeerStatus status() const {
    PeerStatus status;
    status.has_peers = true;
    status.frontier = frontier();
    status.since_last_poll = std::chrono::milliseconds((now() - fresh_.load(std::memory_order_relaxed)) / 1'000'000);
    status.remote_commits = committer_.proposed()->applied();
    const std::lock_guard lock(mutex_);
    status.polls = polls_;
    status.failures = failures_;
    status.jumps = jumps_;
    status.error = error_;
    status.held = Tid{held_.load(std::memory_order_relaxed)};
    return status;
  }

 private:
  static constexpr std::chrono::milliseconds kFirstPause{10}, kLongestPause{1000};
  static constexpr std::chrono::milliseconds kFirstOwnPause{1}, kLongestOwnPause{5};

  // The coarse clock costs some nanoseconds, and is right to some milliseconds. One that stands while the machine sleeps will do: the
  // store's lease is what counts then.
  static std::int64_t now() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }
  static std::int64_t in_ns(std::chrono::milliseconds time) noexcept {
    constexpr std::chrono::milliseconds kMost = std::chrono::hours(24 * 365 * 100);
    return std::chrono::nanoseconds(std::min(time, kMost)).count();
  }

  Tid frontier() const noexcept { return Tid{committer_.frontier().load(std::memory_order_acquire)}; }

  /// Several threads may; what a slow one says late costs the next poll's time.
  void note_fresh(std::int64_t asked) noexcept { fresh_.store(asked, std::memory_order_relaxed); }

  [[noreturn, gnu::cold, gnu::noinline]] void refuse() const {
    std::exception_ptr error;
    {
      const std::lock_guard lock(mutex_);
      error = error_;
    }
    throw StaleFrontierError(frontier(),
                             "what was committed since was not learned for longer than " +
                                 std::to_string(options_.max_staleness.count()) + " ms",
                             error);
  }

  void run(const std::stop_token& stop) {
    auto pause = kFirstPause;
    auto own_pause = kFirstOwnPause;
    while (!stop.stop_requested()) {
      try {
        const bool own = poll(stop);
        {
          const std::lock_guard lock(mutex_);
          ++polls_;
          error_ = nullptr;
        }
        pause = kFirstPause;
        if (own) rest(stop, std::min(own_pause, options_.poll_every));
        own_pause = own ? std::min(2 * own_pause, kLongestOwnPause) : kFirstOwnPause;
        continue;
      } catch (...) {
        const std::lock_guard lock(mutex_);
        ++failures_;
        error_ = std::current_exception();
      }
      rest(stop, pause);
      pause = std::min(2 * pause, kLongestPause);
    }
  }

  /// True: it has waited for others, and was woken by this process (invariant 5).
  bool poll(const std::stop_token& stop) {
    const Tid seen = frontier();
    const std::int64_t asked = now();
    const Tid last = wait_beyond(seen);
    if (last < seen) {
      committer_.proposed()->end_work(TidGapError(seen, last));
      throw TidGapError(seen, last);
    }
    const std::uint64_t applied = committer_.proposed()->applied();
    Tid known;
    do {
      known = frontier();
      learn(last, [] { return false; });
      renew_hold();  // also while there is much to learn
      cache_.work_off();
      if (stop.stop_requested()) return false;
    } while (frontier() < last && frontier() > known);
    if (frontier() < last)
      throw StoreError("tid " + std::to_string(last.value) + " is committed, and the store's history ends before it");
    note_fresh(asked);
    return last > seen && committer_.proposed()->applied() == applied;
  }

  Tid wait_beyond(Tid seen) {
    try {
      return shared_.wait_beyond(seen, options_.poll_every);
    } catch (const StoreBehindError& error) {  // it has another history than the cache
      committer_.proposed()->end_work(TidGapError(error.seen, error.last));
      throw;
    }
  }

  /// Learns what is committed up to a tid, or more: page after page while `goes_on()`, until the frontier has reached it or there is no more.
  template <class GoesOn>
  void learn(Tid until, GoesOn goes_on) {
    ProposedGroup& proposed = *committer_.proposed();
    while (frontier() < until) {
      const Tid known = frontier();
      const std::int64_t asked = now();
      std::vector<TransactionInfo> page;
      try {
        page = proposed.remote(Tid{known.value + 1}, kInfinity);
      } catch (const TidGapError& gap) {
        if (!proposed.is_packed_beyond(known)) {
          proposed.end_work(gap);
          throw;
        }
        page.clear();
      }
      if (!page.empty()) {
        committer_.apply(page, nullptr, cache_);
        if (page.size() < ProposedGroup::kPage) note_fresh(asked);
      } else if (proposed.is_packed_beyond(known)) {
        jump();
      } else {
        return;
      }
      if (!goes_on()) return;
    }
  }

  /// Invariant 4.
  void jump() {
    RemoteJump jump{store_.last_tid(), false, {}};
    committer_.apply({}, &jump, cache_);
    cache_.retire_forgotten(jump.forgotten);
    if (!jump.done) return;
    const std::lock_guard lock(mutex_);
    ++jumps_;
  }

  /// Invariant 3.
  void renew_hold() {
    const std::int64_t time = now();
    if (time - renewed_ < in_ns(options_.hold_every)) return;
    const std::lock_guard lock(hold_mutex_);
    const Tid frontier_of_before = std::exchange(frontier_at_hold_, frontier());
    const Tid in_use = cache_.oldest_snapshot();
    Tid oldest = frontier_of_before == Tid{} ? in_use : std::min(in_use, frontier_of_before);
    // What this process itself has packed since is not asked for again.
    oldest = std::max(oldest, std::min(in_use, capabilities_.oldest_tid()));
    renewed_ = time;
    try {
      hold_locked(oldest);
    } catch (const SnapshotTooOldError& error) {  // the lease had ended: what is left is held
      hold_locked(error.oldest);
      throw;
    }
  }

  /// REQUIRES: hold_mutex_.
  void hold_locked(Tid oldest) {
    shared_.hold(oldest);
    held_.store(oldest.value, std::memory_order_relaxed);
  }

  void rest(const std::stop_token& stop, std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    (void)wake_.wait_for(lock, stop, time, [] { return false; });
  }

  Store& store_;
  const StoreCapabilities& capabilities_;
  SharedStore& shared_;
  Committer& committer_;
  Cache& cache_;
  const PeerOptions options_;

  std::atomic<std::int64_t> fresh_{0};  // invariant 2; relaxed: it is of a clock
  std::atomic<std::uint64_t> held_{0};
  std::mutex hold_mutex_;
  Tid frontier_at_hold_{};        // guarded by hold_mutex_
  std::int64_t renewed_ = now();  // the thread's

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::uint64_t polls_ = 0, failures_ = 0, jumps_ = 0;  // guarded by mutex_, as the next
  std::exception_ptr error_;
  std::jthread thread_;  // last: it ends first
};

}  // namespace cow::detail
