// TwoLevelDatabase: one shared cache of records, as bytes, under private caches of objects. The RelStorage model.
//
// Thread safety: as BasicDatabase; `ByteCacheStore` as Store demands.
//
// Invariants:
//  1. The byte cache holds current records only, and a commit puts its own there before it returns (BoundedMap,
//     invariant 1). Databases ask for snapshots below or at the last commit that has returned, so a record is never too
//     old for them; for a snapshot below a record's `begin` the store is asked. A load of "the newest, whatever it is"
//     passes through.
//  2. What the store refuses to commit does not enter the cache.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "bounded_map.hpp"
#include "cow_cache/database.hpp"
#include "private_cache.hpp"

namespace cow::bench {

/// The record; what the map needs around it is in its `table_bytes`.
inline std::size_t weigh_record(const Revision& revision) noexcept {
  return revision.record.capacity() + sizeof(Revision);
}

/// A store that remembers records.
class ByteCacheStore final : public Store {
 public:
  ByteCacheStore(Store& store, std::size_t budget) : store_(store), records_(budget) {}

  std::optional<Revision> load(Oid oid, Tid at) override {
    if (at == kInfinity) return load_below(oid, at);
    std::optional<Revision> current = records_.get(oid, [&] { return load_below(oid, kInfinity); });
    if (!current || current->begin <= at) return current;
    return load_below(oid, at);
  }

  Tid last_tid() override { return store_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return store_.allocate_oids(count); }

  void commit(std::span<const TransactionWrite> group) override {
    store_.commit(group);
    for (const TransactionWrite& transaction : group) {
      for (const ObjectWrite& object : transaction.objects) {
        records_.put(object.oid, [&] {
          return Revision{.begin = transaction.tid, .erased = object.erase, .record = std::string(object.record)};
        });
      }
    }
  }

  /// REQUIRES: nobody uses it at the same time.
  void forget_all() { records_.clear(); }

  /// Loads that reached the store below.
  std::uint64_t loads() const noexcept { return loads_.load(std::memory_order_relaxed); }
  std::size_t bytes() const noexcept { return records_.bytes(); }
  std::size_t table_bytes() const noexcept { return records_.table_bytes(); }
  std::uint64_t evictions() const noexcept { return records_.evictions(); }

 private:
  std::optional<Revision> load_below(Oid oid, Tid at) {
    loads_.fetch_add(1, std::memory_order_relaxed);  // a statistic
    return store_.load(oid, at);
  }

  Store& store_;
  BoundedMap<Revision, weigh_record> records_;
  std::atomic<std::uint64_t> loads_{0};
};

namespace detail {
/// A base, so that the byte cache is there before the database that uses it.
template <class ByteStore>
struct ByteCacheHolder {
  ByteStore bytes;
};
}  // namespace detail

/// A byte cache under private ones. `CacheOptions::cache_bytes` is the budget of each session's objects, and of the byte cache too unless one
/// is given.
template <class ByteStore>
class BasicTwoLevelDatabase : private detail::ByteCacheHolder<ByteStore>, public BasicDatabase<PrivateCache> {
  using Holder = detail::ByteCacheHolder<ByteStore>;
  using Holder::bytes;

 public:
  template <class Below>
  requires std::constructible_from<ByteStore, Below&, std::size_t>
  explicit BasicTwoLevelDatabase(Below& store, const CacheOptions& options = {})
      : BasicTwoLevelDatabase(store, options, options.cache_bytes) {}
  template <class Below>
  requires std::constructible_from<ByteStore, Below&, std::size_t> BasicTwoLevelDatabase(Below& store,
                                                                                         const CacheOptions& options,
                                                                                         std::size_t byte_cache_bytes)
      : Holder{{store, byte_cache_bytes}}, BasicDatabase<PrivateCache>(bytes, options) {}

  /// Both levels. REQUIRES: no transaction is active, and none begins.
  void evict_all() {
    BasicDatabase<PrivateCache>::evict_all();
    bytes.forget_all();
  }

  /// `loads` and `evictions` are those of the byte cache: what reached the store below, and what had to be asked for
  /// again.
  Statistics statistics() {
    Statistics statistics = BasicDatabase<PrivateCache>::statistics();
    statistics.cache_bytes += bytes.bytes();
    statistics.table_bytes += bytes.table_bytes();
    statistics.loads = bytes.loads();
    statistics.evictions = bytes.evictions();
    return statistics;
  }
};

using TwoLevelDatabase = BasicTwoLevelDatabase<ByteCacheStore>;

static_assert(ObjectDatabase<TwoLevelDatabase>);

}  // namespace cow::bench
