// The field set of a type, from its macro: names and types of its fields, and of the fields of what these hold.
//
// Thread safety: all functions are stateless.
//
// Types are named as they are written, not as C++ spells them, so both compilers say the same:
//
//   bool, int, float32, float64, str, bin, time, ref, other       `other`: an adaptor of one's own
//   list<T>, set<T>, multiset<T>, map<K, V>, multimap<K, V>, tuple<A, B>, T?
//   struct                                                        its fields follow, with its path before them
//
// Integers of all widths are `int`, for one that does not fit is an error and no loss.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cow_cache/detail/spelled_name.hpp"
#include "cow_cache/field_set.hpp"
#include "cow_cache/storable.hpp"
#include "field_walk.hpp"

namespace cow::detail {

/// What a program says of a type, for comparison with what a store knows of it.
struct TypeDescription {
  std::string_view name;
  std::uint32_t schema = 1;
  FieldSet set;
  std::vector<std::string_view> former_type_names;
  std::vector<FormerName> former_names;
  std::vector<std::string_view> dropped;
  bool has_upgrade = false;
};

template <class T>
[[gnu::cold]] std::string words_for_type();

template <class T>
[[gnu::cold]] std::string words_for_container() {
  if constexpr (MapLike<T>) {
    constexpr bool kOneEach = requires(T & map, typename T::key_type key, typename T::mapped_type value) {
      map.insert_or_assign(std::move(key), std::move(value));
    };
    return std::string(kOneEach ? "map<" : "multimap<") + words_for_type<typename T::key_type>() + ", " +
           words_for_type<typename T::mapped_type>() + '>';
  } else {
    std::string_view kind = "list<";
    if constexpr (requires { typename T::key_type; }) {
      constexpr bool kOneEach = requires(T & set, typename T::value_type value) {
        set.insert(std::move(value)).second;
      };
      kind = kOneEach ? "set<" : "multiset<";
    }
    return std::string(kind) + words_for_type<typename T::value_type>() + '>';
  }
}

template <class T>
struct WordsForProduct;
template <class... T>
struct WordsForProduct<std::tuple<T...>> {
  static std::string words() {
    std::string all;
    ((all += (all.empty() ? "" : ", ") + words_for_type<std::remove_const_t<T>>()), ...);
    return "tuple<" + all + '>';
  }
};
template <class A, class B>
struct WordsForProduct<std::pair<A, B>> : WordsForProduct<std::tuple<A, B>> {};

template <class T>
[[gnu::cold]] std::string words_for_type() {
  constexpr Shape kShape = shape_of<T>();
  if constexpr (std::is_same_v<T, bool>) {
    return "bool";
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return "int";
  } else if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) == 4 ? "float32" : "float64";
  } else if constexpr (kIsString<T>) {
    return "str";
  } else if constexpr (kIsTime<T>) {
    return "time";
  } else if constexpr (kIsReference<T>) {
    return "ref";
  } else if constexpr (kIsBinary<T>) {
    return "bin";
  } else if constexpr (kShape == Shape::container) {
    return words_for_container<T>();
  } else if constexpr (kShape == Shape::holder) {
    return words_for_type<std::remove_cvref_t<decltype(*std::declval<T&>())>>() + '?';
  } else if constexpr (kShape == Shape::product) {
    return WordsForProduct<T>::words();
  } else if constexpr (kHasFields<T>) {
    return "struct";
  } else {
    return "other";
  }
}

/// Collects the fields of one type.
class FieldCollector {
 public:
  explicit FieldCollector(std::vector<Field>& fields) noexcept : fields_(fields) {}

  /// The fields of T and of what it holds, which stand at `path`; `is_map`: whether T itself has names for them.
  template <class T>
  [[gnu::cold]] void add_fields(const std::string& path, bool* is_map = nullptr) {
    constexpr std::string_view kName = spelled_type_name<T>();
    if (std::find(open_.begin(), open_.end(), kName) != open_.end()) return;  // within itself: said once
    open_.push_back(kName);
    auto open = [&](bool map, std::uint32_t) {
      if (is_map != nullptr) *is_map = map;
    };
    walk_fields<T>(open, [&](FieldPlace place, const auto& member) {
      add_field<std::remove_cvref_t<decltype(member)>>(path, place);
    });
    open_.pop_back();
  }

  template <class Member>
  [[gnu::cold, gnu::noinline]] void add_field(const std::string& path, FieldPlace place) {
    std::string name = path.empty() ? "" : path + '.';
    name += place.name.empty() ? std::to_string(place.position) : std::string(place.name);
    fields_.push_back({name, words_for_type<Member>()});
    add_inside<Member>(name);
  }

  /// The fields of what a value of T holds.
  template <class T>
  [[gnu::cold]] void add_inside(const std::string& path) {
    constexpr Shape kShape = shape_of<T>();
    if constexpr (kShape == Shape::container && MapLike<T>) {
      add_inside<typename T::key_type>(path + "{key}");
      add_inside<typename T::mapped_type>(path + "{}");
    } else if constexpr (kShape == Shape::container) {
      add_inside<typename T::value_type>(path + "[]");
    } else if constexpr (kShape == Shape::holder) {
      add_inside<std::remove_cvref_t<decltype(*std::declval<T&>())>>(path);
    } else if constexpr (kShape == Shape::product) {
      [&]<std::size_t... kAt>(std::index_sequence<kAt...>) {
        (add_inside<std::remove_const_t<std::tuple_element_t<kAt, T>>>(path + '.' + std::to_string(kAt)), ...);
      }
      (std::make_index_sequence<std::tuple_size_v<T>>());
    } else if constexpr (kHasFields<T>) {
      add_fields<T>(path);
    }
  }

 private:
  std::vector<Field>& fields_;
  std::vector<std::string_view> open_;
};

/// Makes objects of T and of what it holds, by their default constructors.
template <class T>
[[gnu::cold]] FieldSet field_set_of() {
  FieldSet set;
  if constexpr (requires {
                  { Codec<T>::fields() } -> std::convertible_to<FieldSet>;
                }) {
    set = Codec<T>::fields();
  } else if constexpr (WritesMembers<T> && kHasFields<T>) {
    bool is_map = false;
    FieldCollector(set.fields).template add_fields<T>({}, &is_map);
    set.form = is_map ? "map" : "array";
  } else if constexpr (WritesMembers<T> && shape_of<T>() != Shape::foreign && shape_of<T>() != Shape::described) {
    set.form = "value";
    set.fields.push_back({"", words_for_type<T>()});
    FieldCollector(set.fields).template add_inside<T>("");
  }
  return set;
}

template <class T>
[[gnu::cold]] TypeDescription describe_type() {
  TypeDescription description;
  description.name = type_name<T>();
  description.schema = schema_of<T>();
  description.set = field_set_of<T>();
  if constexpr (requires { T::cow_former_type_names; }) {
    for (std::string_view name : T::cow_former_type_names) description.former_type_names.push_back(name);
  }
  if constexpr (requires { T::cow_former_names; }) {
    for (const FormerName& name : T::cow_former_names) description.former_names.push_back(name);
  }
  if constexpr (requires { T::cow_dropped; }) {
    for (std::string_view name : T::cow_dropped) description.dropped.push_back(name);
  }
  description.has_upgrade = requires(const msgpack::object& old, std::uint32_t schema) { T::cow_upgrade(old, schema); };
  return description;
}

}  // namespace cow::detail
