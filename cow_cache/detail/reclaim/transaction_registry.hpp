// The registry of active transactions: where they announce their epoch and snapshot, in contiguous slots.
//
// Thread safety: all functions may be called from any thread; `begin` and `end` of one transaction may run on different
// threads.
//
// Invariants:
//  1. [epoch-rule] A thread that retires states marks them dead and unlinks them, then draws a stamp, which is the present
//     epoch, and in the same atomic step moves the epoch on. A state stamped s is out of reach of every transaction that has
//     announced an epoch above s, and so of all once `safe_below()` is above s.
//     Proof: let a transaction T announce e > s. It read e from the step that drew s or from a later one; those steps are
//     read-modify-writes, so T's acquire load synchronises with the one that drew s, and the dead mark happens before every
//     look of T. Now let `safe_below` return more than s. It first reads the epoch (above s, so the step that drew s
//     happened before), then the announcements. If it finds T idle, all reads of T happened before (release in `end`,
//     acquire in the scan). If it missed T's announcement (an exchange, seq_cst), the scan's load precedes it in the total
//     order S; the step that drew s precedes the scan in S, so T's second load of the epoch in `begin` (seq_cst) reads that
//     step or a later one and synchronises with it: every look of T reads dead.
//  2. Slots are never unmapped before the registry; each is used by one transaction at a time.
//  3. A snapshot in use is never above the frontier, and never below the frontier at the call of its `begin`.
//  4. [parked-is-held] A parked transaction announces nothing that an epoch would wait for: what it has logged stands in
//     `held()` instead, from before it is announced as parked until its end, even when it goes on in between. So a thread
//     that has read the announcements and then finds a state neither in a log that it must scan nor in `held()` may free it.
//     (Taking states out when a transaction goes on would be wrong: a reclaimer may have seen it parked, and look for its
//     states in `held()` only now.)
//  5. A transaction that goes to sleep only says so; a reclaimer parks it, if it is in the way ([parked-by-lock], transaction_slot.hpp). Until
//     then its old epoch and its log protect what it has read, as if it were awake. It logs nothing between `fall_asleep`
//     (release; acquired by the reclaimer that parks it, which so finds the whole log) and `wake`, which waits for that.
//     If it ends meanwhile and its log is being cleared, some entries may be missed: of states that it uses no more.
//  6. [held-at-the-end] `hold_logged` makes the transactions hold which dead states stand in their logs; then every transaction that
//     may use one of these states holds it, until its end, and no further one can come to hold it.
//     Proof: let a transaction T use a state of the scan, which was marked dead before the scan. If the scan's first round
//     misses T's announcement or finds it above the stamps, T's looks all read dead (as for invariant 1; the marks precede
//     the round). If it finds T parked, T holds what it had logged until then, and what it logs later it finds dead.
//     Otherwise T's flag is set, and a heavy fence comes before the log is read: then T has logged the state before it
//     looked, and the scan finds it (asymmetric_fence.hpp), or T has announced its end by then.
//     What is added is let go. The reclaimer sets T's flag, fences, and under the lock of the log reads the announcement
//     again: if T has announced its end, nothing is added. T announces its end (release_before_look), then reads the flag.
//     So if something was added, T reads the flag as set ([log-before-look]), takes the lock and finds it.
//     (T has cleared its log before, so the announcement is the second of two safeguards; a flag that was read before the log
//     is cleared would be none.)
//     The next transaction in the slot may find the flag of the one before it; it then finds nothing held, at some cost.

#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "held_states.hpp"
#include "read_log.hpp"
#include "transaction_slot.hpp"

namespace cow::detail {

/// Frees the states that the last of their holders has let go.
class Heir {
 public:
  virtual void take_over(StateChain released) noexcept = 0;

 protected:
  ~Heir() = default;
};

class COW_CACHE_ONE_PER_PROCESS TransactionRegistry {
 public:
  /// `frontier`: the tid of the last published commit, as the committer maintains it.
  explicit TransactionRegistry(const std::atomic<std::uint64_t>& frontier) : frontier_(frontier) {
    void* range =
        ::mmap(nullptr, kRangeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    slots_ = static_cast<TransactionSlot*>(range);
    try {
      std::scoped_lock lock(living_mutex());
      living()[id_] = this;
    } catch (...) {
      ::munmap(range, kRangeBytes);
      throw;
    }
  }

  TransactionRegistry(const TransactionRegistry&) = delete;
  TransactionRegistry& operator=(const TransactionRegistry&) = delete;

  /// REQUIRES: no transaction is active.
  ~TransactionRegistry() {
    {
      std::scoped_lock lock(living_mutex());
      living().erase(id_);
    }
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) ReadLog::destroy_table(slots_[i].log.load(std::memory_order_relaxed));
    for (std::uint32_t i = 0; i < count; i += kSlotsPerRoot) remove_leak_root(slots_ + i, kRootBytes);
    ::munmap(slots_, kRangeBytes);
  }

  /// The heir frees what waits in `held()`: the reclaimer, if it leaves states there. REQUIRES: no transaction is active.
  void set_heir(Heir* heir) noexcept { heir_ = heir; }

  /// Announces a transaction; its snapshot is in the slot. Throws LimitError when kMostSlots are in use, std::bad_alloc.
  TransactionSlot& begin() {
    TransactionSlot& slot = idle_slot();
    // Acquire: pairs with the committer's release of the frontier, so all that it published is seen.
    slot.snapshot.store(frontier_.load(std::memory_order_acquire), std::memory_order_relaxed);
    announce(slot);
    return slot;
  }

  /// Lets reclaimers park the transaction (invariant 5). REQUIRES: it is awake. It logs nothing until `wake`; what it has
  /// logged it may go on reading.
  void fall_asleep(TransactionSlot& slot) noexcept {
    slot.leaves_more = true;
    slot.asleep.store(true, std::memory_order_release);  // after all that it has logged; pairs with park_sleepers
  }

  /// REQUIRES: it is asleep.
  void wake(TransactionSlot& slot) noexcept {
    bool is_parked = false;
    {
      std::scoped_lock lock(slot.log_lock);
      slot.asleep.store(false, std::memory_order_relaxed);  // read under the lock again, where it matters
      // Relaxed: written under the lock.
      is_parked = slot.announced.load(std::memory_order_relaxed) == TransactionSlot::kParked;
    }
    if (is_parked) announce(slot);
  }

  /// Parks transactions that are asleep, until it has moved the `most` states that it may: many sleepers take several
  /// calls. Where memory runs out it parks fewer; the epochs and logs of the others go on protecting what they have read.
  /// Then states may come back, in `released`, for the caller to free. REQUIRES: one call at a time.
  void park_sleepers(std::size_t most, StateChain& released) noexcept {
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      if (next_to_park_ >= count) next_to_park_ = 0;
      TransactionSlot& slot = slots_[next_to_park_++];
      if (!slot.asleep.load(std::memory_order_relaxed)) continue;  // asked again under the lock
      std::scoped_lock lock(slot.log_lock);
      // Acquire: invariant 5. Relaxed: under the lock only the owner's `end` changes it, after it has cleared `asleep`.
      if (!slot.asleep.load(std::memory_order_acquire) ||
          slot.announced.load(std::memory_order_relaxed) == TransactionSlot::kParked) {
        continue;
      }
      std::optional<std::size_t> moved = park(slot, released);
      if (!moved || *moved >= most) return;
      most -= *moved;
    }
  }

  /// REQUIRES: the slot's log is closed and none of its states is used any more.
  void end(TransactionSlot& slot) noexcept {
    bool owned_by_thread = slot.owned_by_thread;  // read before the slot can be another transaction's
    if (slot.leaves_more) [[unlikely]]
      tidy_up(slot);
    release_before_look(slot.announced, TransactionSlot::kEnding);  // release: pairs with the scans' acquire
    if (look(slot.waited_for)) [[unlikely]]
      let_go(slot);
    slot.announced.store(TransactionSlot::kIdle, std::memory_order_release);  // pairs with the acquire in `idle_slot`
    if (!owned_by_thread) [[unlikely]]
      free(slot);
  }

  /// The stamp for states that are dead and unlinked by now (invariant 1). One such step for a whole batch of them: every
  /// transaction reads this word when it begins.
  std::uint64_t stamp() noexcept { return epoch_.fetch_add(1, std::memory_order_seq_cst); }

  /// Above every stamp drawn so far.
  std::uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_seq_cst); }

  /// States with stamps below this are out of reach, but for those in `held()`, which must be asked afterwards.
  std::uint64_t safe_below() const noexcept {
    std::uint64_t safe = epoch();  // first: what is stamped later than this is not covered by the announcements below
    for_each_slot([&](const TransactionSlot&, std::uint64_t announced) { safe = std::min(safe, announced); });
    return safe;
  }

  /// The states of parked transactions, and those that `hold_logged` has found.
  HeldStates& held() noexcept { return held_; }

  /// The snapshots in use, ascending, without repetition, in a list that has room from the last time. One that begins
  /// meanwhile may be missing. Its snapshot may even lie below the frontier, if its thread was preempted in the middle of
  /// `begin`; pruning what it would have seen costs it a load from the store, no more. Throws std::bad_alloc, and may have
  /// lost some then.
  void active_snapshots(std::vector<std::uint64_t>& snapshots) const {
    snapshots.clear();
    for_each_slot([&](const TransactionSlot& slot, std::uint64_t announced) {
      // Relaxed: written before `announced`, which was read with seq_cst (transaction_slot.hpp, invariant 2).
      if (is_active(announced)) snapshots.push_back(slot.snapshot.load(std::memory_order_relaxed));
    });
    if (snapshots.size() < 2) return;
    std::sort(snapshots.begin(), snapshots.end());
    snapshots.erase(std::unique(snapshots.begin(), snapshots.end()), snapshots.end());
  }

  /// Makes every transaction that was announced at or below `epoch` hold those of the states in its log for which
  /// `wanted(StateHandle)` (invariant 6). False: there is no memory for it, and some may not hold what they have logged;
  /// `released` as above. REQUIRES: the states of interest were marked dead before, with stamps up to `epoch`; one call at a
  /// time.
  template <class Wanted>
  [[nodiscard]] bool hold_logged(std::uint64_t epoch, Wanted&& wanted, StateChain& released) noexcept {
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      // Ending, idle and parked ones too: these compare greater than any epoch.
      if (slots_[i].announced.load(std::memory_order_seq_cst) > epoch) continue;
      slots_[i].waited_for.store(true, std::memory_order_seq_cst);  // before the fence: invariant 6
    }
    heavy_fence();
    bool held_all = true;
    for (std::uint32_t i = 0; i < count && held_all; ++i) {
      TransactionSlot& slot = slots_[i];
      // Set by this thread, above or in an earlier call; cleared by the owner at its end, or by the next one. Acquire: pairs
      // with the release in `let_go`. What the owner did with states happens before they are freed.
      if (!slot.waited_for.load(std::memory_order_acquire)) continue;
      std::scoped_lock lock(slot.log_lock);
      if (slot.announced.load(std::memory_order_seq_cst) <= epoch) held_all = hold(slot, wanted, released);
    }
    return held_all;
  }

  /// Calls `visit(StateHandle)` for every state that a transaction announced at or below `epoch` holds in its log.
  /// REQUIRES: detail::heavy_fence() since the states of interest were marked dead.
  template <class Visitor>
  void for_each_logged(std::uint64_t epoch, Visitor&& visit) {
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      TransactionSlot& slot = slots_[i];
      // Idle and parked ones too: these compare greater than any epoch.
      if (slot.announced.load(std::memory_order_seq_cst) > epoch) continue;
      std::scoped_lock lock(slot.log_lock);
      ReadLog::for_each(*slot.log.load(std::memory_order_seq_cst), visit);
    }
  }

  /// Number of active transactions, as of some time during the call.
  std::size_t active_count() const noexcept {
    std::size_t active = 0;
    for_each_slot(
        [&](const TransactionSlot&, std::uint64_t announced) { active += announced != TransactionSlot::kIdle; });
    return active;
  }

  /// Bytes of slots and read logs, of idle transactions too, and of what parked ones hold.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  /// The most transactions that were active at once so far: what one look at all announcements costs.
  std::uint32_t slot_count() const noexcept { return slot_count_.load(std::memory_order_seq_cst); }

#if defined(COW_CACHE_MOST_TRANSACTIONS)  // tests want a registry that is full soon
  static constexpr std::uint32_t kMostSlots = COW_CACHE_MOST_TRANSACTIONS;
#else
  static constexpr std::uint32_t kMostSlots = 1u << 20;
#endif

 private:
  /// Begins or goes on at the present epoch: what the transaction logs from here on is protected by it.
  void announce(TransactionSlot& slot) noexcept {
    // Acquire: invariant 1. The epoch may be an old one by the time it is announced, which only protects more.
    std::uint64_t epoch = epoch_.load(std::memory_order_acquire);
    slot.announced.exchange(epoch, std::memory_order_seq_cst);  // the one real fence of a transaction
    (void)epoch_.load(std::memory_order_seq_cst);               // for scans that missed the announcement: invariant 1
  }

  static bool is_active(std::uint64_t announced) noexcept { return announced < TransactionSlot::kEnding; }

  /// Moves what a transaction has logged into `held()`, and it out of everybody's way. Returns how many states that were;
  /// nothing: there is no memory for it, and nothing has changed. REQUIRES: the lock of its log; it is asleep.
  std::optional<std::size_t> park(TransactionSlot& slot, StateChain& released) noexcept {
    try {
      std::vector<StateHandle> fresh = not_held_yet(slot);
      slot.waited_for.store(true, std::memory_order_relaxed);  // the owner reads it after it has taken the lock
      if (!hold(slot, fresh, released)) return std::nullopt;
      slot.announced.store(TransactionSlot::kParked, std::memory_order_release);  // after the states are held
      return fresh.size();
    } catch (const std::bad_alloc&) {
      return std::nullopt;
    }
  }

  /// Adds the states of a slot's log for which `wanted`. REQUIRES: as below.
  template <std::predicate<StateHandle> Wanted>
  bool hold(TransactionSlot& slot, Wanted&& wanted, StateChain& released) noexcept {
    try {
      std::vector<StateHandle> fresh;
      // Seq_cst: as in for_each_logged.
      ReadLog::for_each(*slot.log.load(std::memory_order_seq_cst), [&](StateHandle state) {
        if (wanted(state)) fresh.push_back(state);
      });
      return hold(slot, fresh, released);
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  /// False: there is no memory for it, and nothing has changed. REQUIRES: the lock of the log; `waited_for` is set.
  bool hold(TransactionSlot& slot, const std::vector<StateHandle>& fresh, StateChain& released) {
    slot.held.insert(slot.held.end(), fresh.begin(), fresh.end());
    if (!held_.add(fresh, released)) {
      slot.held.resize(slot.held.size() - fresh.size());
      return false;
    }
    bytes_.fetch_add(fresh.size() * sizeof(StateHandle), std::memory_order_relaxed);  // a statistic
    return true;
  }

  [[gnu::noinline]] void free(TransactionSlot& slot) noexcept {
    std::scoped_lock lock(free_mutex_);
    free_.push_back(&slot);
  }

  /// From here on no thread parks the transaction. Forgets what it found absent.
  [[gnu::noinline]] void tidy_up(TransactionSlot& slot) noexcept {
    slot.leaves_more = false;
    slot.absent.reset();
    std::scoped_lock lock(slot.log_lock);
    slot.asleep.store(false, std::memory_order_relaxed);  // as in wake
  }

  /// Gives back what others have made a transaction hold. REQUIRES: it has announced its end.
  [[gnu::noinline]] void let_go(TransactionSlot& slot) noexcept {
    std::vector<StateHandle> held;
    {
      std::scoped_lock lock(slot.log_lock);
      // Under the lock: for what is held by now. Release: for a scanner that reads nothing else of the slot (`hold_logged`).
      slot.waited_for.store(false, std::memory_order_release);
      held.swap(slot.held);
    }
    if (held.empty()) return;
    bytes_.fetch_sub(held.size() * sizeof(StateHandle), std::memory_order_relaxed);  // a statistic
    StateChain released = held_.remove(held);
    if (!released.empty()) heir_->take_over(std::move(released));  // outside of the lock: it frees them
  }

  /// The states in a slot's log that are not in its `held`, ascending.
  static std::vector<StateHandle> not_held_yet(TransactionSlot& slot) {
    std::vector<StateHandle> logged;
    // Seq_cst: as in for_each_logged.
    ReadLog::for_each(*slot.log.load(std::memory_order_seq_cst), [&](StateHandle state) { logged.push_back(state); });
    std::sort(logged.begin(), logged.end());
    std::sort(slot.held.begin(), slot.held.end());  // hold_logged has appended to it
    std::vector<StateHandle> fresh;
    std::set_difference(logged.begin(), logged.end(), slot.held.begin(), slot.held.end(), std::back_inserter(fresh));
    return fresh;
  }

  /// A thread keeps a slot for its next transaction, for the few registries that it used last. Without a destructor, so that
  /// transactions may begin until the thread is gone: in destructors of static and thread_local objects, which get a slot that
  /// no thread keeps.
  struct ThreadSlots {  // begins as zeros: there is no registry 0
    struct Entry {
      std::uint64_t registry;
      TransactionSlot* slot;
    };
    Entry entries[4];
    unsigned next_victim;
    bool has_ended;

    static void give_back(Entry& entry) {
      if (entry.slot == nullptr) return;
      std::scoped_lock lock(living_mutex());
      if (auto found = living().find(entry.registry); found != living().end()) found->second->disown(*entry.slot);
      entry = {};
    }
  };
  struct AtThreadEnd {
    AtThreadEnd() noexcept = default;
    ~AtThreadEnd() {
      for (ThreadSlots::Entry& entry : thread_slots_.entries) ThreadSlots::give_back(entry);
      thread_slots_.has_ended = true;
    }
  };

  /// Used only inside `begin`, which never suspends: safe under fibers and coroutines.
  static inline constinit thread_local ThreadSlots thread_slots_{};

  TransactionSlot& idle_slot() {
    ThreadSlots& mine = thread_slots_;
    for (ThreadSlots::Entry& entry : mine.entries) {
      if (entry.registry != id_) continue;
      // Acquire: pairs with the release in `end`, which may have run on another thread.
      if (entry.slot->announced.load(std::memory_order_acquire) == TransactionSlot::kIdle) return *entry.slot;
      return free_slot();
    }
    return further_slot(mine);
  }

  /// For a thread that has no slot of this registry yet.
  [[gnu::noinline]] TransactionSlot& further_slot(ThreadSlots& mine) {
    if (mine.has_ended) return free_slot();
    static thread_local const AtThreadEnd at_thread_end;
    (void)&at_thread_end;  // makes it: its destructor runs when the thread ends
    ThreadSlots::Entry& entry = mine.entries[mine.next_victim++ % std::size(mine.entries)];
    ThreadSlots::give_back(entry);
    TransactionSlot& slot = free_slot();
    slot.owned_by_thread = true;
    entry = {id_, &slot};
    return slot;
  }

  [[gnu::noinline]] TransactionSlot& free_slot() {
    std::scoped_lock lock(free_mutex_);
    std::erase_if(orphans_, [&](TransactionSlot* slot) {
      // Acquire: pairs with the release in `end`; from here on nobody else touches the slot.
      if (slot->announced.load(std::memory_order_acquire) != TransactionSlot::kIdle) return false;
      slot->owned_by_thread = false;
      free_.push_back(slot);
      return true;
    });
    if (!free_.empty()) {
      TransactionSlot* slot = free_.back();
      free_.pop_back();
      return *slot;
    }
    std::uint32_t index = slot_count_.load(std::memory_order_relaxed);  // written only under this mutex
    if (index == kMostSlots) throw LimitError("transactions of a database at a time", kMostSlots);
    for (auto* list : {&free_, &orphans_}) {  // so that neither `end` nor the end of a thread can fail
      if (list->capacity() <= index) list->reserve(std::max<std::size_t>(16, std::size_t{2} * index));
    }
    LogTable* log = ReadLog::make_table();
    TransactionSlot* slot = ::new (slots_ + index) TransactionSlot;
    if (index % kSlotsPerRoot == 0) add_leak_root(slot, kRootBytes);  // slots own logs on the heap
    slot->log.store(log, std::memory_order_relaxed);
    slot->log_bytes = &bytes_;
    bytes_.fetch_add(sizeof(TransactionSlot) + ReadLog::bytes_of(*log), std::memory_order_relaxed);  // a statistic
    slot_count_.store(index + 1, std::memory_order_seq_cst);  // a scan that misses the slot precedes its announcement
    return *slot;
  }

  /// A thread that ends lets go of its slot, in which a transaction that moved elsewhere may still be active.
  void disown(TransactionSlot& slot) {
    std::scoped_lock lock(free_mutex_);
    orphans_.push_back(&slot);
  }

  template <class Visitor>
  void for_each_slot(Visitor&& visit) const noexcept(noexcept(visit(*slots_, 0))) {
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) visit(slots_[i], slots_[i].announced.load(std::memory_order_seq_cst));
  }

  static std::mutex& living_mutex() {
    static std::mutex* const mutex = new std::mutex;  // outlives every thread
    return *mutex;
  }
  static std::unordered_map<std::uint64_t, TransactionRegistry*>& living() {
    static auto* const registries = new std::unordered_map<std::uint64_t, TransactionRegistry*>;
    return *registries;
  }

  static constexpr std::uint32_t kSlotsPerRoot = 1024;
  static constexpr std::size_t kRootBytes = kSlotsPerRoot * sizeof(TransactionSlot);
  static constexpr std::size_t kRangeBytes = (kMostSlots + kSlotsPerRoot - 1) / kSlotsPerRoot * kRootBytes;

  static inline std::atomic<std::uint64_t> next_id_{1};

  const std::uint64_t id_ = next_id_.fetch_add(1, std::memory_order_relaxed);
  const std::atomic<std::uint64_t>& frontier_;
  TransactionSlot* slots_ = nullptr;
  std::atomic<std::uint32_t> slot_count_{0};
  std::atomic<std::size_t> bytes_{0};
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  HeldStates held_;
  Heir* heir_ = nullptr;
  std::uint32_t next_to_park_ = 0;
  alignas(64) std::mutex free_mutex_;
  std::vector<TransactionSlot*> free_;
  std::vector<TransactionSlot*> orphans_;  // of threads that ended; some may still be active elsewhere
};

}  // namespace cow::detail
