// The reclaimer: gives back the memory of retired states once nobody can still read them.
//
// Thread safety: all functions may be called from any thread.
//
// The rule: a retired state is freed once every active transaction either began after it was retired (its epoch says so)
// or has not logged it.
//
// Invariants:
//  1. A state handed to `retire` is dead (`kDeadMark` in its key, stored with seq_cst) and unlinked from table and chains.
//  2. Tier 0. States stamped below every announced epoch are freed without any fence or scan of logs
//     (TransactionRegistry, invariant 1).
//  3. Tier 1, only when limbo exceeds its budget because somebody sleeps. One heavy fence, then the logs of the
//     transactions that an epoch waits for are scanned; what they do not hold is freed.
//     Proof: a reader announces a state in its log before it looks at the key (detail/asymmetric_fence.hpp). The state was
//     marked dead before the fence, the log is read after it. So either the scan finds the state, or the look found it dead
//     and the reader never used it.
//  4. After a deep scan that kept k bytes, the next one waits until limbo exceeds k + max(budget, min(k, 2 MiB)): limbo
//     stays within what sleepers hold and a constant, and a sleeper that holds much does not make every batch scan.
//  5. Frees are amortised: a call frees a bounded number of states, but more when more wait, so limbo cannot run away.
//  6. Limbo never exceeds that of invariant 4 by more than 1 MiB and what each thread retires at once: beyond it
//     retiring threads wait for the scan under way. REQUIRES: `retire` is called without a lock that a scan needs; it
//     needs none but those of logs.
//
// Sources: epochs, Fraser (2004); hazard pointers, Michael (2004); the hybrid follows Brown (DEBRA, PODC 2015) and Hyaline
// (Nikolaev, Ravindran, PODC 2019) in purpose; small frees, Kim, Brown, Singh (Token-EBR, PPoPP 2024).
#pragma once

#include <tsl/robin_set.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "detail/asymmetric_fence.hpp"
#include "detail/sanitizers.hpp"
#include "state_factory.hpp"
#include "state_memory.hpp"
#include "transaction_registry.hpp"

namespace cow {

class Reclaimer {
 public:
  /// `limbo_budget`: bytes of retired states that may wait before logs are scanned.
  Reclaimer(TransactionRegistry& registry, std::size_t limbo_budget)
      : registry_(registry), limbo_budget_(limbo_budget), deep_scan_above_(limbo_budget) {}

  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  /// REQUIRES: no transaction is active.
  ~Reclaimer() {
    for (Retired& retired : limbo_) destroy_state(*retired.state);
  }

  /// Kills a state: the mark that looks will see. The caller unlinks it, then retires it.
  static void mark_dead(StateHeader& state) noexcept {
    std::uint64_t key = state.key.load(std::memory_order_relaxed);  // the caller alone changes it
    state.key.store(key | kDeadMark, std::memory_order_seq_cst);    // asymmetric_fence.hpp, invariant 3
  }

  /// Takes over a dead, unlinked state, and does its share of freeing.
  void retire(StateHeader& state) {
    std::vector<StateHeader*> freeable;
    {
      std::scoped_lock lock(mutex_);
      std::uint32_t charge = state.charge.load(std::memory_order_relaxed);  // constant since the state was built
      limbo_.push_back({&state, registry_.retire_stamp(), charge});
      // Relaxed: a statistic, and a trigger that may be late; the lists are guarded by the mutex.
      limbo_bytes_.fetch_add(charge, std::memory_order_relaxed);
      if (++retired_since_advance_ < kBatch) return;
      retired_since_advance_ = 0;
      registry_.advance_epoch();
      collect_expired(freeable);
    }
    destroy(freeable);
    std::size_t limbo = limbo_bytes(), above = deep_scan_above_.load(std::memory_order_relaxed);
    if (limbo > above) deep_scan(limbo > above + kMostOvershoot ? WhenBusy::wait : WhenBusy::leave);
  }

  /// Frees what can be freed now, whatever the budget: advances the epoch, then scans logs if something is left.
  void reclaim_all() {
    std::vector<StateHeader*> freeable;
    {
      std::scoped_lock lock(mutex_);
      registry_.advance_epoch();
      collect_expired(freeable, limbo_.size());
    }
    destroy(freeable);
    if (limbo_bytes() > 0) deep_scan(WhenBusy::leave);
  }

  /// Bytes of states that are retired and not yet freed.
  std::size_t limbo_bytes() const noexcept { return limbo_bytes_.load(std::memory_order_relaxed); }
  std::size_t limbo_states() const {
    std::scoped_lock lock(mutex_);
    return limbo_.size();
  }
  std::size_t limbo_budget() const noexcept { return limbo_budget_; }
  std::uint64_t deep_scans() const noexcept { return deep_scans_.load(std::memory_order_relaxed); }

 private:
  struct Retired {
    StateHeader* state;
    std::uint64_t stamp;
    std::uint32_t charge;
  };

  static constexpr std::size_t kMostFresh = std::size_t{2} << 20, kMostOvershoot = std::size_t{1} << 20;
  static constexpr std::size_t kBatch = detail::kSmallBatches ? 1 : 32;

  /// Tier 0. Under the mutex. Limbo is in the order of stamps, so the expired ones are in front.
  void collect_expired(std::vector<StateHeader*>& freeable, std::size_t most = 0) {
    std::uint64_t oldest = registry_.oldest_announced();
    if (most == 0) most = 2 * kBatch + limbo_.size() / 8;  // invariant 5
    while (!limbo_.empty() && freeable.size() < most && limbo_.front().stamp < oldest) take(limbo_.front(), freeable);
  }

  void take(const Retired& retired, std::vector<StateHeader*>& freeable) {
    limbo_bytes_.fetch_sub(retired.charge, std::memory_order_relaxed);
    freeable.push_back(retired.state);
    limbo_.pop_front();
  }

  /// What a thread does that finds another one scanning.
  enum class WhenBusy { leave, wait };

  /// Tier 1. One thread at a time. Others go on, their next retirement tries again; but who retires faster than the
  /// scanner frees must wait for it (invariant 6).
  void deep_scan(WhenBusy when_busy) {
    std::unique_lock scanning(scan_mutex_, std::try_to_lock);
    if (!scanning) {
      if (when_busy == WhenBusy::leave) return;
      scanning.lock();
      if (limbo_bytes() <= deep_scan_above_.load(std::memory_order_relaxed)) return;  // the other has done it
    }
    std::deque<Retired> candidates;
    {
      std::scoped_lock lock(mutex_);
      registry_.advance_epoch();
      candidates.swap(limbo_);
    }
    if (candidates.empty()) return;
    deep_scans_.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t newest_stamp = candidates.back().stamp;
    detail::heavy_fence();
    tsl::robin_set<StateHandle> held;
    registry_.for_each_logged(newest_stamp, [&](StateHandle handle) { held.insert(handle); });

    std::vector<StateHeader*> freeable;
    std::deque<Retired> kept;
    std::size_t kept_bytes = 0;
    for (const Retired& retired : candidates) {
      if (held.contains(handle_of(retired.state))) {
        kept.push_back(retired);
        kept_bytes += retired.charge;
      } else {
        limbo_bytes_.fetch_sub(retired.charge, std::memory_order_relaxed);
        freeable.push_back(retired.state);
      }
    }
    {
      std::scoped_lock lock(mutex_);
      // In front: what was retired meanwhile has later stamps.
      limbo_.insert(limbo_.begin(), kept.begin(), kept.end());
    }
    std::size_t fresh = std::max(limbo_budget_, std::min(kept_bytes, kMostFresh));  // invariant 4
    deep_scan_above_.store(kept_bytes + fresh, std::memory_order_relaxed);
    destroy(freeable);
  }

  static void destroy(const std::vector<StateHeader*>& freeable) noexcept {
    for (StateHeader* state : freeable) destroy_state(*state);
  }

  TransactionRegistry& registry_;
  const std::size_t limbo_budget_;
  std::atomic<std::size_t> deep_scan_above_;
  std::atomic<std::size_t> limbo_bytes_{0};
  std::atomic<std::uint64_t> deep_scans_{0};
  mutable std::mutex mutex_;  // also the lock of the epoch's advance
  std::deque<Retired> limbo_;
  std::size_t retired_since_advance_ = 0;
  std::mutex scan_mutex_;
};

}  // namespace cow
