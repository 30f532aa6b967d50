// Magazines: the free slots that a thread keeps for itself, a few of each size class.
//
// Thread safety: a thread uses its own; others read the counts as figures.
//
// Invariants:
//  1. A thread's magazines are not destroyed with its other variables, for those may own states that end later. They begin
//     with no capacity, get it at their first use, and give it back with their slots when the thread ends. From then on
//     slots come from the depots, and go to them, one by one.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "size_classes.hpp"
#include "state.hpp"

namespace cow::detail {

inline constexpr std::size_t kMagazineSlots = 32;

struct Magazine {
  std::array<StateHeader*, kMagazineSlots> slots{};
  std::atomic<std::uint32_t> count{0};
  std::uint32_t capacity = 0;
};

struct Magazines {
  std::array<Magazine, size_classes::kCount> of_class{};
  bool has_ended = false;
  Magazines *previous = nullptr, *next = nullptr;

  /// Fewer slots of the large classes: a thread should not sit on megabytes.
  void set_capacities() noexcept {
    for (std::size_t i = 0; i < size_classes::kCount; ++i) {
      std::size_t slots = std::clamp<std::size_t>((32 << 10) / size_classes::bytes_of(i), 2, kMagazineSlots);
      of_class[i].capacity = static_cast<std::uint32_t>(slots);
    }
  }
};
static_assert(std::is_trivially_destructible_v<Magazines>);  // invariant 1

}  // namespace cow::detail
