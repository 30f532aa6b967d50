// LockedCache: one copy of every object for all transactions of a process, the way one would write it without the
// shared cache's machinery: a concurrent hash map of shared pointers.
//
// Thread safety: all functions may be called from any thread. A `Reader` belongs to one transaction and is used by one
// thread at a time.
//
// Invariants:
//  1. The map holds the current revision of an object or none (BoundedMap, invariant 1). A commit replaces it before
//     the frontier moves, so what it holds is visible to every snapshot that is not below its `begin`; an older
//     snapshot loads the revision that it wants from the store, for itself.
//  2. A transaction holds a shared pointer to all that it has read, by oid. So references stay valid whatever is
//     evicted, and a repeated read costs one lookup in its own map; the first one costs a lock and a reference count as
//     well.
//  3. Writes go to a clone; a commit makes it the current revision.
//  4. The budget covers what the map holds; superseded and evicted states live on while a transaction holds them.
#pragma once

#include <tsl/robin_map.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "baseline.hpp"
#include "bounded_map.hpp"
#include "cow_cache/database.hpp"
#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/record/decode.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"

namespace cow::bench {

using cow::detail::add_write;
using cow::detail::check_type;
using cow::detail::clone_state;
using cow::detail::decode_state;
using cow::detail::destroy_state;
using cow::detail::erased_operations;
using cow::detail::find_own_write;
using cow::detail::new_state;
using cow::detail::new_tombstone;
using cow::detail::StateHeader;
using cow::detail::type_operations;
using cow::detail::TypeOperations;
using cow::detail::value_of;
using cow::detail::WriteSet;
using cow::detail::WriteSetEntry;

/// A state that the last of its holders destroys.
using SharedState = std::shared_ptr<StateHeader>;

inline SharedState share(StateHeader& state) {
  return SharedState(&state, [](StateHeader* last) { destroy_state(*last); });
}

/// The slot's bytes, the heap members and the control block.
inline std::size_t weigh_shared(const SharedState& state) noexcept {
  constexpr std::size_t kControlBlock = 32;
  return state->charge() + kControlBlock;
}

class LockedCache : public Baseline {
 public:
  class Reader;

  LockedCache(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier)
      : store_(store), frontier_(frontier), current_(options.cache_bytes) {}

  LockedCache(const LockedCache&) = delete;
  LockedCache& operator=(const LockedCache&) = delete;

  void publish(WriteSet& writes, Tid tid) noexcept {
    for (WriteSetEntry& entry : writes) {
      entry.state->begin.store(tid.value, std::memory_order_relaxed);  // published by the entry's lock
      current_.put(entry.oid, [&] { return share(*entry.state); });
    }
  }

  void add_statistics(Statistics& statistics) const {
    statistics.cache_bytes += current_.bytes();
    statistics.table_bytes += current_.table_bytes();
    statistics.evictions += current_.evictions();
    statistics.active_transactions += active_transactions();
    statistics.loads += loads_.load(std::memory_order_relaxed);
    statistics.old_loads += old_loads_.load(std::memory_order_relaxed);
  }

  std::size_t active_transactions() const noexcept { return active_.load(std::memory_order_relaxed); }

  /// A cold cache. REQUIRES: no transaction is active.
  void evict_all() { current_.clear(); }

 private:
  /// The state that a snapshot sees; null: the object did not exist. Tombstones are states, too.
  SharedState find(Oid oid, const TypeOperations& operations, Tid snapshot) {
    std::optional<SharedState> current = current_.get(oid, [&] { return load(oid, operations, kInfinity, loads_); });
    if (!current) return nullptr;
    if ((*current)->begin.load(std::memory_order_relaxed) <= snapshot.value) return *std::move(current);
    return load(oid, operations, snapshot, old_loads_).value_or(nullptr);
  }

  std::optional<SharedState> load(Oid oid, const TypeOperations& operations, Tid at,
                                  std::atomic<std::uint64_t>& count) {
    std::optional<Revision> revision = store_.load(oid, at);
    count.fetch_add(1, std::memory_order_relaxed);
    if (!revision) return std::nullopt;
    return share(decode_state(*revision, oid, operations));
  }

  Store& store_;
  const std::atomic<std::uint64_t>& frontier_;
  BoundedMap<SharedState, weigh_shared> current_;
  alignas(64) std::atomic<std::size_t> active_{0};
  std::atomic<std::uint64_t> loads_{0}, old_loads_{0};  // statistics: relaxed everywhere
};

class LockedCache::Reader : public BaselineReader {
 public:
  Reader() noexcept = default;
  explicit Reader(LockedCache& cache)
      // Acquire: pairs with the committer's release, so the map has what it published.
      : cache_(&cache), snapshot_{cache.frontier_.load(std::memory_order_acquire)} {
    cache.active_.fetch_add(1, std::memory_order_relaxed);
  }
  Reader(Reader&& other) noexcept { *this = std::move(other); }
  Reader& operator=(Reader&& other) noexcept {
    cache_ = std::exchange(other.cache_, nullptr);
    snapshot_ = other.snapshot_;
    held_ = std::exchange(other.held_, {});
    doomed_ = std::exchange(other.doomed_, {});
    return *this;
  }

  bool active() const noexcept { return cache_ != nullptr; }
  Tid snapshot() const noexcept { return snapshot_; }

  void end() noexcept {
    held_.clear();
    doomed_.clear();
    std::exchange(cache_, nullptr)->active_.fetch_sub(1, std::memory_order_relaxed);
  }

  void end_and_discard(WriteSet& writes) noexcept {
    require_not_busy(writes);
    for (WriteSetEntry& entry : writes) destroy_state(*entry.state);
    writes.clear();
    end();
  }

  template <class T>
  const T& read(const Ref<T>& reference, WriteSet& writes) {
    if (WriteSetEntry* entry = own_write(reference, writes)) return value_of<T>(*entry->state);
    return value_of<T>(find(reference.oid(), type_operations<T>));
  }

  template <class T>
  T& divert(const Ref<T>& reference, WriteSet& writes) {
    if (WriteSetEntry* entry = own_write(reference, writes)) return value_of<T>(*entry->state);
    const StateHeader& base = find(reference.oid(), type_operations<T>);
    StateHeader& clone = clone_state(base);
    Tid revision{base.begin.load(std::memory_order_relaxed)};
    add_write(writes, reference.oid(), clone).base = revision;
    return value_of<T>(clone);
  }

  template <class T>
  Ref<T> create(Oid oid, T&& value, WriteSet& writes) {
    require_active();
    add_write(writes, oid, new_state(std::forward<T>(value))).created = true;
    return Ref<T>(oid);
  }

  template <class T>
  void erase(const Ref<T>& reference, WriteSet& writes) {
    divert(reference, writes);
    WriteSetEntry& entry = *writes.find(reference.oid());
    doomed_.emplace_back();  // so that nothing can fail once the clone has an owner
    StateHeader& tombstone = new_tombstone();
    doomed_.back() = std::unique_ptr<StateHeader, Destroyer>(std::exchange(entry.state, &tombstone));
    entry.erased = true;
  }

 private:
  struct Destroyer {
    void operator()(StateHeader* state) const noexcept { destroy_state(*state); }
  };

  StateHeader& find(Oid oid, const TypeOperations& operations) {
    auto held = held_.find(oid);
    if (held == held_.end()) {
      SharedState state = cache_->find(oid, operations, snapshot_);
      if (state == nullptr || &state->operations() == &erased_operations) throw DanglingReferenceError(oid, snapshot_);
      held = held_.emplace(oid, std::move(state)).first;
    }
    check_type(*held->second, oid, operations);
    return *held->second;
  }

  template <class T>
  WriteSetEntry* own_write(const Ref<T>& reference, WriteSet& writes) const {
    require_active();
    return find_own_write(writes, reference.oid(), type_operations<T>, snapshot_);
  }

  void require_active() const {
    if (!active()) throw TransactionEndedError();
  }

  LockedCache* cache_ = nullptr;
  Tid snapshot_{};
  tsl::robin_map<Oid, SharedState> held_;
  std::vector<std::unique_ptr<StateHeader, Destroyer>> doomed_;  // clones erased after references to them went out
};

static_assert(ObjectDatabase<BasicDatabase<LockedCache>>);

}  // namespace cow::bench
