// Which objects were collected as garbage, and the refusal of commits that would bring one back.
//
// Thread safety: `generation` and `require_kept` may be called from any thread. One Collection at a time.
//
// Invariants:
//  1. [asked-before] While a collection goes on and after it, a commit is asked before it queues up, and the leader takes only requests that
//     were asked since the collection began (Committer::adopt_generation). So between the last look at what was committed and the
//     deletion of garbage no commit makes garbage reachable.
//  2. While a collection goes on, all that is not marked as reachable counts as collected, but what is created meanwhile: that is
//     marked when its commit is asked. Afterwards, what the store was told to drop.
//  3. Oids are never given out again, so what is collected stays so. What an earlier run of the program has collected is not known: a
//     reference to that leads nowhere, like one to an object that was erased.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <vector>

#include "cow_cache/detail/oid_bitmap.hpp"
#include "cow_cache/detail/record/reference_watch.hpp"
#include "cow_cache/detail/record/references.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "reachable.hpp"
#include "write_set.hpp"

namespace cow::detail {

class CollectedOids {
 public:
  /// How many collections have begun; 0: nobody need be asked. Acquire: pairs with the release in Collection, so that who sees a
  /// collection waits for its lock.
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }

  /// Throws CollectedReferenceError if a commit writes an object that was collected, or stores a reference to one. Waits for a
  /// collection that looks at the last commits.
  void require_kept(WriteSet& writes, std::span<const ObjectWrite> objects) {
    if (!may_refuse_.load(std::memory_order_relaxed)) return;  // written before the generation that was seen
    std::vector<StoredReference> references;
    for (const ObjectWrite& object : objects) {
      if (object.erase) continue;
      for_each_reference_of(object.record, object.oid, kInfinity, [&](Oid to) {
        references.push_back({object.oid, to});
      });
    }
    {
      const std::shared_lock many(mutex_);
      if (reachable_ == nullptr) return require_not_collected(writes, references);
    }
    const std::unique_lock alone(mutex_);
    if (reachable_ == nullptr) return require_not_collected(writes, references);
    for (const WriteSetEntry& entry : writes) {
      if (entry.created) reachable_->keep(entry.oid);
    }
    require_none(writes, references, [&](Oid oid) { return !reachable_->contains(oid); });
  }

  /// A pack that collects garbage.
  class Collection {
   public:
    /// From now on commits are asked, and wait until `settle`. `reachable`: marks what is, but for the last commits.
    Collection(CollectedOids& collected, Reachable& reachable) : collected_(collected), settling_(collected.mutex_) {
      collected.reachable_ = &reachable;
      collected.may_refuse_.store(true, std::memory_order_relaxed);  // seen by who sees the generation
      collected.generation_.fetch_add(1, std::memory_order_release);
    }
    Collection(const Collection&) = delete;
    Collection& operator=(const Collection&) = delete;
    ~Collection() {
      if (!settling_.owns_lock()) settling_.lock();
      collected_.reachable_ = nullptr;
      collected_.may_refuse_.store(!collected_.collected_.empty(), std::memory_order_relaxed);
    }

    /// All that is reachable is marked.
    void settle() noexcept { settling_.unlock(); }

    /// Whether the store shall drop an object: PackRequest::is_garbage. Throws std::bad_alloc.
    bool takes(Oid oid) {
      const std::scoped_lock lock(collected_.mutex_);
      if (collected_.reachable_->contains(oid)) return false;
      collected_.collected_.insert(oid);
      return true;
    }

   private:
    CollectedOids& collected_;
    std::unique_lock<std::shared_mutex> settling_;
  };

 private:
  void require_not_collected(const WriteSet& writes, std::span<const StoredReference> references) const {
    require_none(writes, references, [&](Oid oid) { return collected_.contains(oid); });
  }

  static void require_none(const WriteSet& writes, std::span<const StoredReference> references, auto&& is_gone) {
    for (const WriteSetEntry& entry : writes) {
      if (!entry.created && is_gone(entry.oid)) throw CollectedReferenceError(entry.oid, entry.oid);
    }
    for (const auto& [from, to] : references) {
      if (is_gone(to)) throw CollectedReferenceError(from, to);
    }
  }

  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> may_refuse_{false};
  std::shared_mutex mutex_;
  Reachable* reachable_ = nullptr;  // guarded by mutex_; null: no collection goes on
  OidBitmap collected_;             // guarded by mutex_
};

}  // namespace cow::detail
