// Handles: states in four bytes.
//
// Thread safety: all functions are stateless.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cow_cache/detail/visibility.hpp"
#include "state.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS StateMemory;

/// Four bytes that stand for a state: the address of its value divided by 16, cut to 32 bits. Unique within the state
/// memory, which spans at most 2^36 bytes; and none is another one with its lowest bit changed, so that a read log can use that as
/// a mark.
using StateHandle = std::uint32_t;

inline StateHandle handle_of(const StateHeader* state) noexcept {
  return static_cast<StateHandle>(reinterpret_cast<std::uintptr_t>(state + 1) >> kStateAlignmentBits);
}

/// For hash tables of handles, which come as arithmetic progressions: a multiplicative hash (Knuth, TAOCP 3, 6.4).
struct StateHandleHash {
  std::size_t operator()(StateHandle handle) const noexcept { return handle * std::uint64_t{0x9E3779B97F4A7C15} >> 32; }
};

}  // namespace cow::detail
