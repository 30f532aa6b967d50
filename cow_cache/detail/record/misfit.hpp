// Why a value does not fit a type: which of its fields is to blame, and what stands there instead. Asked once decoding has failed.
//
// Thread safety: all functions are stateless.
//
// Each field is converted once more, by itself, until one fails; inside of that one it goes on. Adaptors of one's own are
// called again for it. What the type does not describe by a macro has no fields: then the first exception must do.
#pragma once

#include <cxxabi.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "described_members.hpp"
#include "field_walk.hpp"

namespace cow::detail {

/// The place of a value that does not fit, "lines[2].count", and what is wrong with it.
struct Misfit {
  std::string field;  ///< empty: the value as a whole
  std::string why;
};

/// "a string".
[[gnu::cold]] inline std::string words_for(const msgpack::object& found) {
  switch (found.type) {
    case msgpack::type::NIL:
      return "nil";
    case msgpack::type::BOOLEAN:
      return "a boolean";
    case msgpack::type::POSITIVE_INTEGER:
      return "the integer " + std::to_string(found.via.u64);
    case msgpack::type::NEGATIVE_INTEGER:
      return "the integer " + std::to_string(found.via.i64);
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return "a floating point number";
    case msgpack::type::STR:
      return "a string";
    case msgpack::type::BIN:
      return "binary data";
    case msgpack::type::ARRAY:
      return "an array of " + std::to_string(found.via.array.size);
    case msgpack::type::MAP:
      return "a map";
    case msgpack::type::EXT:
      if (found.via.ext.type() == 79) return "a reference";
      return found.via.ext.type() == -1 ? "a point in time"
                                        : "an extension of type " + std::to_string(found.via.ext.type());
  }
  return "something unknown";
}

inline bool is_integer(const msgpack::object& found) noexcept {
  return found.type == msgpack::type::POSITIVE_INTEGER || found.type == msgpack::type::NEGATIVE_INTEGER;
}

/// "an integer": what T is read from. Empty: anything, as far as is known.
template <class T>
constexpr std::string_view words_for() {
  if constexpr (std::is_same_v<T, bool>) {
    return "a boolean";
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return "an integer";
  } else if constexpr (std::is_floating_point_v<T>) {
    return "a number";
  } else if constexpr (kIsString<T>) {
    return "a string";
  } else if constexpr (kIsTime<T>) {
    return "a point in time";
  } else if constexpr (kIsReference<T>) {
    return "a reference";
  } else if constexpr (kIsBinary<T>) {
    return "binary data";
  } else if constexpr (shape_of<T>() == Shape::container) {
    return MapLike<T> ? "a map" : "an array";
  } else if constexpr (shape_of<T>() == Shape::product) {
    return "an array";
  } else if constexpr (shape_of<T>() == Shape::holder) {
    return words_for<std::remove_cvref_t<decltype(*std::declval<T&>())>>();
  } else {
    return {};
  }
}

/// What reading one value as a T has thrown, in words; nothing: it can be read.
template <class T>
[[gnu::cold]] std::optional<std::string> failure_of_reading(const msgpack::object& found) {
  try {
    if constexpr (msgpack::has_as<T>::value) {
      (void)found.as<T>();
    } else if constexpr (std::is_array_v<T>) {
      std::remove_cv_t<T> made{};
      found.convert(made);
    } else {
      T made{};
      found.convert(made);
    }
    return std::nullopt;
  } catch (const msgpack::type_error&) {
    constexpr std::string_view kWanted = words_for<T>();
    if (kWanted.empty()) return words_for(found) + " does not fit";
    if (std::is_integral_v<T> && is_integer(found))
      return words_for(found) + ", which " + std::to_string(8 * sizeof(T)) + " bits do not hold";
    if (found.type == msgpack::type::ARRAY && kWanted == "an array")
      return words_for(found) + ", which is too long or has elements that do not fit";
    return words_for(found) + ", not " + std::string(kWanted);
  } catch (const std::exception& error) {
    return words_for(found) + ": " + error.what();
  }
}

template <class T>
[[gnu::cold]] std::optional<Misfit> misfit_within(const msgpack::object& found, const std::string& path);

/// `found`, which stands at `path`, as a T; nothing: it fits.
template <class T>
[[gnu::cold]] std::optional<Misfit> misfit_of(const msgpack::object& found, const std::string& path) {
  if constexpr (!std::is_default_constructible_v<T> && !msgpack::has_as<T>::value) {
    return std::nullopt;
  } else {
    std::optional<std::string> failure = failure_of_reading<T>(found);
    if (!failure) return std::nullopt;
    if (std::optional<Misfit> inside = misfit_within<T>(found, path)) return inside;
    return Misfit{path, std::move(*failure)};
  }
}

[[gnu::cold]] inline std::string in_brackets(std::string_view path, std::string_view key) {
  return std::string(path) + '[' + std::string(key) + ']';
}

/// Why `found` is no map with names, or no array; nothing: it is.
[[gnu::cold, gnu::noinline]] inline std::optional<Misfit> misfit_of_form(const msgpack::object& found, bool is_map,
                                                                         const std::string& path) {
  if (found.type != (is_map ? msgpack::type::MAP : msgpack::type::ARRAY))
    return Misfit{path, words_for(found) + (is_map ? ", not a map" : ", not an array")};
  for (std::uint32_t i = 0; is_map && i < found.via.map.size; ++i) {
    const msgpack::object& key = found.via.map.ptr[i].key;
    if (key.type != msgpack::type::STR) return Misfit{path, "a map with " + words_for(key) + " in the place of a name"};
  }
  return std::nullopt;
}

/// REQUIRES: `found` has the right form.
template <class Member>
[[gnu::cold, gnu::noinline]] std::optional<Misfit> misfit_of_field(const msgpack::object& found, FieldPlace place,
                                                                   const std::string& path) {
  const msgpack::object* value = nullptr;
  if (found.type == msgpack::type::MAP) {
    value = find_member(found.via.map, place.name, static_cast<std::uint32_t>(place.position));
  } else if (place.position < found.via.array.size) {
    value = &found.via.array.ptr[place.position];
  }
  if (value == nullptr) return std::nullopt;
  const std::string name = place.name.empty() ? std::to_string(place.position) : std::string(place.name);
  return misfit_of<Member>(*value, path.empty() ? name : path + '.' + name);
}

template <class T>
[[gnu::cold]] std::optional<Misfit> misfit_of_fields(const msgpack::object& found, const std::string& path) {
  std::optional<Misfit> misfit;
  auto open = [&](bool is_map, std::uint32_t) { misfit = misfit_of_form(found, is_map, path); };
  walk_fields<T>(open, [&](FieldPlace place, const auto& member) {
    if (!misfit) misfit = misfit_of_field<std::remove_cvref_t<decltype(member)>>(found, place, path);
  });
  return misfit;
}

/// What is inside of a value that as a whole is no T.
template <class T>
[[gnu::cold]] std::optional<Misfit> misfit_within(const msgpack::object& found, const std::string& path) {
  constexpr Shape kShape = shape_of<T>();
  if constexpr (kHasFields<T>) {
    return misfit_of_fields<T>(found, path);
  } else if constexpr (kShape == Shape::holder) {
    return misfit_within<std::remove_cvref_t<decltype(*std::declval<T&>())>>(found, path);
  } else if constexpr (kShape == Shape::container && MapLike<T>) {
    if (found.type != msgpack::type::MAP) return std::nullopt;
    for (std::uint32_t i = 0; i < found.via.map.size; ++i) {
      const auto& [key, value] = found.via.map.ptr[i];
      const std::string name = key.type == msgpack::type::STR
                                   ? '"' + std::string(key.via.str.ptr, key.via.str.size) + '"'
                               : is_integer(key) ? std::to_string(key.via.i64)
                                                 : "entry " + std::to_string(i);
      if (auto misfit = misfit_of<typename T::key_type>(key, in_brackets(path, "key " + name))) return misfit;
      if (auto misfit = misfit_of<typename T::mapped_type>(value, in_brackets(path, name))) return misfit;
    }
    return std::nullopt;
  } else if constexpr (kShape == Shape::container && !kIsBinary<T>) {
    if (found.type != msgpack::type::ARRAY) return std::nullopt;
    for (std::uint32_t i = 0; i < found.via.array.size; ++i) {
      if (auto misfit = misfit_of<typename T::value_type>(found.via.array.ptr[i], in_brackets(path, std::to_string(i))))
        return misfit;
    }
    return std::nullopt;
  } else {
    return std::nullopt;
  }
}

}  // namespace cow::detail
