// The version chains: for each resident object its states, the newest first, found by oid.
//
// Thread safety: all functions may be called from any thread. Those that REQUIRE the stripe's lock (`mutex_of`) say so; all
// others that change something take it themselves.
//
// Invariants:
//  1. An entry of the oid table, the chain behind it and the life and death of their states change only under the lock of
//     the oid's stripe. Readers take no lock: they log a state, then look at its key (reader.hpp).
//  2. The head of a chain is current (`end` is infinity), superseded by a commit that is being published right now, or superseded by
//     another process: then the newest revision is not resident, until it is loaded, or committed here, and linked before that head.
//     The older states have descending, disjoint intervals. A gap is a miss, never a wrong hit: the store fills it.
//  3. A superseded state gets its `end` before the frontier reaches that tid: `publish` returns before it moves, and so does
//     `supersede_newest` for a commit of another process. It gets it once: nothing later changes an `end`.
//  4. A state comes to life and is linked, as the newest of its object or behind that, in one critical section of its stripe,
//     and is unlinked and dies in one. So what is alive is in the table or in a chain behind it whenever the lock is free.
//     (Private states, of transactions, are never alive.)
//  5. A stripe's lock is held for one object at a time, and for kStatesAtOnce of its states: a leader that publishes an object
//     of the same stripe waits no longer, however long the chains are.
//  6. [remote-meets-load] What another process has committed withdraws the ticket of each object that it has changed, as a commit of this
//     one does ([withdrawn-by-commit], load_ticket.hpp): so a record that was read before is never installed as current after
//     that. One that is newer than the frontier may be: its `begin` is above all snapshots, and the commit that it is of then finds it
//     there, and leaves it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>

#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/detail/reclaim/reclaimer.hpp"
#include "cow_cache/detail/replacement/policy.hpp"
#include "cow_cache/detail/state/key.hpp"
#include "cow_cache/detail/state/resident_bytes.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/types.hpp"
#include "load_ticket.hpp"
#include "oid_table.hpp"
#include "old_revisions.hpp"

namespace cow::detail {

/// What a transaction that looks at a state finds it to be.
enum class Visibility { visible, dead, too_new, too_old };

class COW_CACHE_ONE_PER_PROCESS VersionChains {
 public:
  VersionChains() = default;
  VersionChains(const VersionChains&) = delete;
  VersionChains& operator=(const VersionChains&) = delete;

  /// The cache's bits of the keys of its states.
  std::uint64_t cache_bits() const noexcept { return tag_.bits(); }

  BackoffLock& mutex_of(Oid oid) noexcept { return table_.mutex_of(oid); }

  // ---- reading

  /// What there is of an object for one transaction.
  struct Found {
    Visibility visibility = Visibility::too_new;  ///< of the last state that was looked at
    StateHeader* state = nullptr;                 ///< the visible one
    bool is_resident = false;  ///< there are some revisions, visible or not, and the newest among them
  };

  /// Goes down the chain of an object while `log_and_validate(StateHeader&)` finds its states too new. Without a lock it may meet a
  /// state that dies, or miss an object that the table is moving; with the stripe's lock neither.
  template <class LogAndValidate>
  Found find(Oid oid, LogAndValidate&& log_and_validate) const {
    Found found;
    StateHeader *state = table_.find(oid), *const head = state;
    while (state != nullptr && found.visibility == Visibility::too_new) {
      // Acquire: pairs with the stores that link. Read before the state may leave the log; its target is logged and looked at
      // in turn, whatever it is by then.
      StateHeader* older = state->older.load(std::memory_order_acquire);
      found.visibility = log_and_validate(*state);
      if (found.visibility == Visibility::visible) found.state = state;
      // The newest is not here (invariant 2). In any other case that one was too new.
      found.is_resident = state != head || found.visibility != Visibility::too_old;
      state = older;
    }
    return found;
  }

  /// The living state that a snapshot sees, or null. REQUIRES: the stripe's lock.
  StateHeader* visible_at(Oid oid, std::uint64_t snapshot) const {
    // Relaxed: the lock guards the chain.
    StateHeader* state = table_.find(oid);
    while (state != nullptr && state->begin.load(std::memory_order_relaxed) > snapshot)
      state = state->older.load(std::memory_order_relaxed);
    bool sees_it = state != nullptr && state->end.load(std::memory_order_relaxed) > snapshot;
    return sees_it ? state : nullptr;
  }

  /// The newest state of an object, or null, as OidTable::find: to be logged and looked at. Throws OidRangeError.
  StateHeader* newest(Oid oid) const { return table_.find(oid); }
  bool is_resident(Oid oid) const { return table_.find(oid) != nullptr; }

  /// Whether its newest revision is, as far as commits are known. Without the stripe's lock a hint.
  bool has_current(Oid oid) const {
    const StateHeader* head = table_.find(oid);
    return head != nullptr && !head->is_superseded();
  }

  // ---- loads (load_ticket.hpp)

  /// REQUIRES, to be used: the stripe's lock.
  LoadTickets& tickets_of(Oid oid) noexcept { return tickets_[OidTable::stripe_of(oid)]; }

  /// What linking a newest state has made of it.
  enum class Linked {
    no,              ///< nothing is changed
    as_new,          ///< the object is resident now, and was not before
    before_old_ones  ///< it was, but for its newest revision: another process has made that
  };

  /// Links what was loaded as the newest state of its object, unless the table is full. REQUIRES: the stripe's lock; the object
  /// has no current state; its ticket stands.
  Linked insert_newest(StateHeader& state, Oid oid, Tid begin) {
    if (StateHeader* head = table_.find(oid)) [[unlikely]]
      return insert_before(*head, state, oid, begin);
    if (!table_.has_room_for(oid)) return Linked::no;
    count(ResidentBytes(state));
    bring_to_life(state, oid, begin, kInfinity);
    table_.set(oid, state);
    return Linked::as_new;
  }

  /// Links a superseded revision behind its next newer one. False, and nothing is changed: there is no chain for it any more, or
  /// it has the revision already.
  bool insert_old(StateHeader& state, Oid oid, Tid begin, Tid end) {
    std::scoped_lock lock(mutex_of(oid));
    // Relaxed: the lock guards the chain.
    auto older_of = [](StateHeader* of) { return of->older.load(std::memory_order_relaxed); };
    auto begin_of = [](StateHeader* of) { return of->begin.load(std::memory_order_relaxed); };
    StateHeader* newer = table_.find(oid);
    while (newer != nullptr && older_of(newer) != nullptr && begin_of(older_of(newer)) > begin.value)
      newer = older_of(newer);
    if (newer == nullptr || begin_of(newer) < end.value) return false;
    StateHeader* older = older_of(newer);
    if (older != nullptr && begin_of(older) == begin.value) return false;
    state.older.store(older, std::memory_order_relaxed);
    count(ResidentBytes(state));
    bring_to_life(state, oid, begin, end);
    newer->older.store(&state, std::memory_order_release);  // pairs with the acquire in find
    return true;
  }

  // ---- commits

  /// Counts what has come to life, or has died. The two may be counted in any order (`resident_bytes_`).
  void count(const ResidentBytes& bytes) noexcept {
    if (bytes.all != 0) resident_bytes_.fetch_add(bytes.all, std::memory_order_relaxed);
    if (bytes.heap != 0) heap_bytes_.fetch_add(bytes.heap, std::memory_order_relaxed);
  }
  void count_dead(const ResidentBytes& bytes) noexcept {
    ResidentBytes change;
    count(change -= bytes);
  }

  /// What publishing has left to do.
  struct Published {
    StateHeader* unlinked = nullptr;  ///< dead, to be retired
    bool is_new = false;              ///< the object is resident now, and was not before
    bool may_be_pruned = false;       ///< old revisions of it may be of no use any more
  };

  /// Makes a private state the newest one of its object. `has_place`: if the object is not resident, it may become so. `drops_base`:
  /// what it supersedes need not stay. (A transaction that has begun meanwhile may have to load it again.) The caller counts, later.
  Published publish(StateHeader& fresh, Oid oid, Tid tid, bool has_place, bool drops_base) noexcept {
    Published published;
    unsigned prune_after = 0;
    std::scoped_lock lock(mutex_of(oid));
    OidTable::Place place = table_.place_of_object(oid);
    StateHeader* head = place.state();
    if (head != nullptr) {
      if (head->take_visited()) fresh.mark_visited();  // read before it was written
      const bool is_current = !head->is_superseded();
      prune_after = is_current ? head->prune_after() : 0;
      if (prune_after > 0) --prune_after;
      const std::uint64_t begin = head->begin.load(std::memory_order_relaxed);
      if (begin > tid.value) [[unlikely]] {
        // A loader met in the store what another process has made of ours already: as if ours were evicted right now.
        bring_to_life(fresh, oid, tid, kInfinity);  // for the account: it is dead before anybody sees it
        unpublish(fresh);
        published.unlinked = &fresh;
        return published;
      }
      if (begin == tid.value) {
        // A loader met our record in the store before we came here. One of the two must go: nobody sees it yet.
        fresh.older.store(head->older.load(std::memory_order_relaxed), std::memory_order_relaxed);
        unpublish(*head);
        published.unlinked = head;
      } else {
        if (is_current) [[likely]]
          head->end.store(tid.value, std::memory_order_release);  // invariant 3
        if (drops_base) {
          fresh.older.store(head->older.load(std::memory_order_relaxed), std::memory_order_relaxed);
          unpublish(*head);
          published.unlinked = head;
        } else {
          fresh.older.store(head, std::memory_order_relaxed);
        }
      }
      published.may_be_pruned = prune_after == 0 && fresh.older.load(std::memory_order_relaxed) != nullptr;
    } else {
      published.is_new = has_place && table_.has_room_for(oid);
    }
    if (tickets_of(oid).any())
      tickets_of(oid).withdraw(oid);  // its loader will find that it lost ([withdrawn-by-commit], load_ticket.hpp)
    bring_to_life(fresh, oid, tid, kInfinity);
    fresh.set_prune_after(prune_after);
    if (head != nullptr) {
      table_.replace(place, oid, fresh);
    } else if (published.is_new) {
      table_.set(oid, fresh);
    } else {  // evicted since it was prepared, or the table is full: as if it were evicted right now, the store has it
      unpublish(fresh);
      published.unlinked = &fresh;
    }
    return published;
  }

  // ---- pruning (old_revisions.hpp)

  static constexpr std::size_t kStatesAtOnce = 128;  // some microseconds

  struct Pruned {
    std::size_t dropped = 0;
    ResidentBytes bytes;       ///< of those dropped; the caller counts them
    bool comes_again = false;  ///< some stay, or its turn has not come
  };

  /// Drops the superseded states of an object that no active snapshot sees. (Steam: Böttcher, Leis, Neumann, Kemper,
  /// VLDB 2019.) Being conservative is harmless, and so is dropping too much: the store can load a revision again.
  /// `snapshots()` is asked for the snapshots in use once that is to be known.
  template <class Snapshots>
  Pruned prune(Oid oid, OldRevisionQueue::Source source, Snapshots&& snapshots, StateChain& retired) noexcept {
    Walk<std::decay_t<decltype(snapshots())>> walk;
    do {
      std::scoped_lock lock(mutex_of(oid));  // for a part of a long chain at a time
      StateHeader* head = table_.find(oid);
      if (head == nullptr) break;  // evicted since, with all its revisions
      if (!walk.in_use) {
        unsigned prune_after = head->is_superseded() ? 0 : head->prune_after();
        if (source == OldRevisionQueue::Source::queue && prune_after > 0) head->set_prune_after(--prune_after);
        if (prune_after > 0) return {.bytes = {}, .comes_again = true};
        walk.in_use.emplace(snapshots());
        walk.stay_at(*head);
      }
      walk_on(walk, retired);
      if (walk.at == nullptr && !head->is_superseded())
        head->set_prune_after(static_cast<unsigned>(std::min<std::size_t>(walk.kept / 2, kMaxPruneAfter)));
    } while (walk.at != nullptr);
    return {.dropped = walk.dropped, .bytes = walk.bytes, .comes_again = walk.kept > 0};
  }

  /// Makes a record that nobody has decoded the newest revision of its object: what the cache has of that is superseded and dropped, and
  /// the next read loads the record. `record` is the private state that has stood for it; the dead ones are strung together
  /// behind it by their links, for the caller to retire and to count. (The whole chain at once, unlike invariant 5: undoing is
  /// rare. The replacement policy keeps a place of the object, and finds it gone, or loaded again, when it asks.)
  [[gnu::noinline, gnu::cold]] void supersede(StateHeader& record, Oid oid, Tid tid) noexcept {
    std::scoped_lock lock(mutex_of(oid));
    if (tickets_of(oid).any()) tickets_of(oid).withdraw(oid);  // as in publish
    StateHeader* head = table_.find(oid);
    if (head != nullptr && head->begin.load(std::memory_order_relaxed) >= tid.value) {
      head = nullptr;  // a loader met the record in the store before we came here, or a later one: it stays
    } else if (head != nullptr) {
      if (!head->is_superseded()) head->end.store(tid.value, std::memory_order_release);  // invariant 3
      table_.remove(oid);
      for (StateHeader* state = head; state != nullptr; state = state->older.load(std::memory_order_relaxed))
        unpublish(*state);
    }
    unpublish(record);
    record.older.store(head, std::memory_order_relaxed);  // nobody knows it
  }

  // ---- commits of other processes

  /// Another process has changed an object: what the cache has as its newest revision becomes an old one, which goes on being read by
  /// the snapshots that see it, and a load that is under way does not count. Before the frontier reaches `tid`.
  void supersede_newest(Oid oid, Tid tid) noexcept {
    if (!oid || oid > kMaxOid) return;  // never resident
    std::scoped_lock lock(mutex_of(oid));
    if (tickets_of(oid).any()) tickets_of(oid).withdraw(oid);  // invariant 6
    StateHeader* head = table_.find(oid);
    if (head == nullptr || head->is_superseded()) return;
    if (head->begin.load(std::memory_order_relaxed) >= tid.value) return;  // a loader met it in the store already
    head->end.store(tid.value, std::memory_order_release);                 // invariant 3
  }

  // ---- eviction

  /// What has become of an object since the replacement policy last asked. Old revisions that were not read since then go on
  /// the way.
  Residency take_marks(Oid oid, StateChain& retired) {
    std::scoped_lock lock(mutex_of(oid));
    StateHeader* newer = table_.find(oid);
    if (newer == nullptr) return Residency::gone;
    bool read = newer->take_visited();
    while (StateHeader* older = newer->older.load(std::memory_order_relaxed)) {
      if (older->take_visited()) {
        read = true;
        newer = older;
      } else {
        count_dead(drop_older(*newer, retired));
      }
    }
    return read ? Residency::read : Residency::unread;
  }

  /// Drops an object with all its revisions: what is left of a chain needs a current head (invariant 2).
  void evict(Oid oid, StateChain& retired) {
    std::scoped_lock lock(mutex_of(oid));
    StateHeader* head = table_.find(oid);
    if (head == nullptr) return;
    table_.remove(oid);
    unpublish_chain(*head, retired);
  }

  /// What becomes of loads under way.
  enum class UnderWay { stand, withdrawn };

  /// Drops every object. Meets every state that was alive before the call (invariant 4).
  void evict_all(StateChain& retired, UnderWay loads = UnderWay::stand) {
    for (std::size_t stripe = 0; stripe < OidTable::kStripes; ++stripe) {
      std::scoped_lock lock(table_.mutex_of_stripe(stripe));
      if (loads == UnderWay::withdrawn) tickets_[stripe].withdraw_all();
      table_.take_all(stripe, [&](StateHeader& head) { unpublish_chain(head, retired); });
    }
  }

  // ---- statistics

  /// The charge of all that is alive. What comes and goes right now may be counted or not.
  std::size_t resident_bytes() const noexcept { return at_least_none(resident_bytes_); }
  /// Of these, heap members. May be ahead of them for an instant.
  std::size_t heap_bytes() const noexcept { return at_least_none(heap_bytes_); }
  std::size_t table_bytes() const noexcept { return table_.bytes(); }

 private:
  /// A walk down the chain of an object, which gives up the stripe's lock on its way.
  template <class InUse>
  struct Walk {
    std::optional<InUse> in_use;
    StateHeader* at = nullptr;         ///< the last state that stays; null: the walk has ended
    std::uint64_t key = 0, begin = 0;  ///< of that
    std::size_t kept = 0, dropped = 0;
    ResidentBytes bytes;  ///< of those dropped

    void stay_at(StateHeader& state) noexcept {
      at = &state;
      key = state.key.load(std::memory_order_relaxed);  // relaxed: under the lock, as all here
      begin = state.begin.load(std::memory_order_relaxed);
    }
    /// Whether the state is in the chain still, or again: every state that is alive is, whenever the lock is free, and
    /// key and begin say which object's and which revision it is.
    bool is_there() const noexcept {
      return at->key.load(std::memory_order_relaxed) == key && at->begin.load(std::memory_order_relaxed) == begin;
    }
  };

  /// REQUIRES: the stripe's lock; the walk has not ended.
  template <class InUse>
  static void walk_on(Walk<InUse>& walk, StateChain& retired) noexcept {
    StateHeader* newer = walk.is_there() ? walk.at : nullptr;
    walk.at = nullptr;
    if (newer == nullptr) {
      ++walk.kept;  // at least; the rest is left to the next walk
      return;
    }
    for (std::size_t steps = 0; steps < kStatesAtOnce; ++steps) {
      StateHeader* state = newer->older.load(std::memory_order_relaxed);
      if (state == nullptr) return;
      if (walk.in_use->sees(state->begin.load(std::memory_order_relaxed), state->end.load(std::memory_order_relaxed))) {
        newer = state;
        ++walk.kept;
      } else {
        walk.bytes += drop_older(*newer, retired);
        ++walk.dropped;
      }
    }
    walk.stay_at(*newer);
  }

  /// REQUIRES: as insert_newest; `head` is superseded.
  [[gnu::noinline, gnu::cold]] Linked insert_before(StateHeader& head, StateHeader& state, Oid oid, Tid begin) {
    // Relaxed: the lock guards the chain. A store that answers with what it had before its own commit: not to be linked.
    if (begin.value < head.end.load(std::memory_order_relaxed)) return Linked::no;
    count(ResidentBytes(state));
    state.older.store(&head, std::memory_order_relaxed);
    bring_to_life(state, oid, begin, kInfinity);
    if (head.take_visited()) state.mark_visited();
    table_.set(oid, state);
    return Linked::before_old_ones;
  }

  /// Publishes a complete private state's key. REQUIRES: the stripe's lock; the caller then links it.
  void bring_to_life(StateHeader& state, Oid oid, Tid begin, Tid end) noexcept {
    state.begin.store(begin.value, std::memory_order_relaxed);
    state.end.store(end.value, std::memory_order_relaxed);
    // Release: pairs with every look, so the whole state is seen.
    state.key.store(state.key_as(oid, tag_.bits()), std::memory_order_release);
  }

  /// REQUIRES: the stripe's lock; the caller has unlinked the state, or does so before it lets go of the lock. It is then counted
  /// as dead.
  static void unpublish(StateHeader& state) noexcept { Reclaimer::mark_dead(state); }

  /// REQUIRES: the stripe's lock; the head is unlinked.
  void unpublish_chain(StateHeader& head, StateChain& retired) noexcept {
    ResidentBytes dropped;
    for (StateHeader* state = &head; state != nullptr;) {
      StateHeader* older = state->older.load(std::memory_order_relaxed);
      unpublish(*state);
      dropped += ResidentBytes(*state);
      retired.add(*state);
      state = older;
    }
    count_dead(dropped);
  }

  /// Takes the state behind `newer`, which there is, out of the chain. Returns what died. REQUIRES: the stripe's lock.
  static ResidentBytes drop_older(StateHeader& newer, StateChain& retired) noexcept {
    StateHeader& state = *newer.older.load(std::memory_order_relaxed);
    // Release: pairs with the acquire in find, which goes on to what this store names.
    newer.older.store(state.older.load(std::memory_order_relaxed), std::memory_order_release);
    unpublish(state);
    retired.add(state);
    return ResidentBytes(state);
  }

  const CacheTag tag_;
  OidTable table_;
  std::array<LoadTickets, OidTable::kStripes> tickets_;

  static std::size_t at_least_none(const std::atomic<std::int64_t>& bytes) noexcept {
    return static_cast<std::size_t>(std::max<std::int64_t>(bytes.load(std::memory_order_relaxed), 0));
  }

  // Statistics, on which the budget is kept: relaxed everywhere. Signed: what one thread adds another may have subtracted before.
  alignas(64) std::atomic<std::int64_t> resident_bytes_{0};
  std::atomic<std::int64_t> heap_bytes_{0};
};

}  // namespace cow::detail
