// SharedCache: one copy of every object for all transactions of a process.
//
// Thread safety: all functions may be called from any thread. A `Reader` belongs to one transaction and is used by one
// thread at a time.
//
// Invariants:
//  1. A hit writes nothing shared but the visited bit when it is unset: no lock, no reference count, no read-modify-write.
//  2. The cache holds no state that the store does not have.
//  3. Every object that is resident has been admitted to the evictor once, or is about to be by the call that made it
//     resident. One that is superseded keeps its place. Old revisions have none: when the policy asks about their object,
//     those that nobody has read go.
//  4. States that sleepers hold are evicted like others and are limbo's from then on: they cannot send the evictor round
//     in circles, and evicting more would not free them.
//
// The states themselves are in version_chains.hpp; how transactions read them, in reader.hpp; how they come from the store, in
// loader.hpp.
#pragma once

#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <utility>

#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/reclaim/hybrid_reclaimer.hpp"
#include "cow_cache/detail/reclaim/reclaimer.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/state/key.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/options.hpp"
#include "cow_cache/ref.hpp"
#include "cow_cache/statistics.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "evictor.hpp"
#include "oid_hints.hpp"
#include "pruner.hpp"
#include "version_chains.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS SharedCache {
 public:
  struct Pointers {
    template <class T>
    using Ref = cow::Ref<T>;
  };
  class Reader;
  class Loader;
  class BatchLoader;
  /// A reader may be made with one: it reads an older snapshot, and changes nothing. REQUIRES: not above the frontier.
  struct Past {
    Tid snapshot;
  };
  class Operation;
  static constexpr bool kReadsWithoutWaiting = true;
  static constexpr bool kCanBeSerializable = true;

  /// `frontier`: the tid of the last published commit. Both references must outlive the cache.
  SharedCache(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier)
      : store_(store),
        packable_(StoreCapabilities(store).packable),
        has_peers_(StoreCapabilities(store).has_peers()),
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
      if (round == kMaxClosingRounds) end_program("destructors of values load one object after the other");
      limbo = left;
    }
  }

  /// Reserves what publishing a write set will need: places for the objects that are not resident. Throws std::bad_alloc.
  void prepare(WriteSet& writes) {
    std::size_t places = 0;
    writes.added_bytes = {};
    for (WriteSetEntry& entry : writes) {
      writes.added_bytes += ResidentBytes(*entry.state);
      if (entry.is_record) [[unlikely]]
        continue;  // it will not be resident
      // It may be evicted at any time, and then is not kept.
      const StateHeader* cloned = entry.cloned_state();
      bool is_resident = cloned != nullptr && !cloned->is_superseded() && !cloned->is_dead();
      entry.has_place = !is_resident && (entry.created || !chains_.is_resident(entry.oid));
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
  /// later is left to `after_commit`, noted in the entries; and nothing here depends on how many transactions sleep.
  [[gnu::always_inline]] void publish(WriteSet& writes, Tid tid) noexcept {
    // Asked here and not before the store writes, which may take long. The write set's own transaction is active.
    const bool drops_bases = pruner_.is_alone();
    for (WriteSetEntry& entry : writes) {
      if (entry.is_record) [[unlikely]] {
        chains_.supersede(*entry.state, entry.oid, tid);
        continue;
      }
      VersionChains::Published published = chains_.publish(*entry.state, entry.oid, tid, entry.has_place, drops_bases);
      entry.state = published.unlinked;
      entry.was_absent = published.is_new;
      entry.prunes = published.may_be_pruned;
    }
  }

  /// After a commit and the end of its transaction, on the thread that asked for it: gives back what was superseded, and
  /// makes room for what is new. Empties the write set.
  void after_commit(WriteSet& writes) noexcept {
    DroppedStates dropped;
    bool had_places = false;
    for (const WriteSetEntry& entry : writes) {
      if (entry.is_record) [[unlikely]]
        add_chain(*entry.state, dropped);
      else if (entry.state != nullptr)
        dropped.add(*entry.state);
      had_places = had_places || entry.has_place;
    }
    if (had_places) admit(writes);
    pruner_.prune(writes, dropped);
    // Once, for what a small commit drops is often as large as what it adds: then nobody's line is written.
    ResidentBytes change = writes.added_bytes;
    chains_.count(change -= dropped.bytes);
    writes.clear();  // first: values' destructors may destroy the transaction that it belongs to
    reclaimer_->retire(std::move(dropped.states));
    make_room();
  }

  /// Another process has committed `tid`, which has changed these objects. REQUIRES: as `publish`.
  void supersede(std::span<const Oid> objects, Tid tid) noexcept {
    for (const Oid oid : objects) chains_.supersede_newest(oid, tid);
  }

  /// Drops every object, and lets no load that is under way install anything: what it was told may be of before. REQUIRES: as `publish`; the
  /// caller passes what is forgotten to `retire_forgotten` when it does not lead any more. Throws std::bad_alloc.
  void forget_all(StateChain& forgotten) {
    evictor_.forget_all();
    chains_.evict_all(forgotten, VersionChains::UnderWay::withdrawn);
  }
  void retire_forgotten(StateChain& forgotten) {
    forgotten.sort_by_address();
    retire_evicted(forgotten);
  }

  /// After commits of other processes: gives back what no snapshot sees any more. Values are destroyed.
  void work_off() noexcept {
    bool has_more = true;
    for (int round = 0; has_more && round < kMaxWorkRounds; ++round) {
      DroppedStates dropped;
      has_more = pruner_.work_off(dropped);
      chains_.count_dead(dropped.bytes);
      reclaimer_->retire(std::move(dropped.states));
    }
  }

  /// The oldest snapshot in use (TransactionRegistry::oldest_snapshot).
  Tid oldest_snapshot() const noexcept { return registry_.oldest_snapshot(); }

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
    std::uint64_t resident = chains_.resident_bytes();
    statistics.cache_bytes += resident;
    statistics.heap_bytes += std::min<std::uint64_t>(resident, chains_.heap_bytes());
    statistics.limbo_bytes += reclaimer_->limbo_bytes();
    statistics.table_bytes += chains_.table_bytes() + pruner_.bytes() + OidHints::kBytes;
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
  [[gnu::always_inline]] void require_one_memory() const {
    if (!has_one_memory()) [[unlikely]]
      refuse_memory();
  }
  bool has_one_memory() const noexcept { return StateMemory::is_ours(memory_); }

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

  /// What VersionChains::supersede has strung together.
  [[gnu::noinline, gnu::cold]] static void add_chain(StateHeader& first, DroppedStates& dropped) noexcept {
    for (StateHeader* next = &first; next != nullptr;) {
      // Relaxed: this thread has waited for the leader who strung them together, and nobody changes the links any more.
      StateHeader& state = *std::exchange(next, next->older.load(std::memory_order_relaxed));
      dropped.add(state);
    }
  }

  /// What is resident now, and was not before; the places of the others are given back.
  [[gnu::noinline]] void admit(const WriteSet& writes) noexcept {
    std::array<Oid, 64> admitted;
    std::size_t count = 0, unused = 0;
    for (const WriteSetEntry& entry : writes) {
      unused += entry.has_place && !entry.was_absent;
      if (!entry.was_absent) continue;
      admitted[count++] = entry.oid;
      if (count == admitted.size()) evictor_.admit({admitted.data(), std::exchange(count, 0)});
    }
    evictor_.admit({admitted.data(), count});
    if (unused > 0) evictor_.give_back(unused);
  }

  /// Evicts until the budget is kept, and a little more, so that not every miss has to. What it has evicted is retired
  /// outside of the evictor's lock: that destroys values, and their destructors may read.
  void make_room() {
    std::size_t budget = budget_of_states();
    if (chains_.resident_bytes() <= budget || MakingRoom::is_at(*this)) return;
    std::size_t goal = budget - std::min(budget / 64, kMaxAhead);
    auto too_much = [&] { return chains_.resident_bytes() > goal; };
    MakingRoom until_the_end(*this);
    for (bool has_more = true; has_more && too_much();) {
      StateChain evicted;
      has_more = evictor_.evict_while([&] { return too_much() && evicted.size() < kEvictedAtOnce; },
                                      [&](Oid oid) { return chains_.take_marks(oid, evicted); },
                                      [&](Oid oid) { chains_.evict(oid, evicted); });
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

  /// Drops every object, and returns how many states that were: all that were alive before the call.
  std::size_t drop_all() {
    evictor_.forget_all();
    StateChain evicted;
    chains_.evict_all(evicted);
    evicted.sort_by_address();
    std::size_t dropped = evicted.size();
    retire_evicted(evicted);
    return dropped;
  }

  [[noreturn, gnu::cold, gnu::noinline]] static void refuse_memory() { throw SeparateMemoryError(); }

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
  /// (invariant 4).
  std::size_t budget_of_states() const noexcept {
    std::size_t others = chains_.table_bytes() + pruner_.bytes() + OidHints::kBytes + registry_.bytes() +
                         ticket_bytes_.load(std::memory_order_relaxed) + evictor_.bytes() +
                         std::min(limbo_budget_, budget_ / 16);
    return others < budget_ / 2 ? budget_ - others : budget_ / 2;
  }

  static constexpr std::size_t kMaxAhead = std::size_t{16} << 10;  // bytes that an eviction frees beyond what it must
  static constexpr std::size_t kEvictedAtOnce = 64;
  static constexpr int kMaxClosingRounds = 1000;
  static constexpr int kMaxWorkRounds = 16;  // of some hundred objects a queue

  const StateMemory* const memory_ = &StateMemory::instance();
  Store& store_;
  PackableStore* const packable_;  // null: it cannot be packed
  const bool has_peers_;           // other processes commit to the store
  const std::atomic<std::uint64_t>& frontier_;
  const std::size_t budget_, limbo_budget_;
  VersionChains chains_;  // first made, last gone: what the reclaimer has bears its keys
  TransactionRegistry registry_;
  Pruner pruner_{chains_, registry_, frontier_};
  const std::unique_ptr<Reclaimer> reclaimer_;
  std::atomic<std::size_t> ticket_bytes_{0};
  std::atomic<std::uint64_t> loads_{0}, old_loads_{0}, evictions_{0};  // statistics: relaxed everywhere

  Evictor evictor_;
  OidHints oid_hints_;
};

}  // namespace cow::detail

#include "reader.hpp"
