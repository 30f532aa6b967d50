// A set of oids that may hold most of those that were ever given out: a bit each, where they lie close together.
//
// Thread safety: one thread at a time changes it; while none does, any number may ask.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "cow_cache/types.hpp"

namespace cow::detail {

/// Stores give oids out in blocks of a thousand or so; each of these takes one page.
class OidBitmap {
 public:
  /// True: it was not there before. Throws std::bad_alloc, and is then unchanged.
  bool insert(Oid oid) {
    std::uint64_t& word = pages_[page_of(oid)][word_of(oid)];
    const bool is_new = (word & bit_of(oid)) == 0;
    word |= bit_of(oid);
    size_ += is_new;
    return is_new;
  }

  bool contains(Oid oid) const noexcept {
    const auto page = pages_.find(page_of(oid));
    return page != pages_.end() && (page->second[word_of(oid)] & bit_of(oid)) != 0;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  static constexpr unsigned kPageShift = 10;
  using Page = std::array<std::uint64_t, (1 << kPageShift) / 64>;

  static std::uint64_t page_of(Oid oid) noexcept { return oid.value >> kPageShift; }
  static std::size_t word_of(Oid oid) noexcept { return oid.value >> 6 & (std::tuple_size_v<Page> - 1); }
  static std::uint64_t bit_of(Oid oid) noexcept { return std::uint64_t{1} << oid.value % 64; }

  std::unordered_map<std::uint64_t, Page> pages_;
  std::size_t size_ = 0;
};

}  // namespace cow::detail
