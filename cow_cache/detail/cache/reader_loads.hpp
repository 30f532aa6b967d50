// SharedCache::Reader: how a transaction loads what the cache does not have. Part of reader.hpp.
//
// Thread safety: see reader.hpp.
//
// Invariants:
//  1. A thread that is in a codec (detail::BuildScope) waits for nobody's load: the thread that loads may be waiting for it
//     in turn. It loads the object for itself then, as a private state. So threads cannot wait for each other in a cycle, and
//     a codec that needs its own object fails in its own thread.
//     A thread whose wait has ended with somebody else's failure loads for itself as well (must_load_alone).
//  2. The ticket is finished however the load ends (TicketHolder), before anything else is loaded or destroyed: user code that
//     runs then may ask for the same object.
//  3. No user code runs under a lock: neither a codec nor a destructor.
//  4. A private state is born dead: only the transaction that has it in its log knows it again (log_and_look), and it is freed
//     when that log goes.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "build_scope.hpp"
#include "cow_cache/detail/state/heap_meter.hpp"
#include "reader.hpp"

namespace cow::detail {

/// A state that nobody else knows yet, destroyed unless it is released.
struct DestroyState {
  void operator()(StateHeader* state) const noexcept { destroy_state(*state); }
};
using OwnedState = std::unique_ptr<StateHeader, DestroyState>;

/// Loads the current revision, or waits for the thread that does. Null: look again, unless it has subscribed.
inline StateHeader* SharedCache::Reader::load_current(Oid oid, const TypeOperations& operations, Miss& miss) {
  if (miss.alone) return &load_old(oid, operations);
  HeapPause not_of_an_outer_value;
  OidTable& table = cache_->table_;
  std::mutex& mutex = table.mutex_of(oid);
  LoadTickets& tickets = cache_->tickets_of(oid);
  Evictor::Place place(cache_->evictor_);
  auto ticket = std::make_shared<LoadTicket>(oid, cache_->ticket_bytes_);
  {
    std::unique_lock lock(mutex);
    if (table.find(oid) != nullptr) return nullptr;
    if (std::shared_ptr<LoadTicket> others = tickets.find(oid)) {
      lock.unlock();
      if (BuildScope::inside_any()) {  // invariant 1
        BuildScope::refuse_cycle(BuildScope::What::decoding, cache_bits_, oid);
        return &load_old(oid, operations);
      }
      if (miss.waiter == nullptr) {
        others->wait();
      } else {
        miss.subscribed = others->subscribe(*miss.waiter);
        if (miss.subscribed) return nullptr;
      }
      if (others->failure() != nullptr) miss.alone = must_load_alone(*others->failure(), oid, operations);
      return nullptr;
    }
    tickets.add(ticket);
  }
  OwnedState owned;
  bool visible = false, has_room = false;
  {
    TicketHolder holder(ticket, tickets, mutex);
    std::optional<Revision> revision;
    try {
      revision = cache_->store_.load(oid, kInfinity);
    } catch (...) {
      holder.fail(load_failure_of_store());
      throw;
    }
    cache_->loads_.fetch_add(1, std::memory_order_relaxed);
    try {
      owned.reset(newest_state_of(revision, oid, operations));
      if (owned != nullptr) log_.reserve_one();  // so that what follows cannot fail
    } catch (...) {
      holder.fail(revision ? load_failure_of_value(oid, operations, revision->begin) : load_failure_of_absence());
      throw;
    }
    if (owned != nullptr) {
      visible = revision->begin.value <= snapshot_;
      std::scoped_lock lock(mutex);
      if (!holder.withdraw()) return nullptr;  // a commit has withdrawn it
      // Logged before anybody else can reach it, so no look is needed: nobody can have freed it.
      if (visible) log_.add(handle_of(owned.get()));
      has_room = table.has_room_for(oid);
      if (has_room) {
        cache_->install(*owned, oid, revision->begin, kInfinity);
        table.set(oid, *owned);
      }
    }
  }
  if (has_room) {
    StateHeader* state = owned.release();
    place.admit(oid);
    cache_->make_room();
    // Not "look again": under a tight budget the state may be gone by then, and so on for ever.
    return visible ? state : &load_old(oid, operations);
  }
  if (!visible) return &load_old(oid, operations);
  StateHeader* state = owned.release();
  keep_private(*state, oid);
  return state;
}

/// Loads the revision of the snapshot: an older one than the cache holds, or one that somebody else is loading.
inline StateHeader& SharedCache::Reader::load_old(Oid oid, const TypeOperations& operations) {
  HeapPause not_of_an_outer_value;
  std::optional<Revision> revision = cache_->store_.load(oid, Tid{snapshot_});
  cache_->old_loads_.fetch_add(1, std::memory_order_relaxed);
  if (revision && revision->erased) revision.reset();
  OwnedState owned(&state_of(revision, oid, operations));
  log_.reserve_one();
  StateHeader& state = *owned.release();
  log_.add(handle_of(&state));  // before anybody else can reach it
  bool has_place, is_taken;
  {
    std::scoped_lock lock(cache_->table_.mutex_of(oid));
    StateHeader* newer = cache_->table_.find(oid);
    auto older_of = [](StateHeader* of) { return of->older.load(std::memory_order_relaxed); };
    auto begin_of = [](StateHeader* of) { return of->begin.load(std::memory_order_relaxed); };
    while (newer != nullptr && older_of(newer) != nullptr && begin_of(older_of(newer)) > revision->begin.value) {
      newer = older_of(newer);
    }
    has_place = newer != nullptr && begin_of(newer) >= revision->end.value;
    is_taken = has_place && older_of(newer) != nullptr && begin_of(older_of(newer)) == revision->begin.value;
    if (has_place && !is_taken) {
      state.older.store(older_of(newer), std::memory_order_relaxed);
      cache_->install(state, oid, revision->begin, revision->end);
      newer->older.store(&state, std::memory_order_release);
    }
  }
  if (has_place && !is_taken) {
    cache_->note_old_revision(oid);
    cache_->make_room();
  } else {
    keep_private(state, oid);  // the chain has gone, or has the revision already
  }
  return state;
}

/// What the store has answered, as a state. The user's codec decodes, and may use this very transaction. Where there is no
/// state (absent, of another type, corrupt), the transaction has learned something about the object that no log entry stands
/// for: that is noted, for the validation of its reads.
inline StateHeader& SharedCache::Reader::state_of(const std::optional<Revision>& revision, Oid oid,
                                                  const TypeOperations& operations) {
  try {
    if (!revision) throw DanglingReferenceError(oid, Tid{snapshot_});
    BuildScope scope(BuildScope::What::decoding, cache_bits_, oid);
    OwnedState state(&with_room([&]() -> StateHeader& { return decode_state(*revision, oid, operations); }));
    require_active();
    return *state.release();
  } catch (...) {
    if (active()) note_absent(oid);
    throw;
  }
}

/// The same of the newest revision. Null: it is of another type than the reference says, or corrupt, but above the snapshot:
/// it says nothing about what this transaction sees.
inline StateHeader* SharedCache::Reader::newest_state_of(const std::optional<Revision>& revision, Oid oid,
                                                         const TypeOperations& operations) {
  bool visible = !revision || revision->begin.value <= snapshot_;
  try {
    return &state_of(revision, oid, operations);
  } catch (const TypeMismatchError&) {
    if (visible) throw;
  } catch (const CorruptRecordError&) {
    if (visible) throw;
  }
  return nullptr;
}

/// This transaction has waited for a load that failed. Throws if that is its failure too. True: it is not, and it must load for
/// itself, by no ticket, or thousands would try one after the other. False: let it look again.
inline bool SharedCache::Reader::must_load_alone(const LoadFailure& failure, Oid oid,
                                                 const TypeOperations& operations) {
  using Of = LoadFailure::Of;
  switch (failure.of) {
    case Of::store:
      failure.raise();
      break;
    case Of::absent:
      note_absent(oid);
      throw DanglingReferenceError(oid, Tid{snapshot_});
    case Of::value:
      if (failure.begin.value > snapshot_) return true;  // it sees an older one
      if (failure.operations != &operations) return false;
      note_absent(oid);
      failure.raise();
      break;
    case Of::loader:
      break;
  }
  return true;
}

/// Throws std::bad_alloc.
inline void SharedCache::Reader::note_absent(Oid oid) {
  if (slot_->absent == nullptr) slot_->absent = std::make_unique<OidSet>();
  slot_->leaves_more = true;
  slot_->absent->insert(oid);
}

/// Makes a logged state this transaction's alone (invariant 4).
inline void SharedCache::Reader::keep_private(StateHeader& state, Oid oid) noexcept {
  state.key.store(state.key_as(oid, cache_bits_) | kDeadMark, std::memory_order_seq_cst);
  --evictions_seen_;  // a dead state in the log, as if it were evicted: another number than the cache's (look_through_log)
  cache_->reclaimer_->retire(StateChain(state));
}

}  // namespace cow::detail
