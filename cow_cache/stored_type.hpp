// What the type of stored objects must be capable of, whatever its codec (storable.hpp has the rest).
//
// Thread safety: nothing here runs.
#pragma once

#include "version.hpp"

#include <type_traits>

namespace cow {

/// Its definition is there, not only `struct T;`.
template <class T>
concept DefinedInFull = std::is_object_v<T> && requires {
  sizeof(T);
};

/// A transaction clones an object when it writes it for the first time.
template <class T>
concept CopyableForItsFirstWrite = std::is_copy_constructible_v<T>;

namespace detail {

/// Refused by the compiler, in words, where a value is passed: a copy of it would fail in other words.
template <class T>
consteval bool require_copyable() {
  static_assert(
      CopyableForItsFirstWrite<T>,
      "cow: a stored type must be copyable: a transaction clones it on first write. Give it a copy constructor, "
      "or replace the members that have none: a std::unique_ptr by the value itself, a std::optional or a "
      "std::vector, or by a cow::Ref to an object of its own.");
  return CopyableForItsFirstWrite<T>;
}

/// The same for all that this header asks for. True where nothing is refused.
template <class T>
consteval bool require_stored_type() {
  static_assert(DefinedInFull<T>,
                "cow: a stored type is only declared here, or is no type of objects: include the file that defines it "
                "before its objects are used.");
  if constexpr (DefinedInFull<T>) {
    constexpr bool kIsPlain = std::is_same_v<T, std::remove_cv_t<T>>;
    static_assert(
        kIsPlain,
        "cow: a stored type is const or volatile: write cow::Ref<T> without it. `read` gives a const T&, `write` "
        "a T&.");
    return require_copyable<T>() && kIsPlain;
  }
  return false;
}

}  // namespace detail
}  // namespace cow
