// What the pages of `cow serve` are written with: tables, links, the words of others, whole values.
//
// Thread safety: an object belongs to one thread.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cow_cache/types.hpp"
#include "terminal.hpp"
#include "tools/web/html.hpp"

namespace cow::tool {

inline constexpr std::size_t kMostElements = 1000;  // of a value's lists together, and rows of a page
inline constexpr std::size_t kMostText = 4000;      // bytes of one string
inline constexpr std::size_t kMostName = 60;        // columns of one in a table; on the page of its object it is whole

inline constexpr web::Site kSite{
    .navigation = "<a href=\"/\">root</a> <a href=\"/log\">log</a> <a href=\"/types\">types</a>",
    // A telephone has 390 pixels or so: whatever is long breaks anywhere, so that what stands behind it in a row is seen, and what is nested
    // deeply can be moved sideways by itself.
    .style =
        "body{overflow-wrap:anywhere}nav a,p a{margin-right:.8rem}"
        "dl{margin:0 0 0 1rem}dt{font-weight:600}dd{margin:0 0 .3rem 1rem}ol{margin:0;padding-left:2.5rem}"
        ".value,table{overflow-x:auto}.value dd,.value li{min-width:8rem}"
        "table{border-collapse:collapse;display:block}"
        "td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;min-width:2.5rem}"
        "td.n,th{overflow-wrap:normal}td.n,th.n{text-align:right}td.n{white-space:nowrap}.time span{white-space:nowrap}"
        "td a{display:inline-block;min-width:1.2rem}"
        ".notice{background:#fff3cd;color:#333;padding:.5rem}.dim{color:#5f6670}"
        "@media(max-width:30rem){dl,dd{margin-left:.5rem}ol{padding-left:1.6rem}td,th{padding-right:.5rem}}"
        "@media(prefers-color-scheme:dark){body{background:#16181d;color:#e6e6e6}a{color:#7cb8ff}}"};

class PageWriter {
 public:
  PageWriter(std::string_view title, std::string_view notice) {
    web::begin_html(text_, kSite, title);
    if (notice.empty()) return;
    raw("<p class=\"notice\">");
    say(notice);
    raw("</p>\n");
  }

  void raw(std::string_view html) { text_ += html; }
  /// Words of this program's own.
  void say(std::string_view words) { web::append_html(text_, words); }
  /// Words of others, as much of them as a page holds.
  void say_whole(std::string_view words) {
    const std::string_view held = text::beginning(words, kMostText);
    web::append_isolated(text_, held);
    if (held.size() < words.size()) raw(fmt::format("… <span class=\"dim\">({} bytes)</span>", words.size()));
  }
  /// The same in a line, where a long one gives room to others.
  void say_name(std::string_view words) {
    const std::string_view held = text::beginning(words, 4 * kMostName);
    std::string line = shortened(printable(held), kMostName);
    if (held.size() < words.size() && !line.ends_with("…")) line += "…";
    web::append_isolated(text_, line);
  }
  void cell(std::string_view words) {
    raw("<td>");
    say(words);
    raw("</td>");
  }
  void cell(std::uint64_t number) { raw(fmt::format("<td class=\"n\">{}</td>", number)); }
  /// Of day and clock, which stand below each other where there is little room.
  void time_cell(const std::string& time) {
    const std::size_t blank = std::min(time.find(' '), time.size());
    raw(fmt::format("<td class=\"time\"><span>{}</span> <span>{}</span></td>", time.substr(0, blank),
                    time.substr(std::min(blank + 1, time.size()))));
  }
  void name_cell(std::string_view words) {
    raw("<td>");
    say_name(words);
    raw("</td>");
  }

  void link(Oid oid, std::optional<Tid> at, std::string_view words) {
    raw(fmt::format("<a href=\"/object/{}{}\">", oid.value, at ? fmt::format("?at={}", at->value) : ""));
    say(words);
    raw("</a>");
  }
  void link_cell(Oid oid, std::optional<Tid> at, std::string_view words) {
    raw("<td>");
    link(oid, at, words);
    raw("</td>");
  }

  void say_rest(std::size_t rest) {
    if (rest > 0) raw(fmt::format("<p class=\"dim\">and {} more</p>\n", rest));
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// A value, with its references as links.
class ValueWriter {
 public:
  ValueWriter(PageWriter& out, std::optional<Tid> at) : out_(out), at_(at) {}

  void write(const nlohmann::ordered_json& value) {
    if (value.is_object() && value.size() == 1 && value.contains("$ref") && value["$ref"].is_number_unsigned()) {
      const Oid oid{value["$ref"].get<std::uint64_t>()};
      out_.link(oid, at_, fmt::format("oid {}", oid.value));
    } else if (value.is_object()) {
      write_members(value);
    } else if (value.is_array()) {
      write_elements(value);
    } else if (value.is_string()) {
      out_.say_whole(value.get_ref<const std::string&>());
    } else {
      out_.say(value.dump());  // a number, true, false or null
    }
  }

 private:
  void write_members(const nlohmann::ordered_json& value) {
    if (value.empty()) return out_.say("{}");
    std::size_t count = 0;
    out_.raw("<dl>");
    for (const auto& [key, member] : value.items()) {
      if (left_ == 0) break;
      --left_, ++count;
      out_.raw("<dt>");
      out_.say_whole(key);
      out_.raw("</dt><dd>");
      write(member);
      out_.raw("</dd>");
    }
    out_.raw("</dl>\n");
    out_.say_rest(value.size() - count);
  }

  void write_elements(const nlohmann::ordered_json& value) {
    if (value.empty()) return out_.say("[]");
    std::size_t count = 0;
    out_.raw("<ol start=\"0\">");
    for (const nlohmann::ordered_json& element : value) {
      if (left_ == 0) break;
      --left_, ++count;
      out_.raw("<li>");
      write(element);
      out_.raw("</li>");
    }
    out_.raw("</ol>\n");
    out_.say_rest(value.size() - count);
  }

  PageWriter& out_;
  std::size_t left_ = kMostElements;  // of all lists in it together
  const std::optional<Tid> at_;
};

}  // namespace cow::tool
