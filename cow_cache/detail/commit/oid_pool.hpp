// Fresh oids, taken from the store in blocks so that creating an object costs no round trip; and which of them were
// committed.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. [pending] An oid is pending from when it is handed out until its transaction's commit has returned. It stays so if that
//     one is aborted: nobody will ever create the object.
//  2. Every oid below `first_unsure()` that this process was given is committed, or was given to an earlier run. What lies
//     above is committed, pending, or unknown. A reference that is stored to an oid that is pending or unknown leads nowhere
//     unless the store has the object: its commit may not have returned yet, or somebody else was given the oid.
//
// What an earlier run, or another process, was given and never committed is not found out: that would take a look at the store for every
// reference. Of other processes it is known how far the oids go that they have committed (`note_committed_by_peers`); what lies
// beyond that, and beyond our own, is looked for. Nor is what was lost more than kMaxBlocks blocks ago, with a block for a thousand oids.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "cow_cache/detail/record/reference_watch.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"

namespace cow::detail {

class OidPool {
 public:
  explicit OidPool(Store& store) : store_(store) {}

  /// An oid that was never returned before. Throws what the store throws, and OidRangeError when all are used up.
  Oid next() {
    std::scoped_lock lock(mutex_);
    if (block_.count == 0) take_block();
    Oid oid = block_.first;
    if (oid > kMaxOid) throw OidRangeError(oid);
    Pending& pending = pending_.at(current_);
    std::uint64_t index = oid.value - current_;
    pending.bits[index / 64] |= std::uint64_t{1} << index % 64;
    ++pending.count;
    ++block_.first.value;
    --block_.count;
    return oid;
  }

  /// Invariant 2. Oid{1} as long as this process was given none. Acquire: pairs with the release in `publish_unsure`; an
  /// old value only makes for more questions.
  Oid first_unsure() const noexcept { return Oid{first_unsure_.load(std::memory_order_acquire)}; }

  /// The objects of a transaction are committed: its commit has returned.
  void mark_committed(std::span<const ObjectWrite> objects) noexcept {
    // Relaxed: the thread that hands an oid to this one has set it before.
    if (!has_blocks_.load(std::memory_order_relaxed)) return;
    const Oid unsure = first_unsure();
    for (const ObjectWrite& object : objects) {
      if (object.oid >= unsure) return mark_pending_as_committed(objects);
    }
  }

  /// Other processes have committed objects with oids up to this one.
  void note_committed_by_peers(Oid highest) noexcept {
    // Relaxed, and no step of its own: an old value only makes for more questions.
    if (highest.value > highest_of_peers_.load(std::memory_order_relaxed))
      highest_of_peers_.store(highest.value, std::memory_order_relaxed);
  }

  /// Throws UncommittedReferenceError if one of the references leads to an object that was never committed; what the store
  /// throws. REQUIRES: none of them leads to an object of the transaction that stores them.
  void require_committed(std::span<const StoredReference> references) {
    std::vector<StoredReference> unsure;
    {
      std::unique_lock lock(mutex_);
      // Without a block of our own it is not known where the known ones end. Stores that give none now will do so later.
      if (pending_.empty() && highest_ == 0) {
        try {
          take_block();
        } catch (const Error&) {
          return;
        }
      }
      for (const StoredReference& reference : references) {
        if (may_lead_nowhere(reference.to)) unsure.push_back(reference);
      }
    }
    for (const auto& [from, to] : unsure) {
      if (!store_.load(to, kInfinity)) throw UncommittedReferenceError(from, to);
    }
  }

 private:
  static constexpr std::uint64_t kBlock = 1024;
  static constexpr std::size_t kMaxBlocks = std::size_t{1} << 16;

  /// Of a block that was given to us: a bit for every oid that is pending.
  struct Pending {
    std::uint64_t oids = 0;
    std::uint64_t count = 0;
    std::vector<std::uint64_t> bits;
  };
  using Blocks = std::map<std::uint64_t, Pending>;

  [[gnu::noinline]] void mark_pending_as_committed(std::span<const ObjectWrite> objects) noexcept {
    std::scoped_lock lock(mutex_);
    for (const ObjectWrite& object : objects) {
      auto found = block_of(object.oid);
      if (found == pending_.end()) continue;
      std::uint64_t index = object.oid.value - found->first, bit = std::uint64_t{1} << index % 64;
      std::uint64_t& word = found->second.bits[index / 64];
      if ((word & bit) == 0) continue;
      word &= ~bit;
      if (--found->second.count == 0 && (found->first != current_ || block_.count == 0)) pending_.erase(found);
    }
    publish_unsure();
  }

  void take_block() {
    OidBlock block = store_.allocate_oids(kBlock);
    Pending pending{.oids = block.count, .bits = std::vector<std::uint64_t>((block.count + 63) / 64)};
    if (auto old = pending_.find(current_); old != pending_.end() && old->second.count == 0) pending_.erase(old);
    if (pending_.size() >= kMaxBlocks) pending_.erase(pending_.begin());
    pending_.insert_or_assign(block.first.value, std::move(pending));
    has_blocks_.store(true, std::memory_order_relaxed);
    block_ = block;
    current_ = block.first.value;
    highest_ = std::max(highest_, block.first.value + block.count - 1);
    publish_unsure();
  }

  /// The block that has the oid, if anything in it is pending or not handed out yet.
  Blocks::iterator block_of(Oid oid) {
    auto after = pending_.upper_bound(oid.value);
    if (after == pending_.begin()) return pending_.end();
    auto found = std::prev(after);
    return oid.value - found->first < found->second.oids ? found : pending_.end();
  }

  bool may_lead_nowhere(Oid oid) {
    if (oid.value > highest_) return oid.value > highest_of_peers_.load(std::memory_order_relaxed);
    auto found = block_of(oid);
    if (found == pending_.end()) return false;
    if (found->first == current_ && oid >= block_.first) return true;  // not handed out yet
    std::uint64_t index = oid.value - found->first;
    return (found->second.bits[index / 64] >> index % 64 & 1) != 0;
  }

  void publish_unsure() noexcept {
    std::uint64_t unsure = block_.count > 0 ? block_.first.value : highest_ + 1;
    for (const auto& [first, pending] : pending_) {
      if (pending.count == 0) continue;
      std::size_t word = 0;
      while (pending.bits[word] == 0) ++word;
      unsure = std::min(unsure, first + word * 64 + static_cast<std::uint64_t>(std::countr_zero(pending.bits[word])));
      break;
    }
    first_unsure_.store(unsure, std::memory_order_release);
  }

  Store& store_;
  std::mutex mutex_;
  OidBlock block_;             // what is left of the current block
  std::uint64_t current_ = 0;  // its first oid, when it was given
  std::uint64_t highest_ = 0;  // of all that this process was given
  Blocks pending_;
  std::atomic<std::uint64_t> first_unsure_{1};
  std::atomic<bool> has_blocks_{false};  // it was given one
  std::atomic<std::uint64_t> highest_of_peers_{0};
};

}  // namespace cow::detail
