// What the clients of a history know of each other: which lists there are, and what has been seen. In the memory of a process, or in a
// file that several processes map, of which any may die at any moment.
//
// Thread safety: every function may be called from any number of threads, of any process that maps the board.
//
// Invariants:
//  1. Zeroed bytes are a board on which nothing has happened.
//  2. [no-lock] Nothing here is locked: a process that is killed holds up no other one. The lists that it was making are dead once
//     `bury` was called.
#pragma once

#include <sys/mman.h>

#include <fcntl.h>
#include <unistd.h>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>

#include "cow_cache/types.hpp"

namespace cow::bench::history {

/// How large everything is.
struct BoardSize {
  std::uint64_t transactions = 0;  ///< that may begin
  std::uint32_t lists = 8;         ///< in use at a time
  std::size_t longest = 16;        ///< a list of as many values is left behind
};

class Board {
 public:
  struct List {
    std::atomic<std::uint32_t> maker{0};  ///< 0: nobody makes it yet. Otherwise the one who does
    /// Its maker has committed, or has not and never will: others only lose time with it. Relaxed, as nothing depends on it.
    std::atomic<bool> is_made{false}, is_dead{false};
    /// Release by its maker, acquire by who uses it: what the maker did before is seen. 0: not made yet.
    std::atomic<std::uint64_t> oid{0};
  };

  /// In this process's memory.
  explicit Board(const BoardSize& size) : size_(size) { map(-1); }
  /// In a file, which is made if it is not there.
  Board(const BoardSize& size, const std::filesystem::path& path) : size_(size) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(bytes())) != 0)
      throw std::runtime_error("cannot make " + path.string());
    map(file);
    ::close(file);
  }
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;
  ~Board() { ::munmap(head_, bytes()); }

  /// Whether one more transaction may begin.
  bool take_one() { return head_->begun.fetch_add(1, std::memory_order_relaxed) < size_.transactions; }
  void note_ended() { head_->ended.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t ended() const { return head_->ended.load(std::memory_order_relaxed); }

  /// The last commit that has returned, or was seen by a transaction that has ended: release and acquire, so that a transaction that
  /// begins after another one has ended gets what that one has noted.
  Tid last() const { return Tid{head_->last.load(std::memory_order_acquire)}; }
  void note_seen(Tid tid) {
    std::uint64_t known = head_->last.load(std::memory_order_relaxed);
    while (known < tid.value && !head_->last.compare_exchange_weak(known, tid.value, std::memory_order_acq_rel)) {
    }
  }

  List& list(std::uint32_t key) { return lists_[key]; }
  /// Above the key of every list that was ever picked.
  std::uint32_t lists() const { return head_->first.load(std::memory_order_relaxed) + size_.lists; }

  std::uint32_t pick(std::mt19937_64& random) {
    const std::uint32_t first = head_->first.load(std::memory_order_relaxed);
    const auto key = static_cast<std::uint32_t>(first + random() % size_.lists);
    // A dead list would stay the first for ever.
    if (lists_[key].is_dead.load(std::memory_order_relaxed)) leave_behind(key, size_.longest);
    return key;
  }

  /// The first list in use is full: go on to the next ones.
  void leave_behind(std::uint32_t key, std::size_t length) {
    if (length < size_.longest || key + size_.lists + 1 >= all_lists()) return;
    std::uint32_t expected = key;  // relaxed: only which lists are used depends on it
    head_->first.compare_exchange_strong(expected, key + 1, std::memory_order_relaxed);
  }

  /// A process was killed: what it was making nobody will make. REQUIRES: it is dead; nobody else has its makers' numbers.
  void bury(std::uint32_t first_maker, std::uint32_t makers) {
    for (std::uint32_t key = 0; key < lists() && key < all_lists(); ++key) {
      List& one = lists_[key];
      const std::uint32_t maker = one.maker.load(std::memory_order_relaxed);
      if (maker < first_maker || maker >= first_maker + makers || one.is_made.load(std::memory_order_relaxed)) continue;
      one.is_dead.store(true, std::memory_order_relaxed);
    }
  }

 private:
  struct Head {
    std::atomic<std::uint64_t> begun{0}, ended{0}, last{0};
    std::atomic<std::uint32_t> first{0};
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

  std::size_t all_lists() const { return size_.transactions + size_.lists; }
  std::size_t bytes() const { return sizeof(Head) + all_lists() * sizeof(List); }

  void map(int file) {
    void* memory =
        ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    head_ = static_cast<Head*>(memory);
    lists_ = reinterpret_cast<List*>(head_ + 1);
  }

  const BoardSize size_;
  Head* head_ = nullptr;
  List* lists_ = nullptr;
};

}  // namespace cow::bench::history
