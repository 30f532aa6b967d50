// Isolation: what a commit is checked for.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <cstdint>

namespace cow {

/// Every transaction reads one snapshot, whatever its level.
enum class Isolation : std::uint8_t {
  /// Nothing that it changed was changed by others since. Write skew is possible: two transactions that each read what the
  /// other one changes may both commit.
  snapshot,
  /// Nothing that it read was changed either, so it could have run at the moment of its commit. What it found absent counts
  /// as read: an object that did not exist at its snapshot, a name that the root did not have. What does not come from the
  /// snapshot does not: statistics, `last_tid`, whether `try_read` found the object resident.
  ///
  /// Transactions that are all serializable have a serial order, that of their tids; those that only read are part of it
  /// at either level, at their snapshot. One writer at level snapshot spoils that for the others, those that only read
  /// included: they may see a state that no serial order explains, although each of them is serializable (the read-only
  /// anomaly: Fekete, O'Neil, O'Neil, SIGMOD Record 2004). It cannot happen when all that write are serializable.
  ///
  /// (Backward validation: Kung and Robinson, TODS 1981.) A commit costs some nanoseconds more for each object read, before
  /// it queues; while others wait, only what was written since is looked at.
  serializable,
};

}  // namespace cow
