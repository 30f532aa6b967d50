// The names of types as the compiler spells them.
//
// Thread safety: all functions are stateless.
#pragma once

#include <cstddef>
#include <string_view>

namespace cow::detail {

/// The name of T, which may be incomplete. The same in all translation units of one compiler.
template <class T>
constexpr std::string_view spelled_type_name() {
  std::string_view function = __PRETTY_FUNCTION__;  // "... [with T = Name; std::string_view = ...]" or "... [T = Name]"
  std::size_t from = function.find("T = ") + 4;
  std::size_t to = function.rfind("; std::");  // the last one: the name may have `;` and `]` in it
  if (to == std::string_view::npos || to < from) to = function.size() - 1;
  return function.substr(from, to - from);
}

/// Whether two types with this name are one, in whatever translation unit or shared library each was met. Not so for
/// unnamed types, those of unnamed namespaces, and those inside of functions: another unit may have another of that name.
constexpr bool names_one_type(std::string_view spelled) noexcept {
  return !spelled.empty() && spelled.find_first_of("({") == std::string_view::npos &&
         spelled.find("<lambda") == std::string_view::npos && spelled.find("<unnamed") == std::string_view::npos;
}

}  // namespace cow::detail
