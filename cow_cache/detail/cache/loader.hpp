// SharedCache::Loader: how one transaction loads an object that the cache does not have. The rest of reader.hpp.
//
// Thread safety: lives on the stack of a read; see reader.hpp.
//
// Invariants:
//  1. A thread that is in a codec (detail::BuildScope) waits for nobody's load: the thread that loads may be waiting for it
//     in turn. It loads the object for itself then, as a private state. So threads cannot wait for each other in a cycle, and
//     a codec that needs its own object fails in its own thread.
//     A thread whose wait has ended with somebody else's failure loads for itself as well (must_load_alone).
//  2. The ticket is finished however the load ends (TicketHolder), before anything else is loaded or destroyed: user code that
//     runs then may ask for the same object.
//  3. No user code runs under a lock: neither a codec nor a destructor. It may read by the transaction that loads, but neither
//     write by it nor put it to sleep; and where it has ended it, the load touches it no more (operation.hpp).
//  4. A private state is born dead: only the transaction that has it in its log knows it again (log_and_validate), and it is freed
//     when that log goes.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "build_scope.hpp"
#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/detail/state/heap_meter.hpp"
#include "shared_cache.hpp"  // and so reader.hpp and operation.hpp, in the order that they need

namespace cow::detail {

class SharedCache::Loader {
 public:
  /// `waiter`: subscribed to a load of somebody else, rather than to wait for it. Null: the thread waits.
  Loader(Reader& reader, Oid oid, const TypeOperations& operations, LoadWaiter* waiter = nullptr) noexcept
      : reader_(reader),
        cache_(*reader.cache_),
        oid_(oid),
        operations_(operations),
        waiter_(waiter),
        alone_(reader.is_past_ || (waiter != nullptr && waiter->alone)) {}

  /// Loads the current revision, or waits for the thread that does. Null: look again, unless it has subscribed.
  StateHeader* load_current();

  /// Loads the revision of the snapshot: an older one than the cache holds, or one that somebody else is loading.
  StateHeader& load_old();

  /// The waiter will be resumed, and has been perhaps: then the transaction is in other hands.
  bool has_subscribed() const noexcept { return subscribed_; }

  /// This transaction has waited for a load that failed. Throws if that is its failure too. True: it is not, and it must load
  /// for itself, by no ticket, or thousands would try one after the other. False: let it look again.
  bool must_load_alone(const LoadFailure& failure);

 private:
  friend BatchLoader;
  /// A state that nobody else knows yet, destroyed unless it is released.
  struct DestroyState {
    void operator()(StateHeader* state) const noexcept { destroy_state(*state); }
  };
  using OwnedState = std::unique_ptr<StateHeader, DestroyState>;

  StateHeader* wait_for(LoadTicket& others);
  StateHeader* load_by(const std::shared_ptr<LoadTicket>& ticket, Evictor::Place& place, Operation& operation);
  OwnedState load_newest(TicketHolder& holder, Operation& operation, Tid& begin);
  OwnedState state_of(const std::optional<Revision>& revision, Operation& operation);
  OwnedState newest_state_of(const std::optional<Revision>& revision, Operation& operation);
  bool sees(Tid begin) const noexcept { return begin.value <= reader_.snapshot_; }
  bool may_be_packed_away() const noexcept;
  void note_absent();
  StateHeader& keep_private(OwnedState owned) noexcept;

  Reader& reader_;
  SharedCache& cache_;
  const Oid oid_;
  const TypeOperations& operations_;
  LoadWaiter* const waiter_;
  bool alone_;  // it has waited for a load that failed; or reads the past, and what is current is nothing to it
  bool subscribed_ = false;
};

inline StateHeader* SharedCache::Loader::load_current() {
  if (alone_) return &load_old();
  HeapPause not_of_an_outer_value;
  VersionChains& chains = cache_.chains_;
  BackoffLock& mutex = chains.mutex_of(oid_);
  LoadTickets& tickets = chains.tickets_of(oid_);
  Evictor::Place place(cache_.evictor_);
  auto ticket = std::make_shared<LoadTicket>(oid_, cache_.ticket_bytes_);
  {
    std::unique_lock lock(mutex);
    if (chains.has_current(oid_)) return nullptr;
    if (std::shared_ptr<LoadTicket> others = tickets.find(oid_)) {
      lock.unlock();
      return wait_for(*others);
    }
    tickets.add(ticket);
  }
  Operation operation(reader_.operation_, Operation::Doing::loading, oid_);
  StateHeader* state = load_by(ticket, place, operation);
  operation.require_here();  // destructors have run
  return state;
}

inline StateHeader* SharedCache::Loader::load_by(const std::shared_ptr<LoadTicket>& ticket, Evictor::Place& place,
                                                 Operation& operation) {
  VersionChains& chains = cache_.chains_;
  BackoffLock& mutex = chains.mutex_of(oid_);
  OwnedState owned;
  using Linked = VersionChains::Linked;
  bool visible = false;
  Linked linked = Linked::no;
  {
    TicketHolder holder(ticket, chains.tickets_of(oid_), mutex);
    Tid begin{};
    owned = load_newest(holder, operation, begin);
    if (owned != nullptr) {
      visible = sees(begin);
      std::scoped_lock lock(mutex);
      if (!holder.withdraw()) return nullptr;  // a commit has withdrawn it
      // Logged before anybody else can reach it, so no look is needed: nobody can have freed it.
      if (visible) reader_.log_.add(handle_of(owned.get()));
      linked = chains.insert_newest(*owned, oid_, begin);
    }
  }
  if (linked != Linked::no) {
    StateHeader* state = owned.release();
    if (linked == Linked::as_new) {
      place.admit(oid_);
    } else {
      cache_.pruner_.note_old_revision(oid_);
    }
    cache_.make_room();
    operation.require_here();
    // Not "look again": under a tight budget the state may be gone by then, and so on for ever.
    return visible ? state : &load_old();
  }
  return visible ? &keep_private(std::move(owned)) : &load_old();
}

/// Waits for a load of somebody else.
inline StateHeader* SharedCache::Loader::wait_for(LoadTicket& others) {
  if (BuildScope::inside_any()) {  // invariant 1
    BuildScope::refuse_cycle(BuildScope::What::decoding, reader_.log_.cache_bits(), oid_);
    return &load_old();
  }
  if (waiter_ == nullptr) {
    others.wait();
  } else {
    subscribed_ = others.subscribe(*waiter_);
    if (subscribed_) return nullptr;
  }
  if (others.failure() != nullptr) alone_ = must_load_alone(*others.failure());
  return nullptr;
}

/// Asks the store for the newest revision, and decodes it. Tells the waiters what has failed. A log that has to grow for it
/// does so here: what follows cannot fail. Null: see newest_state_of.
inline SharedCache::Loader::OwnedState SharedCache::Loader::load_newest(TicketHolder& holder, Operation& operation,
                                                                        Tid& begin) {
  std::optional<Revision> revision;
  try {
    revision = cache_.store_.load(oid_, kInfinity);
  } catch (...) {
    holder.fail(load_failure_of_store());
    throw;
  }
  cache_.loads_.fetch_add(1, std::memory_order_relaxed);
  try {
    OwnedState owned = newest_state_of(revision, operation);
    if (owned != nullptr) {
      begin = revision->begin;
      reader_.log_.reserve_one();
    }
    return owned;
  } catch (...) {
    holder.fail(revision ? load_failure_of_value(oid_, operations_, revision->begin) : load_failure_of_absence());
    throw;
  }
}

inline StateHeader& SharedCache::Loader::load_old() {
  HeapPause not_of_an_outer_value;
  Operation operation(reader_.operation_, Operation::Doing::loading, oid_);
  std::optional<Revision> revision = cache_.store_.load(oid_, reader_.snapshot());
  cache_.old_loads_.fetch_add(1, std::memory_order_relaxed);
  if (revision && revision->erased) revision.reset();
  OwnedState owned = state_of(revision, operation);
  reader_.log_.reserve_one();
  reader_.log_.add(handle_of(owned.get()));  // before anybody else can reach it
  // The chain may have gone by now, or have the revision already.
  bool is_linked = cache_.chains_.insert_old(*owned, oid_, revision->begin, revision->end);
  StateHeader& state = is_linked ? *owned.release() : keep_private(std::move(owned));
  if (is_linked) {
    cache_.pruner_.note_old_revision(oid_);
    cache_.make_room();
  }
  operation.require_here();  // destructors have run
  return state;
}

/// What the store has answered, as a state. The user's codec decodes, and may use this very transaction. Where there is no
/// state (absent, of another type, corrupt, no such value), the transaction has learned something about the object that no log entry stands
/// for: that is noted, for the validation of its reads.
inline SharedCache::Loader::OwnedState SharedCache::Loader::state_of(const std::optional<Revision>& revision,
                                                                     Operation& operation) {
  try {
    if (!revision) throw DanglingReferenceError(oid_, reader_.snapshot());
    BuildScope scope(BuildScope::What::decoding, reader_.log_.cache_bits(), oid_);
    auto decode = [&]() -> StateHeader& { return decode_state(*revision, oid_, operations_); };
    return OwnedState(&reader_.with_room(oid_, [&]() -> StateHeader& { return operation.build(decode); }));
  } catch (...) {
    if (operation.is_here()) note_absent();
    throw;
  }
}

/// The same of the newest revision. Null: it is of another type than the reference says, or corrupt, but above the snapshot:
/// it says nothing about what this transaction sees. Nor does it that there is none, where a pack may have gone beyond this snapshot:
/// what it saw may be gone. The store says so, asked for that.
inline SharedCache::Loader::OwnedState SharedCache::Loader::newest_state_of(const std::optional<Revision>& revision,
                                                                            Operation& operation) {
  if (!revision && may_be_packed_away()) [[unlikely]]
    return nullptr;
  bool visible = !revision || sees(revision->begin);
  try {
    return state_of(revision, operation);
  } catch (const TypeMismatchError&) {
    if (visible) throw;
  } catch (const RecordError&) {
    if (visible) throw;
  }
  return nullptr;
}

inline bool SharedCache::Loader::must_load_alone(const LoadFailure& failure) {
  using Of = LoadFailure::Of;
  switch (failure.of) {
    case Of::store:
      failure.raise();
      break;
    case Of::absent:
      if (may_be_packed_away()) return true;  // the loader's snapshot was a later one, perhaps
      note_absent();
      throw DanglingReferenceError(oid_, reader_.snapshot());
    case Of::value:
      if (!sees(failure.begin)) return true;  // it sees an older one
      if (failure.operations != &operations_) return false;
      note_absent();
      failure.raise();
      break;
    case Of::loader:
      break;
  }
  return true;
}

/// Whether the store has nothing of an object, perhaps, because a pack has dropped what this snapshot sees. A thread that is preempted
/// in the midst of `begin` has not announced its snapshot, and holds no pack back; nor does a process whose lease has ended. REQUIRES: the
/// store has answered, for the oldest tid rises before anything is dropped for it.
inline bool SharedCache::Loader::may_be_packed_away() const noexcept {
  return cache_.has_peers_ || (cache_.packable_ != nullptr && !sees(cache_.packable_->oldest_tid()));
}

/// Throws std::bad_alloc.
inline void SharedCache::Loader::note_absent() {
  Participant& participant = *reader_.participant_;
  if (participant.absent == nullptr) participant.absent = std::make_unique<OidSet>();
  participant.leaves_more = true;
  participant.absent->insert(oid_);
}

/// Makes a logged state this transaction's alone (invariant 4).
inline StateHeader& SharedCache::Loader::keep_private(OwnedState owned) noexcept {
  StateHeader& state = *owned.release();
  state.key.store(state.key_as(oid_, reader_.log_.cache_bits()) | kDeadMark, std::memory_order_seq_cst);
  // A dead state in the log, as if it were evicted: another number than the cache's (look_through_log).
  --reader_.evictions_seen_;
  cache_.reclaimer_->retire(StateChain(state));
  return state;
}

// ---- where the reader needs it

inline StateHeader* SharedCache::Reader::find(Oid oid, const TypeOperations& operations, Miss miss) {
  cache_->require_one_memory();
  Loader loader(*this, oid, operations, miss.waiter);
  for (int attempt = 0;;) {
    VersionChains::Found found = find_resident(oid, attempt);
    if (found.visibility ==
        Visibility::dead) {  // being evicted, pruned or replaced under our eyes: the table knows more soon
      ++attempt;
      pause();
      continue;
    }
    if (found.state == nullptr) {
      if (miss.on_miss == OnMiss::give_up) return nullptr;
      found.state = found.is_resident ? &loader.load_old() : loader.load_current();
      if (loader.has_subscribed()) return nullptr;
      if (found.state == nullptr) continue;
    }
    note_logged(*found.state);
    return &checked(*found.state, oid, operations);
  }
}

template <class T>
bool SharedCache::Reader::must_load_alone(const Ref<T>& reference, const LoadFailure& failure) {
  return Loader(*this, reference.oid(), type_operations<T>).must_load_alone(failure);
}

}  // namespace cow::detail
