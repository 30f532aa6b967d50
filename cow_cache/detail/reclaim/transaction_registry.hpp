// The registry of active transactions: where they announce their epoch and snapshot, a participant each, side by side.
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
//  2. Participants are never unmapped before the registry; each is used by one transaction at a time.
//  3. A snapshot in use is never above the frontier, and never below the frontier at the call of its `begin`, unless it was asked for:
//     what such a one would see may have been dropped from the cache before it began, and then is loaded again.
//  4. [parked-is-held] A parked transaction announces nothing that an epoch would wait for: what it has logged stands in
//     `held()` instead, from before it is announced as parked until its end, even when it goes on in between. So a thread
//     that has read the announcements and then finds a state neither in a log that it must scan nor in `held()` may free it.
//     (Taking states out when a transaction goes on would be wrong: a reclaimer may have seen it parked, and look for its
//     states in `held()` only now.)
//  5. A transaction that goes to sleep only says so; a reclaimer parks it, if it is in the way ([parked-by-lock], participant.hpp). Until
//     then its old epoch and its log protect what it has read, as if it were awake. It logs nothing between `will_sleep`
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
//     again: if T has announced its end, nothing is added. T announces its end (announce_with_release), then reads the flag.
//     So if something was added, T reads the flag as set ([log-before-look]), takes the lock and finds it.
//     (T has cleared its log before, so the announcement is the second of two safeguards; a flag that was read before the log
//     is cleared would be none.)
//     The next transaction in the participant may find the flag of the one before it; it then finds nothing held, at some cost.

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
#include "participant.hpp"
#include "read_log.hpp"

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
    participants_ = static_cast<Participant*>(range);
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
    std::uint32_t count = participant_count();
    for (std::uint32_t i = 0; i < count; ++i)
      ReadLog::destroy_table(participants_[i].log.load(std::memory_order_relaxed));
    for (std::uint32_t i = 0; i < count; i += kParticipantsPerRoot) remove_leak_root(participants_ + i, kRootBytes);
    ::munmap(participants_, kRangeBytes);
  }

  /// The heir frees what waits in `held()`: the reclaimer, if it leaves states there. REQUIRES: no transaction is active.
  void set_heir(Heir* heir) noexcept { heir_ = heir; }

  /// Announces a transaction; its snapshot is in the participant. Throws LimitError when kMaxParticipants are in use, std::bad_alloc.
  Participant& begin() {
    Participant& participant = idle_participant();
    // Acquire: pairs with the committer's release of the frontier, so all that it published is seen.
    participant.snapshot.store(frontier_.load(std::memory_order_acquire), std::memory_order_relaxed);
    announce(participant);
    return participant;
  }

  /// The same for a snapshot of the past. REQUIRES: it is not above the frontier.
  Participant& begin_at(Tid snapshot) {
    Participant& participant = idle_participant();
    participant.snapshot.store(snapshot.value, std::memory_order_relaxed);
    announce(participant);
    return participant;
  }

  /// The oldest snapshot in use, or the frontier. One that begins meanwhile may be missing, unless it looks, after it was
  /// announced, for what the caller has announced before the call.
  Tid oldest_snapshot() const noexcept {
    std::uint64_t oldest = frontier_.load(std::memory_order_acquire);  // acquire: before the scan (for_each_snapshot)
    for_each_snapshot([&](std::uint64_t snapshot) { oldest = std::min(oldest, snapshot); });
    return Tid{oldest};
  }

  /// Lets reclaimers park the transaction (invariant 5). REQUIRES: it is awake. It logs nothing until `wake`; what it has
  /// logged it may go on reading.
  void will_sleep(Participant& participant) noexcept {
    participant.leaves_more = true;
    participant.asleep.store(true,
                             std::memory_order_release);  // after all that it has logged; pairs with park_sleepers
  }

  /// REQUIRES: it is asleep.
  void wake(Participant& participant) noexcept {
    bool is_parked = false;
    {
      std::scoped_lock lock(participant.log_lock);
      participant.asleep.store(false, std::memory_order_relaxed);  // read under the lock again, where it matters
      // Relaxed: written under the lock.
      is_parked = participant.announced.load(std::memory_order_relaxed) == Participant::kParked;
    }
    if (is_parked) announce(participant);
  }

  /// Parks transactions that are asleep, until it has moved the `most` states that it may: many sleepers take several
  /// calls. Where memory runs out it parks fewer; the epochs and logs of the others go on protecting what they have read.
  /// Then states may come back, in `released`, for the caller to free. REQUIRES: one call at a time.
  void park_sleepers(std::size_t most, StateChain& released) noexcept {
    std::uint32_t count = participant_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      if (next_to_park_ >= count) next_to_park_ = 0;
      Participant& participant = participants_[next_to_park_++];
      if (!participant.asleep.load(std::memory_order_relaxed)) continue;  // asked again under the lock
      std::scoped_lock lock(participant.log_lock);
      // Acquire: invariant 5. Relaxed: under the lock only the owner's `end` changes it, after it has cleared `asleep`.
      if (!participant.asleep.load(std::memory_order_acquire) ||
          participant.announced.load(std::memory_order_relaxed) == Participant::kParked) {
        continue;
      }
      std::optional<std::size_t> moved = park(participant, released);
      if (!moved || *moved >= most) return;
      most -= *moved;
    }
  }

  /// REQUIRES: the participant's log is closed and none of its states is used any more.
  [[gnu::always_inline]] void end(Participant& participant) noexcept {
    if (participant.leaves_more || !participant.owned_by_thread) [[unlikely]]
      return end_elsewhere(participant);
    end_here(participant);
  }

  /// The stamp for states that are dead and unlinked by now (invariant 1). One such step for a whole batch of them: every
  /// transaction reads this word when it begins.
  std::uint64_t stamp() noexcept { return epoch_.fetch_add(1, std::memory_order_seq_cst); }

  /// Above every stamp drawn so far.
  std::uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_seq_cst); }

  /// States with stamps below this are out of reach, but for those in `held()`, which must be asked afterwards.
  std::uint64_t safe_below() const noexcept {
    std::uint64_t safe = epoch();  // first: what is stamped later than this is not covered by the announcements below
    for_each_participant([&](const Participant&, std::uint64_t announced) { safe = std::min(safe, announced); });
    return safe;
  }

  /// The states of parked transactions, and those that `hold_logged` has found.
  HeldStates& held() noexcept { return held_; }

  /// Calls `visit(std::uint64_t)` for each snapshot in use. One that begins meanwhile may be missing. Its snapshot may even lie
  /// below the frontier, if its thread was preempted in the middle of `begin`; pruning what it would have seen costs it a load
  /// from the store, no more.
  template <class Visitor>
  void for_each_snapshot(Visitor&& visit) const {
    for_each_participant([&](const Participant& participant, std::uint64_t announced) {
      // Relaxed: written before `announced`, which was read with seq_cst (participant.hpp, invariant 2).
      if (is_active(announced)) visit(participant.snapshot.load(std::memory_order_relaxed));
    });
  }

  /// The same, ascending, without repetition, in a list that has room from the last time. Throws std::bad_alloc, and may have
  /// lost some then.
  void active_snapshots(std::vector<std::uint64_t>& snapshots) const {
    snapshots.clear();
    for_each_snapshot([&](std::uint64_t snapshot) { snapshots.push_back(snapshot); });
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
    std::uint32_t count = participant_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      // Ending, idle and parked ones too: these compare greater than any epoch.
      if (participants_[i].announced.load(std::memory_order_seq_cst) > epoch) continue;
      participants_[i].waited_for.store(true, std::memory_order_seq_cst);  // before the fence: invariant 6
    }
    heavy_fence();
    bool held_all = true;
    for (std::uint32_t i = 0; i < count && held_all; ++i) {
      Participant& participant = participants_[i];
      // Set by this thread, above or in an earlier call; cleared by the owner at its end, or by the next one. Acquire: pairs
      // with the release in `let_go`. What the owner did with states happens before they are freed.
      if (!participant.waited_for.load(std::memory_order_acquire)) continue;
      std::scoped_lock lock(participant.log_lock);
      if (participant.announced.load(std::memory_order_seq_cst) <= epoch)
        held_all = hold(participant, wanted, released);
    }
    return held_all;
  }

  /// Calls `visit(StateHandle)` for every state that a transaction announced at or below `epoch` holds in its log.
  /// REQUIRES: detail::heavy_fence() since the states of interest were marked dead.
  template <class Visitor>
  void for_each_logged(std::uint64_t epoch, Visitor&& visit) {
    std::uint32_t count = participant_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      Participant& participant = participants_[i];
      // Idle and parked ones too: these compare greater than any epoch.
      if (participant.announced.load(std::memory_order_seq_cst) > epoch) continue;
      std::scoped_lock lock(participant.log_lock);
      ReadLog::for_each(*participant.log.load(std::memory_order_seq_cst), visit);
    }
  }

  /// Whether one transaction at most is active, as of some time during the call: parked ones are, ending ones are not. False as well
  /// once more than kFew were active together, for then it would take long to say so.
  bool has_one_at_most() const noexcept {
    if (participant_count() > kFew) return false;
    std::uint32_t active = 0;
    for_each_participant([&](const Participant&, std::uint64_t announced) { active += is_active(announced); });
    return active <= 1;
  }

  /// Participants that may be looked at for every commit.
  static constexpr std::uint32_t kFew = 16;

  /// Number of active transactions, as of some time during the call.
  std::size_t active_count() const noexcept {
    std::size_t active = 0;
    for_each_participant(
        [&](const Participant&, std::uint64_t announced) { active += announced != Participant::kIdle; });
    return active;
  }

  /// Bytes of participants and read logs, of idle transactions too, and of what parked ones hold.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  /// The most transactions that were active at once so far: what one look at all announcements costs.
  std::uint32_t participant_count() const noexcept { return participant_count_.load(std::memory_order_seq_cst); }

#if defined(COW_CACHE_MAX_TRANSACTIONS)  // tests want a registry that is full soon
  static constexpr std::uint32_t kMaxParticipants = COW_CACHE_MAX_TRANSACTIONS;
#else
  static constexpr std::uint32_t kMaxParticipants = 1u << 20;
#endif

 private:
  /// Begins or goes on at the present epoch: what the transaction logs from here on is protected by it.
  void announce(Participant& participant) noexcept {
    // Acquire: invariant 1. The epoch may be an old one by the time it is announced, which only protects more.
    std::uint64_t epoch = epoch_.load(std::memory_order_acquire);
    participant.announced.exchange(epoch, std::memory_order_seq_cst);  // the one real fence of a transaction
    (void)epoch_.load(std::memory_order_seq_cst);  // for scans that missed the announcement: invariant 1
  }

  static bool is_active(std::uint64_t announced) noexcept { return announced < Participant::kEnding; }

  /// Moves what a transaction has logged into `held()`, and it out of everybody's way. Returns how many states that were;
  /// nothing: there is no memory for it, and nothing has changed. REQUIRES: the lock of its log; it is asleep.
  std::optional<std::size_t> park(Participant& participant, StateChain& released) noexcept {
    try {
      std::vector<StateHandle> fresh = not_held_yet(participant);
      participant.waited_for.store(true, std::memory_order_relaxed);  // the owner reads it after it has taken the lock
      if (!hold(participant, fresh, released)) return std::nullopt;
      participant.announced.store(Participant::kParked, std::memory_order_release);  // after the states are held
      return fresh.size();
    } catch (const std::bad_alloc&) {
      return std::nullopt;
    }
  }

  /// Adds the states of a participant's log for which `wanted`. REQUIRES: as below.
  template <std::predicate<StateHandle> Wanted>
  bool hold(Participant& participant, Wanted&& wanted, StateChain& released) noexcept {
    try {
      std::vector<StateHandle> fresh;
      // Seq_cst: as in for_each_logged.
      ReadLog::for_each(*participant.log.load(std::memory_order_seq_cst), [&](StateHandle state) {
        if (wanted(state)) fresh.push_back(state);
      });
      return hold(participant, fresh, released);
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  /// False: there is no memory for it, and nothing has changed. REQUIRES: the lock of the log; `waited_for` is set.
  bool hold(Participant& participant, const std::vector<StateHandle>& fresh, StateChain& released) {
    participant.held.insert(participant.held.end(), fresh.begin(), fresh.end());
    if (!held_.add(fresh, released)) {
      participant.held.resize(participant.held.size() - fresh.size());
      return false;
    }
    bytes_.fetch_add(fresh.size() * sizeof(StateHandle), std::memory_order_relaxed);  // a statistic
    return true;
  }

  [[gnu::always_inline]] void end_here(Participant& participant) noexcept {
    announce_with_release(participant.announced, Participant::kEnding);  // release: pairs with the scans' acquire
    if (validate(participant.waited_for)) [[unlikely]]
      return let_go_and_end(participant);
    participant.announced.store(Participant::kIdle,
                                std::memory_order_release);  // pairs with the acquire in `idle_participant`
  }

  /// Of one that has slept, or found something absent, or whose participant no thread keeps.
  [[gnu::noinline]] void end_elsewhere(Participant& participant) noexcept {
    bool owned_by_thread = participant.owned_by_thread;  // read before the participant can be another transaction's
    if (participant.leaves_more) tidy_up(participant);
    end_here(participant);
    if (!owned_by_thread) free(participant);
  }

  [[gnu::noinline]] void let_go_and_end(Participant& participant) noexcept {
    let_go(participant);
    participant.announced.store(Participant::kIdle, std::memory_order_release);  // as in end_here
  }

  void free(Participant& participant) noexcept {
    std::scoped_lock lock(free_mutex_);
    free_.push_back(&participant);
  }

  /// From here on no thread parks the transaction. Forgets what it found absent, and what it says of itself.
  void tidy_up(Participant& participant) noexcept {
    participant.leaves_more = false;
    participant.absent.reset();
    participant.note.reset();
    std::scoped_lock lock(participant.log_lock);
    participant.asleep.store(false, std::memory_order_relaxed);  // as in wake
  }

  /// Gives back what others have made a transaction hold. REQUIRES: it has announced its end.
  void let_go(Participant& participant) noexcept {
    std::vector<StateHandle> held;
    {
      std::scoped_lock lock(participant.log_lock);
      // Under the lock: for what is held by now. Release: for a scanner that reads nothing else of the participant (`hold_logged`).
      participant.waited_for.store(false, std::memory_order_release);
      held.swap(participant.held);
    }
    if (held.empty()) return;
    bytes_.fetch_sub(held.size() * sizeof(StateHandle), std::memory_order_relaxed);  // a statistic
    StateChain released = held_.remove(held);
    if (!released.empty()) heir_->take_over(std::move(released));  // outside of the lock: it frees them
  }

  /// The states in a participant's log that are not in its `held`, ascending.
  static std::vector<StateHandle> not_held_yet(Participant& participant) {
    std::vector<StateHandle> logged;
    // Seq_cst: as in for_each_logged.
    ReadLog::for_each(*participant.log.load(std::memory_order_seq_cst),
                      [&](StateHandle state) { logged.push_back(state); });
    std::sort(logged.begin(), logged.end());
    std::sort(participant.held.begin(), participant.held.end());  // hold_logged has appended to it
    std::vector<StateHandle> fresh;
    std::set_difference(logged.begin(), logged.end(), participant.held.begin(), participant.held.end(),
                        std::back_inserter(fresh));
    return fresh;
  }

  /// A thread keeps a participant for its next transaction, for the few registries that it used last. Without a destructor, so that
  /// transactions may begin until the thread is gone: in destructors of static and thread_local objects, which get a participant that
  /// no thread keeps.
  struct ThreadParticipants {  // begins as zeros: there is no registry 0
    struct Entry {
      std::uint64_t registry;
      Participant* participant;
    };
    Entry entries[4];
    unsigned next_victim;
    bool has_ended;

    static void give_back(Entry& entry) {
      if (entry.participant == nullptr) return;
      std::scoped_lock lock(living_mutex());
      if (auto found = living().find(entry.registry); found != living().end())
        found->second->disown(*entry.participant);
      entry = {};
    }
  };
  struct AtThreadEnd {
    AtThreadEnd() noexcept = default;
    ~AtThreadEnd() {
      for (ThreadParticipants::Entry& entry : thread_participants_.entries) ThreadParticipants::give_back(entry);
      thread_participants_.has_ended = true;
    }
  };

  /// Used only inside `begin`, which never suspends: safe under fibers and coroutines.
  static inline constinit thread_local ThreadParticipants thread_participants_{};

  Participant& idle_participant() {
    ThreadParticipants& mine = thread_participants_;
    for (ThreadParticipants::Entry& entry : mine.entries) {
      if (entry.registry != id_) continue;
      // Acquire: pairs with the release in `end`, which may have run on another thread.
      if (entry.participant->announced.load(std::memory_order_acquire) == Participant::kIdle) return *entry.participant;
      return free_participant();
    }
    return further_participant(mine);
  }

  /// For a thread that has no participant of this registry yet.
  [[gnu::noinline]] Participant& further_participant(ThreadParticipants& mine) {
    if (mine.has_ended) return free_participant();
    static thread_local const AtThreadEnd at_thread_end;
    (void)&at_thread_end;  // makes it: its destructor runs when the thread ends
    ThreadParticipants::Entry& entry = mine.entries[mine.next_victim++ % std::size(mine.entries)];
    ThreadParticipants::give_back(entry);
    Participant& participant = free_participant();
    participant.owned_by_thread = true;
    entry = {id_, &participant};
    return participant;
  }

  [[gnu::noinline]] Participant& free_participant() {
    std::scoped_lock lock(free_mutex_);
    std::erase_if(orphans_, [&](Participant* participant) {
      // Acquire: pairs with the release in `end`; from here on nobody else touches the participant.
      if (participant->announced.load(std::memory_order_acquire) != Participant::kIdle) return false;
      participant->owned_by_thread = false;
      free_.push_back(participant);
      return true;
    });
    if (!free_.empty()) {
      Participant* participant = free_.back();
      free_.pop_back();
      return *participant;
    }
    std::uint32_t index = participant_count_.load(std::memory_order_relaxed);  // written only under this mutex
    if (index == kMaxParticipants) throw LimitError("transactions of a database at a time", kMaxParticipants);
    for (auto* list : {&free_, &orphans_}) {  // so that neither `end` nor the end of a thread can fail
      if (list->capacity() <= index) list->reserve(std::max<std::size_t>(16, std::size_t{2} * index));
    }
    LogTable* log = ReadLog::make_table();
    Participant* participant = ::new (participants_ + index) Participant;
    if (index % kParticipantsPerRoot == 0) add_leak_root(participant, kRootBytes);  // participants own logs on the heap
    participant->log.store(log, std::memory_order_relaxed);
    participant->log_bytes = &bytes_;
    bytes_.fetch_add(sizeof(Participant) + ReadLog::bytes_of(*log), std::memory_order_relaxed);  // a statistic
    participant_count_.store(
        index + 1, std::memory_order_seq_cst);  // a scan that misses the participant precedes its announcement
    return *participant;
  }

  /// A thread that ends lets go of its participant, in which a transaction that moved elsewhere may still be active.
  void disown(Participant& participant) {
    std::scoped_lock lock(free_mutex_);
    orphans_.push_back(&participant);
  }

  template <class Visitor>
  void for_each_participant(Visitor&& visit) const noexcept(noexcept(visit(*participants_, 0))) {
    std::uint32_t count = participant_count();
    for (std::uint32_t i = 0; i < count; ++i)
      visit(participants_[i], participants_[i].announced.load(std::memory_order_seq_cst));
  }

  static std::mutex& living_mutex() {
    static std::mutex* const mutex = new std::mutex;  // outlives every thread
    return *mutex;
  }
  static std::unordered_map<std::uint64_t, TransactionRegistry*>& living() {
    static auto* const registries = new std::unordered_map<std::uint64_t, TransactionRegistry*>;
    return *registries;
  }

  static constexpr std::uint32_t kParticipantsPerRoot = 1024;
  static constexpr std::size_t kRootBytes = kParticipantsPerRoot * sizeof(Participant);
  static constexpr std::size_t kRangeBytes =
      (kMaxParticipants + kParticipantsPerRoot - 1) / kParticipantsPerRoot * kRootBytes;

  static inline std::atomic<std::uint64_t> next_id_{1};

  const std::uint64_t id_ = next_id_.fetch_add(1, std::memory_order_relaxed);
  const std::atomic<std::uint64_t>& frontier_;
  Participant* participants_ = nullptr;
  std::atomic<std::uint32_t> participant_count_{0};
  std::atomic<std::size_t> bytes_{0};
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  HeldStates held_;
  Heir* heir_ = nullptr;
  std::uint32_t next_to_park_ = 0;
  alignas(64) std::mutex free_mutex_;
  std::vector<Participant*> free_;
  std::vector<Participant*> orphans_;  // of threads that ended; some may still be active elsewhere
};

}  // namespace cow::detail
