#include "scan.hpp"

#include <algorithm>
#include <string>

#include "cow_cache/errors.hpp"

namespace cow::detail::postgres {

namespace {
constexpr std::int64_t kCounted = 100'000;  // as the statement says

/// The only row that a statement gives which joins settings and the tid counter.
Result one_row(Result result) {
  if (result.rows() != 1)
    throw StoreCorruptError("PostgresStore: a setting, or the row of the tid counter, is missing");
  return result;
}
}  // namespace

PostgresSummary read_summary(Pool& pool, const Statements& statements, const std::string& schema) {
  const Result result = one_row(pool.ask(statements.summary, Parameters().text(schema)));
  PostgresSummary summary;
  summary.last = result.tid(0, 0);
  summary.oldest = result.tid(0, 1);
  summary.schema_version = result.integer(0, 2);
  summary.next_oid = result.oid(0, 3).value + 1;
  summary.holders = static_cast<std::uint64_t>(result.integer(0, 4));
  const std::int64_t counted = result.integer(0, 5);
  // The server's statistics are of when they were made, or there are none yet.
  summary.estimated_revisions =
      static_cast<std::uint64_t>(counted < kCounted ? counted : std::max(counted, result.integer(0, 6)));
  return summary;
}

std::vector<ScannedRevision> scan_revisions(Pool& pool, const Statements& statements, Oid first, Tid below, Oid last,
                                            Tid newest, std::size_t most) {
  constexpr std::size_t kMost = 1 << 20;
  constexpr Oid kLast{static_cast<std::uint64_t>(kMaxInteger)};  // above there are none
  std::vector<ScannedRevision> found;
  last = std::min(last, kLast);
  if (first > last || most == 0) return found;
  const Result result = pool.ask(statements.scan, Parameters()
                                                      .integer(stored(first))
                                                      .integer(stored(below))
                                                      .integer(stored(last))
                                                      .integer(stored(newest))
                                                      .integer(static_cast<std::int64_t>(std::min(most, kMost))));
  found.reserve(static_cast<std::size_t>(result.rows()));
  for (int row = 0; row < result.rows(); ++row) {
    const bool erased = result.is_null(row, 2);
    found.push_back({result.oid(row, 0),
                     {result.tid(row, 1), result.is_null(row, 3) ? kInfinity : result.tid(row, 3), erased,
                      erased ? std::string() : std::string(result.bytes(row, 2))}});
  }
  return found;
}

std::uint64_t verify_tables(Pool& pool, const Statements& statements) {
  const Result result = one_row(pool.ask(statements.verify));
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw StoreCorruptError("PostgresStore: " + what);
  };
  const auto count = [&](int column) { return std::to_string(result.integer(0, column)); };
  require(result.integer(0, 0) == result.integer(0, 1),
          "the tid counter knows of a pack up to tid " + count(1) + ", the settings of one up to tid " + count(0));
  require(result.integer(0, 3) == 0, "of " + count(3) + " objects the newest revision is missing");
  require(result.integer(0, 4) == 0, count(4) + " revisions are newer than what is said to be the newest");
  require(result.integer(0, 7) == 0, count(7) + " revisions are of tids that are not given out yet");
  require(result.integer(0, 5) == result.integer(0, 6), "the transactions above tid " + count(0) + " have written " +
                                                            count(6) + " revisions, and there are " + count(5));
  return static_cast<std::uint64_t>(result.integer(0, 2));
}

}  // namespace cow::detail::postgres
