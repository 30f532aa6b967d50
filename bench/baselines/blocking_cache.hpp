// BlockingCache: threads share one cache of objects until one of them modifies something, then the others block.
// (Jim Fulton's other idea, besides copy-on-write.)
//
// Thread safety: all functions may be called from any thread; a transaction may move between threads.
//
// Invariants:
//  1. A transaction holds the TransactionLock from its begin to its end: with the others until its first change, alone
//     from there. So no commit happens while others read, every active transaction has the same snapshot, and one state
//     per object is enough; changes are made in place (in_place_reader.hpp).
//  2. The first of several readers to change something keeps its hold and waits until the others have left: its
//     snapshot and its references stay good. A reader that wants to change something meanwhile would wait for the first
//     for ever; so it leaves, waits for the first to end, and gets a ConflictError, whatever the two change. Its
//     transaction has ended then. `current` of the error is the last commit, which need not have changed the object.
//  3. States die only while one transaction is alone. Above its budget the cache makes room at a begin, for which it
//     waits like a writer. So a transaction that sleeps stops the writers, the writers stop the readers.
//  4. A thread that opens a second transaction while it holds one may wait for itself: with this cache one thread has
//     one transaction at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "baseline.hpp"
#include "cow_cache/database.hpp"
#include "cow_cache/detail/cache/oid_table.hpp"
#include "in_place_reader.hpp"

namespace cow::bench {

using cow::detail::CacheTag;
using cow::detail::decode_state;
using cow::detail::destroy_state;
using cow::detail::OidTable;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::TypeOperations;
using cow::detail::WriteSet;

/// A reader-writer lock that transactions hold, not threads: any thread may let go. Prefers writers.
class TransactionLock {
 public:
  void enter() {
    std::unique_lock lock(mutex_);
    gate_.wait(lock, [&] { return !claimed_; });
    ++active_;
  }

  void leave() {
    std::scoped_lock lock(mutex_);
    --active_;
    if (alone_) {
      let_others_in();
    } else if (claimed_ && active_ == 1) {
      last_.notify_one();
    }
  }

  /// Makes the caller, who has entered, the only one inside. False: another one had claimed that before; the caller has
  /// left, and the other one has ended.
  bool claim() {
    std::unique_lock lock(mutex_);
    if (alone_) return true;  // the caller itself: nobody else is inside
    if (claimed_) {
      if (--active_ == 1) last_.notify_one();
      gate_.wait(lock, [&, claims = claims_] { return claims_ != claims; });
      return false;
    }
    claimed_ = true;
    last_.wait(lock, [&] { return active_ == 1; });
    alone_ = true;
    return true;
  }

  /// The caller, who was alone, stays inside with whoever comes.
  void share_again() {
    std::scoped_lock lock(mutex_);
    let_others_in();
  }

  std::size_t active() const {
    std::scoped_lock lock(mutex_);
    return active_;
  }

 private:
  void let_others_in() {
    claimed_ = alone_ = false;
    ++claims_;
    gate_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable gate_;  // for those who want in
  std::condition_variable last_;  // for the one who wants the others out
  std::size_t active_ = 0;
  bool claimed_ = false, alone_ = false;
  std::uint64_t claims_ = 0;  // that have ended
};

class BlockingCache : public Baseline {
 public:
  using Reader = InPlaceReader<BlockingCache>;

  BlockingCache(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier)
      : store_(store), frontier_(frontier), budget_(options.cache_bytes) {}

  BlockingCache(const BlockingCache&) = delete;
  BlockingCache& operator=(const BlockingCache&) = delete;
  ~BlockingCache() { evict_all(); }

  void publish(WriteSet& writes, Tid tid) noexcept { publish_in_place(writes, tid); }

  void add_statistics(Statistics& statistics) const {
    statistics.cache_bytes += resident_bytes_.load(std::memory_order_relaxed);
    statistics.table_bytes += table_.bytes();
    statistics.active_transactions += active_transactions();
    statistics.loads += loads_.load(std::memory_order_relaxed);
    statistics.evictions += evictions_.load(std::memory_order_relaxed);
  }

  std::size_t active_transactions() const { return lock_.active(); }

  /// A cold cache. REQUIRES: no transaction is active.
  void evict_all() noexcept {
    for (std::size_t stripe = 0; stripe < OidTable::kStripes; ++stripe) {
      table_.take_all(stripe, [&](StateHeader& state) {
        forget(state);
        destroy_state(state);
      });
    }
  }

 private:
  friend Reader;

  static BlockingCache& of(BlockingCache& cache) noexcept { return cache; }

  Tid begin() {
    lock_.enter();
    while (resident_bytes_.load(std::memory_order_relaxed) > budget_) {
      if (lock_.claim()) {
        make_room();
        lock_.share_again();
      } else {
        lock_.enter();
      }
    }
    // Relaxed: the last commit ended before this transaction entered, and no other can while it is inside.
    return Tid{frontier_.load(std::memory_order_relaxed)};
  }
  void end() noexcept { lock_.leave(); }

  const CacheTag& tag() const noexcept { return tag_; }

  void touch(StateHeader& state) noexcept { state.mark_visited(); }

  StateHeader* lookup(Oid oid) const { return table_.find(oid); }

  /// One thread loads, the others wait.
  StateHeader& load(Oid oid, const TypeOperations& operations, Tid snapshot) {
    std::scoped_lock lock(table_.mutex_of(oid));
    if (StateHeader* state = lookup(oid)) return *state;
    std::optional<Revision> revision = store_.load(oid, snapshot);
    loads_.fetch_add(1, std::memory_order_relaxed);
    if (!revision || revision->erased) throw DanglingReferenceError(oid, snapshot);
    StateHeader& state = decode_state(*revision, oid, operations);
    insert(state, oid);
    return state;
  }

  void insert(StateHeader& state, Oid oid) {
    try {
      state.key.store(state.key_as(oid, tag_.bits()), std::memory_order_release);  // pairs with the acquire of a hit
      if (!table_.set(oid, state)) throw std::bad_alloc();
    } catch (...) {
      destroy_state(state);  // its key too: nobody has found it yet
      throw;
    }
    adjust_bytes(static_cast<std::int64_t>(state.charge()));
  }

  /// REQUIRES: the caller is alone, here and in what follows.
  void remove(StateHeader& state) noexcept {
    table_.remove(state.oid());
    forget(state);
  }
  void forget(StateHeader& state) noexcept {
    state.key.store(state.private_key(), std::memory_order_relaxed);
    adjust_bytes(-static_cast<std::int64_t>(state.charge()));
  }

  void adjust_bytes(std::int64_t difference) noexcept {
    resident_bytes_.fetch_add(static_cast<std::size_t>(difference), std::memory_order_relaxed);
  }

  void begin_change(Oid oid, Tid base) {
    if (lock_.claim()) return;
    throw ConflictError({{oid, base, Tid{frontier_.load(std::memory_order_acquire)}}});
  }

  /// CLOCK (Corbató, 1968), as the shared cache has it.
  void make_room() noexcept {
    std::size_t goal = budget_ - budget_ / 64;
    // Twice round: the first round may have to clear every visited bit.
    sweep(
        2 * StateMemory::instance().slot_count() + 1, [](StateHeader& state) { return !state.take_visited(); },
        [&] { return resident_bytes_.load(std::memory_order_relaxed) <= goal; });
  }

  /// Evicts what `unwanted(state)` says until `enough()`, for up to `slots` slots.
  template <class Unwanted, class Enough>
  void sweep(std::size_t slots, Unwanted&& unwanted, Enough&& enough) noexcept {
    if (enough()) return;
    clock_hand_ = StateMemory::instance().sweep(clock_hand_, slots, [&](StateHeader& state) {
      if (!tag_.owns(state.key.load(std::memory_order_relaxed)) || !unwanted(state)) return true;
      remove(state);
      destroy_state(state);
      evictions_.fetch_add(1, std::memory_order_relaxed);
      return !enough();
    });
  }

  const CacheTag tag_;
  Store& store_;
  const std::atomic<std::uint64_t>& frontier_;
  const std::size_t budget_;
  TransactionLock lock_;
  OidTable table_;
  alignas(64) std::atomic<std::size_t> resident_bytes_{0};
  std::atomic<std::uint64_t> loads_{0}, evictions_{0};  // statistics: relaxed everywhere
  std::size_t clock_hand_ = 0;                          // of whoever is alone
};

static_assert(ObjectDatabase<BasicDatabase<BlockingCache>>);

}  // namespace cow::bench
