#include "history.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"
#include "persistence/detail/note_record.hpp"

namespace cow::detail::postgres {

namespace {

CommitTime time_of(std::int64_t microseconds) { return CommitTime{std::chrono::microseconds(microseconds)}; }

[[noreturn]] void throw_gap(Tid tid, Tid before) {
  throw StoreCorruptError("PostgresStore: transactions are missing between tid " + std::to_string(before.value) +
                          " and tid " + std::to_string(tid.value));
}

TransactionNote note_of(const Result& result, int row, int column, Tid tid) {
  if (result.is_null(row, column)) return {};
  std::optional<TransactionNote> note = decode_note(result.bytes(row, column));
  if (!note) throw StoreCorruptError("PostgresStore: the note of tid " + std::to_string(tid.value) + " cannot be read");
  return std::move(*note);
}

/// A page of the statement, its rows by ascending tid.
class Page {
 public:
  Page(const Result& result, HistoryOrder order) : result_(result), ascends_(order == HistoryOrder::oldest_first) {
    size_ = result.is_null(0, 2) ? 0 : result.rows();
  }
  int size() const noexcept { return size_; }
  Tid tid(int i) const noexcept { return result_.tid(row(i), 2); }
  Tid before(int i) const noexcept { return result_.tid(row(i), 3); }

  /// Throws for a gap above what a pack has left.
  void require_whole(Tid from, Tid to, bool is_full) const {
    const Tid last = result_.tid(0, 0), oldest = result_.tid(0, 1);
    const Tid floor = std::max(oldest, Tid{1});
    const auto require = [&](Tid tid, Tid before, Tid wanted) {
      if (before != wanted && before >= floor) throw_gap(tid, wanted);
    };
    for (int i = 1; i < size_; ++i) require(tid(i), before(i), tid(i - 1));
    const bool reaches_begin = ascends_ || !is_full;
    const bool reaches_end = (!ascends_ || !is_full) && to >= last;
    if (size_ > 0 && reaches_begin && before(0) >= std::max(from, floor)) throw_gap(tid(0), Tid{from.value - 1});
    if (!reaches_end || last < std::max(from, floor)) return;
    if (size_ == 0) throw_gap(last, Tid{from.value - 1});
    if (tid(size_ - 1) != last) throw_gap(last, tid(size_ - 1));
  }

 private:
  int row(int i) const noexcept { return ascends_ ? i : size_ - 1 - i; }

  const Result& result_;
  bool ascends_;
  int size_;
};

}  // namespace

std::vector<TransactionInfo> read_transactions(Pool& pool, const Statements& statements, Tid from, Tid to,
                                               HistoryOrder order, std::size_t most, Tid& oldest) {
  constexpr std::size_t kMost = 1 << 20;
  most = std::min(most, kMost);
  from = std::max(from, Tid{1});  // below are burnt tokens
  if (most == 0 || to < from || from > tid_of(kMaxInteger)) return {};
  const Result result =
      pool.ask(order == HistoryOrder::oldest_first ? statements.transactions_up : statements.transactions_down,
               Parameters().integer(stored(from)).integer(stored(to)).integer(static_cast<std::int64_t>(most)));
  if (result.rows() == 0) throw StoreCorruptError("PostgresStore: the row of the tid counter is missing");
  oldest = result.tid(0, 1);
  const Page page(result, order);
  page.require_whole(from, to, static_cast<std::size_t>(page.size()) == most);
  std::vector<TransactionInfo> transactions;
  transactions.reserve(static_cast<std::size_t>(page.size()));
  for (int row = 0; row < page.size(); ++row) {
    const Tid tid = result.tid(row, 2);
    TransactionInfo& info = transactions.emplace_back();
    info.tid = tid;
    info.time = time_of(result.integer(row, 4));
    info.note = note_of(result, row, 6, tid);
    for (const std::int64_t oid : result.integers(row, 5)) info.objects.push_back(oid_of(oid));
  }
  return transactions;
}

std::vector<RevisionInfo> read_revisions(Pool& pool, const Statements& statements, Oid oid, Tid newest,
                                         std::size_t most) {
  constexpr std::size_t kMost = 1 << 20;
  const Result result = pool.ask(statements.revisions, Parameters()
                                                           .integer(stored(oid))
                                                           .integer(stored(newest))
                                                           .integer(static_cast<std::int64_t>(std::min(most, kMost))));
  std::vector<RevisionInfo> revisions;
  for (int row = 0; row < result.rows(); ++row) {
    RevisionInfo& info = revisions.emplace_back();
    info.begin = result.tid(row, 0);
    if (!result.is_null(row, 1)) info.end = result.tid(row, 1);
    info.erased = result.boolean(row, 2);
    info.bytes = static_cast<std::uint64_t>(result.integer(row, 3));
    if (!result.is_null(row, 4)) info.time = time_of(result.integer(row, 4));
    info.note = note_of(result, row, 5, info.begin);
  }
  return revisions;
}

/// Bisects: times never decrease with tids.
Tid read_tid_at(Pool& pool, const Statements& statements, CommitTime time) {
  std::uint64_t low = 0;  // the tid sought is this one, or above
  std::uint64_t high =
      pool.ask(statements.last, Parameters().integer(0)).tid(0, 0).value;  // the tid sought is this one, or below
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    const Result found = pool.ask(statements.time_from, Parameters().integer(static_cast<std::int64_t>(middle)));
    if (found.rows() == 1 && time_of(found.integer(0, 1)) <= time) {
      low = std::max(found.tid(0, 0).value, middle);
      high = std::max(high, low);
    } else {
      high = middle - 1;
    }
  }
  if (low == 0) return Tid{};
  // Of a tid in a gap that has no transaction of its own: the one before.
  return Tid{low};
}

}  // namespace cow::detail::postgres
