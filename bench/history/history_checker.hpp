// A checker of histories: which anomalies a recorded run of list appends shows, and whether a level of isolation allows
// them. After Elle (Kingsbury and Alvaro, VLDB 2020): values are unique, so a list that was read tells the order of the
// writes before it, and every dependency can be inferred.
//
// Thread safety: used by one thread, after the run.
//
// What is assumed of the database besides its level: a snapshot is that of all commits which returned before the
// transaction began. So real time orders transactions (strong snapshot isolation, strict serializability).
// A list whose object does not exist is read as the empty list: that is a read of the version before the first one.
// Transactions that did not commit have read a snapshot, too. They count as transactions that have only read.
#pragma once

#include <tsl/robin_map.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "history.hpp"
#include "history_graph.hpp"

namespace cow::bench::history {

class HistoryChecker {
 public:
  static HistoryReport check(const std::vector<HistoryTransaction>& history) {
    HistoryChecker checker(history);
    checker.index_appends();
    for (Index i = 0; i < history.size(); ++i) checker.read_transaction(i);
    checker.check_orders();
    checker.check_reads();
    checker.find_cycles();
    return std::move(checker.report_);
  }

 private:
  using Index = std::uint32_t;
  using List = std::vector<std::uint64_t>;

  /// Values and keys come in runs, and differ in their high bits only, perhaps.
  struct Mix {
    std::size_t operator()(std::uint64_t value) const noexcept {
      value *= 0x9E3779B97F4A7C15;
      return value ^ value >> 32;
    }
  };
  template <class K, class V>
  using Map = tsl::robin_map<K, V, Mix>;
  static constexpr std::uint32_t kNowhere = ~std::uint32_t{0};

  struct Append {
    Index transaction;
    std::uint32_t key;
    bool last;                          ///< of its transaction, to its list
    std::uint32_t position = kNowhere;  ///< in the longest list
  };

  /// A version that a transaction has read from others: the list found, without what it had appended itself.
  struct Read {
    Index transaction;
    std::uint32_t key;
    const List* found;
    std::size_t length;
    bool appends;  ///< it has committed, and has appended to this list
  };

  struct Key {
    const List* longest = nullptr;
    std::size_t length = 0;
    std::int64_t latest_begin = INT64_MIN;  ///< of those who have read the longest list
  };

  explicit HistoryChecker(const std::vector<HistoryTransaction>& history) : history_(history), graph_(history.size()) {}

  static std::string name(Index transaction) { return "T" + std::to_string(transaction); }
  static std::string show(const List& list, std::size_t length) {
    std::string text = "[";
    for (std::size_t i = 0; i < length; ++i) text += (i > 0 ? " " : "") + std::to_string(list[i]);
    return text + "]";
  }

  static std::string describe(const HistoryTransaction& transaction) {
    std::string text = " from " + std::to_string(transaction.begin) + " to " + std::to_string(transaction.end) +
                       (transaction.outcome == Outcome::committed ? ":" : ", not committed:");
    for (const HistoryOperation& operation : transaction.operations) {
      text += " " + std::to_string(operation.key) +
              (operation.appended != 0 ? " += " + std::to_string(operation.appended)
                                       : ": " + show(operation.found, operation.found.size()));
    }
    return text;
  }

  void index_appends() {
    Map<std::uint32_t, std::uint64_t> last;
    for (Index i = 0; i < history_.size(); ++i) {
      last.clear();
      for (const HistoryOperation& operation : history_[i].operations) {
        if (operation.appended == 0) continue;
        auto [found, fresh] = appends_.try_emplace(operation.appended, Append{i, operation.key, true});
        if (!fresh)
          report_.add(Anomaly::garbage, name(i) + " appends " + std::to_string(operation.appended) + " again");
        if (auto before = last.find(operation.key); before != last.end()) appends_[before->second].last = false;
        last[operation.key] = operation.appended;
      }
    }
  }

  /// Compares a transaction with itself, and notes what it has read of others.
  void read_transaction(Index i) {
    struct Own {
      const List* found = nullptr;  ///< by the first read
      std::size_t length = 0;       ///< of it, what was there before
      List appended;
    };
    Map<std::uint32_t, Own> lists;
    for (const HistoryOperation& operation : history_[i].operations) {
      Own& own = lists[operation.key];
      if (operation.appended != 0) {
        own.appended.push_back(operation.appended);
        continue;
      }
      const List& found = operation.found;
      bool right =
          found.size() >= own.appended.size() && std::equal(own.appended.rbegin(), own.appended.rend(), found.rbegin());
      std::size_t length = right ? found.size() - own.appended.size() : 0;
      if (right && own.found != nullptr) {
        right = length == own.length &&
                std::equal(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(length), own.found->begin());
      }
      for (std::size_t at = 0; right && at < length; ++at) {
        auto append = appends_.find(found[at]);
        right = append == appends_.end() || append->second.transaction != i;
      }
      if (!right) {
        report_.add(Anomaly::internal, name(i) + " finds " + show(found, found.size()) + " in list " +
                                           std::to_string(operation.key) + " after its own " +
                                           show(own.appended, own.appended.size()));
      } else if (own.found == nullptr) {
        own.found = &found;
        own.length = length;
      }
    }
    for (const auto& [key, own] : lists) {
      if (own.found == nullptr) continue;
      bool appends = !own.appended.empty() && history_[i].outcome == Outcome::committed;
      reads_.push_back({i, key, own.found, own.length, appends});
      Key& all = keys_[key];
      if (all.longest == nullptr || own.length > all.length) {
        all = {own.found, own.length, history_[i].begin};
      } else if (own.length == all.length) {
        all.latest_begin = std::max(all.latest_begin, history_[i].begin);
      }
    }
  }

  /// The order of versions of each list, from the longest that was read.
  void check_orders() {
    for (const auto& [key, all] : keys_) {
      Index before = kNowhere;
      for (std::size_t at = 0; at < all.length; ++at) {
        Index writer = check_value((*all.longest)[at], key, static_cast<std::uint32_t>(at));
        if (writer != kNowhere && before != kNowhere) graph_.add(before, writer, kWriteWrite, key);
        before = writer;
      }
    }
    for (const auto& [value, append] : appends_) {
      if (append.position != kNowhere || history_[append.transaction].outcome != Outcome::committed) continue;
      auto all = keys_.find(append.key);
      if (all == keys_.end() || all->second.latest_begin <= history_[append.transaction].end) continue;
      report_.add(Anomaly::lost_append, std::to_string(value) + " of " + name(append.transaction) +
                                            " is missing from " + show(*all->second.longest, all->second.length));
    }
  }

  /// Who has written a value that was found; kNowhere: nobody who may.
  Index check_value(std::uint64_t value, std::uint32_t key, std::uint32_t position) {
    auto append = appends_.find(value);
    std::string where = std::to_string(value) + " in list " + std::to_string(key);
    if (append == appends_.end() || append->second.key != key) {
      report_.add(Anomaly::garbage, where + " was never appended");
      return kNowhere;
    }
    if (append->second.position != kNowhere) report_.add(Anomaly::garbage, where + " stands there twice");
    append.value().position = position;
    if (history_[append->second.transaction].outcome == Outcome::aborted) {
      report_.add(Anomaly::aborted_read,
                  where + " is of " + name(append->second.transaction) + ", which has not committed");
      return kNowhere;
    }
    return append->second.transaction;
  }

  void check_reads() {
    Map<std::uint64_t, Index> updated;  // by list and length of the version: who has written the next one
    for (const Read& read : reads_) {
      const Key& all = keys_[read.key];
      if (!std::equal(read.found->begin(), read.found->begin() + static_cast<std::ptrdiff_t>(read.length),
                      all.longest->begin())) {
        report_.add(Anomaly::incompatible_order, name(read.transaction) + " found " + show(*read.found, read.length) +
                                                     ", others " + show(*all.longest, all.length));
        continue;
      }
      if (read.appends) {
        auto [other, fresh] = updated.try_emplace(std::uint64_t{read.key} << 32 | read.length, read.transaction);
        if (!fresh) {
          report_.add(Anomaly::lost_update, name(other->second) + " and " + name(read.transaction) +
                                                " both append to " + show(*read.found, read.length) + " of list " +
                                                std::to_string(read.key));
        }
      }
      if (read.length > 0) {
        auto last = appends_.find((*read.found)[read.length - 1]);
        if (last == appends_.end() || last->second.key != read.key) continue;  // garbage, and reported
        Index writer = last->second.transaction;
        if (!last->second.last) {
          report_.add(Anomaly::intermediate_read, name(read.transaction) + " found " + show(*read.found, read.length) +
                                                      ", but " + name(writer) + " has appended more");
        }
        if (history_[writer].outcome != Outcome::aborted) graph_.add(writer, read.transaction, kWriteRead, read.key);
      }
      if (read.length < all.length) {
        auto next = appends_.find((*all.longest)[read.length]);
        if (next == appends_.end() || next->second.key != read.key) continue;
        if (history_[next->second.transaction].outcome != Outcome::aborted) {
          graph_.add(read.transaction, next->second.transaction, kReadWrite, read.key);
        }
      }
    }
  }

  void find_cycles() {
    std::vector<std::pair<std::int64_t, std::int64_t>> times;
    times.reserve(history_.size());
    for (const HistoryTransaction& transaction : history_) {
      // Of unknown outcome: it may take effect at any time.
      times.emplace_back(transaction.begin, transaction.outcome == Outcome::unknown ? INT64_MAX : transaction.end);
    }
    graph_.add_times(times);
    graph_.finish();
    constexpr unsigned kFlow = kWriteWrite | kWriteRead, kAll = kFlow | kReadWrite;
    find(kWriteWrite, false, [](auto) { return Anomaly::write_cycle; });
    find(kFlow, false, [](auto) { return Anomaly::circular_flow; });
    find(kAll, true, [](std::size_t read_writes) { return read_writes == 1 ? Anomaly::single : Anomaly::nonadjacent; });
    if (report_.allowed(Isolation::snapshot)) find(kAll | kRealTime, true, [](auto) { return Anomaly::real_time; });
    if (!report_.allowed(Isolation::snapshot)) return;
    find(kAll, false, [](auto) { return Anomaly::write_skew; });
    if (report_.allowed(Isolation::serializable))
      find(kAll | kRealTime, false, [](auto) { return Anomaly::serial_real_time; });
  }

  template <class Classify>
  void find(unsigned kinds, bool apart, Classify classify) {
    for (const HistoryGraph::Cycle& cycle : graph_.cycles(kinds, apart)) {
      auto read_writes = static_cast<std::size_t>(std::ranges::count(cycle, kReadWrite, &HistoryGraph::Edge::kind));
      auto write_reads = std::ranges::count(cycle, kWriteRead, &HistoryGraph::Edge::kind);
      // What an earlier search has found already.
      if (kinds == (kWriteWrite | kWriteRead) && write_reads == 0) continue;
      if ((kinds & kReadWrite) != 0 && (kinds & kRealTime) == 0 && read_writes == 0) continue;
      std::string text = graph_.describe(cycle);
      for (const HistoryGraph::Edge& edge : cycle) {
        if (edge.from < history_.size()) text += "\n    " + name(edge.from) + describe(history_[edge.from]);
      }
      report_.add(classify(read_writes), text);
    }
  }

  const std::vector<HistoryTransaction>& history_;
  HistoryReport report_;
  HistoryGraph graph_;
  Map<std::uint64_t, Append> appends_;
  Map<std::uint32_t, Key> keys_;
  std::vector<Read> reads_;
};

}  // namespace cow::bench::history
