// A store that keeps the whole history in memory: for tests, microbenchmarks, and programs that need no disk.
//
// Thread safety: every function may be called from any number of threads at once, except `commit`, which one thread at
// a time calls. Loads of different objects rarely meet on one lock; a load never waits for a whole commit, only for
// the insertion of one object.
//
// Invariants:
//  1. The history of an object is sorted by tid, and grows at its end only.
//  2. No reader looks beyond `last_tid_`, which moves once per group, after everything of the group is in place: that
//     is what makes a group atomic although it is inserted shard by shard.
//  3. Between two calls of `commit`, no revision above `last_tid_` exists.
#pragma once

#include "cow_cache/version.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/types.hpp"
#include "detail/group_check.hpp"

namespace cow {

/// A `Store` in memory. Keeps every revision for ever; survives nothing.
class MemoryStore final : public Store {
 public:
  MemoryStore() = default;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  /// The newest revision with `begin <= at`, or nothing. Copies the record. Throws nothing but std::bad_alloc.
  std::optional<Revision> load(Oid oid, Tid at) override {
    loads_.fetch_add(1, std::memory_order_relaxed);
    const Tid last = last_tid();
    const Tid visible = std::min(at, last);
    Shard& shard = shard_of(oid);
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.histories.find(oid);
    if (found == shard.histories.end()) return std::nullopt;
    const std::vector<Entry>& history = found->second;
    const auto next = std::ranges::upper_bound(history, visible, {}, &Entry::begin);
    if (next == history.begin()) return std::nullopt;
    const Entry& entry = *std::prev(next);
    // A successor above `last` belongs to a group that is not committed yet.
    const bool superseded = next != history.end() && next->begin <= last;
    return Revision{entry.begin, superseded ? next->begin : kInfinity, entry.erased, entry.record};
  }

  /// The tid of the last commit; `Tid{0}` when there is none. Never throws.
  Tid last_tid() override { return Tid{last_tid_.load(std::memory_order_acquire)}; }

  /// Reserves `count` fresh oids. Throws std::invalid_argument if `count` is 0, OidRangeError beyond `kMaxOid`.
  OidBlock allocate_oids(std::uint64_t count) override {
    if (count == 0) throw std::invalid_argument("allocate_oids: count must be at least 1");
    std::uint64_t first = next_oid_.load(std::memory_order_relaxed);
    do {
      if (first > kMaxOid.value || count > kMaxOid.value - first + 1) throw OidRangeError(Oid{first});
    } while (!next_oid_.compare_exchange_weak(first, first + count, std::memory_order_relaxed));
    return {Oid{first}, count};
  }

  /// Appends a group. Throws std::invalid_argument (nothing is kept) if the group breaks the contract: tids that do not
  /// ascend from `last_tid()`, an empty record, an oid twice in one transaction; std::bad_alloc (nothing is kept).
  void commit(std::span<const TransactionWrite> group) override {
    const std::lock_guard lock(commit_mutex_);
    if (group.empty()) return;
    group_check_.require_valid(group, last_tid());
    try {
      for (const TransactionWrite& transaction : group) {
        for (const ObjectWrite& object : transaction.objects) append(transaction.tid, object);
      }
    } catch (...) {
      take_back(group);
      throw;
    }
    last_tid_.store(group.back().tid.value, std::memory_order_release);
  }

  /// Number of calls of `load` since the store was made. Never throws.
  std::uint64_t loads() const noexcept { return loads_.load(std::memory_order_relaxed); }

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

  void append(Tid tid, const ObjectWrite& object) {
    Entry entry{tid, object.erase, std::string(object.record)};
    Shard& shard = shard_of(object.oid);
    const std::unique_lock lock(shard.mutex);
    shard.histories[object.oid].push_back(std::move(entry));
  }

  // Restores invariant 3 when memory ran out in the middle of a group. Allocates nothing.
  void take_back(std::span<const TransactionWrite> group) noexcept {
    for (const TransactionWrite& transaction : group) {
      for (const ObjectWrite& object : transaction.objects) {
        Shard& shard = shard_of(object.oid);
        const std::unique_lock lock(shard.mutex);
        const auto found = shard.histories.find(object.oid);
        if (found == shard.histories.end()) continue;
        std::vector<Entry>& history = found->second;
        while (!history.empty() && history.back().begin > last_tid()) history.pop_back();
        if (history.empty()) shard.histories.erase(found);
      }
    }
  }

  std::array<Shard, std::size_t{1} << kShardBits> shards_;
  std::mutex commit_mutex_;
  detail::GroupCheck group_check_;  // its scratch is reused from commit to commit
  alignas(64) std::atomic<std::uint64_t> last_tid_{0};
  alignas(64) std::atomic<std::uint64_t> next_oid_{kRootOid.value + 1};
  alignas(64) std::atomic<std::uint64_t> loads_{0};
};

}  // namespace cow
