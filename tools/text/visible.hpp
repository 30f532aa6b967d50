// Texts that somebody else has written, made fit to be shown: a name in a store must not move the cursor, nor turn the direction of
// the words that stand beside it, and look like another one.
//
// Thread safety: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#include "cow_cache/detail/record/json.hpp"

namespace cow::text {

/// The length of the character that a text begins with; 0: that is no UTF-8. REQUIRES: a text that is not empty.
inline std::size_t utf8_length(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return text.size() >= length && cow::detail::is_utf8(text.substr(0, length)) ? length : 0;
}

/// The code point that a text begins with. REQUIRES: `length` is its utf8_length.
inline char32_t code_point(std::string_view text, std::size_t length) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (length == 1) return byte(0);
  char32_t value = byte(0) & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) value = value << 6 | (byte(i) & 0x3fU);
  return value;
}

/// Whether a character is not seen itself, but acts on what stands around it: the controls C0 and C1, the separators of lines and
/// paragraphs, and those that turn the direction of writing (Unicode's "bidirectional controls").
constexpr bool is_control(char32_t point) noexcept {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c || point == 0x200e || point == 0x200f ||
         (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/// A byte in digits: \x1b.
inline void append_byte(std::string& out, char byte) {
  std::array<char, 8> escape;
  std::snprintf(escape.data(), escape.size(), "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  out += escape.data();
}

/// A code point in digits: \x1b, \u202e, \U000e0001.
inline void append_escape(std::string& out, char32_t point) {
  if (point < 0x80) return append_byte(out, static_cast<char>(point));
  std::array<char, 16> escape;
  std::snprintf(escape.data(), escape.size(), point < 0x10000 ? "\\u%04x" : "\\U%08x", static_cast<unsigned>(point));
  out += escape.data();
}

/// The text with digits in the place of each character that `is_hidden` says, and \xNN in the place of each byte that is no part of one.
template <class IsHidden>
std::string visible(std::string_view text, const IsHidden& is_hidden) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      append_byte(out, text[0]);
      text.remove_prefix(1);
      continue;
    }
    const char32_t point = code_point(text, length);
    if (is_hidden(point)) {
      append_escape(out, point);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

/// At most that many bytes of a text, and no half of a character at the end.
inline std::string_view beginning(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

}  // namespace cow::text
