// What the operations of OO7 and STMBench7 do to single objects.
//
// Thread safety: plain functions; those that take a transaction are part of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "indexes.hpp"

namespace cow::bench::oo7 {

inline std::uint64_t count_of(char wanted, std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), wanted));
}

/// Replaces every "I am" by "This is", or the other way round if the text begins so. Returns how often.
inline std::uint64_t toggle_phrases(std::string& text) {
  std::string_view from = "I am", to = "This is";
  if (text.starts_with(to)) std::swap(from, to);
  std::uint64_t count = 0;
  std::string changed;
  changed.reserve(text.size() * to.size() / from.size() + to.size());
  std::size_t copied = 0;
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, copied)) {
    changed.append(text, copied, at - copied).append(to);
    copied = at + from.size();
    ++count;
  }
  text = changed.append(text, copied, text.npos);
  return count;
}

/// The paper's change of a build date: an odd one becomes one less, an even one one more. So twice is nothing.
inline std::int32_t toggled_date(std::int32_t date) { return date % 2 != 0 ? date - 1 : date + 1; }

template <class Transaction, class Reference>
void swap_position(Transaction& txn, const Reference& atomic_part) {
  auto& part = txn.write(atomic_part);
  std::swap(part.x, part.y);
}

/// Of an object whose build date is in no index.
template <class Transaction, class Reference>
void toggle_date(Transaction& txn, const Reference& object) {
  auto& changed = txn.write(object);
  changed.build_date = toggled_date(changed.build_date);
}

/// Of an atomic part, and in the index.
template <class Database, class Reference>
void toggle_indexed_date(typename Database::Transaction& txn, OpenIndexes<Database>& indexes,
                         const Reference& atomic_part) {
  auto& part = txn.write(atomic_part);
  indexes.atomic_by_date.erase({part.build_date, part.id});
  part.build_date = toggled_date(part.build_date);
  indexes.atomic_by_date.insert({part.build_date, part.id}, atomic_part);
}

}  // namespace cow::bench::oo7
