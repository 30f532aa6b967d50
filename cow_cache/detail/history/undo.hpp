// Undoing: which records a transaction has replaced, and whether they may come back.
//
// Thread safety: pure functions; they ask the store, which any thread may do.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// An object as it was before a transaction; no record: it did not exist.
struct Earlier {
  Oid oid;
  std::optional<std::string> record;
};

/// What a transaction has replaced, as of a snapshot; `types`, the library's own object, stays as it is: types that the store has heard
/// of, it goes on to know. Throws UnknownTransactionError, UndoRefusedError, SnapshotTooOldError, and what the
/// store throws. It holds all of the records at once: they are going to be one commit.
inline std::vector<Earlier> records_before(Store& store, const StoreCapabilities& capabilities, Oid types, Tid tid,
                                           Tid snapshot) {
  HistoryStore& history = capabilities.require_history("Database::undo");
  if (tid == Tid{} || tid > snapshot) throw UnknownTransactionError(tid);
  const Tid before{tid.value - 1};
  if (const Tid oldest = capabilities.oldest_tid(); before < oldest) throw SnapshotTooOldError(Oid{}, before, oldest);
  const std::vector<TransactionInfo> found = history.transactions(tid, tid, HistoryOrder::oldest_first, 1);
  if (found.empty()) throw UnknownTransactionError(tid);
  std::vector<Earlier> earlier;
  std::vector<UndoRefusedError::Obstacle> obstacles;
  earlier.reserve(found.front().objects.size());
  for (const Oid oid : found.front().objects) {
    if (oid == types) continue;
    const std::optional<Revision> current = store.load(oid, snapshot);
    if (current && current->begin > tid) {
      obstacles.push_back({oid, current->begin});
      continue;
    }
    if (!obstacles.empty()) continue;
    std::optional<Revision> revision = store.load(oid, before);
    if (revision && !revision->erased) {
      earlier.push_back({oid, std::move(revision->record)});
    } else if (oid == kRootOid) {
      obstacles.push_back({oid, Tid{}});
    } else {
      earlier.push_back({oid, std::nullopt});
    }
  }
  if (!obstacles.empty()) throw UndoRefusedError(tid, std::move(obstacles));
  return earlier;
}

}  // namespace cow::detail
