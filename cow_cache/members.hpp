// COW_CACHE_DEFINE_MAP, COW_CACHE_DEFINE_ARRAY: say in a struct which members are stored.
//
//   struct Account {
//     std::string name;
//     std::int64_t balance = 0;
//     COW_CACHE_DEFINE_MAP(name, balance)
//   };
//
// Records are those of MSGPACK_DEFINE_MAP(name, balance) and MSGPACK_DEFINE_ARRAY, byte by byte, so one may take the place of
// the other at any time; but these need no msgpack-cxx where the struct stands. Only names of members may be listed:
// for other names in records, and for members of a base, there are the macros of msgpack-cxx.
//
// Thread safety: all functions are stateless.
#pragma once

#include "version.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cow::detail {

constexpr std::size_t count_names(std::string_view list) {
  std::size_t count = 1;
  for (char letter : list) count += letter == ',';
  return count;
}

/// The names in "name, balance". Anything else than names is an error of the compiler: it may not get to the `throw`.
template <std::size_t kCount>
consteval std::array<std::string_view, kCount> names_in(std::string_view list) {
  std::array<std::string_view, kCount> names;
  for (std::string_view& name : names) {
    while (!list.empty() && list.front() == ' ') list.remove_prefix(1);
    std::size_t end = list.find(',');
    name = list.substr(0, end);
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    for (char letter : name) {
      bool fits = letter == '_' || (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
                  (letter >= 'A' && letter <= 'Z') || static_cast<unsigned char>(letter) > 127;
      if (!fits) throw "COW_CACHE_DEFINE_MAP takes names of members only; MSGPACK_DEFINE_MAP takes more";
    }
    if (name.empty()) throw "COW_CACHE_DEFINE_MAP: a name is missing";
  }
  return names;
}

/// The initialisers that an aggregate takes for members of these types: one each, but for arrays (record/member_count.hpp).
template <class Member>
inline constexpr std::size_t kInitialisers = 1;
template <class Member, std::size_t kSize>
inline constexpr std::size_t kInitialisers<Member[kSize]> = kSize* kInitialisers<Member>;
template <std::size_t kCount>
struct InitialiserCount {
  static constexpr std::size_t kValue = kCount;
};
template <class... Members>
InitialiserCount<(kInitialisers<Members> + ... + 0)> count_initialisers(const Members&... members);

template <class Packer, std::size_t kCount, class... Members>
void pack_map(Packer& packer, const std::array<std::string_view, kCount>& names, const Members&... members) {
  static_assert(sizeof...(Members) == kCount);
  packer.pack_map(static_cast<std::uint32_t>(kCount));
  auto name = names.begin();
  auto pack_one = [&](const auto& member) {
    const auto size = static_cast<std::uint32_t>(name->size());
    packer.pack_str(size);
    packer.pack_str_body(name->data(), size);
    packer.pack(member);
    ++name;
  };
  (pack_one(members), ...);
}

template <class Packer, class... Members>
void pack_array(Packer& packer, const Members&... members) {
  packer.pack_array(static_cast<std::uint32_t>(sizeof...(Members)));
  (packer.pack(members), ...);
}

// Defined where msgpack-cxx is known: record/described_members.hpp.

template <class Input, std::size_t kCount, class... Members>
void unpack_map(const Input& input, const std::array<std::string_view, kCount>& names, Members&... members);
template <class Input, class... Members>
void unpack_array(const Input& input, Members&... members);
template <class Object, class Zone, std::size_t kCount, class... Members>
void describe_map(Object& object, Zone& zone, const std::array<std::string_view, kCount>& names,
                  const Members&... members);
template <class Object, class Zone, class... Members>
void describe_array(Object& object, Zone& zone, const Members&... members);

}  // namespace cow::detail

/// An aggregate that lists fewer than all of its members is refused by the compiler where it is stored. For members that are not
/// stored on purpose: `static constexpr std::size_t cow_members_left_out = 1;`, with their number.
#define COW_CACHE_COUNT_MEMBERS(...)                                         \
  static constexpr std::size_t cow_initialisers_of_members() {               \
    return decltype(::cow::detail::count_initialisers(__VA_ARGS__))::kValue; \
  }

/// One map from the names of the members to their values. Members may be added later: those that a record lacks keep their
/// defaults, and those that the struct lacks are skipped.
#define COW_CACHE_DEFINE_MAP(...)                                                           \
  COW_CACHE_COUNT_MEMBERS(__VA_ARGS__)                                                      \
  static constexpr auto cow_names_of_members() {                                            \
    return ::cow::detail::names_in<::cow::detail::count_names(#__VA_ARGS__)>(#__VA_ARGS__); \
  }                                                                                         \
  template <class CowPacker>                                                                \
  void msgpack_pack(CowPacker& cow_packer) const {                                          \
    static constexpr auto cow_names = cow_names_of_members();                               \
    ::cow::detail::pack_map(cow_packer, cow_names, __VA_ARGS__);                            \
  }                                                                                         \
  template <class CowInput>                                                                 \
  void msgpack_unpack(const CowInput& cow_input) {                                          \
    static constexpr auto cow_names = cow_names_of_members();                               \
    ::cow::detail::unpack_map(cow_input, cow_names, __VA_ARGS__);                           \
  }                                                                                         \
  template <class CowObject, class CowZone>                                                 \
  void msgpack_object(CowObject* cow_object, CowZone& cow_zone) const {                     \
    static constexpr auto cow_names = cow_names_of_members();                               \
    ::cow::detail::describe_map(*cow_object, cow_zone, cow_names, __VA_ARGS__);             \
  }

/// One array of the members' values: smaller and faster. Members may be added at the end only.
#define COW_CACHE_DEFINE_ARRAY(...)                                     \
  COW_CACHE_COUNT_MEMBERS(__VA_ARGS__)                                  \
  template <class CowPacker>                                            \
  void msgpack_pack(CowPacker& cow_packer) const {                      \
    ::cow::detail::pack_array(cow_packer, __VA_ARGS__);                 \
  }                                                                     \
  template <class CowInput>                                             \
  void msgpack_unpack(const CowInput& cow_input) {                      \
    ::cow::detail::unpack_array(cow_input, __VA_ARGS__);                \
  }                                                                     \
  template <class CowObject, class CowZone>                             \
  void msgpack_object(CowObject* cow_object, CowZone& cow_zone) const { \
    ::cow::detail::describe_array(*cow_object, cow_zone, __VA_ARGS__);  \
  }
