// What a database tells about itself.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <cstdint>

namespace cow {

/// Counters since the database was opened, and sizes in bytes as of now. Taken without stopping anybody, so the figures
/// may be some operations apart from each other.
struct Statistics {
  std::uint64_t cache_bytes = 0;        ///< resident states: their slots and their heap members
  std::uint64_t heap_bytes = 0;         ///< of these, heap members, as the allocator rounds them up
  std::uint64_t limbo_bytes = 0;        ///< retired states that somebody may still read, likewise
  std::uint64_t table_bytes = 0;        ///< the oid table, the queue of objects with old revisions
  std::uint64_t replacement_bytes = 0;  ///< the replacement policy's queues and ghosts
  std::uint64_t transaction_bytes = 0;  ///< their slots and read logs, of idle ones too; notes of what they hold
  std::uint64_t ticket_bytes = 0;       ///< loads under way
  std::uint64_t commit_bytes = 0;  ///< the committer's tables of recent writes; bounded, and not part of the budget
  /// Free slots of chunks that were not given back to the system: in magazines, in depots, and what is lost at the ends
  /// of chunks. Of the whole process: its databases share the state memory. Not part of the budget.
  std::uint64_t free_slot_bytes = 0;
  std::uint64_t active_transactions = 0;
  std::uint64_t loads = 0;      ///< records read from the store as current revisions
  std::uint64_t old_loads = 0;  ///< records read from the store for an older snapshot
  std::uint64_t evictions = 0;
  std::uint64_t deep_scans = 0;  ///< reclamations that had to read logs
  std::uint64_t commits = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t remote_commits = 0;  ///< of other processes, that this database has learned of (peer_status.hpp)

  /// The slots of resident states.
  std::uint64_t slot_bytes() const noexcept { return cache_bytes - heap_bytes; }

  /// All memory of the cache. Not in it: what running transactions have written and not committed, the store, and what the
  /// allocator keeps of what was freed.
  std::uint64_t total_bytes() const noexcept {
    return cache_bytes + limbo_bytes + table_bytes + replacement_bytes + transaction_bytes + ticket_bytes +
           commit_bytes + free_slot_bytes;
  }
};

}  // namespace cow
