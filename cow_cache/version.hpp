// Which version this is, and what the compiler must be capable of: the first thing that each public header includes.
//
// Thread safety: macros.
//
// Where something is missing the compiler says so in one line and ends: after each #error it is told to include a file that
// does not exist, for otherwise it would go on and report hundreds of consequences.
#pragma once

// Those of meson.build; a test compares them.
#define COW_CACHE_VERSION_MAJOR 0
#define COW_CACHE_VERSION_MINOR 1
#define COW_CACHE_VERSION_PATCH 0
#define COW_CACHE_VERSION_STRING "0.1.0"

/// To compare: `#if COW_CACHE_VERSION >= 1002000` is version 1.2.0 or newer.
#define COW_CACHE_VERSION (COW_CACHE_VERSION_MAJOR * 1000000 + COW_CACHE_VERSION_MINOR * 1000 + COW_CACHE_VERSION_PATCH)

#if __cplusplus < 202002L
#error "cow_cache needs C++20: compile with -std=c++20"
#include "cow_cache stops the compiler here"
#endif

#if !defined(__linux__) || !defined(__GNUC__) || __SIZEOF_POINTER__ != 8
#error "cow_cache needs Linux on a 64-bit machine, and GCC or Clang"
#include "cow_cache stops the compiler here"
#endif

#if __has_include(<version>)
#include <version>
#endif

#if __cpp_concepts < 201907L || __cpp_constinit < 201907L || __cpp_impl_three_way_comparison < 201907L
#error "cow_cache needs concepts, constinit and operator<=> of C++20: g++ 12, clang 14 or newer"
#include "cow_cache stops the compiler here"
#endif

#if __cpp_lib_concepts < 202002L || __cpp_lib_span < 202002L || __cpp_lib_bit_cast < 201806L || \
    __cpp_lib_bitops < 201907L || __cpp_lib_int_pow2 < 202002L
#error "cow_cache needs concepts, std::span, std::bit_cast and the functions of <bit> of C++20's library: libstdc++ 12"
#include "cow_cache stops the compiler here"
#endif
