// PeerTwoLevelDatabase: in each of several processes that share a store, one cache of records, as bytes, under private caches of objects. The
// RelStorage model with its poll: what others have committed is learned before a transaction begins, and takes records out.
//
// Thread safety: as BasicDatabase; `PeerByteCacheStore` as Store and SharedStore demand. The leader of commits alone calls `propose`,
// `supersede` and `distrust_all`.
//
// Invariants:
//  1. [newest-known] Once the leader has told of a commit, by `propose` or `supersede`, no record of before is here that the commit has
//     changed. It tells before any snapshot sees the commit. So a record that begins at or below a snapshot is the one that the snapshot
//     sees; for a snapshot below its begin the store is asked.
//     Proof: a record that is being read from the store holds its entry's lock. Either `supersede` waits for that, and finds what was
//     read; or the read begins after it, and the store has the commit by then.
//  2. Records are as new as what they say of themselves: `supersede` leaves a record of its own tid or of a later one.
//  3. After `distrust_all` records of before are not used, though they stay until they are asked for.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bounded_map.hpp"
#include "cow_cache/database.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/pack.hpp"
#include "cow_cache/store/shared.hpp"
#include "private_cache.hpp"
#include "two_level.hpp"

namespace cow::bench {

/// What PeerByteCacheStore passes on.
template <class T>
concept SharedByProcesses = std::derived_from<T, Store> && std::derived_from<T, HistoryStore> &&
    std::derived_from<T, PackableStore> && std::derived_from<T, SharedStore>;

/// A store shared by processes, of which this one remembers records.
class PeerByteCacheStore final : public Store,
                                 public HistoryStore,
                                 public PackableStore,
                                 public SharedStore,
                                 public RemembersRecords {
 public:
  template <SharedByProcesses S>
  PeerByteCacheStore(S& store, std::size_t budget)
      : store_(store), history_(store), packable_(store), shared_(store), records_(budget) {}

  std::optional<Revision> load(Oid oid, Tid at) override {
    if (at == kInfinity) return load_below(oid, at);
    // Acquire: pairs with the release in `distrust_all`; a record that is read from now on is of after that.
    const std::uint64_t trusted = generation_.load(std::memory_order_acquire);
    std::optional<Remembered> found = records_.get(oid, [&]() -> std::optional<Remembered> {
      std::optional<Revision> current = load_below(oid, kInfinity);
      if (!current) return std::nullopt;
      return Remembered{std::move(*current), trusted};
    });
    if (!found) return load_below(oid, at);  // it may have been there
    if (found->generation != trusted) {
      records_.change(oid, [&](const Remembered& now) {
        return now.generation < trusted ? std::nullopt : std::optional<Remembered>(now);
      });
      return load_below(oid, at);
    }
    if (found->revision.begin <= at) return std::move(found->revision);
    return load_below(oid, at);
  }

  Tid last_tid() override { return store_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return store_.allocate_oids(count); }
  /// For who counts tids himself: not where others commit.
  void commit(std::span<const TransactionWrite> group) override { store_.commit(group); }

  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    return history_.transactions(from, to, order, most);
  }
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override {
    return history_.revisions(oid, newest, most);
  }
  Tid tid_at(CommitTime time) override { return history_.tid_at(time); }

  Tid oldest_tid() noexcept override { return packable_.oldest_tid(); }
  PackResult pack(const PackRequest& request) override { return packable_.pack(request); }

  /// What was committed is remembered.
  std::vector<cow::Outcome> propose(std::span<const Proposal> group) override {
    std::vector<cow::Outcome> outcomes = shared_.propose(group);
    for (std::size_t i = 0; i < outcomes.size() && i < group.size(); ++i) {
      if (outcomes[i].kind != cow::Outcome::Kind::committed) continue;
      for (const ProposedWrite& write : group[i].writes) remember(write.write, outcomes[i].tid);
    }
    return outcomes;
  }
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override { return shared_.wait_beyond(seen, longest); }
  void hold(Tid oldest) override { shared_.hold(oldest); }

  void supersede(std::span<const Oid> objects, Tid tid) noexcept override {
    for (const Oid oid : objects) {
      records_.change(oid, [tid](const Remembered& now) {
        return now.revision.begin < tid ? std::nullopt : std::optional<Remembered>(now);
      });
    }
  }
  // Release: pairs with the acquire in `load`.
  void distrust_all() noexcept override { generation_.fetch_add(1, std::memory_order_release); }

  /// REQUIRES: nobody uses it at the same time.
  void forget_all() { records_.clear(); }

  /// Loads that reached the store below.
  std::uint64_t loads() const noexcept { return loads_.load(std::memory_order_relaxed); }
  std::size_t bytes() const noexcept { return records_.bytes(); }
  std::size_t table_bytes() const noexcept { return records_.table_bytes(); }
  std::uint64_t evictions() const noexcept { return records_.evictions(); }

 private:
  struct Remembered {
    Revision revision;
    std::uint64_t generation = 0;
  };
  static std::size_t weigh(const Remembered& record) noexcept {
    return record.revision.record.capacity() + sizeof(Remembered);
  }

  void remember(const ObjectWrite& object, Tid tid) noexcept {
    records_.put(object.oid, [&] {
      return Remembered{{.begin = tid, .erased = object.erase, .record = std::string(object.record)},
                        generation_.load(std::memory_order_relaxed)};  // relaxed: the leader alone counts it
    });
  }

  std::optional<Revision> load_below(Oid oid, Tid at) {
    loads_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    return store_.load(oid, at);
  }

  Store& store_;
  HistoryStore& history_;
  PackableStore& packable_;
  SharedStore& shared_;
  BoundedMap<Remembered, weigh> records_;
  std::atomic<std::uint64_t> generation_{0}, loads_{0};
};

using PeerTwoLevelDatabase = BasicTwoLevelDatabase<PeerByteCacheStore>;

static_assert(ObjectDatabase<PeerTwoLevelDatabase>);

}  // namespace cow::bench
