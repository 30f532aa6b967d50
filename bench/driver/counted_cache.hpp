// CountedCache: objects per session, without a limit, that count what is done with them. Never timed.
//
// Thread safety: as a private cache (bench/baselines/private_cache.hpp): a session is used by one thread at a time, sessions run at once.
// `start_counting` and `profile` are for when no transaction is active.
//
// Invariants:
//  1. [stamps] The first touch of a state in a transaction finds a stamp that is older than the transaction; every other one
//     does not. A load is a first touch.
//  2. [counted] Counts are of the sessions that are open at `profile` and have been opened since `start_counting`, and of the
//     commits since.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "bench/baselines/baseline.hpp"
#include "bench/baselines/in_place_reader.hpp"
#include "bench/baselines/invalidation_log.hpp"
#include "cow_cache/database.hpp"
#include "workload_profile.hpp"

namespace cow::bench {

using cow::detail::CacheTag;

class CountedObjects;

class CountedCache : public Baseline {
 public:
  using Reader = InPlaceReader<CountedObjects>;

  CountedCache(Store& store, const CacheOptions&, const std::atomic<std::uint64_t>& frontier)
      : store_(store), frontier_(frontier), log_(store.last_tid()) {}

  void publish(WriteSet& writes, Tid tid) noexcept {
    {
      std::scoped_lock lock(mutex_);
      ++commits_.writing;
      for (const WriteSetEntry& entry : writes) {
        ++(entry.created ? commits_.created : commits_.changed);
        commits_.written_bytes += entry.state->charge();
        if (!entry.created) ++writes_[entry.oid];
      }
    }
    publish_in_place(writes, tid);
    log_.append(writes, tid);
  }

  void evict_all() noexcept;
  void add_statistics(Statistics& statistics) const;
  std::size_t active_transactions() const {
    Statistics statistics;
    add_statistics(statistics);
    return statistics.active_transactions;
  }

  void start_counting() {
    std::scoped_lock lock(mutex_);
    commits_ = {};
    writes_.clear();
  }
  WorkloadProfile profile() const;

 private:
  friend CountedObjects;

  Store& store_;
  const std::atomic<std::uint64_t>& frontier_;
  InvalidationLog log_;
  mutable std::mutex mutex_;  // guards what follows
  std::unordered_set<CountedObjects*> objects_;
  std::unordered_map<Oid, std::uint64_t> writes_;
  AccessCounts commits_;  // what commits know of it
  std::uint64_t closed_loads_ = 0;
};

/// The objects of one session, or of one transaction without a session.
class CountedObjects {
 public:
  enum class Owner { session, transaction };

  static CountedObjects& of(CountedCache& cache) { return *new CountedObjects(cache, Owner::transaction); }
  static CountedObjects& of(CountedCache&, CountedObjects& kept) noexcept { return kept; }

  CountedObjects(CountedCache& cache, Owner owner)
      : cache_(cache), owner_(owner), snapshot_{cache.frontier_.load(std::memory_order_acquire)} {
    std::scoped_lock lock(cache_.mutex_);
    cache_.objects_.insert(this);
  }
  CountedObjects(const CountedObjects&) = delete;
  CountedObjects& operator=(const CountedObjects&) = delete;
  ~CountedObjects() {
    flush();
    std::scoped_lock lock(cache_.mutex_);
    cache_.objects_.erase(this);
    cache_.closed_loads_ += loads_.load(std::memory_order_relaxed);
  }

  Tid begin() {
    // Acquire: pairs with the committer's release, so the log has all commits up to here.
    const Tid now{cache_.frontier_.load(std::memory_order_acquire)};
    if (now != snapshot_) catch_up(now);
    started_ = ++clock_;
    ++counts_.transactions;
    active_.store(true, std::memory_order_relaxed);
    return now;
  }

  void end() noexcept {
    active_.store(false, std::memory_order_relaxed);
    if (owner_ == Owner::transaction) delete this;
  }

  const CacheTag& tag() const noexcept { return tag_; }

  void touch(StateHeader& state) noexcept {
    if (state.end.load(std::memory_order_relaxed) >= started_) {
      ++counts_.repeated_reads;
      return;
    }
    first_touch(state, objects_.find(state.oid())->second);
  }

  StateHeader* lookup(Oid oid) const {
    auto found = objects_.find(oid);
    return found == objects_.end() ? nullptr : found->second.state;
  }

  StateHeader& load(Oid oid, const TypeOperations& operations, Tid snapshot) {
    std::optional<Revision> revision = cache_.store_.load(oid, snapshot);
    loads_.fetch_add(1, std::memory_order_relaxed);
    if (!revision || revision->erased) throw DanglingReferenceError(oid, snapshot);
    StateHeader& state = cow::detail::decode_state(*revision, oid, operations);
    insert(state, oid);
    first_touch(state, objects_.find(oid)->second);
    return state;
  }

  /// Of a state that its transaction has made, too: reading it is no first read, for it need not be looked for.
  void insert(StateHeader& state, Oid oid) {
    Object* object = nullptr;
    try {
      object = &objects_[oid];
    } catch (...) {
      destroy_state(state);
      throw;
    }
    object->state = &state;
    state.end.store(++clock_, std::memory_order_relaxed);
    state.key.store(state.key_as(oid, tag_.bits()), std::memory_order_release);
  }

  void remove(StateHeader& state) noexcept {
    objects_.find(state.oid())->second.state = nullptr;
    state.key.store(state.private_key(), std::memory_order_relaxed);
  }

  void adjust_bytes(std::int64_t) noexcept {}
  void begin_change(Oid, Tid) noexcept {}

 private:
  friend CountedCache;

  struct Object {
    StateHeader* state = nullptr;
    std::uint64_t reads = 0, bytes = 0;
  };

  void first_touch(StateHeader& state, Object& object) noexcept {
    state.end.store(++clock_, std::memory_order_relaxed);
    ++counts_.first_reads;
    ++object.reads;
    object.bytes = std::max<std::uint64_t>(object.bytes, state.charge());
  }

  void catch_up(Tid now) {
    std::optional<std::vector<InvalidationLog::Change>> changes = cache_.log_.between(snapshot_, now);
    snapshot_ = now;
    if (!changes) return flush();
    for (const InvalidationLog::Change& change : *changes) {
      StateHeader* state = lookup(change.oid);
      if (state != nullptr && state->begin.load(std::memory_order_relaxed) < change.tid.value) drop(*state);
    }
  }

  void drop(StateHeader& state) noexcept {
    remove(state);
    destroy_state(state);
  }
  void flush() noexcept {
    for (auto& [oid, object] : objects_) {
      if (object.state != nullptr) drop(*object.state);
    }
  }

  CountedCache& cache_;
  const Owner owner_;
  const CacheTag tag_;
  Tid snapshot_;
  std::uint64_t clock_ = 0, started_ = 0;  // stamps: the latest, and that of this transaction's begin
  std::unordered_map<Oid, Object> objects_;
  AccessCounts counts_;
  std::atomic<std::uint64_t> loads_{0};
  std::atomic<bool> active_{false};
};

inline void CountedCache::evict_all() noexcept {
  std::scoped_lock lock(mutex_);
  for (CountedObjects* each : objects_) each->flush();
}

inline void CountedCache::add_statistics(Statistics& statistics) const {
  std::scoped_lock lock(mutex_);
  statistics.loads += closed_loads_;
  for (const CountedObjects* each : objects_) {
    statistics.loads += each->loads_.load(std::memory_order_relaxed);
    statistics.active_transactions += each->active_.load(std::memory_order_relaxed);
  }
}

inline WorkloadProfile CountedCache::profile() const {
  std::scoped_lock lock(mutex_);
  AccessCounts counts = commits_;
  std::unordered_map<Oid, ObjectCounts> by_oid;
  for (const CountedObjects* each : objects_) {
    counts += each->counts_;
    for (const auto& [oid, object] : each->objects_) {
      if (object.reads == 0) continue;
      ObjectCounts& sum = by_oid[oid];
      sum.reads += object.reads;
      sum.bytes = std::max(sum.bytes, object.bytes);
      ++sum.readers;
    }
  }
  WorkloadProfile profile(counts);
  for (auto& [oid, object] : by_oid) {
    if (auto written = writes_.find(oid); written != writes_.end()) object.writes = written->second;
    profile.add(object);
  }
  return profile;
}

using CountedDatabase = BasicDatabase<CountedCache>;

/// A session counts by itself.
template <std::derived_from<CountedDatabase> Database>
class Session<Database> {
 public:
  using Transaction = typename Database::Transaction;
  static constexpr bool kOwnsObjects = true;

  explicit Session(Database& database)
      : database_(&database),
        objects_(std::make_unique<CountedObjects>(cow::detail::cache_of<CountedCache>(database),
                                                  CountedObjects::Owner::session)) {}

  Transaction begin() { return cow::detail::begin_with<CountedCache>(*database_, *objects_); }

  template <class Body>
  auto transact(Body&& body, const RetryPolicy& policy = {}) {
    return cow::detail::transact_in_thread([this] { return begin(); }, body, policy);
  }

 private:
  Database* database_;
  std::unique_ptr<CountedObjects> objects_;
};

static_assert(ObjectDatabase<CountedDatabase>);

}  // namespace cow::bench
