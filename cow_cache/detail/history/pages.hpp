// The ranges of a history, made of a store's pages.
//
// Thread safety: pure functions; what they return asks the store, which any thread may do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/history.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// Entries that are asked for at a time: some hundred kilobytes at most, where transactions are small.
inline constexpr std::size_t kHistoryPage = 256;

inline Tid next_tid(Tid tid) noexcept { return tid == kInfinity ? tid : Tid{tid.value + 1}; }
/// REQUIRES: not Tid{0}.
inline Tid previous_tid(Tid tid) noexcept { return Tid{tid.value - 1}; }

/// Transactions from one tid to another, either way.
inline HistoryRange<TransactionInfo> transactions_of(HistoryStore& store, Tid from, Tid to, HistoryOrder order) {
  return HistoryRange<TransactionInfo>([&store, from, to, order](const TransactionInfo* last) {
    if (last == nullptr) return store.transactions(from, to, order, kHistoryPage);
    const bool ascends = order == HistoryOrder::oldest_first;
    if (ascends ? last->tid >= to : last->tid <= from) return std::vector<TransactionInfo>();
    return ascends ? store.transactions(next_tid(last->tid), to, order, kHistoryPage)
                   : store.transactions(from, previous_tid(last->tid), order, kHistoryPage);
  });
}

/// The revisions of an object, the newest first.
inline HistoryRange<RevisionInfo> revisions_of(HistoryStore& store, Oid oid, Tid newest) {
  return HistoryRange<RevisionInfo>([&store, oid, newest](const RevisionInfo* last) {
    if (last == nullptr) return store.revisions(oid, newest, kHistoryPage);
    if (last->begin == Tid{}) return std::vector<RevisionInfo>();
    return store.revisions(oid, previous_tid(last->begin), kHistoryPage);
  });
}

/// All changes above a tid, up to another one. Whole transactions are read at a time. A pack that goes beyond where the range is makes it
/// throw SnapshotTooOldError: nobody misses a change.
inline HistoryRange<Change> changes_of(const StoreCapabilities& capabilities, HistoryStore& store, Tid since, Tid to) {
  return HistoryRange<Change>([&capabilities, &store, since, to](const Change* last) {
    std::vector<Change> changes;
    for (Tid seen = last == nullptr ? since : last->tid; changes.empty() && seen < to;) {
      const std::vector<TransactionInfo> page =
          store.transactions(next_tid(seen), to, HistoryOrder::oldest_first, kHistoryPage);
      // Asked afterwards: if it is not above `seen` by now, the page had all that is above `seen` (store/history.hpp, invariant 4).
      if (const Tid oldest = capabilities.oldest_tid(); seen < oldest) throw SnapshotTooOldError(Oid{}, seen, oldest);
      if (page.empty()) break;
      for (const TransactionInfo& info : page) {
        for (const Oid oid : info.objects) changes.push_back({info.tid, oid});
      }
      seen = page.back().tid;
    }
    return changes;
  });
}

}  // namespace cow::detail
