// A chunk: a run of slots of one size class, and which of them are free.
//
// Thread safety: everything REQUIRES the mutex of the class's depot (depot.hpp), but for the constants and `empty`.
//
// Invariants:
//  1. A chunk keeps its addresses and its class for ever.
//  2. A slot is free (its bit is set), or out: with the cache, or in a thread's magazine.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "size_classes.hpp"
#include "state.hpp"

namespace cow::detail {

class ChunkList;

/// The first cache line is all that `take` and `put` need beside the bits.
class alignas(64) Chunk {
 public:
  Chunk(std::byte* at, std::size_t of_bytes, std::uint8_t size_class)
      : start(at),
        bytes(of_bytes),
        slot_bytes(static_cast<std::uint32_t>(size_classes::bytes_of(size_class))),
        slots(static_cast<std::uint32_t>(bytes) / slot_bytes),
        free_((slots + 63) / 64, ~std::uint64_t{0}) {
    if (slots % 64 != 0) free_.back() = (std::uint64_t{1} << slots % 64) - 1;
  }

  std::byte* const start;
  const std::size_t bytes;
  const std::uint32_t slot_bytes, slots;

  /// How full it is: 0 to kFullnesses - 1. REQUIRES: it is not full.
  std::uint32_t fullness() const noexcept { return out() >> fullness_shift_; }
  static constexpr std::uint32_t kFullnesses = 8;

  /// Nothing is out. May be called without the mutex: no state that the caller knows of is in an empty chunk.
  bool empty() const noexcept { return out_.load(std::memory_order_relaxed) == 0; }
  std::uint32_t out() const noexcept { return out_.load(std::memory_order_relaxed); }

  /// Whether a slot starts there. REQUIRES: it is an address of this chunk.
  bool is_slot(const std::byte* at) const noexcept { return static_cast<std::uint32_t>(at - start) % slot_bytes == 0; }

  /// Fills `into` with free ones, those with the lowest addresses first, and returns how many there were.
  std::size_t take(std::span<StateHeader*> into) noexcept {
    std::size_t taken = 0;
    for (; lowest_word_ < free_.size() && taken < into.size(); ++lowest_word_) {
      std::uint64_t& word = free_[lowest_word_];
      for (; word != 0 && taken < into.size(); word &= word - 1) {
        std::size_t index = std::size_t{lowest_word_} * 64 + static_cast<std::size_t>(std::countr_zero(word));
        into[taken++] = reinterpret_cast<StateHeader*>(start + index * slot_bytes);
      }
      if (word != 0) break;
    }
    set_out(out() + static_cast<std::uint32_t>(taken));
    return taken;
  }

  void put(StateHeader* slot) noexcept {
    auto offset = static_cast<std::uint32_t>(reinterpret_cast<std::byte*>(slot) - start);
    std::uint32_t index = offset / slot_bytes;
    free_[index / 64] |= std::uint64_t{1} << index % 64;
    if (index / 64 < lowest_word_) lowest_word_ = index / 64;
    set_out(out() - 1);
  }

 private:
  friend class ChunkList;

  /// Relaxed: written under the mutex. A thread that reads it without knows nothing of the memory it asks about.
  void set_out(std::uint32_t out) noexcept { out_.store(out, std::memory_order_relaxed); }

  std::vector<std::uint64_t> free_;  // a bit per slot; below `lowest_word_` none is set
  std::uint32_t lowest_word_ = 0;
  std::atomic<std::uint32_t> out_{0};

  ChunkList* list_ = nullptr;
  const int fullness_shift_ = std::max(0, static_cast<int>(std::bit_width(slots - 1)) - 3);
  Chunk *previous_ = nullptr, *next_ = nullptr;
};

/// A list of chunks of one depot. A chunk is in one list at most.
class ChunkList {
 public:
  Chunk* front() const noexcept { return front_; }
  Chunk* back() const noexcept { return back_; }

  void push_front(Chunk& chunk) noexcept {
    chunk.list_ = this;
    chunk.previous_ = nullptr;
    chunk.next_ = front_;
    (front_ != nullptr ? front_->previous_ : back_) = &chunk;
    front_ = &chunk;
  }

  void remove(Chunk& chunk) noexcept {
    (chunk.previous_ != nullptr ? chunk.previous_->next_ : front_) = chunk.next_;
    (chunk.next_ != nullptr ? chunk.next_->previous_ : back_) = chunk.previous_;
    chunk.list_ = nullptr;
  }

  /// Moves a chunk from where it is to the front of `to`; null: to no list.
  static void move(Chunk& chunk, ChunkList* to) noexcept {
    if (chunk.list_ == to) return;
    if (chunk.list_ != nullptr) chunk.list_->remove(chunk);
    if (to != nullptr) to->push_front(chunk);
  }

 private:
  Chunk *front_ = nullptr, *back_ = nullptr;
};

}  // namespace cow::detail
