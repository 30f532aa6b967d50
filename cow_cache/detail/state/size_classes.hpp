// Size classes of the state memory: which slots there are, and how much address space a class takes at a time.
//
// Thread safety: constants and pure functions.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace cow::detail::size_classes {

/// Slots of the sizes in `kFine`, then four sizes per doubling up to 1 MiB.
inline constexpr std::size_t kUnitOfSlots = 16, kLargestFine = 512, kLargest = std::size_t{1} << 20;
inline constexpr std::array<std::uint16_t, 12> kFine{48, 64, 128, 192, 208, 224, 240, 256, 320, 384, 448, 512};
inline constexpr std::size_t kCount = kFine.size() + std::size_t{4} * 11;

namespace fine {
/// The class of each number of units.
inline constexpr auto kClassOf = [] {
  std::array<std::uint8_t, kLargestFine / kUnitOfSlots + 1> classes{};
  std::uint8_t size_class = 0;
  for (std::size_t units = 0; units < classes.size(); ++units) {
    if (units * kUnitOfSlots > kFine[size_class]) ++size_class;
    classes[units] = size_class;
  }
  return classes;
}();
}  // namespace fine

constexpr std::size_t bytes_of(std::size_t size_class) {
  if (size_class < kFine.size()) return kFine[size_class];
  std::size_t doubling = (size_class - kFine.size()) / 4, step = (size_class - kFine.size()) % 4 + 1;
  return (kLargestFine << doubling) + step * (kLargestFine << doubling) / 4;
}

/// The smallest class whose slots hold `bytes` (<= kLargest).
constexpr std::uint8_t class_of(std::size_t bytes) {
  if (bytes <= kLargestFine) return fine::kClassOf[(bytes + kUnitOfSlots - 1) / kUnitOfSlots];
  std::size_t doubling = std::bit_width(bytes - 1) - std::bit_width(kLargestFine);
  std::size_t quarter = (kLargestFine << doubling) / 4;
  std::size_t steps = (bytes - (kLargestFine << doubling) + quarter - 1) / quarter;
  return static_cast<std::uint8_t>(kFine.size() + doubling * 4 + steps - 1);
}
static_assert(kFine.back() == kLargestFine && bytes_of(kCount - 1) == kLargest && class_of(kLargest) == kCount - 1);
static_assert(bytes_of(class_of(512)) == 512 && bytes_of(class_of(513)) == 640 && bytes_of(class_of(640)) == 640 &&
              bytes_of(class_of(641)) == 768 && bytes_of(class_of(1025)) == 1280);
static_assert(kCount <= 128, "seven bits in a header");

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
