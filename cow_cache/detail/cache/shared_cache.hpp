// SharedCache: one copy of every object for all transactions of a process.
//
// Thread safety: all functions may be called from any thread. A `Reader` belongs to one transaction and is used by one
// thread at a time.
//
// Invariants:
//  1. A hit writes nothing shared but the visited bit when it is unset: no lock, no reference count, no read-modify-write.
//  2. An entry of the oid table, the chain behind it and the life and death of their states change only under the lock of
//     the oid's stripe. Readers take no lock: they log a state, then look at its key (reader.hpp).
//  3. The head of a chain is current (`end` is infinity) or superseded by a commit that is being published right now; the
//     older states have descending, disjoint intervals. A gap is a miss, never a wrong hit: the store fills it.
//  4. A superseded state gets its `end` before the frontier reaches that tid: `publish` returns before it moves.
//  5. The cache holds no state that the store does not have.
//  6. Every object that is resident has been admitted to the evictor once, or is about to be by the call that made it
//     resident. One that is superseded keeps its place. Old revisions have none: when the policy asks about their object,
//     those that nobody has read go.
//  7. States that sleepers hold are evicted like others and are limbo's from then on: they cannot send the evictor round
//     in circles, and evicting more would not free them.
#pragma once

#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/reclaim/hybrid_reclaimer.hpp"
#include "cow_cache/detail/reclaim/reclaimer.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/record/record.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/options.hpp"
#include "cow_cache/statistics.hpp"
#include "cow_cache/store.hpp"
#include "evictor.hpp"
#include "load_ticket.hpp"
#include "oid_table.hpp"
#include "old_revisions.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS SharedCache {
 public:
  struct Pointers {
    template <class T>
    using Ref = cow::Ref<T>;
  };
  /// Sessions share everything, so a session has nothing of its own.
  struct Session {
    explicit Session(SharedCache&) noexcept {}
  };
  class Reader;
  static constexpr bool kReadsWithoutWaiting = true;  ///< Reader::try_read, read_or_subscribe

  /// `frontier`: the tid of the last published commit. Both references must outlive the cache.
  SharedCache(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier)
      : store_(store),
        frontier_(frontier),
        budget_(options.cache_bytes),
        limbo_budget_(options.limbo_bytes),
        registry_(frontier),
        reclaimer_(options.reclaimer ? options.reclaimer(registry_, limbo_budget_)
                                     : std::make_unique<HybridReclaimer>(registry_, limbo_budget_)),
        evictor_(options.replacement) {}

  SharedCache(const SharedCache&) = delete;
  SharedCache& operator=(const SharedCache&) = delete;

  /// REQUIRES: no transaction is active. Costs what the cache holds. Destructors of values may read: what they load goes in
  /// the next round. When they never end loading, or leave a transaction open, the program ends with a message.
  ~SharedCache() {
    std::size_t limbo = 0;
    for (int round = 0;; ++round) {
      bool was_empty = drop_all() == 0;
      reclaim_all();
      if (registry_.active_count() > 0) end_program("a value's destructor has left a transaction open");
      std::size_t left = reclaimer_->limbo_bytes();
      if (was_empty && (left == 0 || left == limbo)) break;  // some reclaimers free the rest in their destructors
      if (round == kMostClosingRounds) end_program("destructors of values load one object after the other");
      limbo = left;
    }
  }

  /// Reserves what publishing a write set will need: places for the objects that are not resident. Throws std::bad_alloc.
  void prepare(WriteSet& writes) {
    std::size_t places = 0;
    for (WriteSetEntry& entry : writes) {
      // It may be evicted at any time, and then is not kept.
      const StateHeader* cloned = entry.cloned_state();
      bool is_resident = cloned != nullptr && !cloned->is_superseded() && !cloned->is_dead();
      entry.has_place = !is_resident && (entry.created || table_.find(entry.oid) == nullptr);
      places += entry.has_place;
    }
    if (places == 0) return;
    try {
      evictor_.reserve(places);
    } catch (...) {
      for (WriteSetEntry& entry : writes) entry.has_place = false;
      throw;
    }
  }

  /// Makes the private states of a write set the newest shared ones. REQUIRES: prepared. Called by one committer at a time,
  /// after the store has the transaction and before the frontier reaches `tid`. All other commits wait, so what can be done
  /// later is left to `settle`, noted in the entries; and nothing here depends on how many transactions sleep.
  void publish(WriteSet& writes, Tid tid) noexcept {
    for (WriteSetEntry& entry : writes) {
      StateHeader& fresh = *std::exchange(entry.state, nullptr);
      unsigned prune_after = 0;
      std::scoped_lock lock(table_.mutex_of(entry.oid));
      StateHeader* head = table_.find(entry.oid);
      bool is_resident = head != nullptr;
      if (is_resident) {
        fresh.visited.store(take_mark(*head), std::memory_order_relaxed);  // read before it was written
        if (head->begin.load(std::memory_order_relaxed) == tid.value) {
          // A loader met our record in the store before we came here. One of the two must go: nobody sees it yet.
          fresh.older.store(head->older.load(std::memory_order_relaxed), std::memory_order_relaxed);
          forget(*head);
          entry.state = head;
        } else {
          fresh.older.store(head, std::memory_order_relaxed);
          head->end.store(tid.value, std::memory_order_release);  // invariant 4
        }
        prune_after = head->prune_after - (head->prune_after > 0 ? 1U : 0U);
        entry.prunes = prune_after == 0;
      } else {
        entry.was_absent = entry.has_place && table_.has_room_for(entry.oid);
      }
      tickets_of(entry.oid).withdraw(entry.oid);  // its loader will find that it lost (load_ticket.hpp, invariant 1)
      install(fresh, entry.oid, tid, kInfinity);
      fresh.prune_after = static_cast<std::uint16_t>(prune_after);
      if (is_resident || entry.was_absent) {
        table_.set(entry.oid, fresh);
      } else {  // evicted since it was prepared, or the table is full: as if it were evicted right now, the store has it
        forget(fresh);
        entry.state = &fresh;
      }
    }
  }

  /// After a commit and the end of its transaction, on the thread that asked for it: gives back what was superseded, and
  /// makes room for what is new. Empties the write set.
  void settle(WriteSet& writes) noexcept {
    StateChain retired;
    std::array<Oid, 64> admitted;
    std::size_t count = 0;
    std::size_t unused = 0;
    for (const WriteSetEntry& entry : writes) {
      if (entry.state != nullptr) retired.add(*entry.state);
      unused += entry.has_place && !entry.was_absent;
      if (!entry.was_absent) continue;
      admitted[count++] = entry.oid;
      if (count == admitted.size()) evictor_.admit({admitted.data(), std::exchange(count, 0)});
    }
    evictor_.admit({admitted.data(), count});
    if (unused > 0) evictor_.give_back(unused);
    prune(writes, retired);
    reclaimer_->retire(std::move(retired));
    writes.clear();
    make_room();
  }

  /// Frees the private states of a transaction that does not commit.
  void discard(WriteSet& writes) noexcept {
    std::size_t places = 0;
    for (WriteSetEntry& entry : writes) {
      destroy_state(*entry.state);  // never published, so nobody else knows it
      places += entry.has_place;
    }
    if (places > 0) evictor_.give_back(places);
    writes.clear();
  }

  /// Drops every state that is not current knowledge of some transaction's log: a cold cache.
  void evict_all() {
    drop_all();
    reclaim_all();
  }

  void add_statistics(Statistics& statistics) {
    // The slots first: heap members that come or go meanwhile may not make their share negative.
    std::uint64_t slots = slot_bytes_.load(std::memory_order_relaxed);
    std::uint64_t resident = resident_bytes_.load(std::memory_order_relaxed);
    statistics.cache_bytes += resident;
    statistics.heap_bytes += resident - std::min(resident, slots);
    statistics.limbo_bytes += reclaimer_->limbo_bytes();
    statistics.table_bytes += table_.bytes() + old_revisions_.bytes();
    statistics.replacement_bytes += evictor_.bytes();
    statistics.transaction_bytes += registry_.bytes() + registry_.held().bytes();
    statistics.ticket_bytes += ticket_bytes_.load(std::memory_order_relaxed);
    StateMemory::Usage usage = StateMemory::instance().usage();
    statistics.free_slot_bytes += usage.in_depots + usage.in_magazines;
    statistics.active_transactions += registry_.active_count();
    statistics.loads += loads_.load(std::memory_order_relaxed);
    statistics.old_loads += old_loads_.load(std::memory_order_relaxed);
    statistics.evictions += evictions_.load(std::memory_order_relaxed);
    statistics.deep_scans += reclaimer_->deep_scans();
  }

  /// Throws SeparateMemoryError where the caller is code of a shared library that has a state memory of its own.
  void require_one_memory() const {
    if (!StateMemory::is_ours(memory_)) [[unlikely]]
      throw SeparateMemoryError();
  }

  std::size_t active_transactions() const noexcept { return registry_.active_count(); }
  Reclaimer& reclaimer() noexcept { return *reclaimer_; }

 private:
  TransactionRegistry& own_registry() {
    require_one_memory();
    return registry_;
  }

  /// Frees what was dropped, as far as nobody holds it, and leaves this thread no slots of it.
  void reclaim_all() noexcept {
    reclaimer_->reclaim_all();
    StateMemory::instance().give_back_magazines();
  }

  /// REQUIRES, to be used: the stripe's lock.
  LoadTickets& tickets_of(Oid oid) noexcept { return tickets_[OidTable::stripe_of(oid)]; }

  /// Brings a complete private state to life. REQUIRES: the stripe's lock; the caller then links it.
  void install(StateHeader& state, Oid oid, Tid begin, Tid end) noexcept {
    state.begin.store(begin.value, std::memory_order_relaxed);
    state.end.store(end.value, std::memory_order_relaxed);
    state.prune_after = 0;
    resident_bytes_.fetch_add(state.charge.load(std::memory_order_relaxed), std::memory_order_relaxed);
    slot_bytes_.fetch_add(size_classes::bytes_of(state.size_class), std::memory_order_relaxed);
    // Release: pairs with every look, so the whole state is seen.
    state.key.store(state.key_as(oid, tag_.bits()), std::memory_order_release);
  }

  /// REQUIRES: the stripe's lock; the caller has unlinked the state, or does so before it lets go of the lock.
  void kill(StateHeader& state, StateChain& retired) noexcept {
    forget(state);
    retired.add(state);
  }
  void forget(StateHeader& state) noexcept {
    Reclaimer::mark_dead(state);
    resident_bytes_.fetch_sub(state.charge.load(std::memory_order_relaxed), std::memory_order_relaxed);
    slot_bytes_.fetch_sub(size_classes::bytes_of(state.size_class), std::memory_order_relaxed);
  }

  /// Takes the state behind `newer`, which there is, out of the chain. REQUIRES: the stripe's lock.
  void drop_older(StateHeader& newer, StateChain& retired) noexcept {
    StateHeader& state = *newer.older.load(std::memory_order_relaxed);
    // Release: pairs with the acquire in Reader::find, which goes on to what this store names.
    newer.older.store(state.older.load(std::memory_order_relaxed), std::memory_order_release);
    kill(state, retired);
  }

  /// Whether a state was read since the mark was last taken. Relaxed: a guess; losing a mark costs a miss at most.
  static bool take_mark(StateHeader& state) noexcept {
    bool read = state.visited.load(std::memory_order_relaxed);
    if (read) state.visited.store(false, std::memory_order_relaxed);
    return read;
  }

  // ---- old revisions (old_revisions.hpp)

  /// Works off the objects that a commit has changed, and some of those that wait in the queue.
  void prune(WriteSet& writes, StateChain& retired) noexcept {
    auto entry = writes.begin();
    std::size_t further = kFurtherPerChange * writes.size(), productive = 0;
    while (entry != writes.end() || further > 0) {
      std::scoped_lock lock(old_revisions_.mutex);
      old_revisions_.begin_round(registry_);
      std::size_t steps = OldRevisions::kMostSteps;  // then other threads may have the lock
      for (; entry != writes.end() && steps > 0; ++entry, --steps) {
        if (entry->prunes) prune(entry->oid, OldRevisions::Source::commit, retired);
      }
      if (steps == 0) continue;
      further = std::min(further, old_revisions_.waiting());
      for (; steps > 0 && further > 0; --steps) {
        Oid oid = *old_revisions_.pop();
        bool changed = writes.find(oid) != nullptr;  // then it had its turn above, or needs none yet
        auto source = changed ? OldRevisions::Source::queue_and_commit : OldRevisions::Source::queue;
        bool dropped = prune(oid, source, retired);
        if (!dropped || ++productive > kMostProductive) --further;
        further = std::min(further, old_revisions_.waiting());
      }
    }
  }

  /// Drops the superseded states of an object that no active snapshot sees. (Steam: Böttcher, Leis, Neumann, Kemper,
  /// VLDB 2019.) Being conservative is harmless, and so is dropping too much: the store can load a revision again. True if
  /// there were any. REQUIRES: old_revisions_.mutex.
  bool prune(Oid oid, OldRevisions::Source source, StateChain& retired) noexcept {
    Walk walk;
    do {
      std::scoped_lock lock(table_.mutex_of(oid));  // for a part of a long chain at a time: a leader may wait for it
      StateHeader* head = table_.find(oid);
      if (head == nullptr) break;  // evicted since, with all its revisions
      if (!walk.in_use) {
        if (source == OldRevisions::Source::queue && head->prune_after > 0) --head->prune_after;
        if (head->prune_after > 0 || source == OldRevisions::Source::queue_and_commit) {
          old_revisions_.push(oid);
          break;
        }
        walk.in_use.emplace(old_revisions_.snapshots(registry_, frontier_));
        walk.stay_at(*head);
      }
      walk_on(walk, retired);
      if (walk.at != nullptr) continue;
      head->prune_after = static_cast<std::uint16_t>(std::min(walk.kept / 2, kMostPruneAfter));
      if (walk.kept > 0) old_revisions_.push(oid);
    } while (walk.at != nullptr);
    return walk.dropped > 0;
  }

  /// A walk down the chain of an object, which gives up the stripe's lock on its way.
  struct Walk {
    std::optional<SnapshotsInUse::Descent> in_use;
    StateHeader* at = nullptr;         ///< the last state that stays; null: the walk has ended
    std::uint64_t key = 0, begin = 0;  ///< of that
    std::size_t kept = 0, dropped = 0;

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
  void walk_on(Walk& walk, StateChain& retired) noexcept {
    StateHeader* newer = walk.is_there() ? walk.at : nullptr;
    walk.at = nullptr;
    if (newer == nullptr) {
      ++walk.kept;  // at least; the rest is left to the next walk
      return;
    }
    for (std::size_t steps = 0; steps < OldRevisions::kStatesAtOnce; ++steps) {
      StateHeader* state = newer->older.load(std::memory_order_relaxed);
      if (state == nullptr) return;
      if (walk.in_use->sees(state->begin.load(std::memory_order_relaxed), state->end.load(std::memory_order_relaxed))) {
        newer = state;
        ++walk.kept;
      } else {
        drop_older(*newer, retired);
        ++walk.dropped;
      }
    }
    walk.stay_at(*newer);
  }

  /// A transaction has loaded an old revision.
  void note_old_revision(Oid oid) noexcept {
    std::scoped_lock lock(old_revisions_.mutex);
    old_revisions_.push(oid);
  }

  /// Evicts until the budget is kept, and a little more, so that not every miss has to. What it has evicted is retired
  /// outside of the evictor's lock: that destroys values, and their destructors may read.
  void make_room() {
    std::size_t budget = budget_of_states();
    if (resident_bytes_.load(std::memory_order_relaxed) <= budget || MakingRoom::is_at(*this)) return;
    std::size_t goal = budget - std::min(budget / 64, kMostAhead);
    auto too_much = [&] { return resident_bytes_.load(std::memory_order_relaxed) > goal; };
    MakingRoom until_the_end(*this);
    for (bool has_more = true; has_more && too_much();) {
      StateChain evicted;
      has_more = evictor_.evict_while([&] { return too_much() && evicted.size() < kEvictedAtOnce; },
                                      [&](Oid oid) { return look_after(oid, evicted); },
                                      [&](Oid oid) { evict(oid, evicted); });
      retire_evicted(evicted);
    }
  }

  /// A thread that makes room in a cache. A destructor that loads leaves making room there to the caller of `make_room` that
  /// has called it, or each would call the next; in another cache it makes room itself.
  class COW_CACHE_ONE_PER_PROCESS MakingRoom {
   public:
    explicit MakingRoom(const SharedCache& cache) noexcept : cache_(cache), outer_(std::exchange(innermost_, this)) {}
    MakingRoom(const MakingRoom&) = delete;
    MakingRoom& operator=(const MakingRoom&) = delete;
    ~MakingRoom() { innermost_ = outer_; }

    /// Whether this thread makes room in that cache right now.
    static bool is_at(const SharedCache& cache) noexcept {
      const MakingRoom* at = innermost_;
      while (at != nullptr && &at->cache_ != &cache) at = at->outer_;
      return at != nullptr;
    }

   private:
    static inline constinit thread_local const MakingRoom* innermost_ = nullptr;

    const SharedCache& cache_;
    const MakingRoom* const outer_;
  };

  /// What has become of an object since the policy last asked. Old revisions that were not read since then go on the way.
  Residency look_after(Oid oid, StateChain& evicted) {
    std::scoped_lock lock(table_.mutex_of(oid));
    StateHeader* newer = table_.find(oid);
    if (newer == nullptr) return Residency::gone;
    bool read = take_mark(*newer);
    while (StateHeader* older = newer->older.load(std::memory_order_relaxed)) {
      if (take_mark(*older)) {
        read = true;
        newer = older;
      } else {
        drop_older(*newer, evicted);
      }
    }
    return read ? Residency::read : Residency::unread;
  }

  /// Drops an object with all its revisions: what is left of a chain needs a current head (invariant 3).
  void evict(Oid oid, StateChain& evicted) {
    std::scoped_lock lock(table_.mutex_of(oid));
    StateHeader* state = table_.find(oid);
    if (state == nullptr) return;
    table_.remove(oid);
    kill_chain(*state, evicted);
  }

  /// Drops every object, and returns how many states that were. Meets every state of the cache that was alive before the
  /// call: a state comes to life and is linked, as the newest of its object or behind that, in one critical section of its
  /// stripe, and is unlinked and dies in one. So what is alive is in the table or in a chain behind it whenever the lock is
  /// free. (Private states, of transactions, are never alive.)
  std::size_t drop_all() {
    evictor_.forget_all();
    StateChain evicted;
    for (std::size_t stripe = 0; stripe < OidTable::kStripes; ++stripe) {
      std::scoped_lock lock(table_.mutex_of_stripe(stripe));
      table_.take_all(stripe, [&](StateHeader& head) { kill_chain(head, evicted); });
    }
    evicted.sort_by_address();
    std::size_t dropped = evicted.size();
    retire_evicted(evicted);
    return dropped;
  }

  /// REQUIRES: the stripe's lock; the head is unlinked.
  void kill_chain(StateHeader& head, StateChain& retired) {
    for (StateHeader* state = &head; state != nullptr;) {
      StateHeader* older = state->older.load(std::memory_order_relaxed);
      kill(*state, retired);
      state = older;
    }
  }

  [[noreturn]] static void end_program(const char* why) noexcept {
    std::fprintf(stderr, "cow::Database destroyed: %s\n", why);
    std::terminate();
  }

  void retire_evicted(StateChain& evicted) {
    evictions_.fetch_add(evicted.size(), std::memory_order_relaxed);
    reclaimer_->retire(std::move(evicted));  // outside of any stripe's lock: retiring may scan logs
  }

  /// What the table, the logs, the tickets, the policy and the ordinary limbo leave of the budget, but half of it at least:
  /// evicting more does not make logs shorter. For the same reason the states that sleepers hold do not count
  /// (invariant 7).
  std::size_t budget_of_states() const noexcept {
    std::size_t others = table_.bytes() + old_revisions_.bytes() + registry_.bytes() +
                         ticket_bytes_.load(std::memory_order_relaxed) + evictor_.bytes() +
                         std::min(limbo_budget_, budget_ / 16);
    return others < budget_ / 2 ? budget_ - others : budget_ / 2;
  }

  static constexpr std::size_t kMostAhead = std::size_t{16} << 10;  // bytes that an eviction frees beyond what it must
  static constexpr std::size_t kEvictedAtOnce = 64;
  // Of the objects that wait in the queue, a commit looks at so many for each that it has changed; and those from which
  // something can be dropped do not count, up to a bound, as that was paid for when they were changed.
  static constexpr std::size_t kFurtherPerChange = 2, kMostProductive = 256;
  static constexpr std::size_t kMostPruneAfter = (1 << 16) - 1;
  static constexpr int kMostClosingRounds = 1000;

  const CacheTag tag_;
  const StateMemory* const memory_ = &StateMemory::instance();
  Store& store_;
  const std::atomic<std::uint64_t>& frontier_;
  const std::size_t budget_, limbo_budget_;
  TransactionRegistry registry_;
  const std::unique_ptr<Reclaimer> reclaimer_;
  OidTable table_;
  std::array<LoadTickets, OidTable::kStripes> tickets_;

  alignas(64) std::atomic<std::size_t> resident_bytes_{0};
  std::atomic<std::size_t> slot_bytes_{0};  // of these, without heap members
  std::atomic<std::size_t> ticket_bytes_{0};
  std::atomic<std::uint64_t> loads_{0}, old_loads_{0}, evictions_{0};  // statistics: relaxed everywhere

  Evictor evictor_;
  OldRevisions old_revisions_;
};

}  // namespace cow::detail

#include "reader.hpp"
