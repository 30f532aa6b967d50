// SharedCache::Reader: how one transaction reads: it logs a state, then looks at it ([log-before-look], asymmetric_fence.hpp).
//
// Thread safety: used by one thread at a time; it may move between threads with its transaction.
//
// Invariants:
//  1. What stands in the log was looked at after it was logged, was alive and visible at the snapshot then, and so stays
//     readable until the transaction ends. What fails the look leaves the log at once. So finding a state in the log needs
//     no second look at its interval.
//  2. A stale hint is harmless: it points at some header for ever ([type-stable], state_memory.hpp), so the look is defined; the
//     key says whose it is and the interval whether it is visible. A slot reused for the same object *is* a revision of it.
//  3. Own writes win, whatever was evicted and loaded again. A read that the log does not answer asks the write set first;
//     and from `divert` on no state of the object answers in the log. Proof:
//     a. Every state in the log sees the snapshot (invariant 1). The intervals of a chain are disjoint and chains change
//        under the stripe's lock only, so at any time at most one of the object's logged states is alive. The dead ones never
//        answer: the mark in their key differs from what a hit compares, and nothing takes it away while they are logged.
//     b. If the base is alive as `divert` looks, it is that one, and is marked as diverted. A base that died before another
//        state of the object came to life cannot seem alive: death and birth happened in this order under the stripe's lock,
//        and this transaction has acquired the birth with the key of the other state (look), or is the one that brought it
//        to life.
//     c. If it is dead, the chain, read under the lock, says which state is alive and sees the snapshot. If the log has that
//        one, it is marked as well; if not, no logged state is alive.
//     d. Nothing is added later: every read of the object ends at the write set, which is asked before anything is logged
//        (kHasWritten).
//     e. A mark means one state until the transaction ends, for no slot is used again while a log has it.
//  4. What a transaction holds follows the objects that it reads, not its reads. Evicted objects are loaded again, by this
//     transaction or by others, and would be logged again and again. So the log is looked through whenever it has doubled: when
//     an eighth of it or more has died, it gets an index, and from then on each first read asks that before it logs a further
//     state of the object. Before that, seven eighths of the log's states are alive, and so of distinct objects: at most
//     8/7 states an object, 16/7 by the time that it has doubled; and a constant, as a log is first looked through with some
//     thirty states.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "build_scope.hpp"
#include "cow_cache/detail/apart/access.hpp"
#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/oid_set.hpp"
#include "cow_cache/detail/pause.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/detail/record/decode.hpp"
#include "cow_cache/detail/record/raw_record.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store/note.hpp"
#include "operation.hpp"
#include "shared_cache.hpp"

namespace cow::detail {

class SharedCache::Reader {
 public:
  Reader() noexcept = default;
  // The transaction is announced before anything of the reader is made, so that what `open` sets is set once.
  explicit Reader(SharedCache& cache) : Reader(cache, cache.own_registry().begin()) {}
  Reader(SharedCache& cache, Participant& participant) noexcept
      : cache_(&cache),
        participant_(&participant),
        snapshot_(participant.snapshot.load(std::memory_order_relaxed)) {  // written by this thread, just now
    bool is_quick = may_announce_quickly();
    log_.open(*participant_, cache.chains_.cache_bits(), kFirstCheck, is_quick);
    if (!is_quick) [[unlikely]]
      slow_ = kSymmetric;
  }
  Reader(SharedCache& cache, const Past& past) : Reader(cache, cache.own_registry().begin_at(past.snapshot)) {
    is_past_ = true;
    index_log();
  }
  Reader(Reader&& other) noexcept { *this = std::move(other); }
  Reader& operator=(Reader&& other) noexcept {
    // The moved-from reader has ended: its log is closed, so every read takes the slow path and throws.
    log_ = std::exchange(other.log_, ReadLog{});
    cache_ = other.cache_;
    participant_ = std::exchange(other.participant_, nullptr);
    snapshot_ = other.snapshot_;
    Operation::move(other.operation_, operation_);
    slow_ = other.slow_;
    is_past_ = other.is_past_;
    evictions_seen_ = other.evictions_seen_;
    return *this;
  }

  /// See BasicTransaction::will_sleep. REQUIRES: active.
  void will_sleep() {
    if (operation_ != nullptr) operation_->refuse("put it to sleep");
    if ((slow_ & kAsleep) != 0) return;
    cache_->registry_.will_sleep(*participant_);
    goes_slowly(kAsleep, true);
  }

  /// What its commit will say of itself; null: nothing. REQUIRES: active.
  const TransactionNote* note() const noexcept { return participant_->note.get(); }
  /// Throws std::bad_alloc. REQUIRES: active.
  void set_note(TransactionNote&& note) {
    participant_->leaves_more = true;
    participant_->note = std::make_unique<TransactionNote>(std::move(note));
  }

  /// Throws TransactionEndedError, ReadOnlyTransactionError.
  void require_present() const {
    require_active();
    if (is_past_) [[unlikely]]
      throw ReadOnlyTransactionError(Tid{snapshot_});
  }

  bool active() const noexcept { return participant_ != nullptr; }
  Tid snapshot() const noexcept { return Tid{snapshot_}; }
  /// All that was read and was not this transaction's own. REQUIRES: active.
  const ReadLog& read_log() const noexcept { return log_; }
  /// Objects that it has asked for without getting a state to log. Null: none. REQUIRES: active.
  const OidSet* absent() const noexcept { return participant_->absent.get(); }

  /// True in user code that the transaction has called (operation.hpp).
  bool is_busy(const WriteSet& /*writes*/) const noexcept { return operation_ != nullptr; }
  /// REQUIRES: busy.
  [[noreturn]] void refuse_commit(const WriteSet& writes) const {
    writes.require_open();  // says which object is being encoded
    operation_->refuse("commit it");
  }

  /// While the transaction commits.
  struct Committing : Operation {
    explicit Committing(Reader& reader) noexcept : Operation(reader.operation_, Doing::committing, {}) {}
  };

  /// Gives up everything read. Writes must have been published or discarded. REQUIRES: active, and not busy.
  void end() noexcept {
    log_.close();
    cache_->registry_.end(*std::exchange(participant_, nullptr));
  }

  /// Ends without committing, and frees the private states; once user code has returned, if that has called this. REQUIRES: active,
  /// or in an operation.
  void end_and_discard(WriteSet& writes) noexcept {
    Participant* participant = std::exchange(participant_, nullptr);
    if (operation_ != nullptr) [[unlikely]]
      return Operation::end_later(operation_, *cache_, log_, participant, writes);
    WriteSet discarded = std::move(writes);  // this reader may be gone before the last value is
    Operation::end(*cache_, log_, *participant, discarded);
  }

  /// The visible value of an object, if that takes no question to the store; null where it would.
  template <class T>
  [[gnu::always_inline]] const T* try_read(const Ref<T>& reference, WriteSet& writes) {
    if (StateHeader& state = *reference.hint(); log_.front().is_hit(state, reference.identity())) [[likely]]
      return &value_of<T>(state);
    return value_or_null<T>(read_resident(reference, type_operations<T>, writes));
  }

  /// The visible value of an object. But where it would wait for somebody else's load, subscribes `waiter` to it and returns null. The
  /// waiter may be resumed, and use this reader, before this function returns.
  template <class T>
  const T* read_or_subscribe(const Ref<T>& reference, WriteSet& writes, LoadWaiter& waiter) {
    return value_or_null<T>(read_slowly(reference, type_operations<T>, &writes, {OnMiss::subscribe, &waiter}));
  }

  /// See Loader::must_load_alone. REQUIRES: active.
  template <class T>
  bool must_load_alone(const Ref<T>& reference, const LoadFailure& failure);

  /// The private state of an object, cloned from the visible one at the first call.
  template <class T>
  T& divert(const Ref<T>& reference, WriteSet& writes) {
    require_may_write(writes);
    // A hit is of an object that was read and not written yet (invariant 3).
    // One load of the hint for both: others repair it meanwhile, to states that this transaction has not logged.
    StateHeader& hinted = *reference.hint();
    const bool was_read = log_.front().is_hit(hinted, reference.identity());
    if (!was_read) {
      if (WriteSetEntry* entry = own_write(reference.oid(), type_operations<T>, writes))
        return value_of<T>(*entry->state);
    }
    cache_->require_one_memory();
    StateHeader& base = was_read ? hinted : read_unwritten(reference, type_operations<T>);
    StateHeader& clone = clone_of<T>(base, reference.oid());
    WriteSetEntry& entry = add_own_write(writes, reference.oid(), clone);
    entry.base = Tid{base.begin.load(std::memory_order_relaxed)};
    entry.cloned = handle_of(&base);
    log_.mark_diverted(handle_of(&base));
    if (base.is_dead()) [[unlikely]]  // what must be seen was acquired before (invariant 3b)
      mark_living(reference.oid());
    return value_of<T>(clone);
  }

  /// The private state of a new object.
  template <class T>
  Ref<T> create(Oid oid, T&& value, WriteSet& writes) {
    require_active();
    require_may_write(writes);
    cache_->require_one_memory();
    StateHeader& state = state_of_new(oid, std::forward<T>(value));
    add_own_write(writes, oid, state).created = true;
    return Ref<T>(oid, state);
  }

  /// Makes a record, whatever its type, the next revision of an object; no record: a tombstone. `base`: the newest one, which the
  /// caller has loaded. REQUIRES: active, and the object is not in the write set.
  void restore(Oid oid, std::optional<std::string> record, Tid base, WriteSet& writes) {
    cache_->require_one_memory();
    const bool erased = !record;
    StateHeader& state =
        with_room(oid, [&]() -> StateHeader& { return erased ? new_tombstone() : new_raw_record(*record); });
    WriteSetEntry& entry = add_own_write(writes, oid, state);
    entry.base = base;
    entry.erased = erased;
    entry.is_record = !erased;
  }

  /// Replaces the object by a tombstone. Throws like `divert`.
  template <class T>
  void erase(const Ref<T>& reference, WriteSet& writes) {
    divert(reference, writes);
    wake();
    log_.reserve_one();
    StateHeader& tombstone = with_room(reference.oid(), new_tombstone);
    WriteSetEntry& entry = *writes.find(reference.oid());
    StateHeader& clone = *std::exchange(entry.state, &tombstone);
    entry.erased = true;
    // The caller may hold a reference to the clone, which is promised to last: logged, it is freed when the log goes.
    log_.add(handle_of(&clone));
    cache_->reclaimer_->retire(StateChain(clone));
  }

 private:
  friend Loader;
  friend BatchLoader;
  template <class T>
  friend struct DefinedAccess;

  /// What a read does about an object that the cache does not have.
  enum class OnMiss { load, give_up, subscribe };
  struct Miss {
    OnMiss on_miss;
    LoadWaiter* waiter = nullptr;  ///< of OnMiss::subscribe
  };

  template <class T>
  static const T* value_or_null(StateHeader* state) noexcept {
    return state == nullptr ? nullptr : &value_of<T>(*state);
  }

  /// A read that is no hit by the front of the log. What is more than a first read by a right hint is left to others,
  /// `displaced()` or `otherwise(state)`, in tail calls with the very arguments of the caller: so this needs no stack frame and
  /// calls nothing. (The log of a transaction that has ended, has written, sleeps or must ask an index takes nothing here.)
  template <class Displaced, class Otherwise>
  [[gnu::always_inline]] StateHeader* read_first(auto& reference, Displaced displaced, Otherwise otherwise) {
    StateHeader& state = *reference.hint();
    if (!log_.try_add(handle_of(&state))) [[unlikely]]
      return displaced();
    if (!is_visible(state, reference.identity())) [[unlikely]]
      return otherwise(state);
    return &state;
  }

  /// What the log did not take at once. It may have the state, but not where a hit looks; if not, `slowly()`, as above.
  template <class Slowly>
  [[gnu::always_inline]] StateHeader* read_displaced(auto& reference, Slowly slowly) {
    StateHeader& state = *reference.hint();
    if (log_.contains_displaced(handle_of(&state)) && log_.front().is_state_of(state, reference.identity()))
      return &state;
    return slowly();
  }

  /// A read by a reference that has no hint. Else `slowly()`, as above.
  template <class Slowly>
  [[gnu::always_inline]] StateHeader* read_by_oid(auto& reference, Slowly slowly) {
    if (!active()) [[unlikely]]
      return slowly();
    StateHeader* state = cache_->oid_hints_.find(reference.oid());
    if (state == nullptr || !cache_->has_one_memory()) [[unlikely]]
      return slowly();
    if (!log_.front().is_hit(*state, reference.identity())) {
      if (!log_.try_add(handle_of(state))) [[unlikely]]
        return slowly();
      if (!is_visible(*state, reference.identity())) [[unlikely]] {
        log_.undo_add(handle_of(state));
        return slowly();
      }
    }
    reference.set_hint(*state);
    return state;
  }

  [[gnu::noinline]] StateHeader* read_resident(auto& reference, const TypeOperations& operations, WriteSet& writes) {
    auto slowly = [&] { return read_slowly(reference, operations, &writes, {OnMiss::give_up}); };
    return read_first(
        reference, [&] { return read_displaced(reference, slowly); },
        [&](StateHeader& state) { return read_otherwise(reference, operations, &writes, state, OnMiss::give_up); });
  }

  /// Of an object that this transaction has neither written nor read, as a rule. (The steps of `read_first` once more: in one function
  /// for both, GCC 12 makes two instructions more of each first read.) REQUIRES: active, not written.
  [[gnu::noinline]] StateHeader& read_unwritten(auto& reference, const TypeOperations& operations) {
    StateHeader& state = *reference.hint();
    if ((slow_ & ~kHasWritten) != 0 || !log_.try_add_anyway(handle_of(&state))) [[unlikely]]
      return *read_slowly(reference, operations, nullptr, {OnMiss::load});
    if (!is_visible(state, reference.identity())) [[unlikely]]
      return *read_otherwise(reference, operations, nullptr, state, OnMiss::load);
    return state;
  }

  /// Whether a state that `try_add` has just logged is the object's, and visible.
  [[gnu::always_inline]] bool is_visible(StateHeader& state, std::uint64_t identity) const noexcept {
    if (validate_quickly(state.key) != (identity | log_.cache_bits()) || interval_of(state) != Visibility::visible)
      return false;
    state.mark_visited();
    return true;
  }

  /// The hint was wrong: nothing stays logged of what it pointed at.
  [[gnu::noinline, gnu::cold]] StateHeader* read_otherwise(auto& reference, const TypeOperations& operations,
                                                           WriteSet* writes, const StateHeader& state, OnMiss on_miss) {
    log_.undo_add(handle_of(&state));
    return read_slowly(reference, operations, writes, {on_miss});
  }

  /// Slow path of all reads: own writes, the log's index, the hint, table and chain, the store. Null: see OnMiss. `writes`: null,
  /// if the transaction itself has not written the object.
  [[gnu::noinline]] StateHeader* read_slowly(auto& reference, const TypeOperations& operations, WriteSet* writes,
                                             Miss miss) {
    const bool may_log = log_.may_try_add() && reference;  // nothing need be asked before
    if (!may_log) [[unlikely]] {
      if (StateHeader* known = ask_before_logging(reference, operations, writes)) return known;
    }
    StateHeader* state = reference.hint();
    if (state != &null_state.header) {
      if (log_and_validate<kWholeKey>(*state, reference.identity()) == Visibility::visible) {
        note_logged(*state);
        return state;
      }
    }
    if (may_log) [[likely]] {
      if (StateHeader* newest = find_newest(reference)) return newest;
    }
    return find_and_hint(reference, operations, miss);
  }

  /// What a transaction must do about an object before it may log a state of it. Returns the own write of it, or the state that an
  /// index knows; null: neither. Also the place where every misuse ends up.
  [[gnu::noinline]] StateHeader* ask_before_logging(auto& reference, const TypeOperations& operations,
                                                    WriteSet* writes) {
    if (writes != nullptr) {
      if (WriteSetEntry* entry = own_write(reference.oid(), operations, *writes)) return entry->state;
    }
    wake();
    if (log_.size() >= log_.check_at()) look_through_log();
    if ((slow_ & kIndexed) != 0) {
      if (StateHeader* logged = log_.find(reference.oid())) return &checked(*logged, reference.oid(), operations);
    }
    return nullptr;
  }

  /// By oid, where the newest state is the answer, as usual. Null: look further. REQUIRES: nothing need be asked before logging.
  [[gnu::always_inline]] StateHeader* find_newest(auto& reference) {
    cache_->require_one_memory();
    const bool is_by_oid = reference.hint() == &null_state.header;
    StateHeader* newest =
        is_by_oid ? cache_->oid_hints_.find(reference.oid()) : nullptr;  // the log had no place for it at once
    bool is_hinted = newest != nullptr;
    for (;; is_hinted = false) {
      if (!is_hinted) newest = cache_->chains_.newest(reference.oid());
      if (newest == nullptr) [[unlikely]]
        return nullptr;
      if (log_and_validate<kWholeKey>(*newest, reference.identity()) == Visibility::visible) [[likely]]
        break;
      if (!is_hinted) return nullptr;
    }
    if (is_by_oid && !is_hinted) cache_->oid_hints_.note(reference.oid(), *newest);
    repair_hint(reference, *newest);
    return newest;
  }

  [[gnu::noinline]] StateHeader* find_and_hint(auto& reference, const TypeOperations& operations, Miss miss) {
    StateHeader* found = find(reference.oid(), operations, miss);
    // Only the newest state is worth a hint: an old reader must not send the others astray.
    if (found != nullptr && !found->is_superseded()) repair_hint(reference, *found);
    return found;
  }

  /// Unchanged hints are not written, for they share their line with everybody.
  static void repair_hint(auto& reference, StateHeader& state) noexcept {
    if (reference.hint() != &state) reference.set_hint(state);
  }

  /// After a park, before anything new is logged. What was logged before may be read meanwhile.
  void wake() noexcept {
    if ((slow_ & kAsleep) == 0) [[likely]]
      return;
    cache_->registry_.wake(*participant_);
    goes_slowly(kAsleep, false);
  }

  /// Which bits of a key a look compares. By oid, for an object may have another type than the reference says, or be a
  /// tombstone by now.
  static constexpr std::uint64_t kWholeKey = ~std::uint64_t{0}, kKeyButType = ~kTypeMask;

  /// The protocol itself. Whatever does not turn out visible is not logged afterwards.
  template <std::uint64_t kCompared>
  Visibility log_and_validate(StateHeader& state, std::uint64_t identity) {
    ReadLog::Outcome outcome = log_.add(handle_of(&state));
    Visibility result = look_at<kCompared>(state, identity | log_.cache_bits(), outcome);
    if (result == Visibility::visible) {
      state.mark_visited();
    } else if (outcome == ReadLog::Outcome::inserted) {
      log_.undo_add(handle_of(&state));
    }
    return result;
  }

  /// The second half of it. REQUIRES: logged, with that outcome.
  template <std::uint64_t kCompared>
  [[gnu::always_inline]] Visibility look_at(const StateHeader& state, std::uint64_t key,
                                            ReadLog::Outcome outcome) const noexcept {
    if (std::uint64_t found = validate(state.key) & kCompared; found != key) [[unlikely]] {
      // Evicted or pruned since this transaction read it, but kept for it: loading it again would pile up copies.
      return outcome == ReadLog::Outcome::present && found == (key | kDeadMark) ? Visibility::visible
                                                                                : Visibility::dead;
    }
    return interval_of(state);
  }

  /// REQUIRES: its key was looked at, and is right.
  [[gnu::always_inline]] Visibility interval_of(const StateHeader& state) const noexcept {
    if (state.begin.load(std::memory_order_relaxed) > snapshot_)
      return Visibility::too_new;  // relaxed: the look acquired them
    if (state.end.load(std::memory_order_acquire) <= snapshot_) return Visibility::too_old;
    return Visibility::visible;
  }

  /// The copy constructor may be the user's, and use this transaction.
  template <class T>
  StateHeader& clone_of(const StateHeader& base, Oid oid) {
    auto clone = [&]() -> StateHeader& { return clone_state<T>(base, type_operations<T>); };
    if constexpr (std::is_trivially_copy_constructible_v<T>) {
      return with_room(oid, clone);
    } else {
      BuildScope scope(BuildScope::What::copying, log_.cache_bits(), oid);
      Operation operation(operation_, Operation::Doing::copying, oid);
      return with_room(oid, [&]() -> StateHeader& { return operation.build(clone); });
    }
  }

  /// So may the move constructor.
  template <class T>
  StateHeader& state_of_new(Oid oid, T&& value) {
    auto state = [&]() -> StateHeader& { return new_state(std::forward<T>(value)); };
    if constexpr (std::is_trivially_move_constructible_v<T>) {
      return with_room(oid, state);
    } else {
      Operation operation(operation_, Operation::Doing::creating, oid);
      return with_room(oid, [&]() -> StateHeader& { return operation.build(state); });
    }
  }

  /// Lets reads of an object look for its clone, whichever of its states they come by (invariant 3c). Its base has died.
  [[gnu::noinline]] void mark_living(Oid oid) {
    std::scoped_lock lock(cache_->chains_.mutex_of(oid));
    if (StateHeader* state = cache_->chains_.visible_at(oid, snapshot_)) log_.mark_diverted(handle_of(state));
  }

  /// By oid: table, chain, store. Returns a logged state, or null: see OnMiss.
  StateHeader* find(Oid oid, const TypeOperations& operations, Miss miss);

  /// A visible state, if it is of the type.
  StateHeader& checked(StateHeader& state, Oid oid, const TypeOperations& operations) const {
    if (TypeTable::is(state.type_bits(), operations)) [[likely]]
      return state;
    return checked_slowly(state, oid, operations);
  }
  [[gnu::cold, gnu::noinline]] StateHeader& checked_slowly(StateHeader& state, Oid oid,
                                                           const TypeOperations& operations) const {
    if (&state.operations() == &erased_operations) throw DanglingReferenceError(oid, Tid{snapshot_});
    check_type(state, oid, operations);
    return state;
  }

  /// Invariant 4. The log has doubled: was much of what it holds evicted?
  [[gnu::noinline]] void look_through_log() noexcept {
    // Relaxed: a trigger that may be late. Cut to 32 bits: whether it has changed is all that matters.
    auto evictions = static_cast<std::uint32_t>(cache_->evictions_.load(std::memory_order_relaxed));
    bool may_have_lost = log_.check_at() > kFirstCheck && evictions != evictions_seen_;
    std::uint32_t size = log_.size();
    log_.check_next_at(std::max(2 * size, 2 * kFirstCheck));
    evictions_seen_ = evictions;
    if (!may_have_lost || (slow_ & kIndexed) != 0) return;
    std::uint32_t dead = 0;
    log_.for_each([&](StateHandle handle) { dead += StateMemory::instance().state_of(handle)->is_dead(); });
    if (dead < size / 8) return;
    index_log();
  }

  /// From then on a first read asks the index. A reader of the past does from the start: what it loads is in no table, so without an index
  /// each read of an object that has no hint would load it again.
  void index_log() noexcept {
    try {
      log_.make_index();
      goes_slowly(kIndexed, true);
    } catch (const std::bad_alloc&) {
      // Then copies pile up until the log has doubled again.
    }
  }

  /// REQUIRES: the log has the state, which is visible.
  void note_logged(const StateHeader& state) noexcept {
    if ((slow_ & kIndexed) != 0 && !log_.index(handle_of(&state))) goes_slowly(kIndexed, false);
  }

  /// The state of an object that `build` makes. Where there are no addresses for it (detail/state/range.hpp) the cache's states of
  /// that size make room; LimitError then says that transactions hold them all, or other caches.
  template <class Build>
  [[gnu::always_inline]] StateHeader& with_room(Oid oid, Build&& build) {
    try {
      return build();
    } catch (const LimitError&) {  // thrown before anything was built
    }
    evict_for(oid);
    return build();
  }

  [[gnu::noinline, gnu::cold]] void evict_for(Oid oid) {
    Operation operation(operation_, Operation::Doing::making_room, oid);
    cache_->evict_all();  // destroys values
    shrink_quarantine(0);
    operation.require_here();
  }

  /// How often a thread looks again without waiting, some microseconds in all. Then it waits for the lock: the thread that
  /// changes the chain may have a lower priority, and must be let run.
  static constexpr int kSpins = 64;

  [[gnu::always_inline]] VersionChains::Found find_resident(Oid oid, int attempt) {
    VersionChains& chains = cache_->chains_;
    auto look = [&](StateHeader& state) { return log_and_validate<kKeyButType>(state, oid.value); };
    std::unique_lock<BackoffLock> lock;
    if (attempt >= kSpins) lock = std::unique_lock(chains.mutex_of(oid));
    return chains.find(oid, look);  // in one place, so that it is inlined
  }

  /// From then on first reads ask the write set (invariant 3d).
  [[gnu::always_inline]] WriteSetEntry& add_own_write(WriteSet& writes, Oid oid, StateHeader& state) {
    WriteSetEntry& entry = add_write(writes, oid, state);
    if ((slow_ & kHasWritten) == 0) goes_slowly(kHasWritten, true);
    return entry;
  }

  /// What this transaction itself has made of an object.
  WriteSetEntry* own_write(Oid oid, const TypeOperations& operations, WriteSet& writes) const {
    require_active();
    return find_own_write(writes, oid, operations, Tid{snapshot_});
  }

  void require_active() const {
    if (!active()) throw TransactionEndedError();
  }

  /// Throws TransactionBusyError or TransactionCommittingError in user code that may only read.
  [[gnu::always_inline]] void require_may_write(const WriteSet& writes) const {
    if (operation_ != nullptr || is_past_) [[unlikely]]
      require_may_write_meanwhile(writes);
  }
  [[gnu::noinline]] void require_may_write_meanwhile(const WriteSet& writes) const {
    require_present();
    writes.require_open();  // says which object is being encoded
    operation_->require_may_write();
  }

  ReadLog log_;
  SharedCache* cache_ = nullptr;
  Participant* participant_ = nullptr;
  std::uint64_t snapshot_ = 0;
  Operation* operation_ = nullptr;  // the innermost one that it is in

  // Why first reads take the slow path; none is the normal case, and the log knows (ReadLog::allow_try_add).
  static constexpr std::uint8_t kAsleep = 1;      ///< it has said that it sleeps
  static constexpr std::uint8_t kIndexed = 2;     ///< the log has an index, which must be asked
  static constexpr std::uint8_t kHasWritten = 4;  ///< the write set must be asked
  static constexpr std::uint8_t kSymmetric = 8;   ///< announcing takes a fence
  void goes_slowly(std::uint8_t reason, bool does) noexcept {
    slow_ = static_cast<std::uint8_t>(does ? slow_ | reason : slow_ & ~reason);
    log_.allow_try_add(slow_ == 0);
  }

  static constexpr std::uint32_t kFirstCheck = 16;  ///< the log's size at which it is looked through

  std::uint8_t slow_ = 0;
  bool is_past_ = false;              ///< it reads an older snapshot, and changes nothing
  std::uint32_t evictions_seen_ = 0;  ///< those of the cache by the last such time
};

}  // namespace cow::detail

#include "loader.hpp"
