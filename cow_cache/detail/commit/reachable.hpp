// Which objects can be reached: from roots, along the references of every revision that snapshots from a tid on can see.
//
// Thread safety: one thread at a time; commits go on beside it.
//
// Invariants:
//  1. What is marked was marked by one of these: it is a root, or a caller keeps it; a transaction above `from` has written it; a revision of
//     a marked object refers to it. Of a marked object every revision that is visible from `from` on is followed: the one at `from` when it
//     is marked, the later ones with the transactions that have written them.
//  2. Memory: a bit for each object, and the oids of those that were marked and are not looked at yet.
//
// Tracing over a changing graph, with what was written meanwhile looked at again: Steele, CACM 1975. Old revisions stay as they were, so
// one snapshot and the list of later writes is all there is to look at.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cow_cache/detail/oid_bitmap.hpp"
#include "cow_cache/detail/record/references.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class Reachable {
 public:
  /// Called now and then with the number of objects that were looked at. False: stop.
  using Progress = std::function<bool(std::uint64_t)>;

  /// REQUIRES: the store has a history, and keeps what is visible from `from` on.
  Reachable(Store& store, const StoreCapabilities& capabilities, Tid from)
      : store_(store), capabilities_(capabilities), from_(from) {}

  /// Throws std::bad_alloc.
  void mark(Oid oid) {
    if (marked_.insert(oid)) pending_.push_back(oid);
  }
  /// The same of an object whose references lead to what is marked. Throws std::bad_alloc.
  void keep(Oid oid) { marked_.insert(oid); }
  bool contains(Oid oid) const noexcept { return marked_.contains(oid); }

  /// Objects that were looked at.
  std::uint64_t seen() const noexcept { return seen_; }

  /// Follows what is marked. False: `progress` has stopped it. Throws CorruptRecordError, and what the store throws.
  bool follow(const Progress& progress = {}) {
    std::vector<Oid> oids;
    while (!pending_.empty()) {
      const std::size_t count = std::min(pending_.size(), kBatch);
      oids.assign(pending_.end() - static_cast<std::ptrdiff_t>(count), pending_.end());
      pending_.resize(pending_.size() - count);
      look_at(oids, from_);
      if (progress && !progress(seen_)) return false;
    }
    return true;
  }

  /// Marks what transactions above `after` and up to `to` have written, and follows it. The same. `progress` is called for each page of
  /// transactions and each batch of objects, whether or not anything in it was marked for the first time.
  bool follow_changes(Tid after, Tid to, const Progress& progress = {}) {
    HistoryStore& history = capabilities_.require_history("Database::pack");
    std::uint64_t told = seen_;
    const auto goes_on = [&](std::uint64_t most) {
      if (!progress || seen_ - told < most) return true;
      told = seen_;
      return progress(seen_);
    };
    while (after < to) {
      const std::vector<TransactionInfo> page =
          history.transactions(Tid{after.value + 1}, to, HistoryOrder::oldest_first, kPage);
      if (page.empty()) break;
      for (const TransactionInfo& transaction : page) {
        for (const Oid oid : transaction.objects) mark(oid);
        std::span<const Oid> rest = transaction.objects;
        for (; !rest.empty(); rest = rest.subspan(std::min(rest.size(), kBatch))) {
          look_at(rest.first(std::min(rest.size(), kBatch)), transaction.tid);
          if (!goes_on(kBatch)) return false;
        }
        if (!follow(progress)) return false;
      }
      after = page.back().tid;
      if (!goes_on(0)) return false;
    }
    return follow(progress);
  }

 private:
  static constexpr std::size_t kBatch = 256, kPage = 64;

  void look_at(std::span<const Oid> oids, Tid at) {
    seen_ += oids.size();
    if (capabilities_.batch == nullptr) {
      for (const Oid oid : oids) mark_references(oid, store_.load(oid, at));
      return;
    }
    const std::vector<std::optional<Revision>> revisions = capabilities_.batch->load_many(oids, at);
    for (std::size_t i = 0; i < oids.size(); ++i) mark_references(oids[i], revisions[i]);
  }

  void mark_references(Oid oid, const std::optional<Revision>& revision) {
    if (!revision || revision->erased) return;  // a reference that leads nowhere; or it is younger than the snapshot
    for_each_reference_of(revision->record, oid, revision->begin, [&](Oid to) { mark(to); });
  }

  Store& store_;
  const StoreCapabilities& capabilities_;
  const Tid from_;
  OidBitmap marked_;
  std::vector<Oid> pending_;
  std::uint64_t seen_ = 0;
};

}  // namespace cow::detail
