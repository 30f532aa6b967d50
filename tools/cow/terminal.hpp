// What is known of the terminal, and texts made fit for it: names in a store are bytes that somebody has written, and must not
// move the cursor, change colours or look like something else.
//
// Thread safety: pure functions, but for `columns_of`, which asks the system.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "cow_cache/detail/record/json.hpp"

namespace cow::tool {

/// The width of the terminal that a descriptor is; nothing: it is none, and lines may have any length.
inline std::optional<std::size_t> columns_of(int descriptor) {
  if (::isatty(descriptor) == 0) return std::nullopt;
  winsize size = {};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/// The length of the character that a text begins with; 0: that is no UTF-8. REQUIRES: a text that is not empty.
inline std::size_t utf8_length(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return text.size() >= length && detail::is_utf8(text.substr(0, length)) ? length : 0;
}

/// The code point that a text begins with. REQUIRES: `length` is its utf8_length.
inline wchar_t code_point(std::string_view text, std::size_t length) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (length == 1) return static_cast<wchar_t>(byte(0));
  unsigned value = byte(0) & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) value = value << 6 | (byte(i) & 0x3fU);
  return static_cast<wchar_t>(value);
}

/// The text with \xNN in the place of each byte that is no part of a character that can be shown.
inline std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    // Of unknown width: a control character, or one that turns the direction of writing.
    const bool shown = length > 0 && ::wcwidth(code_point(text, length)) >= 0;
    const std::size_t count = length == 0 ? 1 : length;
    if (shown) out += text.substr(0, count);
    for (std::size_t i = 0; !shown && i < count; ++i) {
      std::array<char, 8> escape;
      std::snprintf(escape.data(), escape.size(), "\\x%02x",
                    static_cast<unsigned>(static_cast<unsigned char>(text[i])));
      out += escape.data();
    }
    text.remove_prefix(count);
  }
  return out;
}

/// How many columns a printable text takes.
inline std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    width += static_cast<std::size_t>(std::max(::wcwidth(code_point(text, length)), 0));
    text.remove_prefix(length);
  }
  return width;
}

/// The text if it fits, or its beginning and a mark that something is missing.
inline std::string shortened(std::string_view text, std::size_t width) {
  if (width_of(text) <= width) return std::string(text);
  std::size_t bytes = 0, columns = 0;
  while (true) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text.substr(bytes)), 1);
    columns += width_of(text.substr(bytes, length));
    if (columns + 1 > width) break;
    bytes += length;
  }
  return std::string(text.substr(0, bytes)) + (width > 0 ? "…" : "");
}

/// The words of a text in lines that fit. `at`: the column where it begins; `indent`: the one where its other lines do.
inline std::string wrapped(const std::string& text, std::size_t at, std::size_t indent, std::size_t width) {
  if (width_of(text) <= width - std::min(at, width)) return text;
  std::istringstream words(text);
  std::string out, word;
  while (words >> word) {
    const std::size_t columns = width_of(word);
    if (!out.empty() && at + 1 + columns > width) {
      out += "\n" + std::string(indent, ' ');
      at = indent;
    } else if (!out.empty()) {
      out += ' ';
      ++at;
    }
    out += word;
    at += columns;
  }
  return out;
}

}  // namespace cow::tool
