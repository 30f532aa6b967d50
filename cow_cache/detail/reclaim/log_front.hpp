// What a hit looks at: the entries of a read log, and whose states they are.
//
// Thread safety: of the thread that uses the log (read_log.hpp).
#pragma once

#include <atomic>
#include <cstdint>

#include "bitmap_log.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/state/state_handle.hpp"
#include "hash_log.hpp"

namespace cow::detail {

struct LogFront {
  // Of an open log one has a table. `bits` is asked whether it is that one: a closed log is an empty set.
  BitmapLog bits;
  HashLog set;
  std::uint64_t cache_bits = 0;  ///< in the keys of the cache's states

  /// See ReadLog::contains.
  [[gnu::always_inline]] bool contains(StateHandle handle) const noexcept {
    return bits ? bits.contains(handle) : set.contains(handle);
  }

  /// Whether a state is logged and that object's: `identity` is what a reference says of it. This is where a hit happens: one
  /// comparison in the log, one in the header.
  [[gnu::always_inline]] bool is_hit(const StateHeader& state, std::uint64_t identity) const noexcept {
    return contains(handle_of(&state)) && is_state_of(state, identity);
  }

  /// Whether a logged state is that object's. It was looked at when it was logged (reader.hpp, invariant 1), this only asks whether
  /// the hint is right. The first read has marked the state as visited; doing so again here would cost every hit a load and a branch.
  [[gnu::always_inline]] bool is_state_of(const StateHeader& state, std::uint64_t identity) const noexcept {
    // Acquire: pairs with the release in `bring_to_life`.
    return state.key.load(std::memory_order_acquire) == (identity | cache_bits);
  }
};

}  // namespace cow::detail
