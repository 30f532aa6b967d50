// Reclaimer: what the cache needs of a scheme that gives back the memory of retired states.
//
// Thread safety: all functions may be called from any thread, the destructor apart.
//
// The cache itself uses HybridReclaimer (hybrid_reclaimer.hpp). Others can be put in its place through CacheOptions, so
// that ways of reclamation are compared under the very same cache.
//
// Invariants that an implementation keeps:
//  1. A state handed to `retire` is freed (`destroy_state`) only once every active transaction either began after it was
//     retired or has not logged it.
//  2. `retire` needs no lock of the cache, and is called without one.
//  3. `retire` cannot fail: what is retired brings the memory of its chain along (state_chain.hpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "asymmetric_fence.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/state/state_chain.hpp"

namespace cow::detail {

class TransactionRegistry;

class Reclaimer {
 public:
  Reclaimer() = default;
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;
  /// REQUIRES: no transaction is active. Frees what is left.
  virtual ~Reclaimer() = default;

  /// Kills a state: the mark that looks will see. The caller unlinks it, then retires it.
  static void mark_dead(StateHeader& state) noexcept {
    std::uint64_t key = state.key.load(std::memory_order_relaxed);  // the caller alone changes it
    mark_before_fence(state.key, key | kDeadMark);
  }

  /// Takes over dead, unlinked states, and does its share of freeing. Where memory runs out, states are freed later.
  virtual void retire(StateChain states) noexcept = 0;

  /// Frees now what can be freed, whatever the budget. Where memory runs out, less than that.
  virtual void reclaim_all() noexcept = 0;

  /// Bytes of states that are retired and not yet freed.
  virtual std::size_t limbo_bytes() const noexcept = 0;

  /// Reclamations that had to read logs.
  virtual std::uint64_t deep_scans() const noexcept { return 0; }
};

/// Makes the reclaimer of a cache; `limbo_budget`: bytes of retired states that may wait before more than epochs is tried.
using MakeReclaimer = std::unique_ptr<Reclaimer> (*)(TransactionRegistry& registry, std::size_t limbo_budget);

}  // namespace cow::detail
