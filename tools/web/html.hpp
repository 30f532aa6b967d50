// What programs that answer in HTML share: escaping, and how a page begins.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tools/text/visible.hpp"

namespace cow::web {

inline constexpr std::string_view kHtml = "text/html; charset=utf-8";

/// A text in the place of HTML: markup in it is shown, and so is what would act on the text around it (is_control), but for tabs and the ends of lines.
inline void append_html(std::string& html, std::string_view words) {
  for (std::size_t i = 0; i < words.size();) {
    const char c = words[i];
    if (static_cast<unsigned char>(c) >= 0x80) {
      const std::size_t length = text::utf8_length(words.substr(i));
      const char32_t point = length > 0 ? text::code_point(words.substr(i), length) : 0;
      if (length == 0) {
        text::append_byte(html, c);
      } else if (text::is_control(point)) {
        text::append_escape(html, point);
      } else {
        html += words.substr(i, length);
      }
      i += length > 0 ? length : 1;
      continue;
    }
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\t':
      case '\n':
        html += c;
        break;
      default:
        if (text::is_control(static_cast<unsigned char>(c))) {
          text::append_byte(html, c);
        } else {
          html += c;
        }
    }
    ++i;
  }
}

/// The same of words that may be written from right to left: they turn nothing around them.
inline void append_isolated(std::string& html, std::string_view words) {
  html += "<bdi>";
  append_html(html, words);
  html += "</bdi>";
}

/// What the pages of one program have in common. HTML and CSS, as they are.
struct Site {
  std::string_view navigation;  ///< "<a href=\"/\">WordNet</a>"
  std::string_view style = {};  ///< rules beside those that all have
};

/// What all pages begin with: readable on a telephone, too. `title` is escaped.
inline void begin_html(std::string& html, const Site& site, std::string_view title) {
  html +=
      "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>";
  append_html(html, title);
  html +=
      "</title>\n<style>body{font:1rem/1.5 sans-serif;max-width:45rem;margin:1rem auto;padding:0 1rem}"
      "h1{overflow-wrap:anywhere}li{margin:.4rem 0}";
  html += site.style;
  html += "</style>\n<p>";
  html += site.navigation;
  html += "</p>\n<h1>";
  append_isolated(html, title);
  html += "</h1>\n";
}

}  // namespace cow::web
