// Links: from one state to another in four bytes.
//
// Thread safety: as an atomic pointer.
//
// Invariants:
//  1. States, and so links, lie within one window of 2^36 bytes, and none at its beginning (range.hpp). So an address is 16 times
//     the link within the window in which the link itself lies, and 0 is no state.
#pragma once

#include <atomic>
#include <cstdint>

namespace cow::detail {

struct StateHeader;

/// A window of addresses, in which 32 bits name what is aligned to 16 bytes.
inline constexpr std::uintptr_t kStateWindow = std::uintptr_t{1} << 36;
inline constexpr unsigned kStateAlignmentBits = 4;

/// An atomic StateHeader*. Of a header in the state memory, to another one there.
class StateLink {
 public:
  constexpr StateLink() noexcept = default;

  StateHeader* load(std::memory_order order) const noexcept {
    std::uint32_t link = link_.load(order);
    if (link == 0) return nullptr;
    std::uintptr_t window = reinterpret_cast<std::uintptr_t>(this) & ~(kStateWindow - 1);
    return reinterpret_cast<StateHeader*>(window | std::uintptr_t{link} << kStateAlignmentBits);
  }
  void store(const StateHeader* state, std::memory_order order) noexcept {
    // Cut to 32 bits. Of a null pointer it is 0.
    link_.store(static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(state) >> kStateAlignmentBits), order);
  }

 private:
  std::atomic<std::uint32_t> link_{0};
};

}  // namespace cow::detail
