// A bound on what one input may allocate, in proportion to its bytes.
//
// Thread safety: one fuzzer in one thread.
#pragma once

#include <sanitizer/allocator_interface.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace cow::fuzz {

/// While one lives, allocations may not exceed what it was given. libFuzzer's own are small.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t bytes) noexcept {
    static const int hooks = __sanitizer_install_malloc_and_free_hooks(allocated, freed);
    if (hooks == 0) std::abort();
    in_use_ = 0;
    limit_ = static_cast<std::ptrdiff_t>(bytes);
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() { limit_ = 0; }

 private:
  static void allocated(const volatile void*, std::size_t bytes) {
    if (limit_ == 0) return;
    in_use_ += static_cast<std::ptrdiff_t>(bytes);
    if (in_use_ <= limit_) return;
    std::fprintf(stderr, "%td bytes in use, %td are allowed for this input\n", in_use_, limit_);
    std::abort();
  }
  static void freed(const volatile void* block) {
    if (limit_ == 0 || block == nullptr) return;
    in_use_ -= static_cast<std::ptrdiff_t>(__sanitizer_get_allocated_size(const_cast<void*>(block)));
  }

  static inline std::ptrdiff_t in_use_ = 0, limit_ = 0;
};

}  // namespace cow::fuzz
