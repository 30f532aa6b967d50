// What a client asks and what it gets, free of HTTP's machinery.
//
// Thread safety: plain values and functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/web/html.hpp"

namespace cow::bench::publisher {

/// A request for an object: the path to it, and a new gloss if it is to be edited.
struct Query {
  std::vector<std::string> path;
  bool as_html = false;
  std::optional<std::string> new_gloss;
  std::chrono::milliseconds external_call{0};  ///< inside of the transaction
};

using web::append_html;
using web::kHtml;

struct Answer {
  unsigned status = 200;
  std::string_view content_type = "application/json";
  std::string body;
  unsigned retry_after_s = 0;                     ///< 0: no such header
  std::optional<std::uint32_t> changed_synset{};  ///< to be told to subscribers
  std::string problem{};                          ///< of an error: its message, of which `render_error` makes the body

  static Answer error(unsigned status, std::string_view message, unsigned retry_after_s = 0) {
    Answer answer;
    answer.status = status;
    answer.problem = message;
    answer.retry_after_s = retry_after_s;
    return answer;
  }
};

inline void append_json(std::string& text, std::string_view value) {
  text += '"';
  for (char c : value) {
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      text += "\\u00";
      text += kDigits[static_cast<unsigned char>(c) >> 4];
      text += kDigits[c & 15];
    } else {
      text += c;
    }
  }
  text += '"';
}

/// What this program's pages begin with. `title` is escaped.
inline void begin_html(std::string& text, std::string_view title) {
  web::begin_html(text, {.navigation = "<a href=\"/\">WordNet</a>"}, title);
}

/// Fills an error's body: a page for those who read, JSON for programs. Other answers stay as they are.
inline void render_error(Answer& answer, std::string_view reason, bool as_html) {
  if (answer.problem.empty()) return;
  std::string& text = answer.body;
  text.clear();
  if (as_html) {
    answer.content_type = kHtml;
    begin_html(text, std::to_string(answer.status) + " " + std::string(reason));
    text += "<p>";
    append_html(text, answer.problem);
    text += "</p>\n";
    if (answer.retry_after_s > 0)
      text += "<p>Trying again in " + std::to_string(answer.retry_after_s) + " s may help.</p>\n";
  } else {
    text += "{\"error\":";
    append_json(text, answer.problem);
    text += "}\n";
  }
}

}  // namespace cow::bench::publisher
