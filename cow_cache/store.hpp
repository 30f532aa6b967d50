// What a cache needs from a store. Bring your own by deriving from `Store`: four functions.
//
// What a store can do besides stands in interfaces of their own, from which it derives as well: HistoryStore, PackableStore,
// BatchStore, SharedStore (store/*.hpp). A database asks for them once, when it opens the store (store/capabilities.hpp); what
// needs one that the store lacks throws MissingCapabilityError at the call. A store has none by default, and claims none that
// it does not have.
//
// Thread safety: every function may be called from any number of threads at once, except `commit`, which the
// database calls from one thread at a time.
//
// Invariants that an implementation keeps:
//  1. Once `commit` has returned, every later `load` sees the whole group, and it survives what the store promises to
//     survive (for a durable store: kill -9 and power loss).
//  2. A transaction is whole or absent, at every time and after every crash.
//  3. A revision never changes. `load(oid, at)` with `at` below `last_tid()` gives the same answer until the store is packed
//     beyond `at` (PackableStore), and throws SnapshotTooOldError from then on. What is not packable gives it for ever.
//  4. `allocate_oids` never returns an oid twice, not even after a crash.
#pragma once

#include "version.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "types.hpp"

namespace cow {

namespace detail {
class StoreLatch;
}
struct TransactionNote;

/// One revision of one object: visible to the snapshots in [begin, end).
struct Revision {
  Tid begin;
  Tid end = kInfinity;  ///< the tid that superseded it; infinity: it is the newest
  bool erased = false;  ///< a tombstone: the object does not exist in [begin, end); `record` is empty
  std::string record;
};

/// One object's part of a transaction. The bytes are borrowed for the call.
struct ObjectWrite {
  Oid oid;
  bool erase = false;  ///< true: leave a tombstone; `record` is empty
  std::string_view record;
};

/// One transaction to append. The bytes are borrowed for the call.
struct TransactionWrite {
  Tid tid;
  std::span<const ObjectWrite> objects;   ///< each oid at most once
  const TransactionNote* note = nullptr;  ///< null, but for a HistoryStore: what the commit says of itself
};

/// A run of fresh oids: first, first + 1, ..., first + count - 1.
struct OidBlock {
  Oid first;
  std::uint64_t count = 0;
};

/// A transactional store of revisions.
class Store {
 public:
  Store() = default;
  virtual ~Store() = default;

  /// The newest revision with `begin <= at` (a tombstone included), or nothing if the object did not exist by then.
  /// Throws StoreError when the store cannot read, CorruptRecordError when it finds bytes that it did not write,
  /// SnapshotTooOldError when it was packed beyond `at`.
  virtual std::optional<Revision> load(Oid oid, Tid at) = 0;

  /// The tid of the last commit; `Tid{0}` when there is none.
  virtual Tid last_tid() = 0;

  /// Reserves `count` (>= 1) oids. The first oid ever given is greater than `kRootOid`.
  virtual OidBlock allocate_oids(std::uint64_t count) = 0;

  /// Appends a group of transactions, in order, as one durable step. REQUIRES: tids ascend and the first one is above
  /// `last_tid()`; the caller has checked for conflicts. When it throws, nothing of the group is visible now;
  /// `OutcomeUnknownError` says that a part may appear after reopening, any other exception that nothing will.
  virtual void commit(std::span<const TransactionWrite> group) = 0;

 protected:
  // A copy is another store: nobody has opened it yet.
  Store(const Store&) noexcept {}
  Store& operator=(const Store&) noexcept { return *this; }

 private:
  friend class detail::StoreLatch;
  std::atomic<bool> has_database_{false};
};

}  // namespace cow
