// Isolation: what a commit is checked for.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>

namespace cow {

/// Every transaction reads one snapshot, whatever its level.
enum class Isolation : std::uint8_t {
  /// Nothing that it changed was changed by others since. Write skew is possible: two transactions that each read what the
  /// other one changes may both commit.
  snapshot,
  /// Nothing that it read was changed either, so it could have run at the moment of its commit. Transactions that are all
  /// serializable have a serial order, that of their tids; those that only read are part of it at either level, at their
  /// snapshot. (Backward validation: Kung and Robinson, TODS 1981.) A commit costs some nanoseconds more for each object
  /// read, during which no other one is validated.
  serializable,
};

}  // namespace cow
