// What the sanitizers need to hear from us.
#pragma once

#include <cstddef>

// GCC defines these itself, Clang has features instead.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1  // NOLINT(bugprone-reserved-identifier): its name everywhere else
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1  // NOLINT(bugprone-reserved-identifier)
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

// Weak: there only in programs built with LeakSanitizer, which AddressSanitizer brings along.
extern "C" {
[[gnu::weak]] void __lsan_register_root_region(const void* start, std::size_t bytes);
[[gnu::weak]] void __lsan_unregister_root_region(const void* start, std::size_t bytes);
}

namespace cow::detail {

/// Lets LeakSanitizer find what only mapped memory points at. It takes memory of the heap for lost otherwise, where a
/// program ends with a database that is still open.
inline void add_leak_root(const void* start, std::size_t bytes) noexcept {
  if (__lsan_register_root_region != nullptr) __lsan_register_root_region(start, bytes);
}
/// REQUIRES: it was added, as it is.
inline void remove_leak_root(const void* start, std::size_t bytes) noexcept {
  if (__lsan_unregister_root_region != nullptr) __lsan_unregister_root_region(start, bytes);
}

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
