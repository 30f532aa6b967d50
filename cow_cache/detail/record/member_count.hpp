// Whether an aggregate has more members than its macro lists. (C++20 does not say how many it has.)
//
// Thread safety: nothing here runs.
//
// An aggregate can be made of as many initialisers as it has members, and of no more. One that is made of one more than are listed
// has a member that is not. It is not found out where a member cannot be made of the stand-in below (a std::any), or where those
// behind it need an initialiser; and of what is no aggregate. A member that is an array counts as its elements.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "cow_cache/members.hpp"

namespace cow::detail {

/// Stands for the initialiser of any member of T.
template <class T>
struct AnyInitialiser {
  template <class Member>
  // NOLINTNEXTLINE(google-explicit-constructor): to convert without a word is all that it does
  requires(!std::is_same_v<Member, T> && !std::is_base_of_v<Member, T>) operator Member() const noexcept;
};

template <class T, std::size_t... kEach>
consteval bool is_made_of(std::index_sequence<kEach...>) {
  return requires { T{((void)kEach, AnyInitialiser<T>{})...}; };
}

template <class T>
consteval std::size_t left_out() {
  if constexpr (requires { T::cow_members_left_out; }) {
    return T::cow_members_left_out;
  } else {
    return 0;
  }
}

/// What COW_CACHE_DEFINE_MAP and COW_CACHE_DEFINE_ARRAY say of themselves. Not so of a base's macro.
template <class T>
concept CountsItsMembers = requires {
  T::cow_initialisers_of_members();
}
&&std::is_aggregate_v<T>;

template <class T>
consteval bool lists_all_members() {
  if constexpr (CountsItsMembers<T>) {
    return !is_made_of<T>(std::make_index_sequence<T::cow_initialisers_of_members() + left_out<T>() + 1>());
  } else {
    return true;
  }
}

}  // namespace cow::detail
