#include "table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "progress.hpp"
#include "terminal.hpp"

namespace cow::tool {
namespace {

constexpr std::size_t kGap = 2;

std::string padding(std::size_t wanted, std::size_t present) {
  return std::string(wanted > present ? wanted - present : 0, ' ');
}

}  // namespace

Table::Table(std::vector<Column> columns, std::optional<std::size_t> width)
    : columns_(std::move(columns)), width_(width) {}

void Table::add(std::vector<std::string> cells) {
  if (decided_) return write(cells);
  held_.push_back(std::move(cells));
  if (held_.size() == kDecidingRows) decide(false);
}

void Table::finish() {
  if (!decided_ && !held_.empty()) decide(true);
}

// `complete`: there will be no other rows than those that were held back.
void Table::decide(bool complete) {
  decided_ = true;
  for (const Column& column : columns_) widths_.push_back(width_of(column.title));
  std::vector<bool> empty(columns_.size(), true);
  for (const std::vector<std::string>& cells : held_) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], width_of(cells[i]));
      empty[i] = empty[i] && cells[i].empty();
    }
  }
  std::size_t total = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (width_ && complete && empty[i]) widths_[i] = 0;
    if (shown(i)) total += widths_[i] + (total > 0 ? kGap : 0);
  }
  while (width_ && total > *width_) {
    // The widest of those that may shrink gives way.
    std::size_t widest = columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].kind != Column::Kind::flexible || widths_[i] <= kLeastFlexible) continue;
      if (widest == columns_.size() || widths_[i] > widths_[widest]) widest = i;
    }
    if (widest == columns_.size()) break;
    --widths_[widest];
    --total;
  }
  blocks_ = width_ && total > *width_;
  if (!blocks_) {
    Progress::hide();
    std::vector<std::string> titles;
    for (const Column& column : columns_) titles.push_back(column.title);
    write_line(titles);
  }
  for (const std::vector<std::string>& cells : held_) write(cells);
  held_.clear();
}

void Table::write(const std::vector<std::string>& cells) const {
  Progress::hide();
  blocks_ ? write_block(cells) : write_line(cells);
}

void Table::write_line(const std::vector<std::string>& cells) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!shown(i)) continue;
    const std::string cell = width_ ? shortened(cells[i], widths_[i]) : cells[i];
    const std::string blank = padding(widths_[i], width_of(cell));
    if (i > 0 && !line.empty()) line.append(kGap, ' ');
    line += columns_[i].kind == Column::Kind::number ? blank + cell : cell + blank;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  fmt::print("{}\n", line);
}

void Table::write_block(const std::vector<std::string>& cells) const {
  std::size_t names = 0;
  for (const Column& column : columns_) names = std::max(names, width_of(column.title));
  const std::size_t room = *width_ > names + kGap ? *width_ - names - kGap : 1;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].empty()) continue;
    const std::string& title = columns_[i].title;
    fmt::print("{}{}{}\n", title, padding(names + kGap, width_of(title)), shortened(cells[i], room));
  }
  fmt::print("\n");
}

}  // namespace cow::tool
