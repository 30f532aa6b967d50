#include "tolerant_cursor.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "encoding.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number_of(std::string_view key) {
  std::string bytes(key.substr(0, sizeof(std::uint64_t)));
  bytes.resize(sizeof(std::uint64_t), '\0');
  return __builtin_bswap64(fetch_int<std::uint64_t>(bytes.data()));
}

bool is_readable(const TolerantCursor::Source& source) {
  return source.iterator->Valid() || source.iterator->status().ok();
}

}  // namespace

void TolerantCursor::seek(std::string_view key) {
  backward_ = false;
  seek_all(key);
}

void TolerantCursor::seek_back(std::string_view key) {
  backward_ = true;
  seek_all(key);
}

void TolerantCursor::seek_all(std::string_view key) {
  for (Source& source : sources_) {
    if (backward_) {
      source.iterator->SeekForPrev(to_slice(key));
    } else {
      source.iterator->Seek(to_slice(key));
    }
    if (is_readable(source)) continue;
    if (taken_apart()) return seek_all(key);
    recover(source, number_of(key));
  }
  choose();
}

void TolerantCursor::next() {
  passed_.assign(key());
  for (Source& source : sources_) {
    if (!source.iterator->Valid() || source.iterator->key().ToStringView() != passed_) continue;
    if (backward_) {
      source.iterator->Prev();
    } else {
      source.iterator->Next();
    }
    if (is_readable(source)) continue;
    if (taken_apart()) {
      const std::string passed = passed_;
      seek_all(passed);
      if (valid() && this->key() == passed) next();
      return;
    }
    recover(source, number_of(passed_));
  }
  choose();
}

bool TolerantCursor::taken_apart() {
  if (!take_apart_) return false;
  sources_ = std::exchange(take_apart_, {})();
  return true;
}

// Puts a source on the first key of this number, or of one beyond it. False: that cannot be read.
bool TolerantCursor::seek_number(Source& source, std::uint64_t number) {
  // The key of a transaction is the number alone; revisions are never read backwards.
  const TransactionKey key(Tid{number});
  if (backward_) {
    source.iterator->SeekForPrev(to_slice(key.bytes()));
  } else {
    source.iterator->Seek(to_slice(key.bytes()));
  }
  return is_readable(source);
}

// REQUIRES: what follows number `at` in this source, or some of it, could not be read.
void TolerantCursor::recover(Source& source, std::uint64_t at) {
  UnreadableRange range{source.name, at, at, source.iterator->status().ToString()};
  const std::uint64_t room = backward_ ? at : kLast - at;
  const auto ahead = [&](std::uint64_t steps) { return backward_ ? at - steps : at + steps; };
  std::uint64_t bad = 0, good = 1;
  while (bad < room && !seek_number(source, ahead(good = std::min(good, room)))) {
    bad = good;
    good = good > room / 2 ? room : good * 2;
  }
  if (bad == room) {
    (backward_ ? range.first : range.last) = ahead(room);
    report_(range);
    return;
  }
  while (good - bad > 1) {
    const std::uint64_t middle = bad + (good - bad) / 2;
    (seek_number(source, ahead(middle)) ? good : bad) = middle;
  }
  (backward_ ? range.first : range.last) = ahead(bad);
  report_(range);
  seek_number(source, ahead(good));
}

void TolerantCursor::choose() {
  current_ = nullptr;
  for (Source& source : sources_) {
    if (!source.iterator->Valid()) continue;
    if (current_ == nullptr) {
      current_ = &source;
      continue;
    }
    const int order = source.iterator->key().compare(current_->iterator->key());
    if (backward_ ? order > 0 : order < 0) current_ = &source;
  }
}

}  // namespace cow::detail
