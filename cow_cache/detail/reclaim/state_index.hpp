// Which state of an object a transaction has logged, by oid.
//
// Thread safety: one thread at a time, like the log that it belongs to.
//
// Invariants:
//  1. It holds handles of states in that log only. So their slots are not used again meanwhile, and the oid in their keys
//     stays, in dead ones too: the handle alone is enough, and four bytes a cell.
//  2. Of several states of one object it holds the one that was added first.
//
// Open addressing with linear probing; nothing is ever removed.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class StateIndex {
 public:
  /// With room for so many states. Throws std::bad_alloc.
  explicit StateIndex(std::size_t states) : cells_(std::bit_ceil(2 * states + kMinCells)) {}

  /// The logged state of an object, or null.
  StateHeader* find(Oid oid) const noexcept {
    for (std::size_t i = home_of(oid);; i = next(i)) {
      if (cells_[i] == 0) return nullptr;
      StateHeader* state = StateMemory::instance().state_of(cells_[i]);
      if (state->oid() == oid) return state;
    }
  }

  /// Throws std::bad_alloc, and is then unchanged. REQUIRES: the log has the state. One without an oid, which nobody can ask
  /// for, is left out: the private state of an object that was erased.
  void add(StateHandle handle) {
    Oid oid = StateMemory::instance().state_of(handle)->oid();
    if (!oid || find(oid) != nullptr) return;
    if (2 * (count_ + 1) > cells_.size()) grow();
    insert(cells_, handle, oid);
    ++count_;
  }

  std::size_t bytes() const noexcept { return sizeof(StateIndex) + cells_.size() * sizeof(StateHandle); }

 private:
  using Cells = std::vector<StateHandle>;  // a power of two; 0: free

  static constexpr std::size_t kMinCells = 64;

  std::size_t home_of(Oid oid) const noexcept { return home_of(cells_, oid); }
  std::size_t next(std::size_t i) const noexcept { return (i + 1) & (cells_.size() - 1); }
  /// A multiplicative hash (Knuth, TAOCP 3, 6.4).
  static std::size_t home_of(const Cells& cells, Oid oid) noexcept {
    return oid.value * std::uint64_t{0x9E3779B97F4A7C15} >> 32 & (cells.size() - 1);
  }

  static void insert(Cells& cells, StateHandle handle, Oid oid) noexcept {
    std::size_t i = home_of(cells, oid);
    while (cells[i] != 0) i = (i + 1) & (cells.size() - 1);
    cells[i] = handle;
  }

  void grow() {
    Cells larger(2 * cells_.size());
    for (StateHandle handle : cells_) {
      if (handle != 0) insert(larger, handle, StateMemory::instance().state_of(handle)->oid());
    }
    cells_.swap(larger);
  }

  Cells cells_;
  std::size_t count_ = 0;
};

}  // namespace cow::detail
