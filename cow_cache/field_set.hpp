// Which fields the records of a type have: what a store remembers of it, so that a program whose type has changed loses
// nothing unnoticed.
//
// The first commit that writes objects of a type, under a schema number that the store has not seen, writes the type's field
// set beside them. A later program whose type has other fields under that number is refused by its first commit of the type
// (FieldsChangedError), before anything is written. What a type says of its past:
//
//   struct User {
//     static constexpr std::string_view cow_type_name = "cms.User";
//     static constexpr std::uint32_t cow_schema = 2;                                  // raised with each change of fields
//     static constexpr std::string_view cow_former_type_names[] = {"cms.Author"};     // what the class was called
//     static constexpr cow::FormerName cow_former_names[] = {{"name", "full_name"}};  // from, to
//     static constexpr std::string_view cow_dropped[] = {"fax"};                      // gone on purpose
//     std::string full_name;
//     std::int32_t born = 0;  // new: older records have no such field, and it takes its default
//     COW_CACHE_DEFINE_MAP(full_name, born)
//   };
//
// What these cannot say is done by `cow_upgrade` (codec.hpp), which then answers for all fields. docs/guide/evolution.md tells more.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "members.hpp"

namespace cow {

/// A field that has another name since.
struct FormerName {
  std::string_view from, to;
};

/// A field of a type, or of what it holds: "lines[].count" is the member `count` of each element of `lines`.
struct Field {
  std::string name;
  std::string
      type;  ///< "int", "str", "list<ref>", "map<str, float64>", "str?", "struct" ...: detail/record/describe.hpp
  COW_CACHE_DEFINE_ARRAY(name, type)

  friend bool operator==(const Field&, const Field&) = default;
};

/// The fields of a type. A Codec of one's own may give its set, by `static cow::FieldSet fields()`.
struct FieldSet {
  /// "map": fields with names. "array": fields are known by their places, so an exchange of two of one type is not noticed.
  /// "value": it has none, it is a container, say. "codec": a Codec or an adaptor of one's own, exempt from all checks.
  std::string form = "codec";
  std::vector<Field> fields;
  COW_CACHE_DEFINE_MAP(form, fields)

  friend bool operator==(const FieldSet&, const FieldSet&) = default;
};

/// What a store remembers of its types: an ordinary object, which the root names `kTypesName`. The library writes it.
struct TypeDirectory {
  static constexpr std::string_view cow_type_name = "cow.Types";
  static constexpr bool cow_is_of_the_library = true;

  struct Known {
    std::uint32_t schema = 0;
    FieldSet set;
    COW_CACHE_DEFINE_MAP(schema, set)
  };
  std::map<std::string, std::vector<Known>> types;  ///< by their names in records; ascending schemas
  COW_CACHE_DEFINE_MAP(types)
};

/// A name of the root that programs may read, and not set or erase.
inline constexpr std::string_view kTypesName = "cow.types";

}  // namespace cow
