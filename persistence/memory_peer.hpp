// A MemoryStore as one of several processes would see it: several databases over one store, each with a cache of its own, in one process.
// For tests, and to try out what a program does when others commit.
//
// Thread safety: as MemoryStore. No database is opened on the store itself while there are peers.
#pragma once

#include "cow_cache/version.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "memory_store.hpp"

namespace cow {

/// Has every capability, and passes everything on. What it holds of old snapshots is its own, and ends with it.
class MemoryPeer : public Store, public HistoryStore, public PackableStore, public BatchStore, public SharedStore {
 public:
  /// `store` must outlive it.
  explicit MemoryPeer(MemoryStore& store) noexcept : store_(store) {}
  MemoryPeer(const MemoryPeer&) = delete;
  MemoryPeer& operator=(const MemoryPeer&) = delete;
  ~MemoryPeer() override { store_.release(this); }

  std::optional<Revision> load(Oid oid, Tid at) override { return store_.load(oid, at); }
  Tid last_tid() override { return store_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return store_.allocate_oids(count); }
  /// For who counts tids himself: not where others commit.
  void commit(std::span<const TransactionWrite> group) override { store_.commit(group); }

  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    return store_.transactions(from, to, order, most);
  }
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override {
    return store_.revisions(oid, newest, most);
  }
  Tid tid_at(CommitTime time) override { return store_.tid_at(time); }

  Tid oldest_tid() noexcept override { return store_.oldest_tid(); }
  PackResult pack(const PackRequest& request) override { return store_.pack(request); }

  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override {
    return store_.load_many(oids, at);
  }

  std::vector<Outcome> propose(std::span<const Proposal> group) override { return store_.propose(group); }
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override { return store_.wait_beyond(seen, longest); }
  void hold(Tid oldest) override { store_.hold(this, oldest); }

 private:
  MemoryStore& store_;
};

}  // namespace cow
