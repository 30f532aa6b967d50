// The write set: the objects that one transaction has diverted, created or erased, with their private states.
//
// Thread safety: one thread at a time, like the transaction that owns it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/resident_bytes.hpp"
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
  bool is_record : 1 = false;  ///< `state` is a RawRecord: nobody has decoded what is to be written
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
      : added_bytes(other.added_bytes),
        entries_(std::move(other.entries_)),
        cells_(std::move(other.cells_)),
        mask_(other.mask_),
        frozen_(std::exchange(other.frozen_, nullptr)) {
    if (frozen_ != nullptr) [[unlikely]]
      frozen_->writes_ = this;
  }
  /// REQUIRES: not frozen, and empty.
  WriteSet& operator=(WriteSet&& other) noexcept {
    added_bytes = other.added_bytes;
    entries_.swap(other.entries_);  // of a set that was used before, the other one gets the memory
    cells_.swap(other.cells_);
    std::swap(mask_, other.mask_);
    frozen_ = std::exchange(other.frozen_, nullptr);
    if (frozen_ != nullptr) [[unlikely]]
      frozen_->writes_ = this;
    return *this;
  }

  WriteSetEntry* find(Oid oid) noexcept {
    if (cells_ == nullptr) {
      for (WriteSetEntry& entry : entries_) {
        if (entry.oid == oid) return &entry;
      }
      return nullptr;
    }
    for (std::size_t cell = home_of(oid); cells_[cell] != 0; cell = (cell + 1) & mask_) {
      WriteSetEntry& entry = entries_[cells_[cell] - 1];
      if (entry.oid == oid) return &entry;
    }
    return nullptr;
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

    /// Adds what the library itself writes in this commit. Throws std::bad_alloc, and is then unchanged.
    WriteSetEntry& add(Oid oid, StateHeader& state) {
      struct Thawed {
        explicit Thawed(WriteSet& writes) noexcept : set(writes), frozen(std::exchange(writes.frozen_, nullptr)) {}
        ~Thawed() { set.frozen_ = frozen; }
        WriteSet& set;
        Frozen* frozen;
      } thawed(*writes_);
      return writes_->add(oid, state);
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
      refuse();
  }
  /// The same. REQUIRES: frozen.
  [[noreturn]] void refuse() const { throw TransactionCommittingError(frozen_->oid_); }

  /// Adds an entry; the caller fills in what it knows besides, in place: an entry that was put together elsewhere and copied
  /// would be read before its small stores have arrived. REQUIRES: the oid is not in the set. Throws std::bad_alloc and what
  /// `require_open` throws, and is then unchanged.
  WriteSetEntry& add(Oid oid, StateHeader& state) {
    require_open();
    std::size_t size = entries_.size();
    if (size == entries_.capacity()) entries_.reserve(std::max(kFew, 2 * size));
    if (size >= kLinear && (cells_ == nullptr || 2 * size > mask_)) [[unlikely]]
      make_cells();
    WriteSetEntry& entry = entries_.emplace_back(oid, state);  // there is room
    if (cells_ != nullptr) enter(size);
    return entry;
  }

  /// What the private states will add to the cache: noted by its `prepare` for its `after_commit`.
  ResidentBytes added_bytes;

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  auto begin() noexcept { return entries_.begin(); }
  auto end() noexcept { return entries_.end(); }
  auto begin() const noexcept { return entries_.begin(); }
  auto end() const noexcept { return entries_.end(); }

  void clear() noexcept {
    entries_.clear();
    cells_.reset();
  }

 private:
  static constexpr std::size_t kFew = 4, kLinear = 8, kMinCells = 64;

  /// The high bits of the product, for the low ones are those of a progression of oids.
  std::size_t home_of(Oid oid) const noexcept { return std::hash<Oid>{}(oid) >> 24 & mask_; }

  /// Cells for four times as many entries as there are. Throws std::bad_alloc, and has changed nothing then.
  [[gnu::noinline]] void make_cells() {
    std::size_t count = std::bit_ceil(std::max(kMinCells, 4 * entries_.size()));
    cells_ = std::make_unique<std::uint32_t[]>(count);  // zeros
    mask_ = static_cast<std::uint32_t>(count - 1);
    for (std::size_t i = 0; i < entries_.size(); ++i) enter(i);
  }

  void enter(std::size_t position) noexcept {
    std::size_t cell = home_of(entries_[position].oid);
    while (cells_[cell] != 0) cell = (cell + 1) & mask_;
    cells_[cell] = static_cast<std::uint32_t>(position + 1);
  }

  std::vector<WriteSetEntry> entries_;
  // Open addressing: positions of entries, from 1, and 0 for an empty cell; at most half are in use. None for few entries: most
  // transactions write nothing, and begin and end all the time.
  std::unique_ptr<std::uint32_t[]> cells_;
  std::uint32_t mask_ = 0;
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
