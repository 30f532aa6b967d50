// The evictor: makes objects leave the cache in the order of the replacement policy.
//
// Thread safety: all functions may be called from any thread. REQUIRES of all: the caller holds no lock that `ask` or
// `evict` takes.
//
// Invariants:
//  1. Each resident object has an entry in the policy, or waits in `admitted_` for one, from the end of the `admit` that
//     follows its becoming resident. One that became resident and is not admitted yet is nobody's victim for so long.
//  2. One thread evicts at a time and nobody waits for it: `admit` leaves its oids in a list, `evict_while` returns at once.
//  3. A run of `evict_while` ends: each step takes an entry out of the policy, or finds it empty; what is admitted meanwhile
//     stays in the list. And each step costs a bounded amount of work, whatever was read (policy.hpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "replacement.hpp"
#include "types.hpp"

namespace cow {

class Evictor {
 public:
  /// Throws std::invalid_argument for no such policy.
  explicit Evictor(Replacement replacement) : policy_(make_replacement_policy(replacement)) {}

  Evictor(const Evictor&) = delete;
  Evictor& operator=(const Evictor&) = delete;

  /// Objects have become resident that were not before. Running out of memory here terminates the program: an object that
  /// cannot leave again would be a leak.
  void admit(std::span<const Oid> oids) noexcept {
    std::size_t waiting;
    {
      std::scoped_lock lock(admitted_mutex_);
      admitted_.insert(admitted_.end(), oids.begin(), oids.end());
      waiting = admitted_.size();
    }
    if (waiting < kMostWaiting) return;
    if (std::unique_lock evicting(mutex_, std::try_to_lock); evicting) take_admitted();
  }

  /// Calls `evict(Oid)` for one victim after the other while `wanted()`, and as long as there are any. Does nothing if
  /// another thread is at it. False: there is nothing more to do here. `ask` as in ReplacementPolicy. Throws what they throw,
  /// and std::bad_alloc. None of them may run user code, a destructor of a value, say: it is called under a lock.
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
    take_admitted();
    policy_->clear();
    note_bytes();
  }

  /// Bytes of the policy's queues and ghosts.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kMostWaiting = 1024;

  /// REQUIRES: mutex_.
  void take_admitted() {
    std::vector<Oid> admitted;
    {
      std::scoped_lock lock(admitted_mutex_);
      admitted.swap(admitted_);
    }
    for (Oid oid : admitted) policy_->admit(oid);
    note_bytes();
  }

  /// Relaxed: a mere figure.
  void note_bytes() noexcept { bytes_.store(policy_->bytes(), std::memory_order_relaxed); }

  std::mutex mutex_;  // of the policy
  std::unique_ptr<ReplacementPolicy> policy_;
  std::atomic<std::size_t> bytes_{0};

  alignas(64) std::mutex admitted_mutex_;
  std::vector<Oid> admitted_;
};

}  // namespace cow
