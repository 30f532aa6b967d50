// A request to commit: one transaction's changes, encoded, and what of its reads and writes is checked by its own thread.
//
// Thread safety: belongs to the thread that commits, until it queues; then to the leader, until that one says that it is
// done (committer.hpp).
//
// Invariants:
//  1. [check-before-queueing] The store is asked by the thread that commits, never by the leader. A check takes a frontier
//     F first, and finds every revision up to F that conflicts; so the leader asks only what was written above F.
//  2. [alive-is-newest] A state that a read log holds is its object's newest revision up to F if, looked at after F was
//     taken, it is alive and has no `end`. Publishing sets the end of what the cache has, before the frontier moves; and
//     what was evicted before that is dead. (Acquiring the frontier makes both seen.)
//  3. A state that is dead without an `end` may have been superseded without its knowing, and an object that was found
//     absent may exist by now. The leader finds that among the recent writes, if they reach back to the snapshot. If not,
//     or if there are many such objects, the store is asked.
//  4. Where other processes commit, too, none of this decides: the engine behind the store validates (proposed_group.hpp). Its own
//     thread makes the proposal, and refuses what is known to conflict already.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/detail/few.hpp"
#include "cow_cache/detail/oid_set.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/detail/record/decode.hpp"
#include "cow_cache/detail/record/reference_watch.hpp"
#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/shared.hpp"
#include "write_set.hpp"

namespace cow::detail {

/// What a serializable transaction has observed. Its owner waits for the leader, so nothing is added meanwhile.
struct ReadSet {
  const ReadLog* log = nullptr;    ///< null: not serializable, nothing of it is validated
  const OidSet* absent = nullptr;  ///< objects that it has asked for and got no state of; null: none
};

/// What a request is, besides, where the engine behind the store validates.
struct EngineRequest {
  std::vector<ProposedWrite> writes;
  std::vector<ProposedRead> reads;
  // Or, of a request that commits nothing: what other processes have done. Borrowed.
  std::span<const TransactionInfo> remote;
  struct RemoteJump* jump = nullptr;

  bool is_news() const noexcept { return jump != nullptr || !remote.empty(); }
};

/// Passes over what other processes have committed, for it cannot be learned any more.
struct RemoteJump {
  Tid to;                ///< the last commit, by the store, before the jump
  bool done = false;     ///< false: that was known already
  StateChain forgotten;  ///< what the caller has to retire
};

class CommitRequest {
 public:
  /// Encodes the private states into records, outside of any lock. References from `first_unsure` on are noted, unless they
  /// lead to what the transaction itself has created or changed. Throws UnstorableValueError, what the codecs throw, and
  /// TransactionEndedError if one of them has ended or moved the transaction.
  /// `appends`: `append` will be called.
  CommitRequest(WriteSet::Frozen& frozen, Tid snapshot, Oid first_unsure = kMaxOid, bool appends = false)
      : writes_(frozen.writes()),
        snapshot_(snapshot),
        objects_(frozen.writes().size() + appends),
        checked_(snapshot),
        reads_checked_(snapshot) {
    const WriteSet& writes = writes_;
    records_.reserve(likely_bytes(writes));
    ReferenceWatch watch(first_unsure, unsure_references_);
    for (const WriteSetEntry& entry : writes) {
      std::size_t start = records_.size();
      watch.encode(entry.oid);
      frozen.encode(entry.oid);
      entry.state->operations().encode(*entry.state, entry.oid, records_);
      objects_.push_back({entry.oid, entry.erased, std::string_view(records_).substr(start)});
    }
    frozen.require_here();
    if (!unsure_references_.empty()) [[unlikely]]
      forget_own_references();
    const char* record = records_.data();  // they may have moved while they grew
    for (auto object = objects_.begin(); const WriteSetEntry& entry : writes) {
      object->record = {record, object->record.size()};
      record += object->record.size();
      weigh(*entry.state, object->record.size());
      ++object;
    }
    frozen.require_here();
  }

  /// Adds an object of the library's own, which nobody else writes until the commit has returned: no conflict is looked for. Takes
  /// the state in any case. Throws std::bad_alloc. REQUIRES: it was announced, and `record` lives as long as the request.
  void append(WriteSet::Frozen& frozen, Oid oid, StateHeader& state, std::string& record) {
    try {
      state.operations().encode(state, oid, record);
      weigh(state, record.size());
      frozen.add(oid, state).created = true;
    } catch (...) {
      destroy_state(state);
      throw;
    }
    objects_.push_back({oid, false, record});
  }

  /// What its transaction has read is validated too: by the codecs as well, so this comes after they have run.
  void validate(ReadSet reads) noexcept { reads_ = reads; }

  /// What the commit says of itself. REQUIRES: it stays until the commit has returned.
  void set_note(const TransactionNote* note) noexcept { note_ = note; }

  const std::vector<StoredReference>& unsure_references() const noexcept { return unsure_references_; }
  std::span<const ObjectWrite> objects() const noexcept { return objects_.all(); }

 private:
  friend class Committer;
  friend class ProposedGroup;

  /// One that commits nothing: the leader gives it back, for it was never checked (Committer::adopt_generation).
  explicit CommitRequest(WriteSet& nothing) : writes_(nothing), snapshot_{}, objects_(0) {}

  enum Progress : int { waiting, leading, done };

  [[gnu::noinline]] void forget_own_references() {
    std::erase_if(unsure_references_,
                  [&](const StoredReference& reference) { return writes_.find(reference.to) != nullptr; });
  }

  /// What the records of small values take: the type's name, the value as large as in memory, less than is kept for nothing.
  static std::size_t likely_bytes(const WriteSet& writes) noexcept {
    std::size_t bytes = 0;
    for (const WriteSetEntry& entry : writes) bytes += entry.state->charge() + kLikelyName;
    return std::min(bytes, kMaxLikelyBytes);
  }

  bool serializable() const noexcept { return reads_.log != nullptr; }

  /// Invariant 4. What it has read of its own writes is left out: that is validated as a write. Throws ConflictError, std::bad_alloc.
  [[gnu::cold, gnu::noinline]] void make_proposal(EngineRequest& engine) {
    engine_ = &engine;
    engine.writes.reserve(objects_.all().size());
    for (const ObjectWrite& object : objects_.all()) {
      const WriteSetEntry* entry = writes_.find(object.oid);
      engine.writes.push_back({object, entry != nullptr ? entry->base : Tid{}});
      if (entry == nullptr || entry->created || entry->cloned_state() == nullptr) continue;
      if (Tid end = end_of(*entry->cloned_state()); end != kInfinity)
        conflicts_.push_back({object.oid, entry->base, end});
    }
    if (serializable()) {
      reads_.log->for_each([&](StateHandle handle) {
        const StateHeader& state = *StateMemory::instance().state_of(handle);
        const Oid oid = state.oid();
        if (!oid || writes_.find(oid) != nullptr) return;  // no oid: a private state that was erased
        engine.reads.push_back({oid, Tid{state.begin.load(std::memory_order_relaxed)}});
        if (Tid end = end_of(state); end != kInfinity && conflicts_.empty()) add_conflict(oid, end);
      });
      if (reads_.absent != nullptr) {
        reads_.absent->for_each([&](Oid oid) {
          if (writes_.find(oid) == nullptr) engine.reads.push_back({oid, Tid{}});
        });
      }
      remove_repeated(engine.reads);
    }
    throw_conflicts();
  }

  /// Evicted objects are logged once for each time that they were loaded; all of these are one revision. It may have been absent as
  /// another type, and then was found.
  static void remove_repeated(std::vector<ProposedRead>& reads) {
    const auto by_oid = [](const ProposedRead& a, const ProposedRead& b) {
      return a.oid != b.oid ? a.oid < b.oid : a.revision > b.revision;
    };
    std::sort(reads.begin(), reads.end(), by_oid);
    const auto repeated = std::unique(reads.begin(), reads.end(),
                                      [](const ProposedRead& a, const ProposedRead& b) { return a.oid == b.oid; });
    reads.erase(repeated, reads.end());
  }

  /// Looks for conflicts up to `frontier`, as far as the leader could not do so by heart: it knows what was written above
  /// `known_since`. REQUIRES: `frontier` was read with acquire. Throws ConflictError and what the store throws.
  void check(Store& store, Tid frontier, Tid known_since) {
    const bool by_heart = snapshot_ >= known_since;
    checked_ = by_heart ? snapshot_ : frontier;
    reads_checked_ = frontier;
    if (!by_heart) {
      for (const WriteSetEntry& entry : writes_) {
        if (!entry.created) check_write(store, entry);
      }
      throw_conflicts();
    }
    if (!serializable()) return;
    unsure_.clear();
    read_oids_.reserve(reads_.log->size() + (reads_.absent != nullptr ? reads_.absent->size() : 0));
    reads_.log->for_each([&](StateHandle handle) {
      if (conflicts_.empty()) check_read(store, *StateMemory::instance().state_of(handle), by_heart);
    });
    if (reads_.absent != nullptr)
      reads_.absent->for_each([&](Oid oid) {
        if (!conflicts_.empty()) return;
        read_oids_.insert(oid);
        look_up(store, oid, by_heart);
      });
    throw_conflicts();
  }

  void check_write(Store& store, const WriteSetEntry& entry) {
    if (const StateHeader* cloned = entry.cloned_state()) {
      Tid end = end_of(*cloned);
      if (end != kInfinity) return conflicts_.push_back({entry.oid, entry.base, end});
      if (!cloned->is_dead()) return;  // invariant 2
    }
    Tid newest = newest_in(store, entry.oid);
    if (newest > snapshot_) conflicts_.push_back({entry.oid, entry.base, newest});
  }

  /// One conflict is enough: a transaction may have read a million objects.
  void check_read(Store& store, const StateHeader& state, bool by_heart) {
    Oid oid = state.oid();
    if (!oid) return;  // a private state that was erased
    read_oids_.insert(oid);
    if (Tid end = end_of(state); end != kInfinity) {
      add_conflict(oid, end);
    } else if (state.is_dead()) {
      look_up(store, oid, by_heart);
    }
  }

  /// Invariant 3.
  void look_up(Store& store, Oid oid, bool by_heart) {
    if (by_heart && unsure_.size() < kMaxUnsure) return unsure_.push_back(oid);
    Tid newest = newest_in(store, oid);
    if (newest > snapshot_) add_conflict(oid, newest);
  }

  /// Of an object that was read, and perhaps changed as well. At which revision it was read, `throw_conflicts` says.
  void add_conflict(Oid oid, Tid current) {
    const WriteSetEntry* changed = writes_.find(oid);
    conflicts_.push_back({oid, changed != nullptr ? changed->base : Tid{}, current, changed != nullptr});
  }

  // Relaxed: what was published and evicted up to the frontier happened before it was acquired. What comes later than that
  // may be seen or not, for the leader asks about it again.
  static Tid end_of(const StateHeader& state) noexcept {
    Tid end{state.end.load(std::memory_order_relaxed)};
    return end < kFirstInfinity ? end : kInfinity;
  }

  static Tid newest_in(Store& store, Oid oid) {
    std::optional<Revision> revision = store.load(oid, kInfinity);
    return revision ? revision->begin : Tid{};
  }

  void throw_conflicts() {
    if (conflicts_.empty()) return;
    for (ConflictError::Conflict& conflict : conflicts_) {
      if (!conflict.changed) conflict.base = read_revision(conflict.oid);
    }
    throw ConflictError(std::exchange(conflicts_, {}));
  }

  /// The revision of an object that was read; Tid{0}: it was absent.
  Tid read_revision(Oid oid) const {
    Tid revision{};
    reads_.log->for_each([&](StateHandle handle) {
      const StateHeader& state = *StateMemory::instance().state_of(handle);
      if (state.oid() == oid) revision = Tid{state.begin.load(std::memory_order_relaxed)};
    });
    return revision;
  }

  static constexpr std::size_t kLikelyName = 64, kMaxLikelyBytes = std::size_t{64} << 10;
  static constexpr std::size_t kMaxUnsure = 1024;  // some ten microseconds of the leader's time

  WriteSet& writes_;
  const Tid snapshot_;
  ReadSet reads_;
  const TransactionNote* note_ = nullptr;
  std::string records_;
  Few<ObjectWrite, 4> objects_;
  std::vector<StoredReference> unsure_references_;

  Tid checked_{}, reads_checked_{};  // invariant 1: F of the writes and the unsure reads, F of the other reads
  OidSet read_oids_;                 // of a serializable transaction
  std::vector<Oid> unsure_;          // of these, those that invariant 3 leaves to the leader

  std::uint64_t generation_ = 0;  // the last collection of garbage by which it was asked (collected_oids.hpp)

  bool pinned_ = false;  // its thread holds a pin: it is not given back

  // The outcome, of the leader's.
  bool overtaken_ = false;  // given back: the leader does not know all that was written since the check
  std::vector<ConflictError::Conflict> conflicts_;
  Tid tid_{};
  bool accepted_ = false;  // validated, and written with its group unless that fails
  std::exception_ptr error_;
  std::atomic<int> progress_{waiting};

  EngineRequest* engine_ = nullptr;  // invariant 4

  // The queue's (committer.hpp).
  CommitRequest* next_ = nullptr;
  std::chrono::steady_clock::time_point queued_at_;  // of one that waits
};

}  // namespace cow::detail
