// What a database is opened with.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <cstddef>

#include "detail/reclaim/reclaimer.hpp"

namespace cow {

/// Which objects leave first. bench/simulator compares the policies; docs/design.md has the figures that chose the
/// default.
enum class Replacement { adaptive, clock, s3_fifo, sieve };

/// Sizes of a cache.
struct CacheOptions {
  /// Budget of resident states with their heap members, oid table, hints for oids (128 KiB), queue of old revisions, read logs,
  /// tickets, queues of replacement, and limbo's own budget. States get half of it at least, whatever the others take. States of a size keep
  /// their addresses for ever, so the full budget can be used for each size of objects while sizes in use times budget is
  /// below 96 GiB (in all databases of the process together); beyond that, a size that comes late has 630 MiB at least
  /// (docs/decisions/007-addresses-of-states.md).
  std::size_t cache_bytes = std::size_t{256} << 20;
  std::size_t limbo_bytes = std::size_t{512} << 10;  ///< retired bytes that may accumulate before read logs are scanned
  detail::MakeReclaimer reclaimer = nullptr;  ///< gives memory back in another way, to compare; null: HybridReclaimer
  Replacement replacement = Replacement::adaptive;  ///< which objects leave when the budget is used up
};

}  // namespace cow
