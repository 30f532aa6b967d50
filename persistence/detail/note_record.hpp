// How a note stands in a transaction's entry: its texts one after the other, each behind its length (4).
//
//   user | description | per property, ascending by name: name, value
//
// Thread safety: pure functions.
//
// Invariants:
//  1. There is one way to write a note, and nothing else is read: what was read is written as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cow_cache/store/note.hpp"
#include "encoding.hpp"

namespace cow::detail {

inline std::string encode_note(const TransactionNote& note) {
  std::string bytes;
  bytes.reserve(note.bytes());
  const auto add = [&](std::string_view text) {
    char length[4];
    store_int(length, static_cast<std::uint32_t>(text.size()));
    bytes.append(length, sizeof length).append(text);
  };
  add(note.user);
  add(note.description);
  for (const auto& [name, value] : note.properties) {
    add(name);
    add(value);
  }
  return bytes;
}

/// Nothing, if the bytes are not what `encode_note` makes of a note that says something.
inline std::optional<TransactionNote> decode_note(std::string_view bytes) {
  bool sound = true;
  const auto take = [&]() -> std::string_view {
    sound = sound && bytes.size() >= 4;
    if (!sound) return {};
    const auto length = fetch_int<std::uint32_t>(bytes.data());
    bytes.remove_prefix(4);
    sound = length <= bytes.size();
    if (!sound) return {};
    const std::string_view text = bytes.substr(0, length);
    bytes.remove_prefix(length);
    return text;
  };
  TransactionNote note;
  note.user = take();
  note.description = take();
  while (sound && !bytes.empty()) {
    std::string name(take());
    std::string value(take());
    if (!note.properties.empty() && std::prev(note.properties.end())->first >= name) return std::nullopt;
    note.properties.emplace_hint(note.properties.end(), std::move(name), std::move(value));
  }
  if (!sound || note.empty()) return std::nullopt;
  return note;
}

}  // namespace cow::detail
