// Resident bytes: what states that are alive are charged with.
//
// Thread safety: a value.
#pragma once

#include <cstddef>
#include <cstdint>

#include "size_classes.hpp"
#include "state.hpp"

namespace cow::detail {

/// Of some states, or the difference that comings and goings make.
struct ResidentBytes {
  ResidentBytes() noexcept = default;
  [[gnu::always_inline]] explicit ResidentBytes(const StateHeader& state) noexcept
      : all(static_cast<std::int64_t>(state.charge())),
        heap(all - static_cast<std::int64_t>(size_classes::bytes_of(state.size_class()))) {}

  [[gnu::always_inline]] ResidentBytes& operator+=(const ResidentBytes& other) noexcept {
    all += other.all;
    heap += other.heap;
    return *this;
  }
  [[gnu::always_inline]] ResidentBytes& operator-=(const ResidentBytes& other) noexcept {
    all -= other.all;
    heap -= other.heap;
    return *this;
  }

  std::int64_t all = 0, heap = 0;  ///< slots and heap members; of these, heap members
};

}  // namespace cow::detail
