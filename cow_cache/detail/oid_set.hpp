// A set of oids that is filled once and then asked.
//
// Thread safety: one thread at a time changes it; while none does, any number may ask.
#pragma once

#include <bit>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "cow_cache/types.hpp"

namespace cow::detail {

/// Open addressing in a power of two of cells, at most half of them in use; Oid{0} is an empty cell.
class OidSet {
 public:
  /// Makes room for so many oids altogether. Throws std::bad_alloc, and is then unchanged.
  void reserve(std::size_t oids) {
    std::size_t needed = std::bit_ceil(oids * 2 + kMinCells);
    if (needed <= cells_.size()) return;
    OidSet larger;
    larger.cells_.resize(needed);
    for_each([&](Oid oid) { larger.put(oid); });
    *this = std::move(larger);
  }

  /// REQUIRES: not Oid{0}. Throws std::bad_alloc, and is then unchanged.
  void insert(Oid oid) {
    if ((size_ + 1) * 2 > cells_.size()) reserve(size_ * 2 + 1);
    put(oid);
  }

  bool contains(Oid oid) const noexcept {
    if (size_ == 0) return false;
    for (std::size_t cell = home_of(oid); cells_[cell]; cell = (cell + 1) & (cells_.size() - 1)) {
      if (cells_[cell] == oid) return true;
    }
    return false;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  template <class Visitor>
  void for_each(Visitor&& visit) const {
    for (Oid oid : cells_) {
      if (oid) visit(oid);
    }
  }

 private:
  static constexpr std::size_t kMinCells = 8;

  /// The high bits of the product, for the low ones are those of a progression of oids.
  std::size_t home_of(Oid oid) const noexcept { return std::hash<Oid>{}(oid) >> 24 & (cells_.size() - 1); }

  void put(Oid oid) noexcept {
    std::size_t cell = home_of(oid);
    for (; cells_[cell]; cell = (cell + 1) & (cells_.size() - 1)) {
      if (cells_[cell] == oid) return;
    }
    cells_[cell] = oid;
    ++size_;
  }

  std::vector<Oid> cells_;
  std::size_t size_ = 0;
};

}  // namespace cow::detail
