// Hints for oids: where the newest states of some objects probably are, for reads by an oid alone.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. A hint promises nothing, like that of a reference: states never move and their memory keeps its type, so what it points at is a
//     state, free or not, whose key says whose it is. The reader logs it before it looks (reader.hpp).
//  2. [hints-are-seldom-written] A hint that is right is not written. One of another object gives way now and then only, so an object
//     that is read often by its oid gets the place, and threads that read many seldom write each other's lines.
//
// A direct-mapped table: what is found here takes one line and a comparison beside what a read by reference takes, where the oid
// table takes a hash, a probe and a look at a header. Neighbouring oids have neighbouring places.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class OidHints {
 public:
  /// Throws std::bad_alloc. Memory is taken where hints are noted.
  OidHints()
      : cells_(static_cast<Cell*>(
            ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (cells_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~OidHints() { ::munmap(cells_, kBytes); }
  OidHints(const OidHints&) = delete;
  OidHints& operator=(const OidHints&) = delete;

  /// Null: none is known.
  [[gnu::always_inline]] StateHeader* find(Oid oid) const noexcept {
    std::uint64_t cell = cell_of(oid).load(std::memory_order_relaxed);  // relaxed: invariant 1
    if (cell >> kAddressBits != tag_of(oid)) return nullptr;
    return reinterpret_cast<StateHeader*>(cell & kAddressMask);
  }

  /// The newest state of an object has been found elsewhere.
  void note(Oid oid, const StateHeader& state) noexcept {
    Cell& cell = cell_of(oid);
    std::uint64_t fresh = tag_of(oid) << kAddressBits | reinterpret_cast<std::uintptr_t>(&state);
    std::uint64_t old = cell.load(std::memory_order_relaxed);
    if (old == fresh) return;
    bool is_of_another = old != 0 && old >> kAddressBits != tag_of(oid);
    if (is_of_another && ++meetings_ % kGivesWay != 0) return;  // invariant 2
    cell.store(fresh, std::memory_order_relaxed);
  }

  static constexpr std::size_t kBytes = (std::size_t{1} << 14) * sizeof(std::uint64_t);

 private:
  static constexpr std::uint32_t kGivesWay = 32;
  static inline constinit thread_local std::uint32_t meetings_ = 0;  // with hints of other objects

  using Cell = std::atomic<std::uint64_t>;
  static constexpr std::uint64_t kCells = kBytes / sizeof(Cell);

  // A cell is an address, and above it 15 bits of the oid, behind a bit that is never unset. What these bits do not tell, the key
  // does.
  static constexpr unsigned kAddressBits = 48;
  static constexpr std::uint64_t kAddressMask = (std::uint64_t{1} << kAddressBits) - 1;
  static std::uint64_t tag_of(Oid oid) noexcept { return (oid.value / kCells & 0x7FFF) | 0x8000; }
  Cell& cell_of(Oid oid) const noexcept { return cells_[oid.value % kCells]; }

  Cell* const cells_;
};

}  // namespace cow::detail
