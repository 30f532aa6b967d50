// A store that keeps the whole history in memory: for tests, microbenchmarks, and programs that need no disk.
//
// Thread safety: every function may be called from any number of threads at once; commits and proposals wait for one another. Loads of
// different objects rarely meet on one lock; a load never waits for a whole commit or pack, only for the insertion of one object or the
// packing of one shard.
//
// Invariants:
//  1. No reader looks beyond `last_tid_`, which moves once per group, after everything of the group is in place: that
//     is what makes a group atomic although it is inserted shard by shard.
//  2. Between two calls of `commit`, no revision above `last_tid_` exists.
#pragma once

#include "cow_cache/version.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/batch.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/pack.hpp"
#include "cow_cache/store/shared.hpp"
#include "cow_cache/types.hpp"
#include "detail/group_check.hpp"
#include "detail/memory_log.hpp"
#include "detail/memory_revisions.hpp"

namespace cow {

/// A `Store` in memory, with every capability. Keeps every revision until it is packed; survives nothing.
class MemoryStore final : public Store,
                          public HistoryStore,
                          public PackableStore,
                          public BatchStore,
                          public SharedStore {
 public:
  MemoryStore() = default;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  /// The newest revision with `begin <= at`, or nothing. Copies the record. Throws SnapshotTooOldError and std::bad_alloc only.
  std::optional<Revision> load(Oid oid, Tid at) override {
    loads_.fetch_add(1, std::memory_order_relaxed);
    return revisions_.load(oid, at, last_tid());
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
  /// ascend from `last_tid()`, an empty record, an oid twice in one transaction, a note that is too large; std::bad_alloc (nothing is
  /// kept).
  void commit(std::span<const TransactionWrite> group) override {
    const std::lock_guard lock(commit_mutex_);
    if (!group.empty()) append(group);
  }

  /// Number of calls of `load` since the store was made. Never throws.
  std::uint64_t loads() const noexcept { return loads_.load(std::memory_order_relaxed); }

  // ---- HistoryStore: throws std::bad_alloc only

  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    return log_.transactions(from, std::min(to, last_tid()), order, most);
  }
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override {
    std::vector<RevisionInfo> page = revisions_.revisions(oid, newest, last_tid(), most);
    for (RevisionInfo& revision : page) log_.describe(revision);
    return page;
  }
  Tid tid_at(CommitTime time) override { return log_.tid_at(time, last_tid()); }

  // ---- PackableStore

  Tid oldest_tid() noexcept override { return revisions_.oldest(); }

  /// Throws what the functions of the request throw. Loads and commits wait for one shard in 256 at a time.
  PackResult pack(const PackRequest& request) override {
    const std::lock_guard lock(pack_mutex_);
    Tid end = std::min({request.before, request.oldest_pin, last_tid()});
    for (const auto& [holder, oldest] : held_) end = std::min(end, oldest);
    PackResult result = revisions_.pack(end, request);
    log_.drop_before(result.oldest);
    return result;
  }

  // ---- BatchStore

  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override {
    std::vector<std::optional<Revision>> found;
    found.reserve(oids.size());
    for (const Oid oid : oids) found.push_back(load(oid, at));
    return found;
  }

  // ---- SharedStore, of one process

  /// Throws std::invalid_argument and std::bad_alloc, and has kept nothing then.
  std::vector<Outcome> propose(std::span<const Proposal> group) override {
    const std::lock_guard lock(commit_mutex_);
    const Tid last = last_tid();
    std::vector<Outcome> outcomes(group.size());
    std::vector<std::vector<ObjectWrite>> writes(group.size());
    std::vector<TransactionWrite> accepted;
    std::unordered_map<Oid, Tid> written;  // by this group
    try {
      for (std::size_t i = 0; i < group.size(); ++i) {
        const Proposal& proposal = group[i];
        outcomes[i] = judge(proposal, written);
        if (outcomes[i].kind == Outcome::Kind::conflict || outcomes[i].tid != Tid{}) continue;
        const Tid tid = outcomes[i].tid = Tid{last.value + 1 + accepted.size()};
        for (const ProposedWrite& write : proposal.writes) {
          writes[i].push_back(write.write);
          written[write.write.oid] = tid;
        }
        accepted.push_back({tid, writes[i], proposal.note});
        if (proposal.token != CommitToken{}) tokens_.emplace(proposal.token, tid);
      }
      if (!accepted.empty()) append(accepted);
    } catch (...) {
      std::erase_if(tokens_, [&](const auto& known) { return known.second > last; });
      throw;
    }
    return outcomes;
  }

  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override {
    std::unique_lock lock(wait_mutex_);
    waiters_.fetch_add(1, std::memory_order_seq_cst);  // before `last_tid_` is read: pairs with `append`
    moved_.wait_for(lock, longest, [&] { return last_tid_.load(std::memory_order_seq_cst) > seen.value; });
    waiters_.fetch_sub(1, std::memory_order_relaxed);
    return last_tid();
  }

  void hold(Tid oldest) override { hold(this, oldest); }
  /// The same for one of several that share it (MemoryPeer), until `release`.
  void hold(const void* holder, Tid oldest) {
    const std::lock_guard lock(pack_mutex_);
    if (oldest < oldest_tid()) throw SnapshotTooOldError(Oid{}, oldest, oldest_tid());
    held_[holder] = oldest;
  }
  void release(const void* holder) noexcept {
    const std::lock_guard lock(pack_mutex_);
    held_.erase(holder);
  }

  /// One database commits to it, unless it is seen by way of MemoryPeer.
  bool has_peers() const noexcept override { return false; }

 private:
  // All of these REQUIRE `commit_mutex_`.

  /// Committed, with no tid: it may be. With a tid: it has been already.
  Outcome judge(const Proposal& proposal, const std::unordered_map<Oid, Tid>& written) {
    Outcome outcome{Outcome::Kind::committed, {}, {}, {}};
    if (const auto known = tokens_.find(proposal.token); known != tokens_.end()) {
      outcome.tid = known->second;
      return outcome;
    }
    const auto look = [&](Oid oid, Tid base, bool changed) {
      const auto found = written.find(oid);
      const Tid newest = found != written.end() ? found->second : revisions_.newest_of(oid);
      if (newest > proposal.snapshot) outcome.conflicts.push_back({oid, base, newest, changed});
    };
    for (const ProposedWrite& write : proposal.writes) look(write.write.oid, write.base, true);
    for (const ProposedRead& read : proposal.reads) look(read.oid, read.revision, false);
    if (!outcome.conflicts.empty()) outcome.kind = Outcome::Kind::conflict;
    return outcome;
  }

  void append(std::span<const TransactionWrite> group) {
    const Tid last = last_tid();
    group_check_.require_valid(group, last);
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    try {
      for (const TransactionWrite& transaction : group) {
        log_.add(transaction, now);
        for (const ObjectWrite& object : transaction.objects) revisions_.append(transaction.tid, object);
      }
    } catch (...) {
      log_.take_back(last);
      for (const TransactionWrite& transaction : group) {
        for (const ObjectWrite& object : transaction.objects) revisions_.take_back(object.oid, last);
      }
      throw;
    }
    last_tid_.store(group.back().tid.value,
                    std::memory_order_seq_cst);  // before `waiters_` is read: pairs with wait_beyond
    if (waiters_.load(std::memory_order_seq_cst) == 0) return;
    const std::lock_guard lock(wait_mutex_);
    moved_.notify_all();
  }

  detail::MemoryRevisions revisions_;
  detail::MemoryLog log_;
  std::mutex commit_mutex_;
  detail::GroupCheck group_check_;  // its scratch is reused from commit to commit
  std::map<CommitToken, Tid> tokens_;
  std::mutex pack_mutex_;
  std::map<const void*, Tid> held_;  // guarded by pack_mutex_
  std::mutex wait_mutex_;
  std::condition_variable moved_;
  std::atomic<std::uint32_t> waiters_{0};
  alignas(64) std::atomic<std::uint64_t> last_tid_{0};
  alignas(64) std::atomic<std::uint64_t> next_oid_{kRootOid.value + 1};
  alignas(64) std::atomic<std::uint64_t> loads_{0};
};

}  // namespace cow
