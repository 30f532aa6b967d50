// Whether the fields of a program's type are those that a store has seen, and if not, whether the type says what became of them.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. A schema number has one field set in a store, for ever.
//  2. The set of a new number lacks no field of any lower number, and has none with another type, unless the type says so: by
//     `cow_former_names`, `cow_dropped`, or a `cow_upgrade`, which answers for all of them.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/field_set.hpp"
#include "describe.hpp"

namespace cow::detail {

/// Whether `name` is the field `of`, or stands inside of it.
inline bool is_within(std::string_view name, std::string_view of) noexcept {
  return name.starts_with(of) &&
         (name.size() == of.size() || name[of.size()] == '.' || name[of.size()] == '[' || name[of.size()] == '{');
}

inline const Field* find_field(const std::vector<Field>& fields, std::string_view name) noexcept {
  auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

/// Whether all values of one type are read as the same values of the other.
inline bool widens(std::string_view from, std::string_view to) {
  if (from == to || (from == "float32" && to == "float64")) return true;
  return to.ends_with('?') &&
         widens(from.ends_with('?') ? from.substr(0, from.size() - 1) : from, to.substr(0, to.size() - 1));
}

/// What has become of the fields of `before`; `former_names` and `dropped` of the type are heeded if `is_later`.
[[gnu::cold]] inline FieldChanges compare_fields(const FieldSet& before, const TypeDescription& now, bool is_later) {
  FieldChanges changes;
  if (before.form != now.set.form) changes.forms = {before.form, now.set.form};
  std::vector<std::string> names;  // of `before`, as they are called now
  for (const Field& field : before.fields) {
    std::string name = field.name;
    for (const FormerName& former : now.former_names) {
      if (is_later && is_within(name, former.from)) {
        name = std::string(former.to) + name.substr(former.from.size());
        break;
      }
    }
    const Field* found = find_field(now.set.fields, name);
    names.push_back(std::move(name));
    if (found != nullptr) {
      if (is_later ? !widens(field.type, found->type) : field.type != found->type)
        changes.retyped.push_back({found->name, field.type, found->type});
      continue;
    }
    const bool is_said = is_later && std::any_of(now.dropped.begin(), now.dropped.end(), [&](std::string_view dropped) {
                           return is_within(field.name, dropped);
                         });
    const bool is_inside = std::any_of(changes.removed.begin(), changes.removed.end(),
                                       [&](const std::string& removed) { return is_within(field.name, removed); });
    if (!is_said && !is_inside) changes.removed.push_back(field.name);
  }
  for (const Field& field : now.set.fields) {
    if (std::find(names.begin(), names.end(), field.name) != names.end()) continue;
    const bool is_inside = std::any_of(changes.added.begin(), changes.added.end(),
                                       [&](const std::string& added) { return is_within(field.name, added); });
    if (!is_inside) changes.added.push_back(field.name);
  }
  return changes;
}

/// Notes what a program says of a type. False: it is known. Throws FieldsChangedError, and has noted nothing then.
[[gnu::cold]] inline bool note_type(TypeDirectory& directory, const TypeDescription& now) {
  std::vector<TypeDirectory::Known>& known = directory.types[std::string(now.name)];
  auto same = std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.schema == now.schema; });
  if (same != known.end()) {
    if (same->set == now.set) return false;
    FieldChanges changes = compare_fields(same->set, now, false);
    throw FieldsChangedError(now.name, now.schema, now.schema, std::move(changes));
  }
  auto require_kept = [&](const std::vector<TypeDirectory::Known>& sets) {
    for (const TypeDirectory::Known& before : sets) {
      if (before.schema > now.schema || before.set.form == "codec" || now.set.form == "codec") continue;
      const bool is_later = before.schema < now.schema;
      FieldChanges changes = compare_fields(before.set, now, is_later);
      if (is_later) changes.added.clear();  // they take their defaults
      if (!changes.empty()) throw FieldsChangedError(now.name, before.schema, now.schema, std::move(changes));
    }
  };
  if (!now.has_upgrade) {
    require_kept(known);
    for (std::string_view former : now.former_type_names) {
      if (auto found = directory.types.find(std::string(former)); found != directory.types.end())
        require_kept(found->second);
    }
  }
  auto place = std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.schema > now.schema; });
  known.insert(place, {now.schema, now.set});
  return true;
}

}  // namespace cow::detail
