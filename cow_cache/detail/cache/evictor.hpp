// The evictor: makes objects leave the cache in the order of the replacement policy.
//
// Thread safety: all functions may be called from any thread. REQUIRES of all: the caller holds no lock that `ask` or
// `evict` takes.
//
// Invariants:
//  1. Each resident object has an entry in the policy, or waits in `admitted_` for one, from the end of the `admit` that
//     follows its becoming resident. One that became resident and is not admitted yet is nobody's victim for so long.
//  2. One thread evicts at a time and nobody waits for it: `admit` leaves its oids in a list, `evict_while` returns at once.
//  3. An object is admitted to a place that was reserved before it became resident, so admitting it cannot fail: an object
//     without an entry could never leave. What the policy has no memory for goes on waiting in the list.
//  4. A run of `evict_while` ends: each step takes an entry out of the policy, or finds it empty; what is admitted meanwhile
//     stays in the list. And each step costs a bounded amount of work, whatever was read (policy.hpp).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "cow_cache/detail/replacement/replacement.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class Evictor {
 public:
  /// Throws std::invalid_argument for no such policy.
  explicit Evictor(Replacement replacement) : policy_(make_replacement_policy(replacement)) {}

  Evictor(const Evictor&) = delete;
  Evictor& operator=(const Evictor&) = delete;

  /// Reserves places for objects that may become resident. Throws std::bad_alloc.
  void reserve(std::size_t places) {
    std::scoped_lock lock(admitted_mutex_);
    std::size_t needed = admitted_.size() + reserved_ + places;
    if (needed > admitted_.capacity()) admitted_.reserve(std::max(needed, 2 * admitted_.capacity()));
    reserved_ += places;
  }
  /// Places that are not needed after all.
  void give_back(std::size_t places) noexcept {
    std::scoped_lock lock(admitted_mutex_);
    reserved_ -= places;
  }

  /// Objects have become resident that were not before. REQUIRES: as many places, which are used up.
  void admit(std::span<const Oid> oids) noexcept {
    if (oids.empty()) return;
    std::size_t waiting;
    {
      std::scoped_lock lock(admitted_mutex_);
      admitted_.insert(admitted_.end(), oids.begin(), oids.end());
      reserved_ -= oids.size();
      waiting = admitted_.size();
    }
    if (waiting < kMaxWaiting) return;
    if (std::unique_lock evicting(mutex_, std::try_to_lock); evicting) take_admitted();
  }

  /// A place for one object, given back unless it is used.
  class Place {
   public:
    explicit Place(Evictor& evictor) : evictor_(evictor) { evictor_.reserve(1); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      if (!is_used_) evictor_.give_back(1);
    }
    void admit(Oid oid) noexcept {
      is_used_ = true;
      evictor_.admit({&oid, 1});
    }

   private:
    Evictor& evictor_;
    bool is_used_ = false;
  };

  /// Calls `evict(Oid)` for one victim after the other while `wanted()`, and as long as there are any. Does nothing if
  /// another thread is at it. False: there is nothing more to do here. `ask` as in ReplacementPolicy. Throws what they throw.
  /// None of them may run user code, a destructor of a value, say: it is called under a lock.
  template <class Wanted, class Evict>
  bool evict_while(Wanted&& wanted, const ReplacementPolicy::Ask& ask, Evict&& evict) {
    std::unique_lock evicting(mutex_, std::try_to_lock);
    if (!evicting) return false;
    take_admitted();
    bool has_more = true;
    while (has_more && wanted()) {
      std::optional<Oid> victim = policy_->victim(ask);
      has_more = victim.has_value();
      if (has_more) evict(*victim);
    }
    note_bytes();
    return has_more;
  }

  /// Forgets all objects. The caller then evicts every object that was resident before the call; what becomes resident from
  /// here on is remembered, whether the caller meets it or not.
  void forget_all() {
    std::scoped_lock evicting(mutex_);
    {
      std::scoped_lock lock(admitted_mutex_);
      admitted_.clear();
    }
    taken_ = taking_.size();
    policy_->clear();
    note_bytes();
  }

  /// Bytes of the policy's queues and ghosts.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kMaxWaiting = 1024;

  /// Without memory for all, some wait for the next call. REQUIRES: mutex_.
  void take_admitted() noexcept {
    try {
      if (taken_ == taking_.size()) {
        taking_.clear();
        taken_ = 0;
        if (taking_.capacity() > 4 * kMaxWaiting) taking_ = {};  // after a large commit
        std::scoped_lock lock(admitted_mutex_);
        taking_.reserve(reserved_ + kMaxWaiting);  // it becomes the list in which the places are
        taking_.swap(admitted_);
      }
      for (; taken_ < taking_.size(); ++taken_) policy_->admit(taking_[taken_]);
    } catch (const std::bad_alloc&) {
    }
    note_bytes();
  }

  /// Relaxed: a statistic.
  void note_bytes() noexcept { bytes_.store(policy_->bytes(), std::memory_order_relaxed); }

  std::mutex mutex_;  // of the policy
  std::unique_ptr<ReplacementPolicy> policy_;
  std::vector<Oid> taking_;  // what `take_admitted` is at, or empty room for the list to come
  std::size_t taken_ = 0;    // of these, those that have an entry
  std::atomic<std::size_t> bytes_{0};

  alignas(64) std::mutex admitted_mutex_;
  std::vector<Oid> admitted_;  // with room for `reserved_` more
  std::size_t reserved_ = 0;
};

}  // namespace cow::detail
