// A store in a PostgreSQL server, which any number of processes share; each has a cache of its own.
//
// Thread safety: every function may be called from any number of threads at once, except `commit` and `propose`: one thread at
// a time calls one of them. Open a store after `fork`, never before.
//
// Invariants:
//  1. [tid-row-first] Whatever changes the newest revision of an object, or drops one, has locked the row of the tid counter first, in
//     any process. So tids are contiguous, become visible in their order, and groups cannot deadlock.
//  2. [no-bare-look] What must not have changed is looked at by an upsert or a locking read that names the tid, or by a statement that
//     begins after the tid row was locked: never by a plain read of the statement that takes the lock (detail/postgres/statements.hpp).
//  3. [burnt-token] When a connection is lost while a commit is under way, its token is inserted as burnt: then it can never commit; or
//     that collides, and it has committed (detail/postgres/tokens.hpp).
//  4. Between two calls nothing of this process is held on the server but idle connections: no transaction, no lock, no snapshot.
//  5. Durability is the server's: with its setting synchronous_commit off, a crash of the server loses acknowledged commits.
#pragma once

#include "cow_cache/version.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/batch.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/pack.hpp"
#include "cow_cache/store/shared.hpp"
#include "cow_cache/types.hpp"
#include "postgres_options.hpp"

namespace cow {

/// What a PostgresStore has done so far.
struct PostgresStatistics {
  std::uint64_t round_trips = 0;   ///< of all connections
  std::uint64_t connections = 0;   ///< that were made
  std::uint64_t groups = 0;        ///< that were committed
  std::uint64_t careful = 0;       ///< of them those that locked the tid row in a statement of its own
  std::uint64_t retries = 0;       ///< after 40001 and 40P01
  std::uint64_t tokens_asked = 0;  ///< commits whose answer was lost
};

/// What the tables say of a store as a whole, at one moment.
struct PostgresSummary {
  std::int64_t schema_version = 0;
  Tid last, oldest;
  std::uint64_t next_oid = 0;             ///< oids below may have been given away
  std::uint64_t estimated_revisions = 0;  ///< exact below 100,000; above as good as the server's statistics
  std::uint64_t holders = 0;              ///< processes that hold snapshots
};

/// One revision, as a scan meets it.
struct ScannedRevision {
  Oid oid;
  Revision revision;
};

/// A `Store` on PostgreSQL 15, with every capability. Keeps every revision until it is packed. Tids and oids are below 2^63 there:
/// greater tids are refused.
class PostgresStore final : public Store,
                            public HistoryStore,
                            public PackableStore,
                            public BatchStore,
                            public SharedStore {
 public:
  /// Opens the store in `options.schema`. Throws StoreConnectionError (no server), StoreMissingError (no such tables, and not
  /// `create_if_missing`), StoreFormatError (of a newer version, or not a store's), or StoreError.
  explicit PostgresStore(PostgresOptions options);
  ~PostgresStore() override;
  PostgresStore(const PostgresStore&) = delete;
  PostgresStore& operator=(const PostgresStore&) = delete;

  // ---- Store. Everything throws StoreConnectionError once the server could not be reached for `retry_for`.

  std::optional<Revision> load(Oid oid, Tid at) override;
  /// Throws StoreBehindError if the server has lost commits that this object has seen.
  Tid last_tid() override;
  OidBlock allocate_oids(std::uint64_t count) override;
  /// For tests and for filling a store: tids are the caller's, and may have gaps. Throws std::invalid_argument if the group breaks the
  /// contract or a tid is 2^63 or more.
  void commit(std::span<const TransactionWrite> group) override;

  // ---- HistoryStore. A transaction that is missing among those that the pack has left is a StoreCorruptError.

  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override;
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override;
  Tid tid_at(CommitTime time) override;

  // ---- PackableStore

  /// Of the server, if it answers; what was known last, if not.
  Tid oldest_tid() noexcept override;
  PackResult pack(const PackRequest& request) override;

  // ---- BatchStore: one round trip

  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override;

  // ---- SharedStore

  std::vector<Outcome> propose(std::span<const Proposal> group) override;
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override;
  void hold(Tid oldest) override;

  // ---- for programs that look into stores: they read, with no right but SELECT

  PostgresSummary summary();

  /// Revisions of the objects `first` to `last` as of snapshot `newest`, in the order of oids, the newest of each first, `most` (>= 1) at
  /// most. Of `first` those below tid `below`: what comes after the last one of a page is the next page. Nothing is refused
  /// below `oldest_tid()`: a pack may have dropped some of these.
  std::vector<ScannedRevision> scan(Oid first, Tid below, Oid last, Tid newest, std::size_t most);

  /// Looks through the tables whether they agree with each other, as of one moment; returns the number of transactions that are kept.
  /// That records are whole, and that none of the transactions is missing, is seen by who reads them. Throws StoreCorruptError.
  std::uint64_t verify();

  PostgresStatistics statistics() const noexcept;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace cow
