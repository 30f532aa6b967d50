// What a database tells about itself.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cow {

/// Counters since the database was opened, and sizes as of now. Taken without stopping anybody, so the figures may be
/// some operations apart from each other.
struct Statistics {
  std::uint64_t cache_bytes = 0;        ///< resident states with their heap members; the budget bounds this
  std::uint64_t limbo_bytes = 0;        ///< retired states that somebody may still read
  std::uint64_t table_bytes = 0;        ///< the oid table
  std::uint64_t transaction_bytes = 0;  ///< slots and read logs
  std::uint64_t active_transactions = 0;
  std::uint64_t loads = 0;      ///< records read from the store as current revisions
  std::uint64_t old_loads = 0;  ///< records read from the store for an older snapshot
  std::uint64_t evictions = 0;
  std::uint64_t deep_scans = 0;  ///< reclamations that had to read logs
  std::uint64_t commits = 0;
  std::uint64_t conflicts = 0;
};

}  // namespace cow
