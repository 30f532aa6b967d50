// The states that parked transactions hold: a shared multiset, so that finding out whether a retired state is held costs
// the same however many transactions sleep.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. What a transaction has added stays until it has stopped using it and removes it.
//  2. Who reads a slot as parked (acquire) finds everything that its transaction had added before: `held_` and the shards
//     were written before the slot said so (release).
#pragma once

#include <tsl/robin_map.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "state_memory.hpp"

namespace cow {

class HeldStates {
 public:
  /// Adds one holder of each state. Throws std::bad_alloc, and is then unchanged.
  void add(std::span<const StateHandle> states) {
    // Relaxed: ordered before the slot's announcement of being parked (invariant 2).
    held_.fetch_add(states.size(), std::memory_order_relaxed);
    std::size_t added = 0;
    try {
      for (StateHandle state : states) {
        Shard& shard = shard_of(state);
        std::scoped_lock lock(shard.mutex);
        ++shard.holders.try_emplace(state, 0).first.value();
        ++added;
      }
    } catch (...) {
      drop(states.first(added));
      held_.fetch_sub(states.size(), std::memory_order_relaxed);
      throw;
    }
  }

  /// REQUIRES: the caller has added them, and uses none of them any more.
  void remove(std::span<const StateHandle> states) noexcept {
    drop(states);
    // Release: who sees that nothing is held any more (acquire in `contains`) sees all uses of the states done.
    held_.fetch_sub(states.size(), std::memory_order_release);
  }

  /// True if a parked transaction holds the state. REQUIRES: the announcements were read before.
  bool contains(StateHandle state) const noexcept {
    if (held_.load(std::memory_order_acquire) == 0) return false;  // pairs with invariant 2, and with `remove`
    const Shard& shard = shard_of(state);
    std::scoped_lock lock(shard.mutex);
    return shard.holders.contains(state);
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
  using Holders = tsl::robin_map<StateHandle, std::uint32_t, StateHandleHash>;

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

  void drop(std::span<const StateHandle> states) noexcept {
    for (StateHandle state : states) {
      Shard& shard = shard_of(state);
      std::scoped_lock lock(shard.mutex);
      auto found = shard.holders.find(state);
      if (--found.value() == 0) shard.holders.erase(found);
    }
  }

  std::atomic<std::size_t> held_{0};  // with repetitions
  std::array<Shard, std::size_t{1} << kShardBits> shards_;
};

}  // namespace cow
