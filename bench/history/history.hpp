// A history: what transactions have read and appended, and what a checker finds in it.
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cow_cache/isolation.hpp"

namespace cow::bench::history {

/// `unknown`: the commit ended in an error that leaves it open. It counts as committed if anybody has seen it.
enum class Outcome : std::uint8_t { committed, aborted, unknown };

struct HistoryOperation {
  std::uint32_t key;
  std::uint64_t appended = 0;        ///< 0: a read
  std::vector<std::uint64_t> found;  ///< by a read
};

struct HistoryTransaction {
  std::int64_t begin = 0, end = 0;  ///< before it began, after it had ended
  Outcome outcome = Outcome::committed;
  std::vector<HistoryOperation> operations;
};

enum class Anomaly : std::uint8_t {
  internal,            ///< a transaction contradicts itself: an own write is missing, a read is not repeatable
  garbage,             ///< a value that nobody has written, or a value twice in a list
  incompatible_order,  ///< two reads of a list, of which neither begins with the other
  aborted_read,        ///< G1a
  intermediate_read,   ///< G1b
  lost_update,         ///< two that committed have read the same version and written the next one
  lost_append,         ///< what had committed before is missing from the list
  write_cycle,         ///< G0
  circular_flow,       ///< G1c: cycles of ww and wr
  single,              ///< G-single: one rw
  nonadjacent,         ///< several rw, of which no two follow each other
  real_time,           ///< forbidden by snapshot isolation once real time is added: a stale read, for example
  write_skew,          ///< G2-item: the rest
  serial_real_time,    ///< a write skew once real time is added
  count
};

inline const char* name_of(Anomaly anomaly) {
  static constexpr const char* kNames[] = {"internal inconsistency",
                                           "garbage",
                                           "incompatible order",
                                           "aborted read (G1a)",
                                           "intermediate read (G1b)",
                                           "lost update",
                                           "lost append",
                                           "write cycle (G0)",
                                           "circular information flow (G1c)",
                                           "G-single",
                                           "G-nonadjacent",
                                           "real-time violation",
                                           "write skew (G2-item)",
                                           "write skew in real time"};
  return kNames[static_cast<int>(anomaly)];
}

/// What was found.
struct HistoryReport {
  std::array<std::uint64_t, static_cast<std::size_t>(Anomaly::count)> counts{};
  std::vector<std::string> examples;

  std::uint64_t of(Anomaly anomaly) const { return counts[static_cast<std::size_t>(anomaly)]; }
  void add(Anomaly anomaly, const std::string& example) {
    if (counts[static_cast<std::size_t>(anomaly)]++ < 2)
      examples.push_back(std::string(name_of(anomaly)) + ": " + example);
  }
  /// Whether a database that promises this level may have produced it.
  bool allowed(Isolation level) const {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      bool skew = i == static_cast<std::size_t>(Anomaly::write_skew) ||
                  i == static_cast<std::size_t>(Anomaly::serial_real_time);
      if (counts[i] > 0 && !(skew && level == Isolation::snapshot)) return false;
    }
    return true;
  }
  std::string text() const {
    std::string text;
    for (const std::string& example : examples) text += "  " + example + "\n";
    return text;
  }
};

}  // namespace cow::bench::history
