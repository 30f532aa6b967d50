// HandleCounts: a count of holders for every state, and whether it waits for them to be freed.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. The word of a state is its number of holders times two, and one more once the state waits. It is 0 again before its slot is freed.
//  2. One thread learns that it must free a waiting state: the one that takes the last holder away, or the one that leaves it without any.
//
// A table beside the state memory, a word for each position of a header. It stands for a count in the header, which is where a cache that
// counts would have it: the same read-modify-write of a line that all readers of the object share.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "cow_cache/detail/state/state_handle.hpp"

namespace cow::bench {

class HandleCounts {
 public:
  /// Reserves addresses; memory comes with the first count. Throws std::bad_alloc.
  HandleCounts() {
    void* range = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    words_ = static_cast<Word*>(range);  // zeros, which is what an atomic of 0 is
  }
  HandleCounts(const HandleCounts&) = delete;
  HandleCounts& operator=(const HandleCounts&) = delete;
  ~HandleCounts() { ::munmap(words_, kBytes); }

  /// REQUIRES: the state does not wait without holders.
  void add(cow::detail::StateHandle state) noexcept {
    // Relaxed: whoever finds no holder has waited for the readers that could add one (counted_reclaimer.hpp).
    word_of(state).fetch_add(kOneHolder, std::memory_order_relaxed);
  }

  /// True: it waited for this, the caller frees it. Acquire and release: all that holders did comes before it is freed.
  [[nodiscard]] bool remove(cow::detail::StateHandle state) noexcept {
    Word& word = word_of(state);
    if (word.fetch_sub(kOneHolder, std::memory_order_acq_rel) != kOneHolder + kWaits) return false;
    word.store(0, std::memory_order_relaxed);
    return true;
  }

  /// Leaves a state to its holders; false: there is none, the caller frees it. REQUIRES: nobody adds one any more.
  [[nodiscard]] bool leave(cow::detail::StateHandle state) noexcept {
    Word& word = word_of(state);
    if (word.fetch_or(kWaits, std::memory_order_acq_rel) != 0) return true;
    word.store(0, std::memory_order_relaxed);
    return false;
  }

 private:
  using Word = std::atomic<std::uint32_t>;
  static_assert(Word::is_always_lock_free);
  static constexpr std::uint32_t kWaits = 1, kOneHolder = 2;
  static constexpr std::size_t kBytes = (std::size_t{1} << 31) * sizeof(Word);

  /// Handles are never neighbours (state_handle.hpp).
  Word& word_of(cow::detail::StateHandle state) noexcept { return words_[state >> 1]; }

  Word* words_;
};

}  // namespace cow::bench
