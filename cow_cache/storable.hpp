// Storable: what a C++ type must be capable of, to be the type of stored objects.
//
//   struct Account {
//     std::string owner;
//     std::int64_t balance = 0;
//     MSGPACK_DEFINE_MAP(owner, balance);  // how it is written: all that the library asks for
//   };
//   static_assert(cow::Storable<Account>);  // to be told here, and not where it is first used
//
// Whatever uses a type that is not storable is refused by the compiler, and the first line of its errors says what to add. So
// are members that cannot be stored (detail/record/storable.hpp); a concept cannot see them.
//
// Thread safety: nothing here runs.
#pragma once

#include "version.hpp"

#include <type_traits>

#include "codec.hpp"
#include "detail/record/adaptors.hpp"
#include "detail/record/former_names.hpp"
#include "detail/record/storable.hpp"
#include "stored_type.hpp"

namespace cow {

namespace detail {

/// Whether T is written as its members say, and not by a Codec of its own.
template <class T>
concept WritesMembers = requires {
  requires std::is_same_v<typename Codec<T>::WritesMembersOf, T>;
};

}  // namespace detail

/// It says how it is written: by MSGPACK_DEFINE_MAP or another macro of msgpack-cxx in its public part, by an adaptor of
/// msgpack-cxx, or by a Codec of its own.
template <class T>
concept HasMsgpackDefineMapOrCodec = !detail::WritesMembers<T> || detail::kHasAdaptor<T>;

/// A value is made before it is read: by its default constructor, unless its Codec or an adaptor `as` makes it.
template <class T>
concept DefaultConstructibleForLoading =
    !detail::WritesMembers<T> || std::is_default_constructible_v<T> || msgpack::has_as<T>::value;

/// Types that stored objects can have.
template <class T>
concept Storable = DefinedInFull<T> && std::is_same_v<T, std::remove_cv_t<T>> && CopyableForItsFirstWrite<T> &&
    HasMsgpackDefineMapOrCodec<T> && DefaultConstructibleForLoading<T>;

namespace detail {

/// Refused by the compiler, in words, unless T is storable. True where it is: nothing else need be said about T otherwise.
template <class T>
consteval bool require_storable() {
  if constexpr (require_stored_type<T>()) {
    static_assert(
        HasMsgpackDefineMapOrCodec<T>,
        "cow: a stored type does not say how it is written: add MSGPACK_DEFINE_MAP(...) with all its members to its "
        "public part, or specialise cow::Codec for it.");
    static_assert(
        DefaultConstructibleForLoading<T>,
        "cow: a stored type needs a default constructor: a value is made before it is read. Add `T() = default;`, or "
        "specialise cow::Codec (or msgpack::adaptor::as), which makes values in its own way.");
    static_assert(
        former_names_are_beside<T>(),
        "cow: cow_former_names gives a field another name in its place: {\"lines[].count\", \"lines[].number\"}. "
        "What has moved elsewhere is for cow_upgrade.");
    if constexpr (Storable<T> && WritesMembers<T>) check_storable<T>();
    return Storable<T>;
  }
  return false;
}

}  // namespace detail
}  // namespace cow
