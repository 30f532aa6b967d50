// A read log of chunks: which chunks a transaction has looked at as a whole.
//
// A hit asks one byte of a map of all addresses. Nearly all of the map is never touched: a page of it serves 256 MiB of state memory
// where chunks have 64 KiB. A list says what is in the map, for scanners and for the end of the transaction.
//
// Thread safety: one thread; the list may be scanned by others, as a ReadLog may (cow_cache/detail/reclaim/read_log.hpp).
//
// Invariants:
//  1. A chunk is announced in the list before its header is looked at (detail::announce), and stays there until the transaction ends,
//     but where the look fails.
//  2. The map has a chunk as logged only if the list has it. The map is the owner's alone.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "chunk_headers.hpp"
#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"

namespace cow::bench {

/// Memory that reads as zeros and takes none until it is written.
template <class Value>
class ZeroArray {
 public:
  explicit ZeroArray(std::size_t count) : bytes_(count * sizeof(Value)) {
    void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    (void)::madvise(memory, bytes_, MADV_NOHUGEPAGE);  // resident for a few bytes
    values_ = static_cast<Value*>(memory);
  }
  ZeroArray(const ZeroArray&) = delete;
  ZeroArray& operator=(const ZeroArray&) = delete;
  ~ZeroArray() { ::munmap(values_, bytes_); }

  Value* data() const noexcept { return values_; }

 private:
  std::size_t bytes_;
  Value* values_;
};

template <unsigned kShift>
class ChunkLog {
 public:
  /// What a transaction knows of a chunk. One that is mixed was not whole when it was looked at, and is not logged. Of one with own
  /// writes the transaction has cloned some states: they do not answer any more.
  enum class Known : std::uint8_t { nothing, whole, own_writes, mixed };

  /// Like a participant of the registry it keeps its table for the thread's next transaction.
  ChunkLog() : table_(take_kept()), map_(table_->map.data()) {}
  ChunkLog(const ChunkLog&) = delete;
  ChunkLog& operator=(const ChunkLog&) = delete;
  ~ChunkLog() {
    for (std::uint32_t i = 0; i < size_; ++i) {
      std::atomic<std::uint64_t>& entry = table_->list.data()[i];
      map_[entry.load(std::memory_order_relaxed)] = Known::nothing;
      entry.store(0, std::memory_order_release);  // a scanner that sees it gone sees all reads there done
    }
    for (std::uint32_t i = 0; i < mixed_; ++i) map_[table_->mixed.data()[i]] = Known::nothing;
    delete std::exchange(kept_, table_);
  }

  [[gnu::always_inline]] Known known(const StateHeader& state) const noexcept { return map_[chunk_of<kShift>(state)]; }

  /// Logs a chunk, if all states there are visible at the snapshot. REQUIRES: nothing is known of it.
  bool try_add(std::uint64_t chunk, const ChunkHeader& header, std::uint64_t snapshot) noexcept {
    if (size_ == kMaxChunks || !header.is_whole_at(snapshot))  // the usual failure announces nothing
      return note_mixed(chunk);
    std::atomic<std::uint64_t>& entry = table_->list.data()[size_];
    cow::detail::announce(entry, chunk);
    if (!header.is_whole_at(snapshot)) {
      entry.store(0, std::memory_order_release);
      return note_mixed(chunk);
    }
    ++size_;
    map_[chunk] = Known::whole;
    return true;
  }

  /// REQUIRES: it is logged.
  void note_own_write(const StateHeader& state) noexcept { map_[chunk_of<kShift>(state)] = Known::own_writes; }

  std::uint32_t size() const noexcept { return size_; }
  /// Calls `visit(chunk)` for all.
  template <class Visitor>
  void for_each(Visitor&& visit) const {
    for (std::uint32_t i = 0; i < size_; ++i) visit(table_->list.data()[i].load(std::memory_order_relaxed));
  }

  /// Gives up what this thread keeps.
  static void forget() noexcept { delete std::exchange(kept_, nullptr); }

 private:
  /// So that its header is not looked at for each of its states. False.
  bool note_mixed(std::uint64_t chunk) noexcept {
    if (mixed_ < kMaxChunks) {
      table_->mixed.data()[mixed_++] = chunk;
      map_[chunk] = Known::mixed;
    }
    return false;
  }

  static constexpr std::uint32_t kMaxChunks = 1 << 20;
  static constexpr unsigned kAddressBits = 47;  // of a process, on x86-64

  struct Table {
    ZeroArray<Known> map{std::size_t{1} << (kAddressBits - kShift)};
    ZeroArray<std::atomic<std::uint64_t>> list{kMaxChunks};
    ZeroArray<std::uint64_t> mixed{kMaxChunks};
  };

  static Table* take_kept() {
    Table* kept = std::exchange(kept_, nullptr);
    return kept != nullptr ? kept : new Table;
  }

  static inline thread_local Table* kept_ = nullptr;
  Table* table_;
  Known* map_;
  std::uint32_t size_ = 0, mixed_ = 0;
};

}  // namespace cow::bench
