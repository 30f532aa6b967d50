// The table of a read log, which scanners read while its owner writes: the head of it, the entries, and what a layout of them
// must be able to do.
//
// Thread safety: the owner of the log writes, any thread reads.
//
// Invariants:
//  1. An entry is the handle of a state, or a handle with its lowest bit changed: the mark of a diverted base. 0: none.
//  2. `has_marks` is set before the first mark (relaxed, ordered by the release of the mark), and stays: a scanner that reads an entry
//     with a mark (seq_cst) and the flag after it finds it set.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/detail/state/state_handle.hpp"

namespace cow::detail {

using LogWord = std::atomic<std::uint32_t>;

/// Between the two kinds of entries, and whether one is that of a state, marked or not (invariant 1; state_handle.hpp).
constexpr std::uint32_t diverted(std::uint32_t handle) noexcept { return handle ^ 1; }
constexpr bool is_of(std::uint32_t entry, StateHandle handle) noexcept { return (entry ^ handle) <= 1; }

/// A word as plain memory, and four words at once. What this thread alone writes, while scanners only load, cannot tear.
using LogLane [[gnu::may_alias]] = std::uint32_t;
using LogLanes [[gnu::may_alias]] = std::uint32_t __attribute__((vector_size(16)));
inline constexpr std::uint32_t kLogLanes = 4;

struct LogBitmap;

/// The head of a table; what its layout has of it follows.
struct alignas(64) LogTable {
  std::uint32_t capacity = 0;            // of a hash log, in entries; 0: it is a bitmap log's
  std::uint32_t uses_far_too_large = 0;  // the owner's
  std::uint32_t pages = 0;               // the owner's, of a bitmap log: how many of the bitmap are touched
  LogBitmap* bitmap = nullptr;           // of a bitmap log
  std::atomic<bool> has_marks{false};    // one of its transactions has marked a diverted base

  bool is_bitmap() const noexcept { return bitmap != nullptr; }
};
static_assert(sizeof(LogTable) == 64);

/// Removes the entries in some words: a multiple of kLogLanes. Release: a scanner that sees an entry gone sees all reads of its
/// state done. Pairs with the scanners' loads.
inline void clear_entries(LogWord* words, std::uint32_t count) noexcept {
  if constexpr (kThreadSanitizer) {  // which knows no fences
    for (std::uint32_t i = 0; i < count; ++i) words[i].store(0, std::memory_order_release);
  } else {
    std::atomic_thread_fence(std::memory_order_release);
    // Four words a store; a scanner sees each of them whole, before or after.
    auto* lanes = reinterpret_cast<LogLanes*>(words);
    for (std::uint32_t i = 0; i < count / kLogLanes; ++i) lanes[i] = LogLanes{};
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the stores may not sink below the end of the transaction
  }
}

/// A layout of a log: an object of it is the owner's view of a table, small enough to stay in registers. ReadLog says what the
/// operations mean, counts the entries, and chooses between the layouts.
template <class Layout>
concept LogLayout = std::constructible_from<Layout, LogTable&> &&
    requires(Layout log, const Layout& unchanged, LogTable& table, StateHandle handle,
             void (*visit)(std::uint32_t entry)) {
  { unchanged.contains(handle) }
  noexcept->std::same_as<bool>;
  { log.add(handle) }
  noexcept->std::same_as<bool>;  // false: it was there
  { log.try_add(handle) }
  noexcept->std::same_as<bool>;  // false: not added, `add` must decide
  { log.undo_add(handle) }
  noexcept;
  { log.mark_diverted(handle) }
  noexcept;
  { log.clear() }
  noexcept;
  Layout::for_each(table, visit);  // with marks; any thread may, as ReadLog::for_each
  // The owner's:
  { Layout::bytes(table) }
  noexcept->std::same_as<std::size_t>;
  { Layout::destroy(&table) }
  noexcept;
};

}  // namespace cow::detail
