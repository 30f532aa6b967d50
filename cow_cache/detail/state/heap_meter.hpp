// How many heap bytes a piece of code allocated and kept: the heap members of a decoded or cloned value.
//
// Thread safety: measures the calling thread only.
//
// With jemalloc in the process the figure is exact: jemalloc counts per thread the bytes allocated and freed
// ("thread.allocatedp" and "thread.deallocatedp" in jemalloc(3)). Without it nobody counts.
#pragma once

#include <cstddef>
#include <cstdint>

// Weak: present only if the program is linked with jemalloc; a header library must not demand it.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_size, void* new_value, std::size_t new_size)
    __attribute__((weak));
extern "C" std::size_t nallocx(std::size_t size, int flags) __attribute__((weak));

namespace cow::detail {

/// What jemalloc adds to each allocation of at least 16 KiB without counting it: a page, so that not all of them begin at
/// the same place in the processor's cache ("opt.cache_oblivious" in jemalloc(3)).
inline std::size_t padding_of_large() noexcept {
  static const std::size_t padding = [] {
    bool pads = false;
    std::size_t size = sizeof pads;
    return mallctl("opt.cache_oblivious", &pads, &size, nullptr, 0) == 0 && pads ? std::size_t{4} << 10 : 0;
  }();
  return padding;
}

/// What an allocation of `bytes` (not 0) takes: jemalloc says it; otherwise as glibc does, header included.
inline std::size_t allocation_size(std::size_t bytes) noexcept {
  if (nallocx == nullptr) return bytes <= 24 ? 32 : (bytes + 8 + 15) / 16 * 16;
  std::size_t size = nallocx(bytes, 0);
  return size < std::size_t{16} << 10 ? size : size + padding_of_large();
}

/// Meters nest: a codec may read other objects, and what that allocates is not the value's (HeapPause).
class HeapMeter {
 public:
  HeapMeter() noexcept : start_(counted()) {}

  /// False: `kept` knows nothing.
  static bool counts() noexcept { return counters().allocated != nullptr; }

  /// Bytes allocated less bytes freed since construction.
  std::int64_t change() const noexcept { return counted() - start_; }

  /// Bytes allocated and not freed since construction.
  std::size_t kept() const noexcept {
    const std::int64_t bytes = change();
    return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
  }

 private:
  friend class HeapPause;

  struct Counters {
    const std::uint64_t* allocated = nullptr;
    const std::uint64_t* deallocated = nullptr;
    Counters() noexcept {
      if (mallctl == nullptr) return;
      std::size_t size = sizeof allocated;
      if (mallctl("thread.allocatedp", &allocated, &size, nullptr, 0) != 0) allocated = nullptr;
      if (mallctl("thread.deallocatedp", &deallocated, &size, nullptr, 0) != 0) allocated = nullptr;
    }
  };

  static const Counters& counters() noexcept {
    thread_local const Counters counters;
    return counters;
  }
  static std::int64_t kept_by_thread() noexcept {
    const Counters& of_thread = counters();
    if (of_thread.allocated == nullptr) return 0;
    return static_cast<std::int64_t>(*of_thread.allocated - *of_thread.deallocated);
  }

  static std::int64_t counted() noexcept { return kept_by_thread() - paused_; }

  static inline constinit thread_local std::int64_t paused_ = 0;  // kept during pauses; only differences matter

  std::int64_t start_;
};

/// While it lives, the meters of the thread that began before it do not count.
class HeapPause {
 public:
  HeapPause() noexcept : kept_(HeapMeter::kept_by_thread()), paused_(HeapMeter::paused_) {}
  HeapPause(const HeapPause&) = delete;
  HeapPause& operator=(const HeapPause&) = delete;
  ~HeapPause() { HeapMeter::paused_ = paused_ + HeapMeter::kept_by_thread() - kept_; }

 private:
  std::int64_t kept_, paused_;
};

}  // namespace cow::detail
