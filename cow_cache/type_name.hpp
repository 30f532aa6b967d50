// The name and the schema number of a stored type.
//
// Thread safety: all functions are stateless.
#pragma once

#include "version.hpp"

#include <concepts>
#include <cstdint>
#include <string_view>

#include "detail/spelled_name.hpp"

namespace cow {

/// The name of T in records. A type gives its own with `static constexpr std::string_view cow_type_name`; do so before
/// storing anything that outlives the program: the default follows the C++ name, so renaming the type loses its records, and
/// g++ and clang++ spell instances of templates in two ways.
template <class T>
constexpr std::string_view type_name() {
  if constexpr (requires {
                  { T::cow_type_name } -> std::convertible_to<std::string_view>;
                }) {
    return T::cow_type_name;
  } else {
    return detail::spelled_type_name<T>();
  }
}

/// The schema number of T in records, from `static constexpr std::uint32_t cow_schema`; 1 if T does not say.
template <class T>
constexpr std::uint32_t schema_of() {
  if constexpr (requires {
                  { T::cow_schema } -> std::convertible_to<std::uint32_t>;
                }) {
    return T::cow_schema;
  } else {
    return 1;
  }
}

}  // namespace cow
