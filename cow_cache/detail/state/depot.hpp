// The depot of a size class: its chunks, in the order in which their free slots are handed out.
//
// Thread safety: all functions may be called from any thread; they take the depot's mutex.
//
// Invariants:
//  1. A chunk is full and in no list, partly free and in the list of its fullness, or empty; empty ones are resident, or
//     were given back to the system.
//  2. Slots come from the fullest chunk that has one, so that the others can empty. (Hoard, Berger et al., ASPLOS 2000;
//     TCMalloc's span prioritization, Hunter et al., OSDI 2021.)
//  3. Empty large chunks beyond two megabytes and a sixteenth of what is in use are given back, the one that has been empty
//     longest first. So a cache that evicts and loads at its budget, up and down by a sixty-fourth of it, does not call
//     the system, and one that shrinks keeps little more than it uses. Small ones, size_classes::kMaxInSmallChunks of a
//     class at most, stay: each is a part of a huge page, which giving it back would split, and reads of all that
//     lies in the rest would miss the TLB.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "chunk.hpp"
#include "range.hpp"

namespace cow::detail {

class alignas(64) Depot {
 public:
  /// Fills `slots` with free slots, at least one, and returns how many there were. Throws LimitError, std::bad_alloc.
  std::size_t take(StateRange& range, std::uint8_t size_class, std::span<StateHeader*> slots) {
    std::scoped_lock lock(mutex_);
    std::size_t taken = 0;
    while (taken < slots.size()) {
      Chunk* chunk = fullest();
      if (chunk == nullptr) {
        if (taken > 0) break;  // enough to go on with
        chunk = &empty_chunk(range, size_class);
      }
      taken += chunk->take(slots.subspan(taken));
      file(*chunk);
    }
    out_bytes_.fetch_add(taken * size_classes::bytes_of(size_class), std::memory_order_relaxed);  // a statistic
    return taken;
  }

  /// Takes slots back. REQUIRES: `take` has given them; they are dead.
  void put(StateRange& range, std::span<StateHeader* const> slots) noexcept {
    if (slots.empty()) return;
    std::unique_lock lock(mutex_);
    Chunk* chunk = &range.chunk_of(slots.front());
    for (StateHeader* slot : slots) {
      if (Chunk* of_slot = &range.chunk_of(slot); of_slot != chunk) {
        file(*chunk);
        chunk = of_slot;
      }
      chunk->put(slot);
    }
    file(*chunk);
    out_bytes_.fetch_sub(slots.size() * chunk->slot_bytes, std::memory_order_relaxed);
    while (Chunk* surplus = take_surplus()) {
      lock.unlock();  // the call takes microseconds; the chunk is in no list
      bool returned = StateRange::give_back(*surplus);
      lock.lock();
      ChunkList::move(*surplus, returned ? &returned_ : &empty_large_);
      if (returned) continue;
      resident_.fetch_add(surplus->bytes, std::memory_order_relaxed);
      empty_large_bytes_ += surplus->bytes;
      break;
    }
  }

  /// Bytes of chunks that were not given back.
  std::size_t resident_bytes() const noexcept { return resident_.load(std::memory_order_relaxed); }
  /// Bytes of slots that are with the cache or in magazines.
  std::size_t out_bytes() const noexcept { return out_bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kMinKept = size_classes::kHugePage;

  static bool is_small(const Chunk& chunk) noexcept { return chunk.bytes < size_classes::kHugePage; }

  Chunk* fullest() const noexcept {
    for (std::size_t i = partial_.size(); i-- > 0;) {
      if (Chunk* chunk = partial_[i].front()) return chunk;
    }
    return nullptr;
  }

  /// Puts a chunk where it belongs after its number of free slots has changed.
  void file(Chunk& chunk) noexcept {
    if (chunk.empty() && is_small(chunk)) {
      ChunkList::move(chunk, &empty_small_);
    } else if (chunk.empty()) {
      empty_large_bytes_ += chunk.bytes;
      ChunkList::move(chunk, &empty_large_);
    } else {
      ChunkList::move(chunk, chunk.out() == chunk.slots ? nullptr : &partial_[chunk.fullness()]);
    }
  }

  /// An empty chunk whose slots will be taken: a resident one, one that was given back, or a new one.
  Chunk& empty_chunk(StateRange& range, std::uint8_t size_class) {
    if (Chunk* chunk = empty_small_.front()) return *chunk;
    if (Chunk* chunk = empty_large_.front()) {
      empty_large_bytes_ -= chunk->bytes;
      return *chunk;
    }
    Chunk* chunk = returned_.front();
    if (chunk == nullptr) {
      chunk = &range.new_chunk(size_class, size_classes::chunk_bytes(size_class, chunk_bytes_));
      chunk_bytes_ += chunk->bytes;
    }
    // Relaxed: written under the mutex, and a statistic to others.
    resident_.fetch_add(chunk->bytes, std::memory_order_relaxed);
    return *chunk;
  }

  /// The chunk that has been empty longest, out of its list, if invariant 3 wants it given back; null: it does not.
  Chunk* take_surplus() noexcept {
    std::size_t kept = kMinKept + (resident_bytes() - empty_large_bytes_) / 16;
    if (empty_large_bytes_ <= kept) return nullptr;
    Chunk* oldest = empty_large_.back();
    ChunkList::move(*oldest, nullptr);
    empty_large_bytes_ -= oldest->bytes;
    resident_.fetch_sub(oldest->bytes, std::memory_order_relaxed);
    return oldest;
  }

  std::mutex mutex_;
  std::array<ChunkList, Chunk::kFullnesses> partial_;
  ChunkList empty_small_, empty_large_, returned_;
  std::size_t empty_large_bytes_ = 0;
  std::size_t chunk_bytes_ = 0;  // of all chunks of the class
  std::atomic<std::size_t> resident_{0}, out_bytes_{0};
};

}  // namespace cow::detail
