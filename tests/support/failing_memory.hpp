// Allocations that fail on demand, in programs that link failing_memory.cpp with its link arguments (meson.build): every form
// of `operator new`, and what the program's own code asks of `malloc`, `calloc`, `realloc` and `mmap`.
//
// With COW_CACHE_TRACE_FAILURES in the environment, the stack of each failing call is printed.
//
// Thread safety: all functions may be called from any thread; `arm` and `disarm` from one at a time. Allocations are counted
// over all threads together.
#pragma once

#include <cstdint>

namespace cow::testing::failing_memory {

enum class Fails { once, from_then_on };

/// Makes the n-th allocation from now on fail, from 1; and all later ones until `disarm`, if so wanted.
void arm(std::int64_t n, Fails fails) noexcept;

/// Nothing fails any more. True: something has.
bool disarm() noexcept;

/// What fails from some time on does so no more, for who tries until it succeeds. `disarm` still knows.
void relent() noexcept;

/// Nothing fails any more, as what follows is not what is tried. `disarm` still knows.
void spare() noexcept;

/// What was allocated and is not freed yet: blocks and mappings.
std::int64_t living() noexcept;

}  // namespace cow::testing::failing_memory
