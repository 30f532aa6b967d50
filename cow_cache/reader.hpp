// SharedCache::Reader: how one transaction reads. "Log, then look."
//
// Thread safety: used by one thread at a time; it may move between threads with its transaction.
//
// Invariants:
//  1. What stands in the log was looked at after it was logged, was alive and visible at the snapshot then, and so stays
//     readable until the transaction ends. What fails the look leaves the log at once. So finding a state in the log needs
//     no second look at its interval.
//  2. A stale hint is harmless: it points at some header for ever (StateMemory, invariant 1), so the look is defined; the
//     key says whose it is and the interval whether it is visible. A slot reused for the same object *is* a revision of it.
//  3. Own writes win: the base of a diverted object is marked in the log, any other state of it is not in the log, and
//     whatever is not found in the log asks the write set first.
#pragma once

#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "detail/oid_set.hpp"
#include "read_log.hpp"
#include "shared_cache.hpp"
#include "state_factory.hpp"

namespace cow {

class SharedCache::Reader {
 public:
  Reader() noexcept = default;
  Reader(SharedCache& cache, Session&)
      : cache_(&cache), slot_(&cache.registry_.begin()), cache_bits_(cache.tag_.bits()) {
    snapshot_ = slot_->snapshot.load(std::memory_order_relaxed);  // written by this thread, just now
    log_.open(*slot_);
  }
  Reader(Reader&& other) noexcept { *this = std::move(other); }
  Reader& operator=(Reader&& other) noexcept {
    // The moved-from reader has ended: its log is closed, so every read takes the slow path and throws.
    log_ = std::exchange(other.log_, ReadLog{});
    cache_ = other.cache_;
    slot_ = std::exchange(other.slot_, nullptr);
    cache_bits_ = other.cache_bits_;
    snapshot_ = other.snapshot_;
    asleep_ = other.asleep_;
    return *this;
  }

  /// See BasicTransaction::park. REQUIRES: active.
  void park() noexcept {
    if (asleep_) return;
    cache_->registry_.fall_asleep(*slot_);
    asleep_ = true;
  }

  bool active() const noexcept { return slot_ != nullptr; }
  Tid snapshot() const noexcept { return Tid{snapshot_}; }
  std::size_t states_logged() const noexcept { return log_.size(); }
  /// All that was read and was not this transaction's own. REQUIRES: active.
  const ReadLog& read_log() const noexcept { return log_; }
  /// Objects that it has asked for without getting a state to log. Null: none. REQUIRES: active.
  const detail::OidSet* absent() const noexcept { return slot_->absent.get(); }

  /// Gives up everything read. Writes must have been published or discarded.
  void end() noexcept {
    log_.close();
    cache_->registry_.end(*std::exchange(slot_, nullptr));
  }

  /// Frees the private states of a transaction that does not commit.
  void discard(WriteSet& writes) noexcept { cache_->discard(writes); }

  /// The visible value of an object. This is where a hit happens: one vector comparison in the log, one in the header.
  template <class T>
  [[gnu::always_inline]] const T& read(const Ref<T>& reference, WriteSet& writes) {
    StateHeader* state = reference.hint();
    // Acquire: pairs with the release in `install`. It was looked at when it was logged (invariant 1), this only asks
    // whether the hint is this object's. The first read has marked the state as visited; doing so again here would cost
    // every hit a load and a branch.
    if (log_.contains(handle_of(state)) &&
        state->key.load(std::memory_order_acquire) == (reference.identity() | cache_bits_)) [[likely]] {
      return value_of<T>(*state);
    }
    return value_of<T>(read_first(reference, type_operations<T>, writes));
  }

  /// Like `read`, but never asks the store: null where it would have to.
  template <class T>
  [[gnu::always_inline]] const T* try_read(const Ref<T>& reference, WriteSet& writes) {
    StateHeader* state = reference.hint();
    if (log_.contains(handle_of(state)) &&  // as in `read`
        state->key.load(std::memory_order_acquire) == (reference.identity() | cache_bits_)) [[likely]] {
      return &value_of<T>(*state);
    }
    state = read_resident(reference, type_operations<T>, writes);
    return state == nullptr ? nullptr : &value_of<T>(*state);
  }

  /// Like `read`, but where it would wait for somebody else's load, subscribes `waiter` to it and returns null. The
  /// waiter may be resumed, and use this reader, before this function returns.
  template <class T>
  const T* read_or_subscribe(const Ref<T>& reference, WriteSet& writes, LoadWaiter& waiter) {
    Miss miss{.waiter = &waiter};
    StateHeader* state = read_first(reference, type_operations<T>, writes, miss);
    return state == nullptr ? nullptr : &value_of<T>(*state);
  }

  /// The private state of an object, cloned from the visible one at the first call.
  template <class T>
  T& divert(const Ref<T>& reference, WriteSet& writes) {
    if (WriteSetEntry* entry = own_write(reference.oid(), type_operations<T>, writes))
      return value_of<T>(*entry->state);
    StateHeader& base = read_first(reference, type_operations<T>, writes);
    StateHeader& clone = clone_state(base);
    Tid revision{base.begin.load(std::memory_order_relaxed)};
    add_write(writes, {.oid = reference.oid(), .state = &clone, .base = revision, .cloned = &base});
    log_.mark_diverted(handle_of(&base));
    return value_of<T>(clone);
  }

  /// The private state of a new object.
  template <class T>
  Ref<T> create(Oid oid, T&& value, WriteSet& writes) {
    require_active();
    StateHeader& state = new_state(std::forward<T>(value));
    add_write(writes, {.oid = oid, .state = &state, .created = true});
    return Ref<T>(oid, state);
  }

  /// Replaces the object by a tombstone. Throws like `divert`.
  template <class T>
  void erase(const Ref<T>& reference, WriteSet& writes) {
    divert(reference, writes);
    wake();
    log_.reserve_one();
    StateHeader& tombstone = new_tombstone();
    WriteSetEntry& entry = *writes.find(reference.oid());
    StateHeader& clone = *std::exchange(entry.state, &tombstone);
    entry.erased = true;
    // The caller may hold a reference to the clone, which is promised to last: logged, it is freed when the log goes.
    log_.add(handle_of(&clone));
    cache_->retire(clone);
  }

 private:
  /// What becomes of a read of something that the cache does not have.
  struct Miss {
    bool loads = true;
    LoadWaiter* waiter = nullptr;  ///< subscribes, rather than block, while somebody else loads
    bool subscribed = false;       ///< it has: from then on the reader may be in other hands
  };

  [[gnu::noinline]] StateHeader& read_first(auto& reference, const TypeOperations& operations, WriteSet& writes) {
    if (StateHeader* state = look_at_hint(reference, writes)) [[likely]]
      return *state;
    return read_by_any_means(reference, operations, writes);
  }
  [[gnu::noinline]] StateHeader* read_resident(auto& reference, const TypeOperations& operations, WriteSet& writes) {
    if (StateHeader* state = look_at_hint(reference, writes)) [[likely]]
      return state;
    return read_without_waiting(reference, operations, writes);
  }

  [[gnu::noinline]] StateHeader& read_by_any_means(auto& reference, const TypeOperations& operations,
                                                   WriteSet& writes) {
    Miss miss;
    return *read_first(reference, operations, writes, miss);
  }
  [[gnu::noinline]] StateHeader* read_without_waiting(auto& reference, const TypeOperations& operations,
                                                      WriteSet& writes) {
    Miss miss{.loads = false};
    return read_first(reference, operations, writes, miss);
  }

  /// What most first reads are: of a transaction that has written nothing, by a hint that is right. Null: not so, and
  /// nothing is changed. Apart from the rest, so that it needs no stack frame and calls nothing. (An ended transaction's
  /// log has room for nothing.)
  [[gnu::always_inline]] StateHeader* look_at_hint(auto& reference, const WriteSet& writes) noexcept {
    StateHeader* state = reference.hint();
    if (!writes.empty() || asleep_ || !log_.try_add(handle_of(state))) return nullptr;
    if (look_at<kWholeKey>(*state, reference.identity() | cache_bits_, ReadLog::Outcome::inserted) != Look::visible)
        [[unlikely]] {
      log_.undo_add();
      return nullptr;
    }
    mark_visited(*state);
    return state;
  }

  /// A hit in every sense but that this transaction has not read the state before. Null: see `miss`.
  [[gnu::always_inline]] StateHeader* read_first(auto& reference, const TypeOperations& operations, WriteSet& writes,
                                                 Miss& miss) {
    StateHeader* state = reference.hint();
    if (!writes.empty() || state == &detail::nowhere.header || !active()) {
      if (WriteSetEntry* entry = own_write(reference.oid(), operations, writes)) return entry->state;
    }
    wake();
    if (state != &detail::nowhere.header && log_and_look<kWholeKey>(*state, reference.identity()) == Look::visible)
      return state;
    StateHeader* found = find(reference.oid(), operations, miss);
    if (found == nullptr) return nullptr;
    // Only the newest state is worth a hint: an old reader must not send the others astray. Unchanged hints are not
    // written, for they share their line with everybody.
    if (found->end.load(std::memory_order_relaxed) == kInfinity.value && reference.hint() != found) {
      reference.set_hint(*found);
    }
    return found;
  }

  /// After a park, before anything new is logged. What was logged before may be read meanwhile.
  void wake() noexcept {
    if (!asleep_) [[likely]]
      return;
    cache_->registry_.wake(*slot_);
    asleep_ = false;
  }

  enum class Look { visible, dead, too_new, too_old };

  /// Which bits of a key a look compares. By oid, for an object may have another type than the reference says, or be a
  /// tombstone by now.
  static constexpr std::uint64_t kWholeKey = ~std::uint64_t{0}, kKeyButType = ~kTypeMask;

  /// The protocol itself. Whatever does not turn out visible is not logged afterwards.
  template <std::uint64_t kCompared>
  Look log_and_look(StateHeader& state, std::uint64_t identity) {
    ReadLog::Outcome outcome = log_.add(handle_of(&state));
    Look result = look_at<kCompared>(state, identity | cache_bits_, outcome);
    if (result == Look::visible) {
      mark_visited(state);
    } else if (outcome == ReadLog::Outcome::inserted) {
      log_.undo_add();
    }
    return result;
  }

  /// The second half of it. REQUIRES: logged, with that outcome.
  template <std::uint64_t kCompared>
  [[gnu::always_inline]] Look look_at(const StateHeader& state, std::uint64_t key,
                                      ReadLog::Outcome outcome) const noexcept {
    if (std::uint64_t found = detail::look(state.key) & kCompared; found != key) [[unlikely]] {
      // Evicted or pruned since this transaction read it, but kept for it: loading it again would pile up copies.
      return outcome == ReadLog::Outcome::present && found == (key | kDeadMark) ? Look::visible : Look::dead;
    }
    if (state.begin.load(std::memory_order_relaxed) > snapshot_)
      return Look::too_new;  // relaxed: the look acquired them
    if (state.end.load(std::memory_order_acquire) <= snapshot_) return Look::too_old;
    return Look::visible;
  }

  static void mark_visited(StateHeader& state) noexcept {
    // Relaxed: a hint to the replacement policy. Tested first, so that hits write no shared line.
    if (!state.visited.load(std::memory_order_relaxed)) state.visited.store(true, std::memory_order_relaxed);
  }

  /// By oid: table, chain, store. Returns a logged state, or null: see `miss`.
  StateHeader* find(Oid oid, const TypeOperations& operations, Miss& miss) {
    for (;;) {
      StateHeader* found = nullptr;
      if (StateHeader* head = cache_->table_.find(oid)) {
        Look look = Look::too_new;
        for (StateHeader* state = head; state != nullptr && look == Look::too_new;) {
          // Read before the state may leave the log; its target is logged and looked at in turn, whatever it is by then.
          StateHeader* older = state->older.load(std::memory_order_acquire);
          look = log_and_look<kKeyButType>(*state, oid.value);
          if (look == Look::visible) found = state;
          state = older;
        }
        if (look == Look::dead) {  // being evicted, pruned or replaced under our eyes: the table knows more by now
          std::this_thread::yield();
          continue;
        }
        if (found == nullptr) {
          if (!miss.loads) return nullptr;
          found = &load_old(oid, operations);
        }
      } else {
        if (!miss.loads) return nullptr;
        found = load_current(oid, operations, miss);
        if (miss.subscribed) return nullptr;
      }
      if (found == nullptr) continue;
      if (found->operations == &operations) [[likely]]
        return found;
      if (found->operations == &erased_operations) throw DanglingReferenceError(oid, Tid{snapshot_});
      check_type(*found, oid, operations);  // throws
    }
  }

  /// Loads the current revision, or waits for whoever does. Null: look again, unless it has subscribed.
  StateHeader* load_current(Oid oid, const TypeOperations& operations, Miss& miss) {
    auto ticket = std::make_shared<LoadTicket>(oid, cache_->ticket_bytes_);
    LoadTickets& tickets = cache_->tickets_of(oid);
    {
      std::unique_lock lock(cache_->table_.mutex_of(oid));
      if (cache_->table_.find(oid) != nullptr) return nullptr;
      if (std::shared_ptr<LoadTicket> others = tickets.find(oid)) {
        lock.unlock();
        if (miss.waiter == nullptr) {
          others->wait();
        } else {
          miss.subscribed = others->subscribe(*miss.waiter);
        }
        return nullptr;
      }
      tickets.add(ticket);
    }
    // From here on the ticket must not stay, whatever happens.
    StateHeader* state = nullptr;
    bool installed = false;
    auto settle = [&] {
      {
        std::scoped_lock lock(cache_->table_.mutex_of(oid));
        if (tickets.withdraw(*ticket) && state != nullptr) {
          // Logged before anybody else can reach it, so no look is needed: nobody can have freed it.
          log_.add(handle_of(state));
          cache_->install(*state, oid, Tid{state->begin.load(std::memory_order_relaxed)}, kInfinity);
          cache_->table_.set(oid, *state);
          installed = true;
        }
      }
      ticket->finish();
    };
    try {
      std::optional<Revision> revision = cache_->store_.load(oid, kInfinity);
      cache_->loads_.fetch_add(1, std::memory_order_relaxed);
      state = &state_of(revision, oid, operations);
      log_.reserve_one();  // so that settling cannot fail
    } catch (...) {
      if (state != nullptr) destroy_state(*std::exchange(state, nullptr));
      settle();
      throw;
    }
    settle();
    if (!installed) {
      destroy_state(*state);  // a commit withdrew the ticket
      return nullptr;
    }
    bool visible = state->begin.load(std::memory_order_relaxed) <= snapshot_;
    if (!visible) log_.undo_add();
    cache_->evictor_.admit({&oid, 1});
    cache_->make_room();
    // Not "look again": under a tight budget the state may be gone by then, and so on for ever.
    return visible ? state : &load_old(oid, operations);
  }

  /// Loads the revision of the snapshot, which is older than what the cache holds.
  StateHeader& load_old(Oid oid, const TypeOperations& operations) {
    std::optional<Revision> revision = cache_->store_.load(oid, Tid{snapshot_});
    cache_->old_loads_.fetch_add(1, std::memory_order_relaxed);
    if (revision && revision->erased) revision.reset();
    StateHeader& state = state_of(revision, oid, operations);
    try {
      log_.reserve_one();
    } catch (...) {
      destroy_state(state);
      throw;
    }
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
      cache_->make_room();
    } else {
      // The chain has gone or has the revision already: this one is the transaction's alone, and ends with its log. Born
      // dead, so that only this transaction knows it again (log_and_look).
      state.key.store(state.key_as(oid, cache_bits_) | kDeadMark, std::memory_order_seq_cst);
      cache_->retire(state);
    }
    return state;
  }

  /// What the store has answered, as a state. Where there is none (absent, of another type, corrupt), the transaction has
  /// learned something about the object that no log entry stands for: that is noted, for the validation of its reads.
  StateHeader& state_of(const std::optional<Revision>& revision, Oid oid, const TypeOperations& operations) {
    try {
      if (!revision) throw DanglingReferenceError(oid, Tid{snapshot_});
      return decode_state(*revision, oid, operations);
    } catch (...) {
      if (slot_->absent == nullptr) slot_->absent = std::make_unique<detail::OidSet>();
      slot_->leaves_more = true;
      slot_->absent->insert(oid);
      throw;
    }
  }

  /// What this transaction itself has made of an object. Also the place where every misuse ends up.
  WriteSetEntry* own_write(Oid oid, const TypeOperations& operations, WriteSet& writes) const {
    require_active();
    return find_own_write(writes, oid, operations, Tid{snapshot_});
  }

  void require_active() const {
    if (!active()) throw TransactionEndedError();
  }

  ReadLog log_;
  SharedCache* cache_ = nullptr;
  TransactionSlot* slot_ = nullptr;
  std::uint64_t cache_bits_ = 0;
  std::uint64_t snapshot_ = 0;
  bool asleep_ = false;
};

}  // namespace cow
