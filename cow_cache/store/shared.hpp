// SharedStore: a store that several processes commit to, in which the engine behind it gives out the tids.
//
// With `Store::commit` the database knows every commit before the store does: it validates, and counts tids itself. Where others
// commit, too, only the engine can do both. So transactions are proposed to it, each with what it depends on, and an outcome for each
// comes back. What others have committed a database learns by `HistoryStore::transactions`, which such a store therefore has, too.
//
// Thread safety: `propose` is called by one thread of a process at a time, everything else by any number of threads at once.
//
// Invariants that an implementation keeps:
//  1. [engine-validates] A proposal is committed only if, in the order of tids, nothing above its snapshot and below its own tid has
//     written an object that it writes, or one that it says it has read. Of two proposals of one group that exclude each other
//     one at most is committed, an earlier one rather than a later one.
//  2. Tids are contiguous, in the order in which transactions become visible. So a process that has seen all up to a tid and meets the next
//     one but one knows that something is wrong: that is an error at once, and never read past.
//  3. A token is committed once at most, in whatever process it is proposed again after a connection was lost.
//  4. A process that dies leaves nothing behind but what it has committed. Its hold on old snapshots ends after a bounded time.
#pragma once

#include "cow_cache/version.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <span>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/types.hpp"
#include "note.hpp"

namespace cow {

/// The name of one attempt to commit, drawn at random by who makes it.
using CommitToken = std::array<std::byte, 16>;

/// A write, and what it was made from.
struct ProposedWrite {
  ObjectWrite write;
  Tid base{};  ///< the revision that was changed; Tid{0}: the transaction found no object, or has created it
};

/// A read of an object that was not written, to be validated: of serializable transactions.
struct ProposedRead {
  Oid oid;
  Tid revision{};  ///< the revision that was read; Tid{0}: the object was absent, erased, or could not be decoded
};

/// One transaction that asks to be committed. The bytes are borrowed for the call.
struct Proposal {
  Tid snapshot;                           ///< what it has seen
  std::span<const ProposedWrite> writes;  ///< each oid at most once
  std::span<const ProposedRead> reads;    ///< none of what it writes
  const TransactionNote* note = nullptr;  ///< null: it says nothing of itself
  CommitToken token{};                    ///< all zeros: it will not be proposed again
};

/// What has become of a proposal.
struct Outcome {
  enum class Kind { committed, conflict, failed };
  Kind kind = Kind::failed;
  Tid tid{};                                       ///< committed: the one that the engine has given it
  std::vector<ConflictError::Conflict> conflicts;  ///< conflict: what was in the way, one at least
  std::exception_ptr error;                        ///< failed: nothing of it was kept, or an OutcomeUnknownError
};

/// What a store is besides that is shared by processes.
class SharedStore {
 public:
  /// Commits those of a group that may be, in order, each as one durable step or all as one. Returns an outcome for each. Throws what
  /// `Store::commit` throws, if nothing of any was kept.
  virtual std::vector<Outcome> propose(std::span<const Proposal> group) = 0;

  /// Returns once something above `seen` is committed, by anybody, or the time is over; `last_tid()` by then. A hint: who needs to
  /// know asks for the transactions. Throws StoreError.
  virtual Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) = 0;

  /// Says that this process uses no snapshot below `oldest`, and those from there on perhaps: packs of other processes go no further, until
  /// it says another one, or has died, or said nothing for the time that the store's options give. Throws SnapshotTooOldError where a
  /// pack is further already: what this process has begun below that is lost to it.
  virtual void hold(Tid oldest) = 0;

  /// Whether others may commit. False: this object is all that there is of the store, so one database commits to it by
  /// `Store::commit`, as if it were not shared. Constant.
  virtual bool has_peers() const noexcept { return true; }

 protected:
  SharedStore() = default;
  SharedStore(const SharedStore&) = default;
  SharedStore& operator=(const SharedStore&) = default;
  ~SharedStore() = default;
};

}  // namespace cow
