// The allocations of a thread, counted in programs that link counted_new.cpp.
#pragma once

#include <cstddef>

namespace cow::testing {

/// How often `operator new` was called by this thread.
std::size_t allocations() noexcept;

}  // namespace cow::testing
