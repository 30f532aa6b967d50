// A claim: a named figure, its bound, and the function that measures it.
#pragma once

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace cow::bench {

/// What measuring a claim gave.
struct Measured {
  double value = 0;
  std::string detail;  ///< the parts of the figure, for the report
  /// Where the bound is for the upper end of the 95% interval, rather than for the value: that end.
  std::optional<double> upper_end = {};

  /// What the bound is for.
  double judged() const { return upper_end.value_or(value); }
};

/// What measuring needs is not on this machine: neither a claim that fails nor an error. Says what.
class NotMeasurable : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Claim {
  enum class Comparison { at_most, at_least };

  std::string name;
  std::string description;
  Comparison comparison;
  double bound;
  std::string unit;       ///< "x" for ratios
  Measured (*measure)();  ///< throws NotMeasurable, or anything else when it fails
  bool required = true;   ///< false: a goal that is not reached yet, and measured all the same

  bool holds(const Measured& measured) const {
    return comparison == Comparison::at_most ? measured.judged() <= bound : measured.judged() >= bound;
  }
};

/// The part of their time that long measurements take; set once, before the first. A quick one says less.
inline double effort = 1;
inline constexpr double kQuickEffort = 0.2;

/// How often a pair is measured that is worth `most` repetitions.
inline int repetitions(int most) { return std::max(3, static_cast<int>(most * effort)); }

inline double mebibytes(double bytes) { return bytes / (1 << 20); }

// Grouped by what they measure; each in the file of that name.
std::vector<Claim> read_claims();         // read_claims.cpp: chase, oo7-raw, oo7-private, begin-end, ...
std::vector<Claim> fresh_claims();        // fresh_claims.cpp: first-reads, oo7-fresh
std::vector<Claim> oid_claims();          // oid_claims.cpp: by-oid, by-oid-million
std::vector<Claim> memory_claims();       // memory_claims.cpp: memory-64, cold-loads, statistics, object-bytes
std::vector<Claim> transaction_claims();  // transaction_claims.cpp: one-transaction
std::vector<Claim> sleeper_claims();      // sleeper_claims.cpp: limbo, oversubscription, budget
std::vector<Claim> write_claims();        // write_claims.cpp: first-write, commit-raw, ...
std::vector<Claim> commit_claims();       // commit_claims.cpp: small-commit
std::vector<Claim> idle_claims();         // idle_claims.cpp: limbo-idle, revisions, commit-hot
std::vector<Claim> replacement_claims();  // replacement_claims.cpp: orm-misses
std::vector<Claim> async_claims();        // async_claims.cpp: async-hit, coroutines-memory, littles-law, ...
std::vector<Claim> publisher_claims();    // publisher_claims.cpp: publisher
std::vector<Claim> peer_claims();         // peer_claims.cpp: peers
std::vector<Claim> pack_claims();         // pack_claims.cpp: pack-online, pack-speed, ..., backup-online, old-snapshot
std::vector<Claim> peer_store_claims();   // peer_store_claims.cpp: peer-warm, peer-staleness, ..., peer-idle
std::vector<Claim> history_claims();      // history_claims.cpp: peer-history

}  // namespace cow::bench
