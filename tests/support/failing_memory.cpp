#include "failing_memory.hpp"

#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max() / 2;
std::atomic<std::int64_t> until_failure{kNever};
std::atomic<bool> stays_failing{false}, has_failed{false};
std::atomic<std::int64_t> alive{0};
const bool traces = std::getenv("COW_CACHE_TRACE_FAILURES") != nullptr;

/// Whether this allocation is to fail.
bool fails() noexcept {
  std::int64_t left = until_failure.fetch_sub(1) - 1;
  if (left > 0 || (left < 0 && !stays_failing)) return false;
  has_failed = true;
  if (traces) {
    void* frames[40];
    ::backtrace_symbols_fd(frames, ::backtrace(frames, 40), STDERR_FILENO);
  }
  return true;
}

/// Counts what there is of it.
void* counted(void* memory) noexcept {
  if (memory != nullptr) ++alive;
  return memory;
}

}  // namespace

// What the linker's --wrap makes of the names: `__real_` is the library's, `__wrap_` what the program calls.
extern "C" {
void* __real_malloc(std::size_t bytes);
void* __real_calloc(std::size_t count, std::size_t bytes);
void* __real_realloc(void* memory, std::size_t bytes);
void __real_free(void* memory);
void* __real_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset);

void* __wrap_malloc(std::size_t bytes) { return fails() ? nullptr : counted(__real_malloc(bytes)); }
void* __wrap_calloc(std::size_t count, std::size_t bytes) {
  return fails() ? nullptr : counted(__real_calloc(count, bytes));
}
void* __wrap_realloc(void* memory, std::size_t bytes) {
  if (fails()) return nullptr;
  void* moved = __real_realloc(memory, bytes);
  return memory == nullptr ? counted(moved) : moved;
}
void __wrap_free(void* memory) {
  if (memory != nullptr) --alive;
  __real_free(memory);
}
void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if (!fails()) return __real_mmap(at, bytes, protection, flags, file, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}
}

namespace {

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (fails()) return nullptr;
  if (bytes == 0) bytes = 1;
  if (alignment <= alignof(std::max_align_t)) return counted(__real_malloc(bytes));
  return counted(std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment));
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* memory = allocate(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, 1); }
void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, 1); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { __wrap_free(memory); }
void operator delete[](void* memory) noexcept { __wrap_free(memory); }
void operator delete(void* memory, std::size_t) noexcept { __wrap_free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { __wrap_free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { __wrap_free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { __wrap_free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { __wrap_free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { __wrap_free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { __wrap_free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { __wrap_free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { __wrap_free(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { __wrap_free(memory); }

namespace cow::testing::failing_memory {

void arm(std::int64_t n, Fails fails) noexcept {
  has_failed = false;
  stays_failing = fails == Fails::from_then_on;
  until_failure = n;
}

bool disarm() noexcept {
  until_failure = kNever;
  stays_failing = false;
  return has_failed;
}

void relent() noexcept { stays_failing = false; }

void spare() noexcept { (void)disarm(); }

std::int64_t living() noexcept { return alive; }

}  // namespace cow::testing::failing_memory
