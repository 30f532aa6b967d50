// The dependencies between transactions of a history, and the cycles in them.
//
// Thread safety: used by one thread.
//
// Invariants:
//  1. Work and memory grow with transactions and edges, not with their pairs: Tarjan's components, and one search for each
//     that has a cycle. Real time has a chain of its own, an element for each end, so that it takes two edges a
//     transaction.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cow::bench::history {

/// Adya's dependencies, and real time: the one ended before the other began.
enum Dependency : std::uint8_t { kWriteWrite = 1, kWriteRead = 2, kReadWrite = 4, kRealTime = 8 };

class HistoryGraph {
 public:
  using Node = std::uint32_t;

  struct Edge {
    Node from, to;
    Dependency kind;
    std::uint32_t key;
  };

  /// `transactions` nodes, without edges.
  explicit HistoryGraph(std::size_t transactions) : transactions_(transactions), nodes_(transactions) {}

  void add(Node from, Node to, Dependency kind, std::uint32_t key) {
    if (from != to) edges_.push_back({from, to, kind, key});
  }

  /// Real time, from the beginnings and ends of all transactions.
  void add_times(const std::vector<std::pair<std::int64_t, std::int64_t>>& times) {
    std::vector<Node> by_end(times.size()), by_begin(times.size());
    for (Node i = 0; i < times.size(); ++i) by_end[i] = by_begin[i] = i;
    std::ranges::sort(by_end, {}, [&](Node i) { return times[i].second; });
    std::ranges::sort(by_begin, {}, [&](Node i) { return times[i].first; });
    std::size_t ended = 0;
    for (Node next : by_begin) {
      while (ended < by_end.size() && times[by_end[ended]].second < times[next].first) {
        auto moment = static_cast<Node>(nodes_++);
        if (ended > 0) add(moment - 1, moment, kRealTime, 0);
        add(by_end[ended++], moment, kRealTime, 0);
      }
      if (ended > 0) add(static_cast<Node>(nodes_ - 1), next, kRealTime, 0);
    }
  }

  /// Ends the adding of edges.
  void finish() {
    starts_.assign(nodes_ + 1, 0);
    for (const Edge& edge : edges_) ++starts_[edge.from + 1];
    for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
    std::vector<Edge> sorted(edges_.size());
    std::vector<std::size_t> next(starts_.begin(), starts_.end() - 1);
    for (const Edge& edge : edges_) sorted[next[edge.from]++] = edge;
    edges_ = std::move(sorted);
  }

  using Cycle = std::vector<Edge>;

  /// A short cycle of each strongly connected component, over edges of the given kinds. `apart`: only cycles in which no
  /// two read-write dependencies follow each other, which are those that snapshot isolation forbids (Fekete et al.,
  /// TODS 2005; Cerone and Gotsman, JACM 2018).
  std::vector<Cycle> cycles(unsigned kinds, bool apart) const {
    Search search{*this, kinds, apart};
    search.run();
    std::vector<Cycle> cycles;
    for (auto [state, component] : search.cyclic) cycles.push_back(search.shortest(state, component));
    return cycles;
  }

  std::string describe(const Cycle& cycle) const {
    std::string text;
    for (const Edge& edge : cycle) {
      if (edge.from < transactions_) text += "T" + std::to_string(edge.from);
      if (edge.kind == kRealTime) {
        if (edge.to < transactions_) text += " -ended before-> ";
        continue;
      }
      text += edge.kind == kWriteWrite ? " -ww " : edge.kind == kWriteRead ? " -wr " : " -rw ";
      text += std::to_string(edge.key) + "-> ";
    }
    return text +
           (cycle.empty() || cycle.front().from >= transactions_ ? "..." : "T" + std::to_string(cycle.front().from));
  }

 private:
  /// A state of the search: a node, and whether a read-write dependency led there (only told apart if `apart`).
  using State = std::uint32_t;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Search {
    const HistoryGraph& graph;
    unsigned kinds;
    bool apart;
    std::vector<std::uint32_t> index = {}, low = {}, component = {};
    std::vector<std::pair<State, std::uint32_t>> cyclic = {};  ///< one state of each component of more than one

    State state_of(Node node, bool after_read_write) const { return node * 2 + (apart && after_read_write ? 1 : 0); }

    /// The state that an edge leads to, or kNone: it must not be taken.
    State next(State from, const Edge& edge) const {
      if ((edge.kind & kinds) == 0) return kNone;
      bool read_write = edge.kind == kReadWrite;
      if (apart && read_write && from % 2 == 1) return kNone;
      return state_of(edge.to, read_write);
    }

    /// Tarjan's algorithm (SIAM J. Comput. 1972), with a stack of its own.
    void run() {
      std::size_t states = graph.nodes_ * 2;
      index.assign(states, kNone);
      low.assign(states, 0);
      component.assign(states, kNone);
      std::vector<State> open;
      std::vector<std::pair<State, std::size_t>> path;
      std::uint32_t visited = 0, components = 0;
      for (Node node = 0; node < graph.nodes_; ++node) {
        if (index[state_of(node, false)] != kNone) continue;
        path.emplace_back(state_of(node, false), graph.starts_[node]);
        while (!path.empty()) {
          auto& [state, position] = path.back();
          if (index[state] == kNone) {
            index[state] = low[state] = visited++;
            open.push_back(state);
          }
          if (position < graph.starts_[state / 2 + 1]) {
            State to = next(state, graph.edges_[position++]);
            if (to == kNone) continue;
            if (index[to] == kNone) {
              path.emplace_back(to, graph.starts_[to / 2]);
            } else if (component[to] == kNone) {
              low[state] = std::min(low[state], index[to]);
            }
            continue;
          }
          State done = state;
          path.pop_back();
          if (!path.empty()) low[path.back().first] = std::min(low[path.back().first], low[done]);
          if (low[done] != index[done]) continue;
          std::size_t size = 0;
          for (State member = kNone; member != done; ++size) {
            member = open.back();
            open.pop_back();
            component[member] = components;
          }
          if (size > 1) cyclic.emplace_back(done, components);
          ++components;
        }
      }
    }

    /// Breadth first, from a state back to it.
    Cycle shortest(State start, std::uint32_t within) const {
      std::vector<State> queue{start};
      std::vector<std::pair<State, const Edge*>> came{{kNone, nullptr}};
      std::vector<bool> seen(graph.nodes_ * 2);
      for (std::size_t i = 0; i < queue.size(); ++i) {
        State from = queue[i];
        for (std::size_t e = graph.starts_[from / 2]; e < graph.starts_[from / 2 + 1]; ++e) {
          State to = next(from, graph.edges_[e]);
          if (to == kNone || component[to] != within) continue;
          if (to == start) {
            Cycle cycle{graph.edges_[e]};
            for (std::size_t at = i; came[at].second != nullptr; at = came[at].first) cycle.push_back(*came[at].second);
            std::ranges::reverse(cycle);
            return cycle;
          }
          if (seen[to]) continue;
          seen[to] = true;
          queue.push_back(to);
          came.emplace_back(static_cast<State>(i), &graph.edges_[e]);
        }
      }
      return {};
    }
  };

  std::size_t transactions_, nodes_;
  std::vector<Edge> edges_;
  std::vector<std::size_t> starts_;
};

}  // namespace cow::bench::history
