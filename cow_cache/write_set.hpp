// The write set: the objects that one transaction has diverted, created or erased, with their private states.
//
// Thread safety: one thread at a time, like the transaction that owns it.
#pragma once

#include <tsl/robin_map.h>

#include <cstdint>
#include <vector>

#include "state.hpp"
#include "types.hpp"

namespace cow {

struct WriteSetEntry {
  Oid oid;
  StateHeader* state;    ///< the private state: a clone, a new object, or a tombstone
  Tid base{};            ///< the revision that was cloned
  bool created = false;  ///< the object did not exist before this transaction
  bool erased = false;
};

/// In the order of first writes. Lookups are linear while there are few entries, by hash above that.
class WriteSet {
 public:
  WriteSetEntry* find(Oid oid) noexcept {
    if (entries_.size() <= kLinear) {
      for (WriteSetEntry& entry : entries_) {
        if (entry.oid == oid) return &entry;
      }
      return nullptr;
    }
    auto found = index_.find(oid);
    return found == index_.end() ? nullptr : &entries_[found->second];
  }

  /// REQUIRES: the oid is not in the set. Throws std::bad_alloc, and is then unchanged.
  WriteSetEntry& add(WriteSetEntry entry) {
    std::size_t position = entries_.size();
    entries_.push_back(entry);
    try {
      if (position == kLinear) {
        for (std::size_t i = 0; i < position; ++i) index_.emplace(entries_[i].oid, static_cast<std::uint32_t>(i));
      }
      if (position >= kLinear) index_.emplace(entry.oid, static_cast<std::uint32_t>(position));
    } catch (...) {
      entries_.pop_back();
      index_.erase(entry.oid);
      throw;
    }
    return entries_.back();
  }

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  auto begin() noexcept { return entries_.begin(); }
  auto end() noexcept { return entries_.end(); }

  void clear() noexcept {
    entries_.clear();
    index_.clear();
  }

 private:
  static constexpr std::size_t kLinear = 8;
  std::vector<WriteSetEntry> entries_;
  tsl::robin_map<Oid, std::uint32_t> index_;
};

}  // namespace cow
