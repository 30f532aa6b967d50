// The write set: the objects that one transaction has diverted, created or erased, with their private states.
//
// Thread safety: one thread at a time, like the transaction that owns it.
#pragma once

#include <tsl/robin_map.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// Small, for a transaction may write a thousand objects and look all of them up.
struct WriteSetEntry {
  WriteSetEntry(Oid of, StateHeader& private_state) noexcept : oid(of), state(&private_state) {}

  /// What `cloned` stands for; null: not known.
  const StateHeader* cloned_state() const noexcept {
    return cloned == 0 ? nullptr : StateMemory::instance().state_of(cloned);
  }

  Oid oid;
  StateHeader* state;        ///< the private state: a clone, a new object, or a tombstone
  Tid base{};                ///< the revision that was cloned
  StateHandle cloned = 0;    ///< its state, which the read log holds until the end; 0: not known
  bool created : 1 = false;  ///< the object did not exist before this transaction
  bool erased : 1 = false;
  // What publishing leaves to do, for the cache's `after_commit`; `state` is what it has unlinked, or null. It stands here, so
  // that publishing needs no memory: it cannot fail any more.
  bool has_place : 1 = false;   ///< in the cache, should it not be resident when it is published
  bool was_absent : 1 = false;  ///< the object is resident now, and was not before
  bool prunes : 1 = false;      ///< old revisions of it may be of no use any more
};
static_assert(sizeof(WriteSetEntry) == 32, "two to a cache line");

/// In the order of first writes. Lookups are linear while there are few entries, by hash above that.
class WriteSet {
 public:
  WriteSet() noexcept = default;
  WriteSet(WriteSet&& other) noexcept
      : entries_(std::move(other.entries_)),
        index_(std::move(other.index_)),
        frozen_(std::exchange(other.frozen_, nullptr)) {
    if (frozen_ != nullptr) [[unlikely]]
      frozen_->writes_ = this;
  }
  /// REQUIRES: not frozen, and empty.
  WriteSet& operator=(WriteSet&& other) noexcept {
    entries_.swap(other.entries_);  // of a set that was used before, the other one gets the memory
    index_.swap(other.index_);
    frozen_ = std::exchange(other.frozen_, nullptr);
    if (frozen_ != nullptr) [[unlikely]]
      frozen_->writes_ = this;
    return *this;
  }

  WriteSetEntry* find(Oid oid) noexcept {
    if (index_ == nullptr) {
      for (WriteSetEntry& entry : entries_) {
        if (entry.oid == oid) return &entry;
      }
      return nullptr;
    }
    auto found = index_->find(oid);
    return found == index_->end() ? nullptr : &entries_[found->second];
  }

  /// A set that is committed: it may not be changed, for codecs are user code. It may be moved away, with its transaction.
  class Frozen {
   public:
    explicit Frozen(WriteSet& writes) noexcept : began_in_(&writes), writes_(&writes) { writes.frozen_ = this; }
    Frozen(const Frozen&) = delete;
    Frozen& operator=(const Frozen&) = delete;
    ~Frozen() {
      if (writes_ != nullptr) end();
    }

    /// The set, wherever it is.
    WriteSet& writes() const noexcept { return *writes_; }
    /// The same, which may be changed from now on. REQUIRES: called once.
    WriteSet& end() noexcept {
      writes_->frozen_ = nullptr;
      return *std::exchange(writes_, nullptr);
    }

    /// Whose codec is called next.
    void encode(Oid oid) noexcept { oid_ = oid; }
    /// After codecs. Throws TransactionEndedError: the set has been moved away.
    void require_here() const {
      if (writes_ != began_in_) [[unlikely]]
        throw TransactionEndedError();
    }

   private:
    friend WriteSet;
    const WriteSet* const began_in_;
    WriteSet* writes_;
    Oid oid_{};
  };
  bool frozen() const noexcept { return frozen_ != nullptr; }

  /// Throws TransactionCommittingError where what was encoded, or will be, might become another value.
  void require_open() const {
    if (frozen_ != nullptr) [[unlikely]]
      throw TransactionCommittingError(frozen_->oid_);
  }

  /// Adds an entry; the caller fills in what it knows besides, in place: an entry that was put together elsewhere and copied
  /// would be read before its small stores have arrived. REQUIRES: the oid is not in the set. Throws std::bad_alloc and what
  /// `require_open` throws, and is then unchanged.
  WriteSetEntry& add(Oid oid, StateHeader& state) {
    require_open();
    auto position = static_cast<std::uint32_t>(entries_.size());
    if (position == kLinear && index_ == nullptr) make_index();
    entries_.emplace_back(oid, state);
    if (index_ != nullptr) {
      try {
        index_->emplace(oid, position);
      } catch (...) {
        entries_.pop_back();
        throw;
      }
    }
    return entries_.back();
  }

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  auto begin() noexcept { return entries_.begin(); }
  auto end() noexcept { return entries_.end(); }
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }

  void clear() noexcept {
    entries_.clear();
    index_.reset();
  }

 private:
  using Index = tsl::robin_map<Oid, std::uint32_t>;

  static constexpr std::size_t kLinear = 8;

  void make_index() {
    auto index = std::make_unique<Index>();
    for (std::uint32_t i = 0; const WriteSetEntry& entry : entries_) index->emplace(entry.oid, i++);
    index_ = std::move(index);
  }

  std::vector<WriteSetEntry> entries_;
  std::unique_ptr<Index>
      index_;  // none for few entries: most transactions write nothing, and begin and end all the time
  Frozen* frozen_ = nullptr;
};

/// Adds an entry to a write set, or destroys its state and throws std::bad_alloc.
[[gnu::always_inline]] inline WriteSetEntry& add_write(WriteSet& writes, Oid oid, StateHeader& state) {
  try {
    return writes.add(oid, state);
  } catch (...) {
    destroy_state(state);
    throw;
  }
}

/// What an active transaction itself has made of an object; null: nothing. Throws NullReferenceError,
/// DanglingReferenceError if it has erased the object, TypeMismatchError.
inline WriteSetEntry* find_own_write(WriteSet& writes, Oid oid, const TypeOperations& operations, Tid snapshot) {
  if (!oid) throw NullReferenceError(operations.name);
  if (writes.empty()) return nullptr;
  WriteSetEntry* entry = writes.find(oid);
  if (entry == nullptr) return nullptr;
  if (entry->erased) throw DanglingReferenceError(oid, snapshot, true);
  check_type(*entry->state, oid, operations);
  return entry;
}

}  // namespace cow::detail
