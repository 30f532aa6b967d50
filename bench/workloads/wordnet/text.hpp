// The text layer of WordNet's files: lines, fields, and errors that say where they happened.
//
// Thread safety: plain values; one thread per file.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace cow::bench::wordnet {

/// A file of WordNet says something that it must not, or cannot be read. `line` is 0 if the whole file is meant.
class FormatError : public std::runtime_error {
 public:
  FormatError(const std::filesystem::path& file, std::size_t line, const std::string& why)
      : std::runtime_error(file.string() + ":" + std::to_string(line) + ": " + why), file(file), line(line) {}
  std::filesystem::path file;
  std::size_t line;
};

namespace detail {

/// One text file in memory, and where we are in it.
class TextFile {
 public:
  explicit TextFile(std::filesystem::path path) : path_(std::move(path)) {
    std::ifstream in(path_, std::ios::binary);
    if (!in) fail("cannot open the file");
    text_.assign(std::istreambuf_iterator<char>(in), {});
    if (in.bad()) fail("cannot read the file");
  }

  /// The next line that is not of the licence at the top (those begin with a space).
  std::optional<std::string_view> next_line() {
    while (position_ < text_.size()) {
      line_start_ = position_;
      std::size_t end = text_.find('\n', position_);
      if (end == std::string::npos) end = text_.size();
      position_ = end + 1;
      ++line_;
      std::string_view line(text_.data() + line_start_, end - line_start_);
      if (!line.starts_with(' ')) return line;
      if (line.find("WordNet 3.0 Copyright") != std::string_view::npos) is_version_3_0_ = true;
    }
    return std::nullopt;
  }

  const std::filesystem::path& path() const { return path_; }
  std::size_t line() const { return line_; }
  /// Where in the file the last line begins.
  std::size_t line_start() const { return line_start_; }
  bool is_version_3_0() const { return is_version_3_0_; }
  [[noreturn]] void fail(const std::string& why) const { throw FormatError(path_, line_, why); }

 private:
  std::filesystem::path path_;
  std::string text_;
  std::size_t position_ = 0;
  std::size_t line_start_ = 0;
  std::size_t line_ = 0;
  bool is_version_3_0_ = false;
};

/// Takes a line apart, field by field.
class Fields {
 public:
  Fields(const TextFile& file, std::string_view line) : file_(file), rest_(line) {}

  std::string_view word(const char* what) {
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    if (end == 0) file_.fail(std::string("missing ") + what);
    std::string_view field = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return field;
  }

  std::uint32_t number(const char* what, int base = 10) { return number_in(word(what), what, base); }

  std::uint32_t number_in(std::string_view field, const char* what, int base) const {
    std::uint32_t value = 0;
    auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value, base);
    if (error != std::errc{} || end != field.data() + field.size()) {
      file_.fail(std::string(what) + " '" + std::string(field) + "' is not a number");
    }
    return value;
  }

  std::string_view rest() const { return rest_; }

 private:
  const TextFile& file_;
  std::string_view rest_;
};

inline std::string_view without_trailing_spaces(std::string_view text) {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

/// 'Dog' and 'dog' are the same to an index.
inline bool same_lemma(std::string_view lower_case, std::string_view word) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(lower_case.begin(), lower_case.end(), word.begin(), word.end(),
                    [&](char a, char b) { return a == lower(b); });
}

}  // namespace detail

}  // namespace cow::bench::wordnet
