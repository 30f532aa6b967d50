// Fields and types that are called otherwise in older records.
//
// Thread safety: pure functions; `rename_fields` changes what it is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <string_view>

#include "cow_cache/field_set.hpp"

namespace cow::detail {

/// The last name of a path: "count" in "lines[].count".
constexpr std::string_view last_name(std::string_view path) noexcept {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

/// Whether both paths lead to fields of one struct.
constexpr bool are_beside(std::string_view a, std::string_view b) noexcept {
  return a.substr(0, a.size() - last_name(a).size()) == b.substr(0, b.size() - last_name(b).size());
}

inline bool is_key(const msgpack::object& key, std::string_view name) noexcept {
  return key.type == msgpack::type::STR && std::string_view(key.via.str.ptr, key.via.str.size) == name;
}

/// Calls a field otherwise, wherever its path leads to one, unless there is one of the new name beside it. `to`: what outlives
/// the object.
inline void rename_field(msgpack::object& value, std::string_view path, std::string_view to) {
  if (path.starts_with("[]")) {
    if (value.type != msgpack::type::ARRAY) return;
    for (std::uint32_t i = 0; i < value.via.array.size; ++i) rename_field(value.via.array.ptr[i], path.substr(2), to);
    return;
  }
  if (value.type != msgpack::type::MAP) return;
  const msgpack::object_map& map = value.via.map;
  if (path.starts_with("{}")) {
    for (std::uint32_t i = 0; i < map.size; ++i) rename_field(map.ptr[i].val, path.substr(2), to);
    return;
  }
  if (path.starts_with('.')) path.remove_prefix(1);
  const std::size_t end = path.find_first_of(".[{");
  const std::string_view name = path.substr(0, end);
  msgpack::object_kv* found = nullptr;
  for (std::uint32_t i = 0; i < map.size; ++i) {
    if (is_key(map.ptr[i].key, name) && found == nullptr) found = &map.ptr[i];
    if (end == std::string_view::npos && is_key(map.ptr[i].key, to)) return;
  }
  if (found == nullptr) return;
  if (end == std::string_view::npos) {
    found->key.via.str = {static_cast<std::uint32_t>(to.size()), to.data()};
  } else {
    rename_field(found->val, path.substr(end), to);
  }
}

/// The fields of an older record of T under their names of today.
template <class T>
void rename_fields(msgpack::object& value) {
  if constexpr (requires { T::cow_former_names; }) {
    for (const FormerName& name : T::cow_former_names) rename_field(value, name.from, last_name(name.to));
  }
}

template <class T>
consteval bool former_names_are_beside() {
  if constexpr (requires { T::cow_former_names; }) {
    for (const FormerName& name : T::cow_former_names) {
      if (!are_beside(name.from, name.to)) return false;
    }
  }
  return true;
}

/// Whether records of this type name are read as a T, which is called otherwise now.
template <class T>
constexpr bool is_former_type_name(std::string_view name) noexcept {
  if constexpr (requires { T::cow_former_type_names; }) {
    for (std::string_view former : T::cow_former_type_names) {
      if (former == name) return true;
    }
  }
  return false;
}

}  // namespace cow::detail
