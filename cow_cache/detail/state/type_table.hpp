// The types of states: from the number in a key to what is done with such values.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. A number stands for one table of operations, the first that was entered, for ever. Those of other shared libraries for the
//     same type do the same (`same_type`); where they do not, their states are treated as if their type had no number.
//  2. A type has been entered before there is a state with its number.
//  3. A state of a type without a number has the address of its operations in the last eight bytes of its slot.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cow_cache/detail/visibility.hpp"
#include "key_bits.hpp"
#include "size_classes.hpp"
#include "state.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS TypeTable {
 public:
  /// The bits for keys of states with these operations. Throws std::bad_alloc.
  static std::uint64_t bits_of(const TypeOperations& operations) {
    std::uint64_t bits = operations.type_bits();
    // Relaxed: the tables are constants, so there is nothing but their addresses to be seen.
    if (of_number_[number_in(bits)].load(std::memory_order_relaxed) == &operations) [[likely]]
      return bits;
    return enter(bits, operations);
  }

  /// Whether bits are the number of these very operations. False for those of a type without a number, too.
  static bool is(std::uint64_t type_bits, const TypeOperations& operations) noexcept {
    // Relaxed: as in bits_of.
    return of_number_[number_in(type_bits)].load(std::memory_order_relaxed) == &operations;
  }

  /// REQUIRES: there is a state with these bits, which are not kUnnumberedType.
  static const TypeOperations& operations_of(std::uint64_t type_bits) noexcept {
    // Relaxed: the caller has acquired the state, and so what was entered before it was made (invariant 2).
    return *of_number_[number_in(type_bits)].load(std::memory_order_relaxed);
  }

 private:
  [[gnu::cold, gnu::noinline]] static std::uint64_t enter(std::uint64_t bits,
                                                          const TypeOperations& operations) noexcept {
    if (bits == kUnnumberedType) return bits;
    const TypeOperations* entered = nullptr;
    if (of_number_[number_in(bits)].compare_exchange_strong(entered, &operations, std::memory_order_relaxed))
      return bits;
    return same_type(*entered, operations) ? bits : kUnnumberedType;
  }

  static std::size_t number_in(std::uint64_t type_bits) noexcept { return type_bits >> kOidBits; }

  static inline constinit std::array<std::atomic<const TypeOperations*>, std::size_t{1} << kTypeBits> of_number_{};
};

/// Where a state of a type without a number has its operations (invariant 3).
[[gnu::cold, gnu::noinline]] inline const TypeOperations** operations_in_slot(const StateHeader& state) noexcept {
  std::uintptr_t end = reinterpret_cast<std::uintptr_t>(&state) + size_classes::bytes_of(state.size_class());
  return reinterpret_cast<const TypeOperations**>(end - sizeof(void*));
}

[[gnu::always_inline]] inline const TypeOperations& StateHeader::operations() const noexcept {
  std::uint64_t bits = type_bits();
  if (bits == kUnnumberedType) [[unlikely]]
    return **operations_in_slot(*this);
  return TypeTable::operations_of(bits);
}

}  // namespace cow::detail
