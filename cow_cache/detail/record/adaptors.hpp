// Which types msgpack-cxx knows how to write and read, and what the compiler says of those that it does not know.
//
// Thread safety: nothing here runs.
//
// msgpack-cxx writes what has no adaptor by its member `msgpack_pack`, reads it by `msgpack_unpack`, and does not say which way
// it takes. A type that has none of these fails deep in its headers, and that as soon as a macro names a member of the type,
// before anybody can ask. So the adaptors here are for such types: they fail too, and say what to write. Any other adaptor is
// more specialised, and is chosen before them; so they tell who has none.
#pragma once

#include <cstddef>
#include <msgpack.hpp>
#include <type_traits>
#include <variant>

namespace cow::detail {

/// A stream for types that are asked how they are written.
struct Discarding {
  void write(const char*, std::size_t) noexcept {}
};

/// By one of msgpack-cxx's macros, or by hand. What is private does not count.
template <class T>
concept PacksItself = requires(const T& value, msgpack::packer<Discarding>& packer) {
  value.msgpack_pack(packer);
};
template <class T>
concept UnpacksItself = requires(T& value, const msgpack::object& object) {
  value.msgpack_unpack(object.convert());
};

template <class T>
inline constexpr bool kIsVariant = false;
template <class... A>
inline constexpr bool kIsVariant<std::variant<A...>> = true;

/// Refused by the compiler, in words. Named for what has no adaptor only.
template <class T>
consteval void refuse_without_adaptor() {
  constexpr bool kIsPointer = std::is_pointer_v<T>;
  static_assert(
      !kIsPointer,
      "cow: a raw pointer can be neither written nor read: hold a cow::Ref to another object, or the value itself.");
  static_assert(
      !kIsVariant<T>,
      "cow: this version of msgpack-cxx can neither write nor read a std::variant: hold a std::optional for each "
      "alternative, or specialise cow::Codec for the stored type, or msgpack::adaptor::pack and convert for the "
      "variant.");
  static_assert(
      !std::is_enum_v<T>,
      "cow: an enumeration does not say how it is written: add MSGPACK_ADD_ENUM(its name) behind it, outside of any "
      "namespace.");
  static_assert(
      kIsPointer || kIsVariant<T> || std::is_enum_v<T>,
      "cow: a type does not say how it is written and read: add MSGPACK_DEFINE_MAP(...) with all its members to its "
      "public part, or specialise msgpack::adaptor::pack and convert.");
}

}  // namespace cow::detail

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(v1) {
  namespace adaptor {

  template <class T, class Enabler>
  requires(!cow::detail::PacksItself<T>) struct pack<T, Enabler> {
    using cow_no_adaptor = T;

    template <class Stream>
    packer<Stream>& operator()(packer<Stream>& out, const T& value) const {
      if constexpr (requires { value.msgpack_pack(out); }) {  // by hand, for other streams than ours
        value.msgpack_pack(out);
      } else {
        cow::detail::refuse_without_adaptor<T>();
      }
      return out;
    }
  };

  template <class T, class Enabler>
  requires(!cow::detail::UnpacksItself<T>) struct convert<T, Enabler> {
    using cow_no_adaptor = T;

    const msgpack::object& operator()(const msgpack::object& in, T&) const {
      cow::detail::refuse_without_adaptor<T>();
      return in;
    }
  };

  // What is a pointer is not asked for its adaptor: msgpack-cxx means something else by the `convert` of an object to it.
  template <class T, class Enabler>
  requires std::is_pointer_v<T>
  struct as<T, Enabler> {
    T operator()(const msgpack::object&) const {
      cow::detail::refuse_without_adaptor<T>();
      return nullptr;
    }
  };

  }  // namespace adaptor
}
}  // namespace msgpack

namespace cow::detail {

template <class T>
concept HasNoPack = requires {
  typename msgpack::adaptor::pack<T>::cow_no_adaptor;
};
template <class T>
concept HasNoConvert = requires {
  typename msgpack::adaptor::convert<T>::cow_no_adaptor;
};

/// Whether a value of the type can be written, and can be read.
template <class T>
inline constexpr bool kHasAdaptor = !HasNoPack<T> && (msgpack::has_as<T>::value || !HasNoConvert<T>);

/// Refused by the compiler, in words, unless it can.
template <class T>
consteval void require_adaptor() {
  if constexpr (!kHasAdaptor<T>) refuse_without_adaptor<T>();
}

}  // namespace cow::detail
