// Calls that the compiler refuses in words: a mistake picks a function that is declared for it, instead of none.
//
//   Thing COW_CACHE_REFUSED("cow: a thing is not copied: pass a reference to it", Thing&);
//
// GCC prints the signature of a deleted function that is called, and with it a text that is an argument of a template there.
// Clang prints the text of an attribute. (C++26 has `= delete("why")`.) To traits and `requires` such a call is one that
// does not compile.
//
// Clang takes a function with that attribute for one that can be called from an implicit copy constructor. So what must not be
// copied deletes what takes a const reference, as usual, and refuses in words what takes one that is not const: a class that
// has such a member has no copy constructor then, and a copy of a variable picks the latter.
//
// Thread safety: nothing here runs.
#pragma once

#include <cstddef>

namespace cow::detail {

/// A text as an argument of a template.
template <std::size_t kSize>
struct Text {
  char text[kSize]{};
  consteval Text(const char (&from)[kSize]) {  // NOLINT(google-explicit-constructor): a literal becomes one
    for (std::size_t i = 0; i < kSize; ++i) text[i] = from[i];
  }
};

/// What a refused function takes besides, or returns: its type says what to write instead.
template <Text kText>
struct Instead {};

}  // namespace cow::detail

// REASON is a literal. What follows it are the parameters, one at least.
#if defined(__clang__)
#define COW_CACHE_REFUSED(REASON, ...) (__VA_ARGS__) __attribute__((unavailable(REASON)))
#define COW_CACHE_REFUSED_ASSIGNMENT(REASON, ...) void operator=(__VA_ARGS__) __attribute__((unavailable(REASON)))
#else
#define COW_CACHE_REFUSED(REASON, ...) (__VA_ARGS__, ::cow::detail::Instead<REASON> = {}) = delete
#define COW_CACHE_REFUSED_ASSIGNMENT(REASON, ...) ::cow::detail::Instead<REASON> operator=(__VA_ARGS__) = delete
#endif
