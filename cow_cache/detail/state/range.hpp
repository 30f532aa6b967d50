// The range of addresses that all states live in, and which chunk an address belongs to.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. The range is reserved once and never unmapped; addresses become chunks from the bottom up and stay so.
//  2. A chunk keeps its size class for ever, so a class cannot use what another one has given back: of the addresses a quarter
//     is set aside, an equal share for each class, and goes to that class only. So every size can be had at any time,
//     whatever sizes were in use before.
//  3. It lies between two neighbouring multiples of 2^36, both excluded: handles of states (state_memory.hpp) and links between them
//     (state_link.hpp) count on it.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <new>
#include <string>

#include "chunk.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/errors.hpp"
#include "size_classes.hpp"

namespace cow::detail {

class StateRange {
 public:
  /// Throws std::bad_alloc if not even a gigabyte of addresses can be had.
  StateRange() {
    for (std::size_t bytes = most_bytes(); bytes >= kMinBytes; bytes /= 2) {
      std::byte* range = reserve(2 * bytes);
      if (range == nullptr) continue;
      std::byte* aligned = range + (-reinterpret_cast<std::uintptr_t>(range) & (bytes - 1));
      (void)::munmap(range, static_cast<std::size_t>(aligned - range));
      (void)::munmap(aligned + bytes, static_cast<std::size_t>(range + bytes - aligned));
      base_ = aligned + kHugePage;
      bytes_ = bytes - kHugePage;
      set_aside_ = share() * size_classes::kCount + kHugePage;  // and what small chunks have begun and not filled
      // A random walk over many objects pays a TLB miss per step with 4 KiB pages. Failure only costs speed.
      (void)::madvise(base_, bytes_, MADV_HUGEPAGE);
      (void)::madvise(base_, bytes_, MADV_DONTDUMP);
      units_ = reinterpret_cast<std::atomic<Chunk*>*>(reserve(bytes_ / kUnit * sizeof *units_));
      if (units_ != nullptr) return;
      break;
    }
    throw std::bad_alloc();
  }
  StateRange(const StateRange&) = delete;
  StateRange& operator=(const StateRange&) = delete;

  std::byte* base() const noexcept { return base_; }

  /// Bytes from the base on that may hold chunks.
  std::size_t used() const noexcept { return used_.load(std::memory_order_acquire); }  // pairs with new_chunk

  /// The chunk at an offset; null: none yet.
  Chunk* chunk_at(std::size_t offset) const noexcept {
    // Acquire: pairs with the release in new_chunk, so the chunk is complete. A large chunk is found at the start of the
    // huge page, so that few lines are looked at.
    Chunk* chunk = units_[offset / kHugePage * (kHugePage / kUnit)].load(std::memory_order_acquire);
    if (chunk != nullptr && chunk->bytes < kHugePage) chunk = units_[offset / kUnit].load(std::memory_order_acquire);
    return chunk;
  }
  Chunk& chunk_of(const StateHeader* slot) const noexcept {
    return *chunk_at(static_cast<std::size_t>(reinterpret_cast<const std::byte*>(slot) - base_));
  }

  /// A chunk of a class, of a whole number of units. Throws LimitError when the addresses that the class may have are used,
  /// std::bad_alloc.
  Chunk& new_chunk(std::uint8_t size_class, std::size_t bytes) {
    std::scoped_lock lock(mutex_);
    bool small = bytes < kHugePage;
    std::size_t end = used_.load(std::memory_order_relaxed);  // written only under this mutex
    std::size_t offset = small && small_ < small_end_ ? small_ : end;
    // What is set aside for this class shrinks by what it takes (invariant 2).
    std::size_t& of_class = bytes_of_class_[size_class];
    std::size_t from_share = std::min(bytes, share() - std::min(share(), of_class));
    if (offset + bytes > bytes_ - (set_aside_ - from_share)) throw_limit(size_class);
    chunks_.emplace_back(base_ + offset, bytes, size_class);
    add_leak_root(base_ + offset, bytes);  // states own memory on the heap
    for (std::size_t at = offset; at < offset + bytes; at += kHugePage) {
      units_[at / kUnit].store(&chunks_.back(), std::memory_order_release);
    }
    slot_count_.fetch_add(chunks_.back().slots, std::memory_order_relaxed);  // a mere count
    if (small) {                                                             // small chunks share a huge page
      small_ = offset + bytes;
      if (offset == end) small_end_ = end + kHugePage;
    }
    if (offset == end) used_.store(small ? small_end_ : end + bytes, std::memory_order_release);
    of_class += bytes;
    set_aside_ -= from_share;
    return chunks_.back();
  }

  /// Gives a chunk's memory back to the system; it stays readable, as zeros. REQUIRES: it is empty and in no list.
  static bool give_back(Chunk& chunk) noexcept { return ::madvise(chunk.start, chunk.bytes, MADV_DONTNEED) == 0; }

  /// Slots of all chunks.
  std::size_t slot_count() const noexcept { return slot_count_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kUnit = size_classes::kUnit, kHugePage = size_classes::kHugePage;
#if defined(COW_CACHE_STATE_ADDRESSES)  // tests want a range that is used up soon
  static constexpr std::size_t kMaxBytes = COW_CACHE_STATE_ADDRESSES, kMinBytes = COW_CACHE_STATE_ADDRESSES;
#else
  static constexpr std::size_t kMaxBytes = kStateWindow, kMinBytes = std::size_t{1} << 30;
#endif

  /// What is set aside for each class.
  std::size_t share() const noexcept { return bytes_ / 4 / size_classes::kCount / kUnit * kUnit; }

  [[noreturn]] void throw_limit(std::uint8_t size_class) const {
    throw LimitError("bytes of addresses for states, of which those for states of up to " +
                         std::to_string(size_classes::bytes_of(size_class)) + " bytes are used",
                     bytes_);
  }

  /// A power of two. Where the process may not have all addresses (RLIMIT_AS) a database and others need them as well: an eighth.
  static std::size_t most_bytes() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMaxBytes;
    return std::clamp(std::bit_floor(std::size_t{limit.rlim_cur} / 8), kMinBytes, kMaxBytes);
  }

  static std::byte* reserve(std::size_t bytes) noexcept {
    void* range = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return range == MAP_FAILED ? nullptr : static_cast<std::byte*>(range);
  }

  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::atomic<Chunk*>* units_ =
      nullptr;  // the chunk at each, of large ones per huge page; zeros, where nothing was stored, are null pointers
  std::mutex mutex_;
  std::array<std::size_t, size_classes::kCount> bytes_of_class_{};
  std::size_t set_aside_ = 0;  // of invariant 2, and not taken yet
  std::deque<Chunk> chunks_;
  std::size_t small_ = 0, small_end_ = 0;  // offsets: where the next small chunks go
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> slot_count_{0};
};

}  // namespace cow::detail
