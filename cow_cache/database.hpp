// Database: a store, the cache over it, and the commits of a process.
//
// Thread safety: all functions may be called from any thread, construction and destruction apart.
//
// Invariants:
//  1. There is one database per store in a process, and it alone commits to the store: a second one on the same store
//     object is refused. (A store that passes calls on to another is an object of its own; RocksDbStore locks its directory.
//     There are no databases that only read: every one may commit.)
//  2. The database outlives its transactions, and every call of theirs: a commit still works in the cache after
//     its transaction has ended. Its destructor terminates the program if a transaction is active.
#pragma once

#include "version.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <type_traits>
#include <utility>

#include "detail/cache/object_cache.hpp"
#include "detail/cache/shared_cache.hpp"
#include "detail/commit/attempts.hpp"
#include "detail/commit/committer.hpp"
#include "detail/commit/oid_pool.hpp"
#include "detail/commit/store_latch.hpp"
#include "detail/commit/transact_frame.hpp"
#include "detail/record/record.hpp"
#include "detail/refused.hpp"
#include "isolation.hpp"
#include "options.hpp"
#include "retry_policy.hpp"
#include "statistics.hpp"
#include "store.hpp"
#include "transaction.hpp"
#include "transaction_definitions.hpp"

namespace cow {

template <class Cache>
class BasicDatabase;

namespace detail {

/// For what tests and measures the parts of a cache.
template <class Cache>
Cache& cache_of(BasicDatabase<Cache>& database) noexcept {
  return database.cache_;
}

/// For caches whose transactions may begin with more than the cache itself: the reader is made of both.
template <class Cache, class More>
BasicTransaction<Cache> begin_with(BasicDatabase<Cache>& database, More& more) {
  return BasicTransaction<Cache>(database, database.isolation_, more);
}

}  // namespace detail

template <class Cache>
class BasicDatabase {
  static_assert(detail::ObjectCache<Cache>);

 public:
  using Transaction = BasicTransaction<Cache>;
  using Pointers = typename Cache::Pointers;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  /// Opens the database in `store`, which must outlive it; an empty store gets its root. Throws StoreLockedError if the
  /// store has a database already, LimitError if the process has too many, and what the store throws.
  explicit BasicDatabase(Store& store, const CacheOptions& options = {})
      : latch_(store), committer_(store), oids_(store), cache_(store, options, committer_.frontier()) {
    if (store.last_tid() == Tid{}) create_root(store);
  }

  /// The same with a level of isolation for all transactions that are not begun with one of their own.
  BasicDatabase(Store& store, const CacheOptions& options, Isolation isolation) requires Transaction::kCanBeSerializable
      : BasicDatabase(store, options) {
    isolation_ = isolation;
  }

  // NOLINTNEXTLINE(google-explicit-constructor): it converts nothing
  BasicDatabase COW_CACHE_REFUSED(
      "cow: a store must outlive its database: give it a name, `cow::MemoryStore store; cow::Database db(store);`",
      Store&&, const CacheOptions& = {}, Isolation = Isolation::snapshot);
  BasicDatabase(const BasicDatabase&) = delete;
  BasicDatabase& operator=(const BasicDatabase&) = delete;

  ~BasicDatabase() {
    if (cache_.active_transactions() == 0) return;
    std::fputs("cow::Database destroyed while one of its transactions is active\n", stderr);
    std::terminate();
  }

  /// Throws LimitError (too many transactions at a time), SeparateMemoryError, std::bad_alloc.
  Transaction begin() { return Transaction(*this, isolation_); }

  /// A transaction at a level of its own, whatever the database's. A serializable one is only as good as the others:
  /// one writer at level snapshot spoils the serial order for all, readers included (isolation.hpp).
  Transaction begin(Isolation isolation) requires Transaction::kCanBeSerializable {
    return Transaction(*this, isolation);
  }

  /// Runs `body(Transaction&)` and commits; again from the start, a bounded number of times, when it meets a
  /// ConflictError. Returns what the body returns. Throws the last ConflictError, or anything else at once. A body may
  /// run further transactions, which commit for themselves: NestedTransactionError if they change what this one
  /// changes.
  template <class Body>
  auto transact(Body&& body, const RetryPolicy& policy = {}) {
    if constexpr (detail::require_body<Body, Transaction>())
      return detail::transact_in_thread([this] { return begin(); }, body, policy);
  }

  /// The last published commit.
  Tid last_tid() const noexcept { return Tid{committer_.frontier().load(std::memory_order_acquire)}; }

  Statistics statistics() {
    Statistics statistics;
    statistics.commits = committer_.commits();
    statistics.conflicts = committer_.conflicts();
    statistics.commit_bytes = committer_.bytes();
    cache_.add_statistics(statistics);
    return statistics;
  }

  /// Drops every object from the cache, but what active transactions have read: a cold cache. For tests and benchmarks, and
  /// after a piece of work whose objects will not be needed again. Others may go on meanwhile.
  void evict_all() { cache_.evict_all(); }

  [[deprecated("use evict_all() and statistics(); the next version has no cache()")]] Cache& cache() noexcept {
    return cache_;
  }

 private:
  friend BasicTransaction<Cache>;
  friend Cache& detail::cache_of<Cache>(BasicDatabase&) noexcept;
  template <class Other, class More>
  friend BasicTransaction<Other> detail::begin_with(BasicDatabase<Other>&, More&);

  /// The root has a fixed oid, so it is written past the cache, which does not exist yet for anybody.
  void create_root(Store& store) {
    std::string record;
    detail::DefinedCodec<RootDirectory>::encode(RootDirectory{}, {}, record);
    ObjectWrite root{.oid = kRootOid, .record = record};
    TransactionWrite first{.tid = Tid{1}, .objects = {&root, 1}};
    store.commit({&first, 1});
    committer_.adopt(first.tid);
  }

  Isolation isolation_ = Isolation::snapshot;
  detail::StoreLatch latch_;  // first: nothing of a store that is another's is touched, and it is let go last
  detail::Committer committer_;
  detail::OidPool oids_;
  Cache cache_;
};

}  // namespace cow
