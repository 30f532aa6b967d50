// HistoryStore: a store that can be asked what was committed, when, by whom, and which objects that changed.
//
// Thread safety: every function may be called from any number of threads at once, while commits go on.
//
// Invariants that an implementation keeps:
//  1. [history-is-pages] Every answer is a page: as long as the caller asks for, or shorter, and empty only where nothing is left.
//     The store keeps nothing between two calls; who wants more asks again from behind the last entry. So a history of any length
//     is read in bounded memory, and a reader that stops leaves nothing behind.
//  2. A page has whole transactions that `commit` has returned from, or is about to: nothing above `last_tid()` as of some
//     time during the call.
//  3. The times of commits never decrease with the tids that this version of the store has given them, whatever the clock does.
//     (Those of older stores may.)
//  4. After a pack (PackableStore), the entries above `oldest_tid()` are all there. Those up to it may be gone.
#pragma once

#include "cow_cache/version.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cow_cache/types.hpp"
#include "note.hpp"

namespace cow {

/// When a transaction was committed, by the clock of the machine that committed it.
using CommitTime = std::chrono::sys_time<std::chrono::microseconds>;

/// One committed transaction.
struct TransactionInfo {
  Tid tid;
  CommitTime time;
  TransactionNote note;
  std::vector<Oid> objects;  ///< what it has written, created or erased, in the order of its write set

  friend bool operator==(const TransactionInfo&, const TransactionInfo&) = default;
};

/// One revision of an object, and what its commit says of itself.
struct RevisionInfo {
  Tid begin;
  Tid end = kInfinity;      ///< the tid that superseded it; infinity: it is the newest
  bool erased = false;      ///< a tombstone: its commit erased the object
  std::uint64_t bytes = 0;  ///< of its record
  CommitTime time;          ///< 1970: the store has dropped the transaction's entry (invariant 4)
  TransactionNote note;

  friend bool operator==(const RevisionInfo&, const RevisionInfo&) = default;
};

enum class HistoryOrder : std::uint8_t { oldest_first, newest_first };

/// What a store is besides that can be asked for its history.
class HistoryStore {
 public:
  /// Transactions with `from <= tid <= to`, at most `most` (>= 1); fewer only if there are no more. Throws StoreError, StoreCorruptError.
  virtual std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) = 0;

  /// Revisions of an object with `begin <= newest`, the newest first, at most `most` (>= 1). Throws StoreError,
  /// CorruptRecordError.
  virtual std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) = 0;

  /// The last transaction that was committed at `time` or before; `Tid{0}`: there is none. Throws StoreError, StoreCorruptError.
  virtual Tid tid_at(CommitTime time) = 0;

 protected:
  HistoryStore() = default;
  HistoryStore(const HistoryStore&) = default;
  HistoryStore& operator=(const HistoryStore&) = default;
  ~HistoryStore() = default;
};

}  // namespace cow
