// PrivateCache: every session has a cache of its own, as ZODB's connections have. The baseline to beat, so it is tuned.
//
// Thread safety: a session and its transactions are used by one thread at a time; sessions run at once. `publish` is
// called by one committer at a time. Transactions of no session may begin in any thread.
//
// Invariants:
//  1. Swizzled pointers. References inside a session's objects point straight at that session's states. Each session
//     tags its keys, and state memory is type-stable, so a hint of another session, or of a state that has gone, fails
//     the one comparison that a hit consists of. No log, no interval, no read-modify-write; what a hit writes is its
//     own.
//  2. Between transactions every state of a session is the revision visible at `snapshot_`. A begin applies the
//     invalidations of the commits since; beyond the reach of their log it empties the cache. Loads read at the
//     snapshot.
//  3. Budget. `CacheOptions::cache_bytes` is *per session* here. It is enforced between transactions only, so that
//     references stay valid: a transaction may read more than the budget and holds it until it ends.
//  4. A transaction of no session is lent objects that no other transaction uses, as ZODB's pool lends connections: those that
//     were given back last, for they are the warmest. There are as many as such transactions ever ran at once.
//  5. Replacement is exact LRU in the order of first touches in each transaction (PrivateObjects::make_room).
//  6. What other processes commit goes into the log as well, in the order of tids. A store below that remembers records hears of it at once
//     (RemembersRecords), before the frontier is there.
//
// The header's fields serve as: `end`: the LRU stamp; `older`: the mark of a changed state (in_place_reader.hpp);
// `begin`: the revision. Stamps instead of the usual ring of links, for a ring costs two cache misses more per first
// touch: those of the neighbours. All that a touch writes is on the line that it has just read.
#pragma once

#include <tsl/robin_map.h>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "baseline.hpp"
#include "cow_cache/database.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "in_place_reader.hpp"
#include "invalidation_log.hpp"

namespace cow::bench {

using cow::detail::CacheTag;
using cow::detail::decode_state;
using cow::detail::destroy_state;
using cow::detail::StateHeader;
using cow::detail::TypeOperations;
using cow::detail::WriteSet;

/// A session was asked for a second transaction while its first one is active: there is one set of objects only.
class SessionBusyError : public Error {
 public:
  SessionBusyError() : Error("the session of a private cache has an active transaction already") {}
};

/// A figure that one thread at a time changes and any thread reads.
class OwnedCounter {
 public:
  void add(std::int64_t difference) noexcept { set(get() + static_cast<std::uint64_t>(difference)); }
  void set(std::uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// What a store is besides that remembers records of another one: the leader of commits tells it what other processes have changed, before
/// any snapshot sees that.
class RemembersRecords {
 public:
  virtual void supersede(std::span<const Oid> objects, Tid tid) noexcept = 0;
  /// Commits were missed: no record that was read before is known to be current.
  virtual void distrust_all() noexcept = 0;

 protected:
  ~RemembersRecords() = default;
};

class PrivateObjects;

class PrivateCache : public Baseline {
 public:
  using Reader = InPlaceReader<PrivateObjects>;

  PrivateCache(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier)
      : store_(store),
        below_(dynamic_cast<RemembersRecords*>(&store)),
        frontier_(frontier),
        session_bytes_(options.cache_bytes),
        log_(store.last_tid()) {}

  PrivateCache(const PrivateCache&) = delete;
  PrivateCache& operator=(const PrivateCache&) = delete;

  ~PrivateCache() {
    close_idle();
    if (objects_.empty()) return;
    std::fputs("cow::bench::PrivateCache destroyed while one of its sessions is open\n", stderr);
    std::terminate();
  }

  void publish(WriteSet& writes, Tid tid) noexcept {
    publish_in_place(writes, tid);
    log_.append(writes, tid);
  }

  /// Another process has committed `tid`, which has changed these objects. REQUIRES: as `publish`.
  void supersede(std::span<const Oid> objects, Tid tid) noexcept {
    if (below_ != nullptr) below_->supersede(objects, tid);
    log_.append(objects, tid);
  }
  /// Commits of others were missed. Sessions drop their objects themselves, when they begin. REQUIRES: as `publish`.
  void forget_all(cow::detail::StateChain& /*forgotten*/) noexcept {
    if (below_ != nullptr) below_->distrust_all();
    log_.break_off();
  }
  void retire_forgotten(cow::detail::StateChain& /*forgotten*/) noexcept {}
  void work_off() noexcept {}  // a session works off the log when it begins
  /// That of active transactions, or the frontier.
  Tid oldest_snapshot() const;

  /// Cold caches. REQUIRES: no transaction is active, and none begins.
  void evict_all() noexcept;

  void add_statistics(Statistics& statistics) const;
  std::size_t active_transactions() const;

 private:
  friend PrivateObjects;

  Store& store_;
  RemembersRecords* const below_;  // the same; null: it remembers nothing
  const std::atomic<std::uint64_t>& frontier_;
  const std::size_t session_bytes_;
  InvalidationLog log_;

  PrivateObjects& lend();
  void give_back(PrivateObjects& objects) noexcept;
  void close_idle() noexcept;

  mutable std::mutex objects_mutex_;
  std::unordered_set<PrivateObjects*> objects_;            // of sessions, and those that are lent
  std::uint64_t closed_loads_ = 0, closed_evictions_ = 0;  // of sessions that have closed
  std::mutex idle_mutex_;
  PrivateObjects* idle_ = nullptr;  // a list of those that could be lent
};

/// The objects of one session: the home of its transactions.
class PrivateObjects {
 public:
  static PrivateObjects& of(PrivateCache& cache) { return cache.lend(); }
  static PrivateObjects& of(PrivateCache&, PrivateObjects& kept) noexcept { return kept; }

  /// Who has them in the end.
  enum class Owner { session, pool };

  PrivateObjects(PrivateCache& cache, Owner owner)
      : cache_(cache), owner_(owner), snapshot_(cache.frontier_.load(std::memory_order_acquire)) {
    std::scoped_lock lock(cache_.objects_mutex_);
    cache_.objects_.insert(this);
  }

  /// The session has ended; its active transaction may go on and then takes the objects with it.
  void close() noexcept {
    if (active_.load(std::memory_order_relaxed)) {
      orphaned_ = true;
    } else {
      delete this;
    }
  }

  Tid begin() {
    if (active_.load(std::memory_order_relaxed)) throw SessionBusyError();
    // Acquire: pairs with the committer's release, so the log has all commits up to here.
    Tid now{cache_.frontier_.load(std::memory_order_acquire)};
    try {
      if (now != snapshot()) catch_up(now);
    } catch (...) {
      if (owner_ == Owner::pool) cache_.give_back(*this);
      throw;
    }
    started_ = ++clock_;
    active_.store(true, std::memory_order_relaxed);
    return now;
  }

  void end() noexcept {
    active_.store(false, std::memory_order_relaxed);
    if (orphaned_) {
      delete this;
      return;
    }
    if (bytes_.get() > cache_.session_bytes_) make_room();
    if (owner_ == Owner::pool) cache_.give_back(*this);
  }

  const CacheTag& tag() const noexcept { return tag_; }

  void touch(StateHeader& state) noexcept {
    if (state.end.load(std::memory_order_relaxed) < started_) state.end.store(++clock_, std::memory_order_relaxed);
  }

  StateHeader* lookup(Oid oid) const {
    auto found = objects_.find(oid);
    return found == objects_.end() ? nullptr : found->second;
  }

  StateHeader& load(Oid oid, const TypeOperations& operations, Tid snapshot) {
    std::optional<Revision> revision = cache_.store_.load(oid, snapshot);
    loads_.add(1);
    if (!revision || revision->erased) throw DanglingReferenceError(oid, snapshot);
    StateHeader& state = decode_state(*revision, oid, operations);
    insert(state, oid);
    return state;
  }

  void insert(StateHeader& state, Oid oid) {
    try {
      objects_.emplace(oid, &state);
    } catch (...) {
      destroy_state(state);
      throw;
    }
    table_bytes_.set(objects_.bucket_count() * kBucketBytes);
    state.end.store(++clock_, std::memory_order_relaxed);
    state.key.store(state.key_as(oid, tag_.bits()), std::memory_order_release);
    bytes_.add(static_cast<std::int64_t>(state.charge()));
  }

  void remove(StateHeader& state) noexcept {
    objects_.erase(state.oid());
    // Relaxed: nobody else trusts a key with this tag.
    state.key.store(state.private_key(), std::memory_order_relaxed);
    bytes_.add(-static_cast<std::int64_t>(state.charge()));
  }

  void adjust_bytes(std::int64_t difference) noexcept { bytes_.add(difference); }
  void begin_change(Oid, Tid) noexcept {}

 private:
  friend PrivateCache;

  struct Victim {
    StateHeader* state;
    std::uint64_t stamp;
  };

  static constexpr std::size_t kBucketBytes = 24;  // of tsl::robin_map: oid, pointer, distance
  static constexpr std::size_t kMinVictims = 64;

  ~PrivateObjects() {
    flush();
    std::scoped_lock lock(cache_.objects_mutex_);
    cache_.objects_.erase(this);
    cache_.closed_loads_ += loads_.get();
    cache_.closed_evictions_ += evictions_.get();
  }

  Tid snapshot() const noexcept { return Tid{snapshot_.load(std::memory_order_relaxed)}; }

  /// Drops what other sessions have changed since the last transaction.
  void catch_up(Tid now) {
    std::optional<std::vector<InvalidationLog::Change>> changes = cache_.log_.between(snapshot(), now);
    snapshot_.store(now.value, std::memory_order_relaxed);
    if (!changes) return flush();
    for (const InvalidationLog::Change& change : *changes) {
      StateHeader* state = lookup(change.oid);
      // A state that is as new as the change is this session's own commit.
      if (state != nullptr && state->begin.load(std::memory_order_relaxed) < change.tid.value) drop(*state);
    }
  }

  /// Evicts the least recently touched until the budget is kept. `victims_` has the oldest states as of some time,
  /// oldest last; any other state is younger than all of them, and one that was touched since has another stamp. So the
  /// last valid victim is the oldest of all, and the price of order is paid per eighth of the cache, not per touch.
  void make_room() noexcept {
    while (bytes_.get() > cache_.session_bytes_ && !objects_.empty()) {
      if (victims_.empty()) choose_victims();
      if (victims_.empty()) return;
      Victim victim = victims_.back();
      victims_.pop_back();
      // Its slot may have died, or be another session's by now: the tag is asked before the stamp.
      if (!tag_.owns(victim.state->key.load(std::memory_order_relaxed))) continue;
      if (victim.state->end.load(std::memory_order_relaxed) != victim.stamp) continue;
      drop(*victim.state);
      evictions_.add(1);
    }
  }

  void choose_victims() noexcept {
    try {
      victims_.reserve(objects_.size());
    } catch (...) {
      return flush();  // no memory to choose with, so all of it goes
    }
    for (const auto& [oid, state] : objects_) victims_.push_back({state, state->end.load(std::memory_order_relaxed)});
    std::size_t wanted = std::min(victims_.size(), std::max(kMinVictims, victims_.size() / 8));
    auto older = [](const Victim& a, const Victim& b) { return a.stamp < b.stamp; };
    auto last_wanted = victims_.begin() + static_cast<std::ptrdiff_t>(wanted) - 1;
    std::nth_element(victims_.begin(), last_wanted, victims_.end(), older);
    victims_.resize(wanted);
    victims_.shrink_to_fit();
    std::sort(victims_.rbegin(), victims_.rend(), older);
  }

  void drop(StateHeader& state) noexcept {
    remove(state);
    destroy_state(state);
  }

  void flush() noexcept {
    for (const auto& [oid, state] : objects_) {
      state->key.store(state->private_key(), std::memory_order_relaxed);
      destroy_state(*state);
    }
    objects_.clear();
    victims_.clear();
    bytes_.set(0);
  }

  PrivateCache& cache_;
  const Owner owner_;
  PrivateObjects* next_idle_ = nullptr;  // under the cache's idle_mutex_
  const CacheTag tag_;
  std::uint64_t clock_ = 0, started_ = 0;  // stamps: the latest, and the first of this transaction
  tsl::robin_map<Oid, StateHeader*> objects_;
  std::vector<Victim> victims_;
  std::atomic<std::uint64_t> snapshot_;  // changed by the session's thread only, as `active_`
  bool orphaned_ = false;
  std::atomic<bool> active_{false};
  OwnedCounter bytes_, table_bytes_, loads_, evictions_;
};

inline PrivateObjects& PrivateCache::lend() {
  {
    std::scoped_lock lock(idle_mutex_);
    if (idle_ != nullptr) return *std::exchange(idle_, idle_->next_idle_);
  }
  return *new PrivateObjects(*this, PrivateObjects::Owner::pool);
}

inline void PrivateCache::give_back(PrivateObjects& objects) noexcept {
  std::scoped_lock lock(idle_mutex_);
  objects.next_idle_ = std::exchange(idle_, &objects);
}

inline void PrivateCache::close_idle() noexcept {
  while (idle_ != nullptr) std::exchange(idle_, idle_->next_idle_)->close();
}

inline void PrivateCache::evict_all() noexcept {
  std::scoped_lock lock(objects_mutex_);
  for (PrivateObjects* each : objects_) each->flush();
}

// Relaxed: a session that begins just now is as old as the frontier of a moment ago, which the poller allows for (poller.hpp, [held]).
inline Tid PrivateCache::oldest_snapshot() const {
  std::scoped_lock lock(objects_mutex_);
  std::uint64_t oldest = frontier_.load(std::memory_order_acquire);
  for (const PrivateObjects* each : objects_) {
    if (each->active_.load(std::memory_order_relaxed)) oldest = std::min(oldest, each->snapshot().value);
  }
  return Tid{oldest};
}

inline void PrivateCache::add_statistics(Statistics& statistics) const {
  std::scoped_lock lock(objects_mutex_);
  statistics.loads += closed_loads_;
  statistics.evictions += closed_evictions_;
  statistics.table_bytes += log_.bytes();
  for (const PrivateObjects* each : objects_) {
    statistics.cache_bytes += each->bytes_.get();
    statistics.table_bytes += each->table_bytes_.get();
    statistics.loads += each->loads_.get();
    statistics.evictions += each->evictions_.get();
    statistics.active_transactions += each->active_.load(std::memory_order_relaxed);
  }
}

inline std::size_t PrivateCache::active_transactions() const {
  Statistics statistics;
  add_statistics(statistics);
  return statistics.active_transactions;
}

/// A session over private caches owns its objects.
template <std::derived_from<BasicDatabase<PrivateCache>> Database>
class Session<Database> {
 public:
  using Transaction = typename Database::Transaction;
  static constexpr bool kOwnsObjects = true;

  explicit Session(Database& database)
      : database_(&database),
        objects_(new PrivateObjects(cow::detail::cache_of<PrivateCache>(database), PrivateObjects::Owner::session)) {}

  /// Throws SessionBusyError, std::bad_alloc.
  Transaction begin() { return cow::detail::begin_with<PrivateCache>(*database_, *objects_); }

  template <class Body>
  auto transact(Body&& body, const RetryPolicy& policy = {}) {
    return cow::detail::transact_in_thread([this] { return begin(); }, body, policy);
  }

 private:
  struct Closer {
    void operator()(PrivateObjects* objects) const noexcept { objects->close(); }
  };

  Database* database_;
  std::unique_ptr<PrivateObjects, Closer> objects_;
};

static_assert(ObjectDatabase<BasicDatabase<PrivateCache>>);

}  // namespace cow::bench
