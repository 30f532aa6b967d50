// What a client asks and what it gets, free of HTTP's machinery.
//
// Thread safety: plain values and functions.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cow::bench::publisher {

/// A request for an object: the path to it, and a new gloss if it is to be edited.
struct Query {
  std::vector<std::string> path;
  bool as_html = false;
  std::optional<std::string> new_gloss;
  std::chrono::milliseconds external_call{0};  ///< inside of the transaction
};

struct Answer {
  unsigned status = 200;
  std::string_view content_type = "application/json";
  std::string body;
  unsigned retry_after_s = 0;                     ///< 0: no such header
  std::optional<std::uint32_t> changed_synset{};  ///< to be told to subscribers

  /// `message` is escaped.
  static Answer error(unsigned status, std::string_view message, unsigned retry_after_s = 0);
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

inline void append_html(std::string& text, std::string_view value) {
  for (char c : value) {
    switch (c) {
      case '&':
        text += "&amp;";
        break;
      case '<':
        text += "&lt;";
        break;
      case '>':
        text += "&gt;";
        break;
      case '"':
        text += "&quot;";
        break;
      default:
        text += c;
    }
  }
}

inline Answer Answer::error(unsigned status, std::string_view message, unsigned retry_after_s) {
  Answer answer;
  answer.status = status;
  answer.body = "{\"error\":";
  append_json(answer.body, message);
  answer.body += "}\n";
  answer.retry_after_s = retry_after_s;
  return answer;
}

/// The steps of "/dog/hypernyms/0?...", percent-decoded; nothing if the target is no path or is not decodable.
inline std::optional<std::vector<std::string>> steps_of(std::string_view target) {
  if (!target.starts_with('/')) return std::nullopt;
  target = target.substr(1, target.find('?') == std::string_view::npos ? target.npos : target.find('?') - 1);
  std::vector<std::string> steps;
  std::string step;
  auto end_step = [&] {
    if (!step.empty()) steps.push_back(std::exchange(step, {}));
  };
  for (std::size_t i = 0; i < target.size(); ++i) {
    char c = target[i];
    if (c == '/') {
      end_step();
      continue;
    }
    if (c == '%') {
      unsigned char decoded = 0;
      if (i + 2 >= target.size()) return std::nullopt;
      auto [end, error] = std::from_chars(&target[i + 1], &target[i] + 3, decoded, 16);
      if (error != std::errc{} || end != &target[i] + 3) return std::nullopt;
      c = static_cast<char>(decoded);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
    step += c == ' ' ? '_' : c;
  }
  end_step();
  return steps;
}

}  // namespace cow::bench::publisher
