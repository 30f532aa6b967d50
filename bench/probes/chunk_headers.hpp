// Headers of chunks: what a transaction would look at once for all states that lie in a piece of the state memory, as a page of
// vmcache has one version for all that is in it (Leis et al., SIGMOD 2023).
//
// A chunk is an aligned piece of 2^kShift bytes of the real state memory, which is filled in the order in which objects are loaded
// or created; so what was made together lies together, a size class each. The headers stand beside the memory here. In a cache they
// would begin the chunks: nothing in a hit looks at them, and a first read of a chunk takes one line in either case.
//
// Thread safety: `ChunkHeader`: as each function says. `ChunkHeaders` is filled by one thread, and then read by any.
//
// Invariants:
//  1. [sealed] A chunk that is whole gets no further states: states in it only die. A free slot of it is used again only once no
//     transaction has the chunk in its log, and none can log it any more. So a transaction that has logged a whole chunk need not
//     look at the interval of any state in it.
//  2. A chunk is whole at a snapshot if all of its live states are visible there.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "cow_cache/types.hpp"
#include "residents.hpp"

namespace cow::bench {

/// [begin, end) of all live states in a chunk, together.
class ChunkHeader {
 public:
  /// When a state is put there. REQUIRES: nobody else knows the chunk.
  void admit(Tid begin) noexcept {
    if (begin.value > begin_.load(std::memory_order_relaxed)) begin_.store(begin.value, std::memory_order_relaxed);
  }
  /// Open: states may come. REQUIRES: as above.
  void open() noexcept { begin_.store(kInfinity.value, std::memory_order_relaxed); }

  /// When a state there is superseded; before the frontier reaches that tid. Any thread may. What is superseded first ends first, as
  /// tids grow; so only the first one of those that live counts.
  void supersede(Tid end) noexcept {
    // Release: who sees the end sees what came before, as with the end of a state.
    for (std::uint64_t old = superseded_.load(std::memory_order_relaxed);
         !superseded_.compare_exchange_weak(old, packed(std::min(end.value, end_in(old)), count_in(old) + 1),
                                            std::memory_order_release, std::memory_order_relaxed);) {
    }
  }
  /// When a superseded state there dies. Any thread may. The chunk ends where it did until the last of them is gone: for more than
  /// that they would have to be searched.
  void drop() noexcept {
    for (std::uint64_t old = superseded_.load(std::memory_order_relaxed); !superseded_.compare_exchange_weak(
             old, count_in(old) == 1 ? kNothingSuperseded : packed(end_in(old), count_in(old) - 1),
             std::memory_order_release, std::memory_order_relaxed);) {
    }
  }

  /// Any thread may ask.
  bool is_whole_at(std::uint64_t snapshot) const noexcept {
    return begin_.load(std::memory_order_relaxed) <= snapshot &&
           end_in(superseded_.load(std::memory_order_acquire)) > snapshot;  // pairs with `supersede`
  }

  /// Of the chunk as a whole: a hit does not know which of its states it reads for a first time.
  void mark_visited() noexcept {
    if (!visited_.load(std::memory_order_relaxed)) visited_.store(true, std::memory_order_relaxed);
  }

 private:
  // The first end and how many are superseded, in one word: so that neither an end nor the death of the last one is lost.
  static constexpr unsigned kCountBits = 16;
  static constexpr std::uint64_t kNoEnd = std::numeric_limits<std::uint64_t>::max() >> kCountBits;
  static constexpr std::uint64_t packed(std::uint64_t end, std::uint64_t count) noexcept {
    return end << kCountBits | count;
  }
  static constexpr std::uint64_t end_in(std::uint64_t word) noexcept { return word >> kCountBits; }
  static constexpr std::uint64_t count_in(std::uint64_t word) noexcept { return word & ((1u << kCountBits) - 1); }
  static constexpr std::uint64_t kNothingSuperseded = kNoEnd << kCountBits;

  std::atomic<std::uint64_t> begin_{0};
  std::atomic<std::uint64_t> superseded_{kNothingSuperseded};
  std::atomic<bool> visited_{false};
};

/// Which chunk an address lies in. Of a state it is that of its value, which is what references hold.
template <unsigned kShift>
std::uint64_t chunk_of(const StateHeader& state) noexcept {
  return reinterpret_cast<std::uintptr_t>(&state + 1) >> kShift;
}

/// The headers of all chunks that have states of a cache.
template <unsigned kShift>
class ChunkHeaders {
 public:
  /// None: no chunk is whole.
  ChunkHeaders() = default;
  /// Chunks with states that came after `loaded` are open: they are where the next ones go.
  ChunkHeaders(const Residents& residents, Tid loaded) {
    std::uint64_t last = 0;
    first_ = std::numeric_limits<std::uint64_t>::max();
    residents.for_each_state([&](const StateHeader& state) {
      first_ = std::min(first_, chunk_of<kShift>(state));
      last = std::max(last, chunk_of<kShift>(state));
    });
    if (first_ > last) return;
    headers_ = std::vector<ChunkHeader>(last - first_ + 1);
    residents.for_each_state([&](const StateHeader& state) {
      ChunkHeader& header = headers_[chunk_of<kShift>(state) - first_];
      const Tid begin{state.begin.load(std::memory_order_acquire)};
      header.admit(begin);
      if (begin > loaded) header.open();
      if (state.is_superseded()) header.supersede(Tid{state.end.load(std::memory_order_acquire)});
    });
  }

  /// Null: no state of the cache is there.
  ChunkHeader* find(std::uint64_t chunk) noexcept {
    const std::uint64_t index = chunk - first_;  // wraps below the first one
    return index < headers_.size() ? &headers_[index] : nullptr;
  }

 private:
  std::uint64_t first_ = 0;
  std::vector<ChunkHeader> headers_;
};

}  // namespace cow::bench
