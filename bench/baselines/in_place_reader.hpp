// InPlaceReader: how a transaction reads and writes where it has a set of objects to itself while it writes.
// PrivateCache and BlockingCache share it; they differ in whose objects these are and in who may come near them.
//
// Thread safety: used by one thread at a time; it may move between threads with its transaction.
//
// Invariants:
//  1. A home has at most one live state of an object, the one that the active transaction may see. So a hint is right
//     if the key behind it is, and there is no interval to check and nothing to log.
//  2. Nothing is freed while a transaction could have a reference to it: homes evict between transactions, and what a
//     transaction erases waits in `doomed_` for its end.
//  3. A changed state is marked (it is its own `older`) and stands in the write set. Changes are made in place: a
//     commit keeps the state, anything else drops it, and the next reader loads what the store has.
//
// A Home provides:
//   static Home& of(cache);                           // or of(cache, what a client keeps)
//   Tid begin();                                      // the snapshot; may throw
//   void end() noexcept;
//   const CacheTag& tag() const noexcept;
//   void touch(StateHeader&) noexcept;                // for the replacement policy, at every hit
//   StateHeader* lookup(Oid);                         // null: not here
//   StateHeader& load(Oid, const TypeOperations&, Tid snapshot);   // from the store
//   void insert(StateHeader&, Oid);                   // brings to life, or destroys and throws
//   void remove(StateHeader&) noexcept;               // the reverse: dead and unlinked, but not destroyed
//   void adjust_bytes(std::int64_t) noexcept;
//   void begin_change(Oid, Tid base);                 // before the first change; a throw has ended the transaction
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "baseline.hpp"
#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/record/decode.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/ref.hpp"
#include "cow_cache/types.hpp"

namespace cow::bench {

using cow::detail::check_type;
using cow::detail::destroy_state;
using cow::detail::find_own_write;
using cow::detail::kNoCache;
using cow::detail::new_state;
using cow::detail::new_tombstone;
using cow::detail::StateHeader;
using cow::detail::type_operations;
using cow::detail::TypeOperations;
using cow::detail::value_of;
using cow::detail::WriteSet;
using cow::detail::WriteSetEntry;

/// What caches of this family do when a transaction commits: its states are the current ones already.
inline void publish_in_place(WriteSet& writes, Tid tid) noexcept {
  for (WriteSetEntry& entry : writes) {
    if (entry.erased) {
      destroy_state(*entry.state);  // a tombstone, only made to be committed
    } else {
      entry.state->begin.store(tid.value, std::memory_order_relaxed);
      entry.state->older.store(nullptr, std::memory_order_relaxed);  // no longer marked as changed
    }
  }
}

template <class Home>
class InPlaceReader : public BaselineReader {
 public:
  InPlaceReader() noexcept = default;
  /// `kept`: by a client, if the cache has such.
  template <class Cache, class... Kept>
  explicit InPlaceReader(Cache& cache, Kept&... kept) requires(!std::is_same_v<Cache, InPlaceReader>) {
    Home& home = Home::of(cache, kept...);
    snapshot_ = home.begin();
    cache_bits_ = home.tag().bits();
    home_ = &home;
  }
  InPlaceReader(InPlaceReader&& other) noexcept { *this = std::move(other); }
  InPlaceReader& operator=(InPlaceReader&& other) noexcept {
    home_ = std::exchange(other.home_, nullptr);
    cache_bits_ = std::exchange(other.cache_bits_, kNoCache);  // so that no hint matches any more
    snapshot_ = other.snapshot_;
    changes_ = std::exchange(other.changes_, {});
    doomed_ = std::exchange(other.doomed_, {});
    return *this;
  }

  bool active() const noexcept { return home_ != nullptr; }
  Tid snapshot() const noexcept { return snapshot_; }

  void end() noexcept {
    settle_charges();
    for (StateHeader* state : doomed_) destroy_state(*state);
    doomed_.clear();
    cache_bits_ = kNoCache;
    std::exchange(home_, nullptr)->end();
  }

  /// Drops everything that this transaction has changed, and ends it.
  void end_and_discard(WriteSet& writes) noexcept {
    require_not_busy(writes);
    settle_charges();
    for (WriteSetEntry& entry : writes) {
      if (!entry.erased) home_->remove(*entry.state);
      destroy_state(*entry.state);
    }
    writes.clear();
    end();
  }

  template <class T>
  [[gnu::always_inline]] const T& read(const Ref<T>& reference, WriteSet& writes) {
    return value_of<T>(find(reference, writes));
  }

  template <class T>
  [[gnu::always_inline]] T& divert(const Ref<T>& reference, WriteSet& writes) {
    StateHeader& state = find(reference, writes);
    if (!is_changed(state)) change(state, reference.oid(), begin_of(state), writes);
    return value_of<T>(state);
  }

  template <class T>
  Ref<T> create(Oid oid, T&& value, WriteSet& writes) {
    require_active();
    begin_change(oid, Tid{}, writes);
    StateHeader& state = new_state(std::forward<T>(value));
    home_->insert(state, oid);
    try {
      change(state, oid, Tid{}, writes).created = true;
    } catch (...) {
      home_->remove(state);
      destroy_state(state);
      throw;
    }
    return Ref<T>(oid, state);
  }

  template <class T>
  void erase(const Ref<T>& reference, WriteSet& writes) {
    divert(reference, writes);
    WriteSetEntry& entry = *writes.find(reference.oid());
    StateHeader& tombstone = new_tombstone();
    try {
      doomed_.push_back(entry.state);
    } catch (...) {
      destroy_state(tombstone);
      throw;
    }
    home_->remove(*entry.state);
    entry.state = &tombstone;
    entry.erased = true;
  }

 private:
  /// A state whose charge may be another one when its transaction commits.
  struct Change {
    StateHeader* state;
    std::int64_t charge;
  };

  /// The hit: two loads of the line that the value is in, and what the replacement policy asks for.
  template <class T>
  [[gnu::always_inline]] StateHeader& find(const Ref<T>& reference, WriteSet& writes) {
    StateHeader* state = reference.hint();
    // Acquire: in a cache of many threads it pairs with the release of whoever brought the state to life.
    if (state->key.load(std::memory_order_acquire) == (reference.identity() | cache_bits_)) [[likely]] {
      home_->touch(*state);
      return *state;
    }
    StateHeader& found = find_by_oid(reference.oid(), type_operations<T>, writes);
    reference.set_hint(found);
    return found;
  }

  /// Also the place where every misuse ends up.
  [[gnu::noinline]] StateHeader& find_by_oid(Oid oid, const TypeOperations& operations, WriteSet& writes) {
    require_active();
    if (!oid) throw NullReferenceError(operations.name);
    if (StateHeader* state = home_->lookup(oid)) {
      check_type(*state, oid, operations);
      home_->touch(*state);
      return *state;
    }
    (void)find_own_write(writes, oid, operations, snapshot_);  // throws if this transaction has erased the object
    StateHeader& state = home_->load(oid, operations, snapshot_);
    check_type(state, oid, operations);
    return state;
  }

  void begin_change(Oid oid, Tid base, WriteSet& writes) {
    if (!writes.empty()) return;
    try {
      home_->begin_change(oid, base);
    } catch (...) {
      cache_bits_ = kNoCache;
      home_ = nullptr;
      throw;
    }
  }

  [[gnu::noinline]] WriteSetEntry& change(StateHeader& state, Oid oid, Tid base, WriteSet& writes) {
    begin_change(oid, base, writes);
    changes_.push_back({&state, static_cast<std::int64_t>(state.charge())});
    try {
      WriteSetEntry& entry = writes.add(oid, state);
      entry.base = base;
      state.older.store(&state, std::memory_order_relaxed);
      return entry;
    } catch (...) {
      changes_.pop_back();
      throw;
    }
  }

  /// Committing weighs the changed states anew.
  void settle_charges() noexcept {
    for (const Change& change : changes_) {
      home_->adjust_bytes(static_cast<std::int64_t>(change.state->charge()) - change.charge);
    }
    changes_.clear();
  }

  void require_active() const {
    if (!active()) throw TransactionEndedError();
  }

  static bool is_changed(const StateHeader& state) noexcept {
    return state.older.load(std::memory_order_relaxed) == &state;
  }
  static Tid begin_of(const StateHeader& state) noexcept { return Tid{state.begin.load(std::memory_order_relaxed)}; }

  Home* home_ = nullptr;
  std::uint64_t cache_bits_ = kNoCache;
  Tid snapshot_{};
  std::vector<Change> changes_;
  std::vector<StateHeader*> doomed_;
};

}  // namespace cow::bench
