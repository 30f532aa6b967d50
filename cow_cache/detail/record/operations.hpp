// The table of operations of a C++ type: what the cache does with its states. It names the type's codec, and needs no more of
// it than that.
//
// Thread safety: all functions are stateless.
//
// Invariants:
//  1. The table of a type is the same in all translation units, whether they know its codec or not. Those that do
//     (record.hpp) instantiate it, unless COW_CACHE_DECLARE_CODEC says that another one does; the others leave it to the
//     linker.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <string_view>

#include "cow_cache/detail/apart/access.hpp"
#include "cow_cache/detail/state/key.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/heap_sum.hpp"
#include "cow_cache/stored_type.hpp"
#include "cow_cache/type_name.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// Types of the library itself say nothing of their fields, and change by other rules.
template <class T>
constexpr auto describe_function() noexcept -> TypeDescription (*)() {
  if constexpr (requires { T::cow_is_of_the_library; }) {
    return nullptr;
  } else {
    return &DefinedCodec<T>::describe;
  }
}

/// The operations of T: one table, or one for each shared library (`same_type`).
template <class T>
inline constexpr TypeOperations type_operations{
    .name = type_name<T>(),
    .spelled = spelled_type_name<T>(),
    .schema = schema_of<T>(),
    .state_bytes = sizeof(State<T>),
    .type_bits = type_bits<T>,
    .destroy = [](StateHeader& state) noexcept { value_of<T>(state).~T(); },
    .copy = [](StateHeader& target, const StateHeader& source) { ::new (&value_of<T>(target)) T(value_of<T>(source)); },
    .encode = [](const StateHeader& state, Oid oid,
                 std::string& out) { DefinedCodec<T>::encode(value_of<T>(state), oid, out); },
    .prepare_decode = &DefinedCodec<T>::prepare_decode,
    .decode = [](StateHeader& target, std::string_view record, Oid oid,
                 Tid tid) { ::new (&value_of<T>(target)) T(DefinedCodec<T>::decode(record, oid, tid)); },
    .add_heap_bytes = [](const StateHeader& state,
                         HeapSum& sum) { DefinedCodec<T>::add_heap_bytes(value_of<T>(state), sum); },
    .describe = describe_function<T>(),
};

/// A type that cannot be stored has been refused by now. It has no operations, which would not compile either.
template <class T>
requires(!require_stored_type<T>()) inline constexpr TypeOperations type_operations<T>{};

/// The operations of a tombstone: a state without a value, for an object that was erased.
COW_CACHE_ONE_PER_PROCESS inline constexpr TypeOperations erased_operations{
    .name = "(erased)",
    .spelled = {},
    .schema = 0,
    .state_bytes = sizeof(StateHeader),
    .type_bits = type_bits<void>,
    .destroy = [](StateHeader&) noexcept {},
    .copy = [](StateHeader&, const StateHeader&) {},
    .encode = [](const StateHeader&, Oid, std::string&) {},
    .prepare_decode = [] {},
    .decode = [](StateHeader&, std::string_view, Oid, Tid) {},
    .add_heap_bytes = [](const StateHeader&, HeapSum&) {},
    .describe = nullptr,
};

}  // namespace cow::detail
