// The states that transactions hold while others would free them: a shared multiset, so that finding out whether a retired
// state is held costs the same however many transactions sleep. A retired state that is held waits here; the transaction
// that removes its last holder gets it back and frees it. So nobody scans for it again, and nothing of it is left in limbo
// when the last transaction ends. (Handing over to a guard is from "Pass The Buck": Herlihy, Luchangco, Moir, DISC 2002.)
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. What a transaction has added stays until it has stopped using it and removes it.
//  2. A thread that reads a participant as parked (acquire) finds everything that its transaction had added before: `held_` and the
//     shards were written before the participant said so (release).
//  3. A waiting state is in no list of the reclaimer. It comes out once: of the `remove` that takes its last holder.
#pragma once

#include <tsl/robin_map.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "cow_cache/detail/state/state_chain.hpp"
#include "cow_cache/detail/state/state_memory.hpp"

namespace cow::detail {

class HeldStates {
 public:
  /// Adds one holder of each state. False: there is no memory for it, and nothing was added; what was held by another
  /// transaction and came back meanwhile is in `released`, as that of `remove`.
  [[nodiscard]] bool add(std::span<const StateHandle> states, StateChain& released) noexcept {
    // Relaxed: ordered before the participant's announcement of being parked (invariant 2).
    held_.fetch_add(states.size(), std::memory_order_relaxed);
    std::size_t added = 0;
    try {
      for (StateHandle state : states) {
        Shard& shard = shard_of(state);
        std::scoped_lock lock(shard.mutex);
        shard.holders.try_emplace(state, 0).first.value() += kOneHolder;
        ++added;
      }
    } catch (...) {
      released.append(remove(states, added));
      return false;
    }
    return true;
  }

  /// Returns the states that waited for this: the caller frees them. REQUIRES: the caller has added `states`, and uses none
  /// of them any more.
  [[nodiscard]] StateChain remove(std::span<const StateHandle> states) noexcept {
    return remove(states, states.size());
  }

  /// True if a transaction holds the state. REQUIRES: the announcements were read before.
  bool contains(StateHandle state) const noexcept {
    if (held_.load(std::memory_order_acquire) == 0) return false;  // pairs with invariant 2, and with `remove`
    const Shard& shard = shard_of(state);
    std::scoped_lock lock(shard.mutex);
    return shard.holders.contains(state);
  }

  /// Leaves a retired state here if a transaction holds it; false: nobody does, the caller frees it. REQUIRES: as for
  /// `contains`; the state is in no chain, and every transaction that may hold it was added before.
  [[nodiscard]] bool leave(StateHeader& state) noexcept {
    if (held_.load(std::memory_order_acquire) == 0) return false;  // as above
    StateHandle handle = handle_of(&state);
    Shard& shard = shard_of(handle);
    std::scoped_lock lock(shard.mutex);
    auto found = shard.holders.find(handle);
    if (found == shard.holders.end()) return false;
    found.value() |= kWaits;
    return true;
  }

  /// Bytes of the multiset.
  std::size_t bytes() const noexcept {
    std::size_t bytes = 0;
    for (const Shard& shard : shards_) {
      std::scoped_lock lock(shard.mutex);
      bytes += shard.holders.bucket_count() * sizeof(Holders::value_type);
    }
    return bytes;
  }

 private:
  /// From a state to the number of its holders, times two, and one more if it waits.
  using Holders = tsl::robin_map<StateHandle, std::uint32_t, StateHandleHash>;
  static constexpr std::uint32_t kWaits = 1, kOneHolder = 2;

  struct alignas(64) Shard {
    Shard() { holders.min_load_factor(0.1F); }  // gives memory back after a crowd of sleepers has left
    mutable std::mutex mutex;
    Holders holders;
  };

  static constexpr unsigned kShardBits = 6;

  /// By a multiplicative hash (Knuth, TAOCP 3, 6.4): handles are arithmetic progressions.
  static std::size_t index_of(StateHandle state) noexcept { return state * 0x9E3779B1u >> (32 - kShardBits); }
  Shard& shard_of(StateHandle state) noexcept { return shards_[index_of(state)]; }
  const Shard& shard_of(StateHandle state) const noexcept { return shards_[index_of(state)]; }

  /// Of `states` the first `added` are there.
  StateChain remove(std::span<const StateHandle> states, std::size_t added) noexcept {
    StateChain released;
    for (StateHandle state : states.first(added)) {
      Shard& shard = shard_of(state);
      std::scoped_lock lock(shard.mutex);
      auto found = shard.holders.find(state);
      std::uint32_t left = found.value() -= kOneHolder;
      if (left > kWaits) continue;
      if (left == kWaits) released.add(*StateMemory::instance().state_of(state));
      shard.holders.erase(found);
    }
    // Release: a thread that sees that nothing is held any more (acquire in `contains`) sees all uses of the states done.
    held_.fetch_sub(states.size(), std::memory_order_release);
    return released;
  }

  std::atomic<std::size_t> held_{0};  // with repetitions
  std::array<Shard, std::size_t{1} << kShardBits> shards_;
};

}  // namespace cow::detail
