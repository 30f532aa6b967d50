// A transaction that checks chunks where it can, and single states where it cannot: the read path of SharedCache::Reader with a cluster
// check in front of it. A prototype, to be measured beside the real one (chunk_check.cpp).
//
// It reads the states of a real SharedCache by the cache's own hints, with its read logs, write set and registry; what it adds is
// one log entry and one look at an interval for a chunk that is whole at its snapshot. The key of a state is compared in any case,
// for a hint may be stale; the variants that do not are bounds, and of no use as a cache.
//
// Not here: loads, commits, a reclaimer that scans the list of chunks.
//
// Thread safety: a transaction belongs to one thread.
//
// Invariants:
//  1. A state answers without a look at its interval only where its chunk is logged as whole, or it stands in the read log itself.
//  2. Own writes win: what was cloned answers no more. In a chunk that is logged as whole it stands in `diverted_`, which is asked there
//     from the first own write on; outside, its entry in the read log is marked, as in the cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "chunk_headers.hpp"
#include "chunk_log.hpp"
#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/commit/write_set.hpp"
#include "hit_cost_logs.hpp"
#include "residents.hpp"

namespace cow::bench {

using cow::detail::add_write;
using cow::detail::clone_state;
using cow::detail::destroy_state;
using cow::detail::handle_of;
using cow::detail::type_operations;
using cow::detail::TypeOperations;
using cow::detail::value_of;
using cow::detail::WriteSet;
using cow::detail::WriteSetEntry;

/// What a hit in a logged chunk compares, to know that the hint is right.
enum class Compared {
  key,  ///< all of it
  short_key,  ///< as if keys had no bits of the cache, for a chunk has states of one cache only: one word with another, as it stands
  nothing,
};

/// Chunks as the state memory has them, and pages as vmcache has them.
struct ByChunk {
  static constexpr unsigned kShift = 16;
  static constexpr Compared kCompared = Compared::key;
};
struct ByPage : ByChunk {
  static constexpr unsigned kShift = 12;
};
/// Bounds. The first costs what such keys would cost, by comparing half of the key's bits: REQUIRES that nobody writes or evicts, and that
/// no hint leads to an object with the same 32 bits. The second REQUIRES that no hint is stale.
struct ByChunkShortKey : ByChunk {
  static constexpr Compared kCompared = Compared::short_key;
};
struct ByChunkBlindly : ByChunk {
  static constexpr Compared kCompared = Compared::nothing;
};

template <class Features>
class ChunkTransaction {
 public:
  using Headers = ChunkHeaders<Features::kShift>;
  using Log = ChunkLog<Features::kShift>;

  ChunkTransaction(Residents& residents, Headers& headers)
      : residents_(residents),
        headers_(headers),
        participant_(residents.registry().begin()),
        snapshot_(participant_.snapshot.load(std::memory_order_relaxed)) {
    log_.open(participant_, residents.cache_bits());
  }
  ChunkTransaction(const ChunkTransaction&) = delete;
  ChunkTransaction& operator=(const ChunkTransaction&) = delete;
  /// Ends without its changes.
  ~ChunkTransaction() {
    for (WriteSetEntry& entry : writes_) destroy_state(*entry.state);
    if (has_written_) diverted_.close();
    log_.close();
    residents_.registry().end(participant_);
  }

  template <class T>
  [[gnu::always_inline]] const T& read(const Ref<T>& reference) {
    StateHeader& state = *reference.hint();
    if (chunks_.known(state) == Log::Known::whole && is_state_of(state, reference.identity())) [[likely]]
      return value_of<T>(state);
    return value_of<T>(*read_otherwise(reference, type_operations<T>));
  }

  template <class T>
  T& write(const Ref<T>& reference) {
    StateHeader& hinted = *reference.hint();
    const bool was_read = is_hit(hinted, reference.identity());
    if (!was_read) {
      if (WriteSetEntry* entry = writes_.find(reference.oid())) return value_of<T>(*entry->state);
    }
    StateHeader& base = was_read ? hinted : *read_first(reference, type_operations<T>);
    StateHeader& clone = clone_state<T>(base, type_operations<T>);
    WriteSetEntry& entry = add_write(writes_, reference.oid(), clone);
    entry.base = Tid{base.begin.load(std::memory_order_relaxed)};
    entry.cloned = handle_of(&base);
    divert(base);
    return value_of<T>(clone);
  }

  RootView<ChunkTransaction> root() { return RootView<ChunkTransaction>(*this); }
  static Ref<RootDirectory> root_reference() { return Ref<RootDirectory>(kRootOid); }

  const Log& chunks() const noexcept { return chunks_; }
  /// What was logged one by one.
  const ReadLog& states() const noexcept { return log_; }

 private:
  [[gnu::always_inline]] bool is_state_of(const StateHeader& state, std::uint64_t identity) const noexcept {
    if constexpr (Features::kCompared == Compared::nothing) return true;
    if constexpr (Features::kCompared == Compared::short_key) {
      // As plain memory, so that GCC folds it into the comparison. Nobody writes, so nothing need be acquired.
      using Half [[gnu::may_alias]] = std::uint32_t;
      return *reinterpret_cast<const Half*>(&state.key) == static_cast<std::uint32_t>(identity);
    }
    return log_.front().is_state_of(state, identity);
  }

  /// By its chunk or by itself, where nothing need be logged. What was cloned is no hit.
  bool is_hit(const StateHeader& state, std::uint64_t identity) const noexcept {
    switch (chunks_.known(state)) {
      case Log::Known::whole:
        if (is_state_of(state, identity)) return true;
        break;
      case Log::Known::own_writes:
        if (!diverted_.contains(handle_of(&state)) && is_state_of(state, identity)) return true;
        break;
      case Log::Known::nothing:
      case Log::Known::mixed:
        break;
    }
    return log_.front().is_hit(state, identity);
  }

  /// In a chunk that is not logged as whole: as the cache's own hit, but by a call.
  [[gnu::noinline]] StateHeader* read_otherwise(auto& reference, const TypeOperations& operations) {
    if (log_.front().is_hit(*reference.hint(), reference.identity())) [[likely]]
      return reference.hint();
    return read_first(reference, operations);
  }

  [[gnu::noinline]] StateHeader* read_first(auto& reference, const TypeOperations& operations) {
    StateHeader& state = *reference.hint();
    if (has_written_) [[unlikely]] {
      if (is_hit(state, reference.identity())) return &state;
      if (WriteSetEntry* entry = writes_.find(reference.oid())) return entry->state;
    }
    const std::uint64_t key = reference.identity() | log_.cache_bits();
    if (try_log_chunk(state)) {
      if (cow::detail::validate(state.key) == key) [[likely]]
        return &state;
    } else if (log_.try_add(handle_of(&state))) {
      if (cow::detail::validate_quickly(state.key) == key && is_visible(state)) [[likely]] {
        state.mark_visited();
        return &state;
      }
      log_.undo_add(handle_of(&state));
    }
    return find(reference, operations);
  }

  /// False: the chunk is logged already, or was not whole.
  bool try_log_chunk(const StateHeader& state) noexcept {
    if (chunks_.known(state) != Log::Known::nothing) return false;
    const std::uint64_t chunk = chunk_of<Features::kShift>(state);
    ChunkHeader* header = headers_.find(chunk);
    if (header == nullptr || !chunks_.try_add(chunk, *header, snapshot_)) return false;
    header->mark_visited();
    return true;
  }

  /// By oid: own writes were asked before.
  [[gnu::noinline]] StateHeader* find(auto& reference, const TypeOperations& operations) {
    StateHeader* state = residents_.newest(reference.oid());
    const std::uint64_t key = log_.cache_bits() | operations.type_bits() | reference.oid().value;
    if (state == nullptr || !log_and_validate(*state, key)) {
      throw std::logic_error("oid " + std::to_string(reference.oid().value) + " is not resident");
    }
    if (reference.hint() != state) reference.set_hint(*state);
    return state;
  }

  bool log_and_validate(StateHeader& state, std::uint64_t key) {
    if (chunks_.known(state) == Log::Known::whole || try_log_chunk(state))
      return cow::detail::validate(state.key) == key;
    const ReadLog::Outcome outcome = log_.add(handle_of(&state));
    if (cow::detail::validate(state.key) == key && is_visible(state)) {
      state.mark_visited();
      return true;
    }
    if (outcome == ReadLog::Outcome::inserted) log_.undo_add(handle_of(&state));
    return false;
  }

  bool is_visible(const StateHeader& state) const noexcept {
    return state.begin.load(std::memory_order_relaxed) <= snapshot_ &&  // memory orders: as in SharedCache::Reader
           state.end.load(std::memory_order_acquire) > snapshot_;
  }

  /// A base answers no more (invariant 2).
  void divert(const StateHeader& base) {
    if (!has_written_) {
      diverted_.open(participant_);
      has_written_ = true;
    }
    if (log_.size() > 0) log_.mark_diverted(handle_of(&base));  // where it was read before its chunk became whole, too
    if (chunks_.known(base) == Log::Known::whole || chunks_.known(base) == Log::Known::own_writes) {
      diverted_.add(handle_of(&base));
      chunks_.note_own_write(base);
    }
  }

  Log chunks_;
  ReadLog log_;
  Residents& residents_;
  Headers& headers_;
  Participant& participant_;
  const std::uint64_t snapshot_;
  bool has_written_ = false;
  BitmapLog diverted_;  // bases in chunks that are logged as whole
  WriteSet writes_;
};

template <class Features>
using ChunkDatabase = DatabaseOf<ChunkTransaction<Features>>;

}  // namespace cow::bench
