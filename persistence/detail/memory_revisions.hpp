// What a MemoryStore keeps of its objects: each one's revisions, in shards by oid.
//
// Thread safety: every function may be called from any number of threads at once, but `append` and `take_back`, which one thread at a
// time calls, and `pack`, which another one may call meanwhile. Whatever waits, waits for one shard.
//
// Invariants:
//  1. The history of an object is sorted by tid. Commits let it grow at its end, packs drop from its beginning.
//  2. `oldest_` rises before a pack takes the first shard's lock, and a load compares with it under its shard's lock. So it never
//     mistakes what was dropped for what never was.
//  3. Readers name the last tid that they may see. What is above it is not committed yet.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/pack.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class MemoryRevisions {
 public:
  /// See Store::load.
  std::optional<Revision> load(Oid oid, Tid at, Tid last) {
    const Tid visible = std::min(at, last);
    Shard& shard = shard_of(oid);
    const std::shared_lock lock(shard.mutex);
    // Relaxed: invariant 2.
    if (const Tid oldest{oldest_.load(std::memory_order_relaxed)}; visible < oldest) [[unlikely]]
      throw SnapshotTooOldError(oid, at, oldest);
    const auto found = shard.histories.find(oid);
    if (found == shard.histories.end()) return std::nullopt;
    const std::vector<Entry>& history = found->second;
    const auto next = std::ranges::upper_bound(history, visible, {}, &Entry::begin);
    if (next == history.begin()) return std::nullopt;
    const Entry& entry = *std::prev(next);
    return Revision{entry.begin, end_of(history, next, last), entry.erased, entry.record};
  }

  /// See HistoryStore::revisions; without what only the transactions know.
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, Tid last, std::size_t most) {
    std::vector<RevisionInfo> page;
    Shard& shard = shard_of(oid);
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.histories.find(oid);
    if (found == shard.histories.end()) return page;
    const std::vector<Entry>& history = found->second;
    auto next = std::ranges::upper_bound(history, std::min(newest, last), {}, &Entry::begin);
    for (; next != history.begin() && page.size() < most; --next) {
      const Entry& entry = *std::prev(next);
      page.push_back({entry.begin, end_of(history, next, last), entry.erased, entry.record.size(), {}, {}});
    }
    return page;
  }

  /// The newest revision's tid; `Tid{0}`: there is none. REQUIRES: nobody commits.
  Tid newest_of(Oid oid) {
    Shard& shard = shard_of(oid);
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.histories.find(oid);
    return found == shard.histories.end() ? Tid{} : found->second.back().begin;
  }

  void append(Tid tid, const ObjectWrite& object) {
    Entry entry{tid, object.erase, std::string(object.record)};
    Shard& shard = shard_of(object.oid);
    const std::unique_lock lock(shard.mutex);
    const auto [place, is_new] = shard.histories.try_emplace(object.oid);
    try {
      place->second.push_back(std::move(entry));
    } catch (...) {
      if (is_new) shard.histories.erase(place);
      throw;
    }
  }

  /// Removes what an object has above `last`. Allocates nothing.
  void take_back(Oid oid, Tid last) noexcept {
    Shard& shard = shard_of(oid);
    const std::unique_lock lock(shard.mutex);
    const auto found = shard.histories.find(oid);
    if (found == shard.histories.end()) return;
    std::vector<Entry>& history = found->second;
    while (!history.empty() && history.back().begin > last) history.pop_back();
    if (history.empty()) shard.histories.erase(found);
  }

  Tid oldest() const noexcept { return Tid{oldest_.load(std::memory_order_acquire)}; }

  /// Packs up to `oldest`, which is committed. REQUIRES: one call at a time.
  PackResult pack(Tid oldest, const PackRequest& request) {
    PackResult result{std::max(oldest, this->oldest()), {}, true};
    oldest_.store(result.oldest.value, std::memory_order_release);
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      pack_shard(shards_[i], result.oldest, request, result.dropped);
      result.dropped.done = static_cast<double>(i + 1) / static_cast<double>(shards_.size());
      if (!request.progress || request.progress(result.dropped)) continue;
      result.complete = i + 1 == shards_.size();
      break;
    }
    return result;
  }

 private:
  struct Entry {
    Tid begin;
    bool erased;
    std::string record;
  };

  // A cache line of its own, so that readers of different shards do not share one.
  struct alignas(64) Shard {
    std::shared_mutex mutex;
    std::unordered_map<Oid, std::vector<Entry>> histories;
  };

  static constexpr unsigned kShardBits = 8;

  Shard& shard_of(Oid oid) noexcept { return shards_[std::hash<Oid>{}(oid) >> (64 - kShardBits)]; }

  /// A successor above `last` belongs to a group that is not committed yet.
  static Tid end_of(const std::vector<Entry>& history, std::vector<Entry>::const_iterator next, Tid last) noexcept {
    return next != history.end() && next->begin <= last ? next->begin : kInfinity;
  }

  static void pack_shard(Shard& shard, Tid oldest, const PackRequest& request, PackProgress& dropped) {
    const std::unique_lock lock(shard.mutex);
    for (auto object = shard.histories.begin(); object != shard.histories.end();) {
      std::vector<Entry>& history = object->second;
      dropped.revisions_seen += history.size();
      auto kept = std::ranges::upper_bound(history, oldest, {}, &Entry::begin);
      const bool has_visible = kept != history.begin();
      const bool is_garbage =
          kept == history.end() && request.is_garbage != nullptr && request.is_garbage(object->first);
      if (has_visible && !std::prev(kept)->erased && !is_garbage) --kept;
      for (auto entry = history.begin(); entry != kept; ++entry) {
        ++dropped.revisions_dropped;
        dropped.bytes_dropped += entry->record.size();
      }
      history.erase(history.begin(), kept);
      history.shrink_to_fit();
      object = history.empty() ? shard.histories.erase(object) : std::next(object);
    }
  }

  std::array<Shard, std::size_t{1} << kShardBits> shards_;
  std::atomic<std::uint64_t> oldest_{0};
};

}  // namespace cow::detail
