// What a database is opened with.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <chrono>
#include <cstddef>
#include <functional>

#include "detail/reclaim/reclaimer.hpp"
#include "store/pack.hpp"

namespace cow {

/// Which objects leave first. bench/simulator compares the policies; docs/design.md has the figures that chose the
/// default.
enum class Replacement { adaptive, clock, s3_fifo, sieve };

/// How a database learns what other processes commit to its store (store/shared.hpp). Of no meaning for other stores.
struct PeerOptions {
  /// The store is asked at least so often; sooner where it can tell when something was committed. Closing the database may take as long.
  std::chrono::milliseconds poll_every{50};
  /// When the store could not be asked for longer, transactions begin no more: StaleFrontierError. Until then they see the last
  /// snapshot that is known.
  std::chrono::milliseconds max_staleness{30'000};
  /// How often the store is told which snapshot is the oldest in use. Well below the lease that the store gives for it.
  std::chrono::milliseconds hold_every{1'000};
};

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
  PeerOptions peers = {};
};

/// What a pack does besides dropping what nobody sees any more.
struct PackOptions {
  /// Drops objects, too, that no snapshot from the pack's tid on reaches from the root. What was written after that tid stays. A
  /// reference counts if it is written as a Ref<T>; oids that a codec writes in another way, or that the program keeps elsewhere, do
  /// not. From then on commits that would bring one of them back are refused: CollectedReferenceError.
  bool collect_garbage = false;

  /// Called now and then by the thread that packs. False: stop here; the next pack goes on. May be null. One that rests, so that others
  /// get on, should not where `PackProgress::catches_up` says so.
  std::function<bool(const PackProgress&)> progress = nullptr;
};

}  // namespace cow
