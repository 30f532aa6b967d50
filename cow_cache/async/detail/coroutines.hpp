// What the compiler must be capable of besides for cow_cache/async (version.hpp): the first thing that its headers include.
//
// Thread safety: macros.
#pragma once

#include "../../version.hpp"

#if __cpp_impl_coroutine < 201902L || __cpp_lib_coroutine < 201902L
#error "cow_cache/async needs the coroutines of C++20: compile with -std=c++20, and without -fno-coroutines"
#include "cow_cache stops the compiler here"
#endif

#if __cpp_lib_jthread < 201911L
#error "cow_cache/async needs std::stop_token of C++20's library: libstdc++ 12"
#include "cow_cache stops the compiler here"
#endif
