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
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "hybrid_reclaimer.hpp"
#include "load_ticket.hpp"
#include "oid_table.hpp"
#include "reclaimer.hpp"
#include "record.hpp"
#include "state_factory.hpp"
#include "state_memory.hpp"
#include "statistics.hpp"
#include "store.hpp"
#include "transaction_registry.hpp"
#include "write_set.hpp"

namespace cow {

/// Sizes of a cache.
struct CacheOptions {
  /// Budget of resident states with their heap members, oid table, read logs, tickets, and limbo's own budget. States get
  /// half of it at least, whatever the others take.
  std::size_t cache_bytes = std::size_t{256} << 20;
  std::size_t limbo_bytes = std::size_t{512} << 10;  ///< retired bytes that may wait before logs are scanned
  MakeReclaimer reclaimer = nullptr;  ///< gives memory back in another way, to compare; null: HybridReclaimer
};

class SharedCache {
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

  /// `frontier`: the tid of the last published commit. Both references must outlive the cache.
  SharedCache(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier)
      : store_(store),
        frontier_(frontier),
        budget_(options.cache_bytes),
        limbo_budget_(options.limbo_bytes),
        registry_(frontier),
        reclaimer_(options.reclaimer ? options.reclaimer(registry_, limbo_budget_)
                                     : std::make_unique<HybridReclaimer>(registry_, limbo_budget_)) {}

  SharedCache(const SharedCache&) = delete;
  SharedCache& operator=(const SharedCache&) = delete;

  /// REQUIRES: no transaction is active.
  ~SharedCache() {
    StateMemory& memory = StateMemory::instance();
    memory.sweep(0, memory.slot_count(), [&](StateHeader& state) {
      if (tag_.owns(state.key.load(std::memory_order_acquire))) {
        Reclaimer::mark_dead(state);
        destroy_state(state);
      }
      return true;
    });
  }

  /// Makes the private states of a write set the newest shared ones. Called by one committer at a time, after the store
  /// has the transaction and before the frontier reaches `tid`. Returns what it has unlinked, for `settle`: all others
  /// wait, so what can be done later is done later. Not undone by anything: running out of memory here terminates the
  /// program, for the store already has what the cache would have lost.
  std::vector<StateHeader*> publish(WriteSet& writes, Tid tid) noexcept {
    std::vector<StateHeader*> superseded;
    for (WriteSetEntry& entry : writes) {
      StateHeader& fresh = *entry.state;
      std::scoped_lock lock(table_.mutex_of(entry.oid));
      if (StateHeader* head = table_.find(entry.oid)) {
        if (head->begin.load(std::memory_order_relaxed) == tid.value) {
          // A loader met our record in the store before we came here. One of the two must go: nobody sees it yet.
          fresh.older.store(head->older.load(std::memory_order_relaxed), std::memory_order_relaxed);
          kill(*head, superseded);
        } else {
          fresh.older.store(head, std::memory_order_relaxed);
          head->end.store(tid.value, std::memory_order_release);  // invariant 4
        }
        prune(fresh, superseded);
      }
      tickets_of(entry.oid).withdraw(entry.oid);  // its loader will find that it lost (load_ticket.hpp, invariant 1)
      install(fresh, entry.oid, tid, kInfinity);
      table_.set(entry.oid, fresh);
    }
    writes.clear();
    return superseded;
  }

  /// After a commit, on the thread that asked for it: gives back what was superseded, and makes room for what is new.
  void settle(std::span<StateHeader* const> superseded) noexcept {
    reclaimer_->retire(superseded);
    make_room();
  }

  /// Frees the private states of a transaction that does not commit.
  void discard(WriteSet& writes) noexcept {
    for (WriteSetEntry& entry : writes) destroy_state(*entry.state);  // never published, so nobody else knows them
    writes.clear();
  }

  /// Drops every state that is not current knowledge of some transaction's log: a cold cache.
  void evict_all() {
    std::scoped_lock lock(evict_mutex_);
    StateMemory& memory = StateMemory::instance();
    memory.sweep(0, memory.slot_count(), [&](StateHeader& state) {
      evict(state, state.key.load(std::memory_order_acquire));
      return true;
    });
    reclaimer_->reclaim_all();
  }

  void add_statistics(Statistics& statistics) {
    // The slots first: heap members that come or go meanwhile may not make their share negative.
    std::uint64_t slots = slot_bytes_.load(std::memory_order_relaxed);
    std::uint64_t resident = resident_bytes_.load(std::memory_order_relaxed);
    statistics.cache_bytes += resident;
    statistics.heap_bytes += resident - std::min(resident, slots);
    statistics.limbo_bytes += reclaimer_->limbo_bytes();
    statistics.table_bytes += table_.bytes();
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

  std::size_t active_transactions() const noexcept { return registry_.active_count(); }
  Reclaimer& reclaimer() noexcept { return *reclaimer_; }

 private:
  /// REQUIRES, to be used: the stripe's lock.
  LoadTickets& tickets_of(Oid oid) noexcept { return tickets_[OidTable::stripe_of(oid)]; }

  /// Brings a complete private state to life. REQUIRES: the stripe's lock; the caller then links it.
  void install(StateHeader& state, Oid oid, Tid begin, Tid end) noexcept {
    state.begin.store(begin.value, std::memory_order_relaxed);
    state.end.store(end.value, std::memory_order_relaxed);
    resident_bytes_.fetch_add(state.charge.load(std::memory_order_relaxed), std::memory_order_relaxed);
    slot_bytes_.fetch_add(size_classes::bytes_of(state.size_class), std::memory_order_relaxed);
    // Release: pairs with every look, so the whole state is seen.
    state.key.store(state.key_as(oid, tag_.bits()), std::memory_order_release);
  }

  /// REQUIRES: the stripe's lock; the caller has unlinked the state, or does so before it lets go of the lock.
  void kill(StateHeader& state, std::vector<StateHeader*>& retired) {
    Reclaimer::mark_dead(state);
    resident_bytes_.fetch_sub(state.charge.load(std::memory_order_relaxed), std::memory_order_relaxed);
    slot_bytes_.fetch_sub(size_classes::bytes_of(state.size_class), std::memory_order_relaxed);
    retired.push_back(&state);
  }

  void retire(StateHeader& state) noexcept {
    StateHeader* const one = &state;
    reclaimer_->retire({&one, 1});
  }

  /// Drops the superseded states behind `head` that no active snapshot sees. (Steam: Böttcher, Leis, Neumann, Kemper,
  /// VLDB 2019.) Being conservative is harmless, and so is dropping too much: the store can load a revision again.
  void prune(StateHeader& head, std::vector<StateHeader*>& retired) {
    StateHeader* newer = head.older.load(std::memory_order_relaxed);
    if (newer == nullptr) return;
    StateHeader* state = newer->older.load(std::memory_order_relaxed);
    if (state == nullptr) return;  // just the one that is superseded now, which the present frontier still sees
    refresh_snapshots();
    for (; state != nullptr; state = newer->older.load(std::memory_order_relaxed)) {
      std::uint64_t begin = state->begin.load(std::memory_order_relaxed),
                    end = state->end.load(std::memory_order_relaxed);
      auto first = std::lower_bound(snapshots_.begin(), snapshots_.end(), begin);
      if (end > snapshots_frontier_ || (first != snapshots_.end() && *first < end)) {
        newer = state;
        continue;
      }
      newer->older.store(state->older.load(std::memory_order_relaxed), std::memory_order_release);
      kill(*state, retired);
    }
  }

  /// Snapshots taken after the list was made are not below `snapshots_frontier_`, so an old list stays good. Only the
  /// committer calls this; it looks at the slots less often when there are many.
  void refresh_snapshots() {
    if (snapshots_uses_ > 0) {
      --snapshots_uses_;
      return;
    }
    snapshots_frontier_ = frontier_.load(std::memory_order_seq_cst);  // before the scan: registry, active_snapshots
    snapshots_ = registry_.active_snapshots();
    snapshots_uses_ = registry_.slot_count() / 16;
  }

  /// Evicts until the budget is kept: CLOCK (Corbató, 1968) over the slots of the state memory. New states start unvisited.
  void make_room() {
    if (resident_bytes_.load(std::memory_order_relaxed) <= budget_of_states()) return;
    std::unique_lock lock(evict_mutex_, std::try_to_lock);
    if (!lock) return;  // somebody is at it
    StateMemory& memory = StateMemory::instance();
    std::size_t goal = budget_of_states() / 64 * 63;
    auto enough = [&] { return resident_bytes_.load(std::memory_order_relaxed) <= goal; };
    // Twice round: the first round may have to clear every visited bit.
    for (std::size_t slots = 2 * memory.slot_count() + 1; slots > 0 && !enough();) {
      std::size_t step = std::min<std::size_t>(slots, 256);
      clock_hand_ = memory.sweep(clock_hand_, step, [&](StateHeader& state) {
        std::uint64_t key = state.key.load(std::memory_order_acquire);
        if (!tag_.owns(key)) return true;
        if (state.visited.load(std::memory_order_relaxed)) {
          state.visited.store(false, std::memory_order_relaxed);  // a guess: losing a mark costs a miss at most
          return true;
        }
        evict(state, key);
        return !enough();
      });
      slots -= step;
    }
  }

  /// What the table, the logs, the tickets and the ordinary limbo leave of the budget, but half of it at least: evicting
  /// more does not make logs shorter. For the same reason the states that sleepers hold do not count: it would not free
  /// them, and the evictor would go round in circles.
  std::size_t budget_of_states() const noexcept {
    std::size_t others = table_.bytes() + registry_.bytes() + ticket_bytes_.load(std::memory_order_relaxed) +
                         std::min(limbo_budget_, budget_ / 16);
    return others < budget_ / 2 ? budget_ - others : budget_ / 2;
  }

  void evict(StateHeader& state, std::uint64_t key) {
    if (!tag_.owns(key)) return;
    Oid oid = oid_in(key);
    std::vector<StateHeader*> retired;
    {
      std::scoped_lock lock(table_.mutex_of(oid));
      if (state.key.load(std::memory_order_relaxed) != key) return;  // died meanwhile; deaths need this lock
      StateHeader* head = table_.find(oid);
      if (head == &state) {
        // With the newest goes the chain: a head must be current (invariant 3).
        table_.remove(oid);
        for (StateHeader* dead = head; dead != nullptr; dead = dead->older.load(std::memory_order_relaxed)) {
          kill(*dead, retired);
        }
      } else {
        StateHeader* newer = head;
        while (newer->older.load(std::memory_order_relaxed) != &state)
          newer = newer->older.load(std::memory_order_relaxed);
        newer->older.store(state.older.load(std::memory_order_relaxed), std::memory_order_release);
        kill(state, retired);
      }
    }
    evictions_.fetch_add(retired.size(), std::memory_order_relaxed);
    reclaimer_->retire(retired);
  }

  const CacheTag tag_;
  Store& store_;
  const std::atomic<std::uint64_t>& frontier_;
  const std::size_t budget_, limbo_budget_;
  TransactionRegistry registry_;
  const std::unique_ptr<Reclaimer> reclaimer_;
  OidTable table_;
  std::array<LoadTickets, OidTable::kStripes> tickets_;

  alignas(64) std::atomic<std::size_t> resident_bytes_{0}, slot_bytes_{
                                                               0};  // slot_bytes_: of these, without heap members
  std::atomic<std::size_t> ticket_bytes_{0};
  std::atomic<std::uint64_t> loads_{0}, old_loads_{0}, evictions_{0};  // statistics: relaxed everywhere

  std::mutex evict_mutex_;
  std::size_t clock_hand_ = 0;

  std::vector<std::uint64_t> snapshots_;  // the committer's: active snapshots as of snapshots_frontier_
  std::uint64_t snapshots_frontier_ = 0;
  std::size_t snapshots_uses_ = 0;
};

}  // namespace cow

#include "reader.hpp"
