// Which anomalies a history of transactions has: Adya's dependency graph (Adya, Liskov, O'Neil: "Generalized Isolation
// Level Definitions", ICDE 2000), built as Elle does it (Kingsbury and Alvaro, VLDB 2020), from items that count their
// revisions.
//
// A transaction that wrote revision r + 1 of an item comes after the one that wrote r (ww); one that read r comes after
// who wrote r (wr) and before who wrote r + 1 (rw). Transactions on a cycle have no serial order. Snapshot isolation
// forbids cycles with less than two rw edges, and it allows the others: write skew.
//
// Thread safety: one history per thread; `anomalies_of` looks at all of them when their threads are done.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace cow::bench {

/// What committed transactions have read and written.
class History {
 public:
  struct Access {
    std::uint32_t item;
    std::uint64_t revision;  ///< that was read, or that the write made: one more than the one before
    bool write;
  };

  /// Forgets what the transaction under way has done so far: it starts again.
  void restart() { pending_.clear(); }
  void read(std::uint32_t item, std::uint64_t revision) { pending_.push_back({item, revision, false}); }
  void write(std::uint32_t item, std::uint64_t revision) { pending_.push_back({item, revision, true}); }
  /// The transaction has committed.
  void committed() { transactions_.push_back(std::exchange(pending_, {})); }

  const std::vector<std::vector<Access>>& transactions() const { return transactions_; }

 private:
  std::vector<Access> pending_;
  std::vector<std::vector<Access>> transactions_;
};

struct Anomalies {
  std::uint64_t transactions = 0;         ///< in the history
  std::uint64_t lost_updates = 0;         ///< revisions that two transactions made. Snapshot isolation has none.
  std::uint64_t cycles_without_skew = 0;  ///< cycles with less than two rw edges. Snapshot isolation has none.
  std::uint64_t skews = 0;                ///< groups of transactions, each on a cycle with the others
  std::uint64_t transactions_in_skews = 0;

  bool snapshot_isolated() const { return lost_updates == 0 && cycles_without_skew == 0; }
  bool serializable() const { return snapshot_isolated() && skews == 0; }
};

namespace detail {

/// The dependencies between transactions, numbered from 0.
class DependencyGraph {
 public:
  explicit DependencyGraph(const std::vector<const std::vector<History::Access>*>& transactions)
      : edges_(transactions.size()) {
    struct Revision {
      std::vector<std::uint32_t> writers, readers;
    };
    std::map<std::pair<std::uint32_t, std::uint64_t>, Revision> revisions;
    for (std::uint32_t i = 0; i < transactions.size(); ++i) {
      for (const History::Access& access : *transactions[i]) {
        Revision& revision = revisions[{access.item, access.revision}];
        (access.write ? revision.writers : revision.readers).push_back(i);
      }
    }
    for (const auto& [key, revision] : revisions) {
      lost_updates_ += revision.writers.size() > 1 ? revision.writers.size() - 1 : 0;
      const auto next = revisions.find({key.first, key.second + 1});
      for (std::uint32_t writer : revision.writers) {
        for (std::uint32_t reader : revision.readers) add(writer, reader, false);
      }
      if (next == revisions.end()) continue;
      for (std::uint32_t overwriter : next->second.writers) {
        for (std::uint32_t writer : revision.writers) add(writer, overwriter, false);
        for (std::uint32_t reader : revision.readers) add(reader, overwriter, true);
      }
    }
  }

  std::uint64_t lost_updates() const { return lost_updates_; }

  /// For each transaction the number of its strongly connected component (Tarjan 1972, without recursion).
  std::vector<std::uint32_t> components() const {
    constexpr std::uint32_t kNone = ~std::uint32_t{0};
    const std::size_t count = edges_.size();
    std::vector<std::uint32_t> component(count, kNone), index(count, kNone), low(count);
    std::vector<std::uint32_t> open;
    std::vector<std::pair<std::uint32_t, std::size_t>> calls;  // a transaction, and its next edge
    std::uint32_t next_index = 0, next_component = 0;
    for (std::uint32_t start = 0; start < count; ++start) {
      if (index[start] == kNone) calls.emplace_back(start, 0);
      while (!calls.empty()) {
        auto& [here, edge] = calls.back();
        if (edge == 0) {
          index[here] = low[here] = next_index++;
          open.push_back(here);
        }
        if (edge < edges_[here].size()) {
          const std::uint32_t to = edges_[here][edge++].to;
          if (index[to] == kNone) {
            calls.emplace_back(to, 0);
          } else if (component[to] == kNone) {
            low[here] = std::min(low[here], index[to]);
          }
          continue;  // `here` and `edge` may have moved
        }
        if (low[here] == index[here]) {
          for (std::uint32_t member = kNone; member != here;) {
            member = open.back();
            open.pop_back();
            component[member] = next_component;
          }
          ++next_component;
        }
        const std::uint32_t done = here;
        calls.pop_back();
        if (!calls.empty()) low[calls.back().first] = std::min(low[calls.back().first], low[done]);
      }
    }
    return component;
  }

  /// Whether `from` leads back to `to` without an rw edge, within one component.
  bool leads_back(std::uint32_t from, std::uint32_t to, const std::vector<std::uint32_t>& component) const {
    std::vector<bool> seen(edges_.size());
    std::vector<std::uint32_t> waiting{from};
    seen[from] = true;
    while (!waiting.empty()) {
      const std::uint32_t here = waiting.back();
      waiting.pop_back();
      if (here == to) return true;
      for (const Edge& edge : edges_[here]) {
        if (edge.anti || seen[edge.to] || component[edge.to] != component[here]) continue;
        seen[edge.to] = true;
        waiting.push_back(edge.to);
      }
    }
    return false;
  }

  /// Edges that close a cycle in which no other edge is an rw edge.
  std::uint64_t cycles_without_skew(const std::vector<std::uint32_t>& component) const {
    std::uint64_t count = 0;
    for (std::uint32_t from = 0; from < edges_.size(); ++from) {
      for (const Edge& edge : edges_[from]) {
        count += component[from] == component[edge.to] && leads_back(edge.to, from, component);
      }
    }
    return count;
  }

 private:
  struct Edge {
    std::uint32_t to;
    bool anti;  ///< rw
  };

  void add(std::uint32_t from, std::uint32_t to, bool anti) {
    if (from != to) edges_[from].push_back({to, anti});
  }

  std::vector<std::vector<Edge>> edges_;  ///< by transaction
  std::uint64_t lost_updates_ = 0;
};

}  // namespace detail

/// Finds the anomalies of what several threads have done together. REQUIRES: nobody else wrote the items meanwhile.
inline Anomalies anomalies_of(const std::vector<const History*>& histories) {
  std::vector<const std::vector<History::Access>*> transactions;
  for (const History* history : histories) {
    for (const auto& transaction : history->transactions()) transactions.push_back(&transaction);
  }
  const detail::DependencyGraph graph(transactions);
  const std::vector<std::uint32_t> component = graph.components();
  std::map<std::uint32_t, std::uint64_t> sizes;
  for (std::uint32_t number : component) ++sizes[number];
  Anomalies anomalies;
  anomalies.transactions = transactions.size();
  anomalies.lost_updates = graph.lost_updates();
  anomalies.cycles_without_skew = graph.cycles_without_skew(component);
  for (const auto& [number, size] : sizes) {
    if (size < 2) continue;
    ++anomalies.skews;
    anomalies.transactions_in_skews += size;
  }
  return anomalies;
}

}  // namespace cow::bench
