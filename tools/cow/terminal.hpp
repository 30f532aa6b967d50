// What is known of the terminal, and texts made fit for it: names in a store are bytes that somebody has written, and must not
// move the cursor, change colours or look like something else.
//
// Thread safety: pure functions, but for `columns_of`, which asks the system.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "tools/text/visible.hpp"

namespace cow::tool {

/// The width of the terminal that a descriptor is; nothing: it is none, and lines may have any length.
inline std::optional<std::size_t> columns_of(int descriptor) {
  if (::isatty(descriptor) == 0) return std::nullopt;
  winsize size = {};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

using text::code_point;
using text::utf8_length;

/// The text with \x1b, \u202e and the like in the place of each character that cannot be shown, or that acts on what stands around it, and
/// \xNN in the place of each byte that is no part of one.
inline std::string printable(std::string_view text) {
  return text::visible(text, [](char32_t point) {
    // The width of a mark that turns the direction of writing is known, and 0; that of a control is not.
    return text::is_control(point) || ::wcwidth(static_cast<wchar_t>(point)) < 0;
  });
}

/// How many columns a printable text takes.
inline std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_length(text), 1);
    width += static_cast<std::size_t>(std::max(::wcwidth(static_cast<wchar_t>(code_point(text, length))), 0));
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
