// What the sanitizers need to hear from us.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace cow::detail {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

/// Under AddressSanitizer, makes any use of the bytes an error until `unpoison`: this is how the use of a reference after
/// its transaction's end is caught.
inline void poison([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t count) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(bytes, count);
#endif
}
inline void unpoison([[maybe_unused]] void* bytes, [[maybe_unused]] std::size_t count) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(bytes, count);
#endif
}

/// Under any sanitizer batches shrink to almost nothing, so that what they hide comes up.
inline constexpr bool kSmallBatches = kThreadSanitizer || kAddressSanitizer;

}  // namespace cow::detail
