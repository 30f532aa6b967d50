// HistoryRange: what was committed, as a range that is read from the store page by page while it is gone through.
//
//   for (const cow::TransactionInfo& commit : db.transactions(from, to)) show(commit.tid, commit.note.description);
//
// Thread safety: a range and its iterators belong to one thread at a time. Commits go on meanwhile, and packs.
//
// Invariants:
//  1. It holds one page at a time, of the store nothing: leaving a loop early, or pausing in it for an hour, costs nothing.
//  2. Each `begin()` reads from the start again; what was committed after the call that made the range is not in it.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

#include "store/history.hpp"
#include "types.hpp"

namespace cow {

/// An object, and a transaction that has written, created or erased it.
struct Change {
  Tid tid;
  Oid oid;

  friend bool operator==(const Change&, const Change&) = default;
};

/// An input range. It must not outlive its database.
template <class Item>
class HistoryRange {
 public:
  /// What comes behind an entry, or at the start (null), in pages; an empty one is the end.
  using NextPage = std::function<std::vector<Item>(const Item* last)>;

  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    explicit Iterator(const NextPage& next) : next_(&next), page_(next(nullptr)) {}

    const Item& operator*() const noexcept { return page_[at_]; }
    const Item* operator->() const noexcept { return &page_[at_]; }

    /// Throws what the store throws; the iterator is at its end then.
    Iterator& operator++() {
      if (++at_ < page_.size()) return *this;
      std::vector<Item> passed = std::exchange(page_, {});
      at_ = 0;
      page_ = (*next_)(&passed.back());
      return *this;
    }
    void operator++(int) { ++*this; }

    bool operator==(std::default_sentinel_t) const noexcept { return at_ >= page_.size(); }

   private:
    const NextPage* next_ = nullptr;
    std::vector<Item> page_;
    std::size_t at_ = 0;
  };

  explicit HistoryRange(NextPage next) : next_(std::move(next)) {}

  /// Reads the first page. Throws what the store throws.
  Iterator begin() const { return Iterator(next_); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  NextPage next_;
};

}  // namespace cow
