// Goes through the keys of a column family of which a part may be unreadable.
//
// A cursor reads from sources: the database itself, or, where that cannot be opened or read as a whole, its files one by one.
// RocksDB ends an iteration at the first block that it cannot read. A cursor of the whole database then takes that apart, so
// that one damaged file hides nothing of the others. A cursor of files looks for the next number (the first eight
// bytes of each key: an oid or a tid) from which that source can be read again, by steps that double and then halve, says
// what lies in between, and goes on.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. What was passed over unread was reported before the cursor goes on.
//  2. Keys come in order, each once, however many sources have it: a revision and a transaction are written once and
//     never changed, so all sources that have one have the same.
#pragma once

#include <rocksdb/iterator.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cow::detail {

/// Numbers `first` to `last` of a source cannot be read.
struct UnreadableRange {
  std::string source;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::string why;
};

class TolerantCursor {
 public:
  struct Source {
    std::string name;  ///< empty: the database
    std::unique_ptr<rocksdb::Iterator> iterator;
  };
  using Report = std::function<void(const UnreadableRange&)>;
  using TakeApart = std::function<std::vector<Source>()>;

  /// `take_apart`: what to read instead of the sources once one of them fails; none: they are read on as far as possible.
  /// REQUIRES: the iterators seek in total order. `report` may throw, which the cursor does not survive.
  TolerantCursor(std::vector<Source> sources, Report report, TakeApart take_apart = {})
      : sources_(std::move(sources)), report_(std::move(report)), take_apart_(std::move(take_apart)) {}

  /// To the first key that is not below this one.
  void seek(std::string_view key);
  /// To the last key that is not above this one.
  void seek_back(std::string_view key);

  bool valid() const noexcept { return current_ != nullptr; }
  /// REQUIRES of the next three: valid.
  std::string_view key() const { return current_->iterator->key().ToStringView(); }
  std::string_view value() const { return current_->iterator->value().ToStringView(); }
  /// To the next key in the direction of the last seek.
  void next();

 private:
  void seek_all(std::string_view key);
  bool taken_apart();
  void recover(Source& source, std::uint64_t at);
  bool seek_number(Source& source, std::uint64_t number);
  void choose();

  std::vector<Source> sources_;
  Report report_;
  TakeApart take_apart_;
  bool backward_ = false;
  Source* current_ = nullptr;
  std::string passed_;  // the key that `next` leaves
};

}  // namespace cow::detail
