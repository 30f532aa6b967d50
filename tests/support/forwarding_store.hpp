// A store that passes everything on to another one, one that counts commits, and one that misbehaves on demand.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/capabilities.hpp"

namespace cow::testing {

class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(Store& inner) : inner_(inner) {}

  std::optional<Revision> load(Oid oid, Tid at) override { return inner_.load(oid, at); }
  Tid last_tid() override { return inner_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return inner_.allocate_oids(count); }
  void commit(std::span<const TransactionWrite> group) override { inner_.commit(group); }

 protected:
  Store& inner_;
};

/// Counts the groups that reach it.
class CountingStore : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void commit(std::span<const TransactionWrite> group) override {
    ++commits;
    inner_.commit(group);
  }
  int commits = 0;
};

/// Fails, counts and delays as told.
class UnreliableStore : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  std::optional<Revision> load(Oid oid, Tid at) override {
    ++loads;
    if (load_delay.count() > 0) std::this_thread::sleep_for(load_delay);
    if (loads_to_fail.load() > 0 && loads_to_fail.fetch_sub(1) > 0) throw StoreError("load failed");
    return inner_.load(oid, at);
  }
  OidBlock allocate_oids(std::uint64_t count) override {
    if (refuse_oids) throw StoreError("no oids");
    if (!oid_override) return inner_.allocate_oids(count);
    return {oid_override, count};
  }
  void commit(std::span<const TransactionWrite> group) override {
    if (commits_to_fail.load() > 0 && commits_to_fail.fetch_sub(1) > 0) throw StoreFullError("disk full");
    inner_.commit(group);
  }

  std::atomic<int> loads = 0, loads_to_fail = 0, commits_to_fail = 0;
  std::chrono::milliseconds load_delay{0};
  bool refuse_oids = false;
  Oid oid_override{};
};

/// The same of a store that has a history, which never fails.
class UnreliableHistoryStore : public UnreliableStore, public HistoryStore {
 public:
  explicit UnreliableHistoryStore(Store& inner)
      : UnreliableStore(inner), history_(StoreCapabilities(inner).require_history("UnreliableHistoryStore")) {}

  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    return history_.transactions(from, to, order, most);
  }
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override {
    return history_.revisions(oid, newest, most);
  }
  Tid tid_at(CommitTime time) override { return history_.tid_at(time); }

 private:
  HistoryStore& history_;
};

/// The same of one that is packable as well.
class UnreliablePackableStore : public UnreliableHistoryStore, public PackableStore {
 public:
  explicit UnreliablePackableStore(Store& inner)
      : UnreliableHistoryStore(inner),
        packable_(StoreCapabilities(inner).require_packable("UnreliablePackableStore")) {}

  Tid oldest_tid() noexcept override { return packable_.oldest_tid(); }
  PackResult pack(const PackRequest& request) override { return packable_.pack(request); }

 private:
  PackableStore& packable_;
};

}  // namespace cow::testing
