// Walks over the fields of a type that describes itself by a macro, with their names and their C++ types.
//
// Thread safety: all functions are stateless.
//
// A macro hands the names and the members, one after the other, to whatever it takes for a packer of msgpack-cxx. The one here
// writes nothing, and looks at no member's value; it needs an object only because a macro's function is one of its members.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <string_view>
#include <type_traits>
#include <vector>

#include "storable.hpp"

namespace cow::detail {

/// Where a value stands among those of the macro.
struct FieldPlace {
  std::string_view name;  ///< empty: the macro writes an array
  std::size_t position = 0;
};

/// Poses as a packer. `open(is_map, count)` is called once, before `visit(FieldPlace, member)`.
template <class Open, class Visit>
class FieldWalk : public msgpack::packer<Discarding> {
 public:
  FieldWalk(Discarding& nothing, Open& open, Visit& visit) : packer(nothing), open_(open), visit_(visit) {}

  FieldWalk& pack_map(std::uint32_t count) {
    is_map_ = at_name_ = true;
    open_(true, count);
    return *this;
  }
  FieldWalk& pack_array(std::uint32_t count) {
    open_(false, count);
    return *this;
  }
  // The names of COW_CACHE_DEFINE_MAP.
  FieldWalk& pack_str(std::uint32_t) { return *this; }
  FieldWalk& pack_str_body(const char* bytes, std::uint32_t size) {
    place_.name = {bytes, size};
    at_name_ = false;
    return *this;
  }
  template <class T>
  [[gnu::cold]] FieldWalk& pack(const T& member) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {  // a name of MSGPACK_DEFINE_MAP, or a member
      if (at_name_) {
        place_.name = member;
        at_name_ = false;
        return *this;
      }
    }
    visit_(place_, member);
    ++place_.position;
    place_.name = {};
    at_name_ = is_map_;
    return *this;
  }

 private:
  Open& open_;
  Visit& visit_;
  FieldPlace place_;
  bool is_map_ = false;
  bool at_name_ = false;
};

/// Types whose fields can be walked over: an object can be made for it.
template <class T>
inline constexpr bool kHasFields =
    std::is_class_v<T>&& std::is_default_constructible_v<T>&& shape_of<T>() == Shape::described;

template <class T, class Open, class Visit>
requires kHasFields<T>
[[gnu::cold, gnu::noinline]] void walk_fields(Open&& open, Visit&& visit) {
  Discarding nothing;
  FieldWalk<std::remove_reference_t<Open>, std::remove_reference_t<Visit>> walk(nothing, open, visit);
  const T object{};
  object.msgpack_pack(walk);
}

// What containers hold.

template <class T>
concept BytesLike = std::same_as<T, char> || std::same_as<T, unsigned char>;
/// Written as binary data.
template <class T>
inline constexpr bool kIsBinary = false;
template <BytesLike T, class A>
inline constexpr bool kIsBinary<std::vector<T, A>> = true;
template <BytesLike T, std::size_t kSize>
inline constexpr bool kIsBinary<std::array<T, kSize>> = true;

template <class T>
inline constexpr bool kIsString = std::is_convertible_v<const T&, std::string_view>;
template <class T>
inline constexpr bool kIsTime = false;
template <class C, class D>
inline constexpr bool kIsTime<std::chrono::time_point<C, D>> = true;
template <class T>
inline constexpr bool kIsReference = false;
template <class T>
inline constexpr bool kIsReference<Ref<T>> = true;

}  // namespace cow::detail
