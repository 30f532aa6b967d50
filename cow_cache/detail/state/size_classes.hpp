// Size classes of the state memory: which slots there are, and how much address space a class takes at a time.
//
// Thread safety: constants and pure functions.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace cow::detail::size_classes {

/// Slots of 64, 128, ..., 512 bytes, then four sizes per doubling up to 1 MiB.
inline constexpr std::size_t kSmallest = 64, kLargestLinear = 512, kLargest = std::size_t{1} << 20;
inline constexpr std::size_t kCount = 8 + 4 * 11;

constexpr std::size_t bytes_of(std::size_t size_class) {
  if (size_class < 8) return (size_class + 1) * kSmallest;
  std::size_t doubling = (size_class - 8) / 4, step = (size_class - 8) % 4 + 1;
  return (kLargestLinear << doubling) + step * (kLargestLinear << doubling) / 4;
}

/// The smallest class whose slots hold `bytes` (<= kLargest).
constexpr std::uint8_t class_of(std::size_t bytes) {
  if (bytes <= kLargestLinear) return static_cast<std::uint8_t>((bytes + kSmallest - 1) / kSmallest - 1);
  std::size_t doubling = std::bit_width(bytes - 1) - std::bit_width(kLargestLinear);
  std::size_t quarter = (kLargestLinear << doubling) / 4;
  std::size_t steps = (bytes - (kLargestLinear << doubling) + quarter - 1) / quarter;
  return static_cast<std::uint8_t>(8 + doubling * 4 + steps - 1);
}
static_assert(bytes_of(kCount - 1) == kLargest && class_of(kLargest) == kCount - 1);
static_assert(class_of(513) == 8 && class_of(640) == 8 && class_of(641) == 9 && class_of(1024) == 11 &&
              class_of(1025) == 12);

/// Chunks are whole units; those of classes that have much are whole huge pages. So what has most of the memory gives it
/// back without splitting a huge page (of a split one the system keeps the rest apart, and may fill it up again), while a
/// class that has little does not take two megabytes for it.
inline constexpr std::size_t kUnit = std::size_t{64} << 10, kHugePage = std::size_t{2} << 20;
inline constexpr std::size_t kMaxInSmallChunks = 2 * kHugePage;

/// The size of the next chunk of a class that has `class_bytes` already. At most a fifteenth is lost at its end.
constexpr std::size_t chunk_bytes(std::size_t size_class, std::size_t class_bytes) {
  std::size_t eight_slots = 8 * bytes_of(size_class);
  if (eight_slots <= kUnit && class_bytes < kMaxInSmallChunks) return kUnit;
  return std::max(kHugePage, (eight_slots + kHugePage - 1) / kHugePage * kHugePage);
}

}  // namespace cow::detail::size_classes
