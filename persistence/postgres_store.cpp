#include "postgres_store.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "detail/postgres/committer.hpp"
#include "detail/postgres/history.hpp"
#include "detail/postgres/leases.hpp"
#include "detail/postgres/lineage.hpp"
#include "detail/postgres/packer.hpp"
#include "detail/postgres/pool.hpp"
#include "detail/postgres/scan.hpp"
#include "detail/postgres/schema.hpp"
#include "detail/postgres/statements.hpp"
#include "detail/postgres/waiting.hpp"

namespace cow {

using namespace detail::postgres;

namespace {

void raise(std::atomic<std::uint64_t>& to, std::uint64_t value) noexcept {
  std::uint64_t known = to.load(std::memory_order_relaxed);
  while (known < value && !to.compare_exchange_weak(known, value, std::memory_order_acq_rel)) {
  }
}

}  // namespace

class PostgresStore::Implementation {
 public:
  explicit Implementation(PostgresOptions given) : options(std::move(given)) {
    open_schema(pool);
    pool.look_at_new_ones([this](Connection& connection) { lineage.require_same(connection); });
    raise(oldest_, pool.ask(statements.oldest).tid(0, 0).value);
  }

  /// Row `row` of `load` and `load_many`.
  std::optional<Revision> revision_in(const Result& result, int row, Oid oid, Tid at) {
    const Tid oldest = result.tid(row, 0);
    if (at < oldest) {
      raise(oldest_, oldest.value);
      throw SnapshotTooOldError(oid, at, oldest);
    }
    if (result.is_null(row, 1)) return std::nullopt;
    const bool erased = result.is_null(row, 2);
    return Revision{result.tid(row, 1), result.is_null(row, 3) ? kInfinity : result.tid(row, 3), erased,
                    erased ? std::string() : std::string(result.bytes(row, 2))};
  }

  Tid last_tid() {
    const Tid seen{seen_.load(std::memory_order_acquire)};  // before it is asked for: others see later ones meanwhile
    const Tid last = pool.repeat([&](Connection& connection) { return lineage.last(connection); });
    if (last < seen) throw StoreBehindError(seen, last);
    raise(seen_, last.value);
    return last;
  }

  const PostgresOptions options;
  Counters counters;
  Pool pool{options, counters};
  const Statements statements{options};
  Lineage lineage{statements};
  Committer committer{pool, statements, lineage};
  Waiting waiting{pool, lineage};
  Leases leases{pool, statements};
  std::mutex pack_mutex;
  std::atomic<std::uint64_t> seen_{0}, oldest_{0};
};

PostgresStore::PostgresStore(PostgresOptions options)
    : implementation_(std::make_unique<Implementation>(std::move(options))) {}
PostgresStore::~PostgresStore() = default;

std::optional<Revision> PostgresStore::load(Oid oid, Tid at) {
  Implementation& self = *implementation_;
  const Result result = self.pool.ask(self.statements.load, Parameters().integer(stored(oid)).integer(stored(at)));
  if (result.rows() != 1) throw StoreCorruptError("PostgresStore: a setting is missing");
  return self.revision_in(result, 0, oid, at);
}

std::vector<std::optional<Revision>> PostgresStore::load_many(std::span<const Oid> oids, Tid at) {
  std::vector<std::optional<Revision>> found;
  if (oids.empty()) return found;
  Implementation& self = *implementation_;
  std::vector<std::int64_t> asked;
  asked.reserve(oids.size());
  for (const Oid oid : oids) asked.push_back(stored(oid));
  const Result result = self.pool.ask(self.statements.load_many, Parameters().integers(asked).integer(stored(at)));
  if (static_cast<std::size_t>(result.rows()) != oids.size())
    throw StoreCorruptError("PostgresStore: a setting is missing");
  found.reserve(oids.size());
  for (int row = 0; row < result.rows(); ++row)
    found.push_back(self.revision_in(result, row, oids[static_cast<std::size_t>(row)], at));
  return found;
}

Tid PostgresStore::last_tid() { return implementation_->last_tid(); }

OidBlock PostgresStore::allocate_oids(std::uint64_t count) {
  if (count == 0) throw std::invalid_argument("allocate_oids: count must be at least 1");
  if (count > kMaxOid.value) throw OidRangeError(kMaxOid);
  Implementation& self = *implementation_;
  const Result result = self.pool.ask(self.statements.allocate,
                                      Parameters().integer(static_cast<std::int64_t>(count)).integer(stored(kMaxOid)));
  if (result.rows() != 1) throw OidRangeError(kMaxOid);
  return {Oid{result.oid(0, 0).value + 1}, count};
}

void PostgresStore::commit(std::span<const TransactionWrite> group) {
  implementation_->committer.commit(group);
  if (!group.empty()) raise(implementation_->seen_, group.back().tid.value);
}

std::vector<TransactionInfo> PostgresStore::transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) {
  Tid oldest{};
  std::vector<TransactionInfo> page =
      read_transactions(implementation_->pool, implementation_->statements, from, to, order, most, oldest);
  raise(implementation_->oldest_, oldest.value);
  return page;
}

std::vector<RevisionInfo> PostgresStore::revisions(Oid oid, Tid newest, std::size_t most) {
  return read_revisions(implementation_->pool, implementation_->statements, oid, newest, most);
}

Tid PostgresStore::tid_at(CommitTime time) {
  return read_tid_at(implementation_->pool, implementation_->statements, time);
}

Tid PostgresStore::oldest_tid() noexcept {
  Implementation& self = *implementation_;
  try {
    raise(self.oldest_, self.pool.take()->run(self.statements.oldest).tid(0, 0).value);
  } catch (...) {  // no server: what the last answer has said
  }
  return Tid{self.oldest_.load(std::memory_order_acquire)};
}

PackResult PostgresStore::pack(const PackRequest& request) {
  const std::lock_guard lock(implementation_->pack_mutex);
  return Packer(implementation_->pool, implementation_->statements, request).run();
}

std::vector<Outcome> PostgresStore::propose(std::span<const Proposal> group) {
  std::vector<Outcome> outcomes = implementation_->committer.propose(group);
  for (const Outcome& outcome : outcomes) {
    if (outcome.kind == Outcome::Kind::committed) raise(implementation_->seen_, outcome.tid.value);
  }
  return outcomes;
}

Tid PostgresStore::wait_beyond(Tid seen, std::chrono::milliseconds longest) {
  const Tid last = implementation_->waiting.wait_beyond(seen, longest);
  raise(implementation_->seen_, last.value);
  return last;
}

void PostgresStore::hold(Tid oldest) { implementation_->leases.hold(oldest); }

PostgresSummary PostgresStore::summary() {
  return read_summary(implementation_->pool, implementation_->statements, implementation_->options.schema);
}

std::vector<ScannedRevision> PostgresStore::scan(Oid first, Tid below, Oid last, Tid newest, std::size_t most) {
  return scan_revisions(implementation_->pool, implementation_->statements, first, below, last, newest, most);
}

std::uint64_t PostgresStore::verify() { return verify_tables(implementation_->pool, implementation_->statements); }

PostgresStatistics PostgresStore::statistics() const noexcept {
  const Counters& counted = implementation_->counters;
  const auto of = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {of(counted.round_trips), of(counted.connections), of(counted.groups),
          of(counted.careful),     of(counted.retries),     of(counted.tokens_asked)};
}

}  // namespace cow
