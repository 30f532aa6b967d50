// MessagePack as JSON: what is in a record, for people and for programs that do not know its type.
//
// Thread safety: all functions are stateless.
//
// Nothing is left out, and no two values that differ have the same text, floating point numbers of 32 and 64 bits apart. What
// JSON has no form for is an object with one key that begins with `$`:
//
//   reference (ext 79, eight bytes)      {"$ref": 42}
//   point in time (ext -1)               {"$time": "2026-11-28T01:02:03.5Z"}, of years from 0000 to 9999
//   any other ext                        {"$ext": [TYPE, "base64"]}
//   binary                               {"$bin": "base64"}
//   string that is no UTF-8              {"$str": "base64"}
//   not a number, infinity               {"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}
//   map with other keys than strings,    {"$map": [[key, value], ...]}
//   a key twice, or a key that begins
//   with `$` or is no UTF-8
//
// Integers have all their digits, up to 2^64 - 1; what reads them into doubles loses some above 2^53.
#pragma once

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <msgpack.hpp>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include "cow_cache/codec.hpp"

namespace cow::detail {

/// Whether bytes are UTF-8 as Unicode defines it: no surrogates, nothing above U+10FFFF, no longer form than needed.
inline bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto head = static_cast<unsigned char>(text[i++]);
    if (head < 0x80) continue;
    const std::size_t more = head >= 0xf0 ? 3 : head >= 0xe0 ? 2 : 1;
    if (head < 0xc2 || head > 0xf4 || text.size() - i < more) return false;
    std::uint32_t point = head & (0x3f >> more);
    for (std::size_t k = 0; k < more; ++k, ++i) {
      const auto next = static_cast<unsigned char>(text[i]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    const std::uint32_t least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
  }
  return true;
}

inline void append_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? kDigits[three >> (18 - 6 * k) & 0x3f] : '=';
  }
}

/// Writes one value after the other. The objects come from ScratchZone, so they nest no deeper than 1024 levels.
class JsonWriter {
 public:
  /// `indent`: spaces a level; 0: all on one line.
  JsonWriter(std::string& out, unsigned indent) noexcept : out_(out), indent_(indent) {}

  void write(const msgpack::object& value) {
    switch (value.type) {
      case msgpack::type::NIL:
        out_ += "null";
        break;
      case msgpack::type::BOOLEAN:
        out_ += value.via.boolean ? "true" : "false";
        break;
      case msgpack::type::POSITIVE_INTEGER:
        write_number(value.via.u64);
        break;
      case msgpack::type::NEGATIVE_INTEGER:
        write_number(value.via.i64);
        break;
      case msgpack::type::FLOAT32:
        write_float(static_cast<float>(value.via.f64));
        break;
      case msgpack::type::FLOAT64:
        write_float(value.via.f64);
        break;
      case msgpack::type::STR:
        write_string({value.via.str.ptr, value.via.str.size});
        break;
      case msgpack::type::BIN:
        write_base64("$bin", {value.via.bin.ptr, value.via.bin.size});
        break;
      case msgpack::type::EXT:
        write_extension(value.via.ext);
        break;
      case msgpack::type::ARRAY:
        write_list('[', ']', value.via.array.size, [&](std::uint32_t i) { write(value.via.array.ptr[i]); });
        break;
      case msgpack::type::MAP:
        write_map(value.via.map);
        break;
    }
  }

 private:
  template <class Element>
  void write_list(char open, char close, std::uint32_t count, Element&& element) {
    out_ += open;
    ++level_;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (i > 0) out_ += indent_ == 0 ? ", " : ",";
      new_line();
      element(i);
    }
    --level_;
    if (count > 0) new_line();
    out_ += close;
  }
  void new_line() {
    if (indent_ == 0) return;
    out_ += '\n';
    out_.append(level_ * indent_, ' ');
  }

  template <class Number>
  void write_number(Number number) {
    char digits[64];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    out_.append(digits, end);
  }
  template <class Number>
  void write_float(Number number) {
    if (std::isfinite(number)) {
      const std::size_t start = out_.size();
      write_number(number);
      // So that a whole one, which another program may have written in this form, differs from an integer.
      if (out_.find_first_of(".e", start) == std::string::npos) out_ += ".0";
    } else {
      out_ += std::isnan(number) ? R"({"$float": "nan"})"
              : number > 0       ? R"({"$float": "inf"})"
                                 : R"({"$float": "-inf"})";
    }
  }

  void write_string(std::string_view text) {
    if (is_utf8(text)) {
      write_quoted(text);
    } else {
      write_base64("$str", text);
    }
  }
  void write_quoted(std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out_ += '"';
    for (const char letter : text) {
      const auto byte = static_cast<unsigned char>(letter);
      if (letter == '"' || letter == '\\') {
        (out_ += '\\') += letter;
      } else if (letter == '\n') {
        out_ += "\\n";
      } else if (letter == '\t') {
        out_ += "\\t";
      } else if (byte < 0x20 || byte == 0x7f) {
        ((out_ += "\\u00") += kHex[byte >> 4]) += kHex[byte & 0xf];
      } else {
        out_ += letter;
      }
    }
    out_ += '"';
  }
  void write_base64(std::string_view key, std::string_view bytes) {
    ((out_ += "{\"") += key) += "\": \"";
    append_base64(out_, bytes);
    out_ += "\"}";
  }

  void write_extension(const msgpack::object_ext& ext) {
    const std::string_view bytes(ext.data(), ext.size);
    if (ext.type() == kReferenceExtension && bytes.size() == 8) {
      out_ += "{\"$ref\": ";
      write_number(big_endian(bytes));
      out_ += '}';
    } else if (ext.type() != -1 || !write_time(bytes)) {
      out_ += "{\"$ext\": [";
      write_number(static_cast<int>(ext.type()));
      out_ += ", \"";
      append_base64(out_, bytes);
      out_ += "\"]}";
    }
  }
  static std::uint64_t big_endian(std::string_view bytes) noexcept {
    std::uint64_t value = 0;
    for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }

  /// In the three forms of MessagePack's timestamps. False: it is none, or of no year with four digits; nothing is written.
  bool write_time(std::string_view bytes) {
    std::uint64_t nanoseconds = 0;
    std::int64_t seconds = 0;
    if (bytes.size() == 4) {
      seconds = static_cast<std::int64_t>(big_endian(bytes));
    } else if (bytes.size() == 8) {
      nanoseconds = big_endian(bytes) >> 34;
      seconds = static_cast<std::int64_t>(big_endian(bytes) & ((std::uint64_t{1} << 34) - 1));
    } else if (bytes.size() == 12) {
      nanoseconds = big_endian(bytes.substr(0, 4));
      seconds = static_cast<std::int64_t>(big_endian(bytes.substr(4)));
    } else {
      return false;
    }
    constexpr std::int64_t kYear0 = -62'167'219'200, kYear10000 = 253'402'300'800;
    if (seconds < kYear0 || seconds >= kYear10000 || nanoseconds > 999'999'999) return false;
    const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    out_ += "{\"$time\": \"";
    write_digits(static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
    write_digits(static_cast<unsigned>(date.month()), 2, '-');
    write_digits(static_cast<unsigned>(date.day()), 2, '-');
    write_digits(static_cast<std::uint64_t>(clock.hours().count()), 2, 'T');
    write_digits(static_cast<std::uint64_t>(clock.minutes().count()), 2, ':');
    write_digits(static_cast<std::uint64_t>(clock.seconds().count()), 2, ':');
    if (nanoseconds > 0) {
      write_digits(nanoseconds, 9, '.');
      while (out_.back() == '0') out_.pop_back();
    }
    out_ += "Z\"}";
    return true;
  }
  void write_digits(std::uint64_t number, std::size_t count, char before = '\0') {
    if (before != '\0') out_ += before;
    const std::string digits = std::to_string(number);
    out_.append(count > digits.size() ? count - digits.size() : 0, '0');
    out_ += digits;
  }

  static bool has_plain_keys(const msgpack::object_map& map) {
    std::set<std::string_view> keys;
    for (std::uint32_t i = 0; i < map.size; ++i) {
      const msgpack::object& key = map.ptr[i].key;
      if (key.type != msgpack::type::STR) return false;
      const std::string_view text(key.via.str.ptr, key.via.str.size);
      if (text.starts_with('$') || !is_utf8(text) || !keys.insert(text).second) return false;
    }
    return true;
  }
  void write_map(const msgpack::object_map& map) {
    if (has_plain_keys(map)) {
      write_list('{', '}', map.size, [&](std::uint32_t i) {
        write_quoted({map.ptr[i].key.via.str.ptr, map.ptr[i].key.via.str.size});
        out_ += ": ";
        write(map.ptr[i].val);
      });
    } else {
      out_ += "{\"$map\": ";
      write_list('[', ']', map.size, [&](std::uint32_t i) {
        write_list('[', ']', 2, [&](std::uint32_t k) { write(k == 0 ? map.ptr[i].key : map.ptr[i].val); });
      });
      out_ += '}';
    }
  }

  std::string& out_;
  const unsigned indent_;
  std::size_t level_ = 0;
};

}  // namespace cow::detail
