// Tables for people. In a terminal a table is as wide as that at most: columns that may shrink are shortened, and where even that
// does not suffice each row becomes a block of lines; a column that is empty in all rows is left out. Elsewhere nothing is
// shortened and nothing left out.
//
// Thread safety: one thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace cow::tool {

struct Column {
  std::string title;
  enum class Kind { number, text, flexible } kind = Kind::text;  ///< flexible: may be shortened
};

/// Writes rows to standard output. The first rows decide how wide the columns are; later ones are written as they come.
class Table {
 public:
  /// `width`: of the terminal; nothing: any.
  Table(std::vector<Column> columns, std::optional<std::size_t> width);
  /// `cells`: printable texts, one for each column.
  void add(std::vector<std::string> cells);
  /// Writes what is still held back. A table without rows is nothing at all.
  void finish();

 private:
  static constexpr std::size_t kDecidingRows = 1000;
  static constexpr std::size_t kLeastFlexible = 8;

  void decide(bool complete);
  bool shown(std::size_t column) const { return widths_[column] > 0; }
  void write(const std::vector<std::string>& cells) const;
  void write_line(const std::vector<std::string>& cells) const;
  void write_block(const std::vector<std::string>& cells) const;

  const std::vector<Column> columns_;
  const std::optional<std::size_t> width_;
  std::vector<std::vector<std::string>> held_;
  std::vector<std::size_t> widths_;  // 0: left out
  bool decided_ = false;
  bool blocks_ = false;
};

}  // namespace cow::tool
