// Reading what COW_CACHE_DEFINE_MAP and COW_CACHE_DEFINE_ARRAY have written, as MSGPACK_DEFINE_MAP and MSGPACK_DEFINE_ARRAY do.
//
// Thread safety: all functions are stateless.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <string_view>

#include "cow_cache/members.hpp"

namespace cow::detail {

/// The value of a key in a map of strings, the first one if there are several; null: there is none. Maps are written in the
/// order in which they are read, so the entry at `expected` is asked first.
inline const msgpack::object* find_member(const msgpack::object_map& map, std::string_view name,
                                          std::uint32_t expected) noexcept {
  auto is_at = [&](std::uint32_t i) {
    const msgpack::object_str& key = map.ptr[i].key.via.str;
    return std::string_view(key.ptr, key.size) == name;
  };
  std::uint32_t i = 0;
  if (expected < map.size && is_at(expected)) {
    while (!is_at(i)) ++i;  // no further than to there
  } else {
    while (i < map.size && !is_at(i)) ++i;
  }
  return i < map.size ? &map.ptr[i].val : nullptr;
}

/// What msgpack-cxx gives to `msgpack_unpack` is an object, or something that becomes one.
template <class Input>
msgpack::object object_in(Input input) {
  return input;
}

template <class Member>
void read_member(const msgpack::object& object, Member& member) {
  if constexpr (msgpack::has_as<Member>::value) {
    member = object.as<Member>();
  } else {
    object.convert(member);
  }
}

template <class Input, std::size_t kCount, class... Members>
void unpack_map(const Input& input, const std::array<std::string_view, kCount>& names, Members&... members) {
  const msgpack::object object = object_in(input);
  if (object.type != msgpack::type::MAP) throw msgpack::type_error();
  const msgpack::object_map& map = object.via.map;
  for (std::uint32_t i = 0; i < map.size; ++i) {
    if (map.ptr[i].key.type != msgpack::type::STR) throw msgpack::type_error();
  }
  std::uint32_t at = 0;
  auto unpack_one = [&](auto& member) {
    if (const msgpack::object* found = find_member(map, names[at], at)) read_member(*found, member);
    ++at;
  };
  (unpack_one(members), ...);
}

template <class Input, class... Members>
void unpack_array(const Input& input, Members&... members) {
  const msgpack::object object = object_in(input);
  if (object.type != msgpack::type::ARRAY) throw msgpack::type_error();
  std::uint32_t at = 0;
  auto unpack_one = [&](auto& member) {
    if (at < object.via.array.size) read_member(object.via.array.ptr[at], member);
    ++at;
  };
  (unpack_one(members), ...);
}

template <class Object, class Zone, std::size_t kCount, class... Members>
void describe_map(Object& object, Zone& zone, const std::array<std::string_view, kCount>& names,
                  const Members&... members) {
  object.type = msgpack::type::MAP;
  object.via.map.size = kCount;
  object.via.map.ptr = static_cast<msgpack::object_kv*>(
      zone.allocate_align(kCount * sizeof(msgpack::object_kv), alignof(msgpack::object_kv)));
  std::size_t at = 0;
  auto describe_one = [&](const auto& member) {
    object.via.map.ptr[at].key = msgpack::object(names[at], zone);
    object.via.map.ptr[at].val = msgpack::object(member, zone);
    ++at;
  };
  (describe_one(members), ...);
}

template <class Object, class Zone, class... Members>
void describe_array(Object& object, Zone& zone, const Members&... members) {
  object.type = msgpack::type::ARRAY;
  object.via.array.size = sizeof...(Members);
  object.via.array.ptr = static_cast<msgpack::object*>(
      zone.allocate_align(sizeof...(Members) * sizeof(msgpack::object), alignof(msgpack::object)));
  std::size_t at = 0;
  ((object.via.array.ptr[at++] = msgpack::object(members, zone)), ...);
}

}  // namespace cow::detail
