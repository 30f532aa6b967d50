// How many heap bytes a piece of code allocated and kept: the heap members of a decoded or cloned value.
//
// Thread safety: measures the calling thread only.
//
// With jemalloc in the process the figure is exact: jemalloc counts per thread the bytes allocated and freed
// ("thread.allocatedp" and "thread.deallocatedp" in jemalloc(3)). Without it `kept` says what the caller guesses.
#pragma once

#include <cstddef>
#include <cstdint>

// Weak: present only if the program is linked with jemalloc; a header library must not demand it.
extern "C" int mallctl(const char* name, void* old_value, std::size_t* old_size, void* new_value, std::size_t new_size)
    __attribute__((weak));

namespace cow::detail {

class HeapMeter {
 public:
  HeapMeter() noexcept : start_(kept_by_thread()) {}

  /// Bytes allocated and not freed since construction; `guess` where nobody counts.
  std::size_t kept(std::size_t guess) const noexcept {
    if (counters().allocated == nullptr) return guess;
    std::int64_t kept = kept_by_thread() - start_;
    return kept > 0 ? static_cast<std::size_t>(kept) : 0;
  }

 private:
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

  std::int64_t start_;
};

}  // namespace cow::detail
