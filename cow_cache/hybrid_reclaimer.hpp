// HybridReclaimer: epochs as the normal case, read logs as hazard lists for the transactions that an epoch would wait for.
//
// Thread safety: all functions may be called from any thread, the destructor apart.
//
// The rule: a retired state is freed once every active transaction either began after it was retired (its epoch says so)
// or has not logged it.
//
// Invariants:
//  1. A state handed to `retire` is dead (`kDeadMark` in its key, stored with seq_cst) and unlinked from table and chains.
//     It is stamped after that (TransactionRegistry::stamp).
//  2. Tier 0. States stamped below `safe_below_` are freed without any fence or scan of logs, unless a parked transaction
//     holds them (TransactionRegistry, invariants 1 and 4).
//  3. Tier 1, only when limbo exceeds its budget because somebody sleeps. Those who said so are parked, so that epochs do
//     not wait for them again. One heavy fence, then the logs of the transactions that an epoch waits for still are
//     scanned; what neither they nor the parked ones hold is freed.
//     Proof: a reader announces a state in its log before it looks at the key (detail/asymmetric_fence.hpp). The state was
//     marked dead before the fence, the log is read after it. So either the scan finds the state, or the look found it dead
//     and the reader never used it.
//  4. After a deep scan that kept k bytes, the next one waits until limbo exceeds k + max(budget, min(k, 2 MiB)): limbo
//     stays within what sleepers hold and a constant, and a sleeper that holds much does not make every batch scan.
//  5. Frees are amortised: for each batch that a thread retires it frees a few, but more when more wait. Nothing that a
//     deep scan finds free is freed at once either, so no transaction pays for a crowd of them.
//  6. Limbo never exceeds that of invariant 4 by more than 256 KiB, what each list may hold without a stamp (RetireBatch) and
//     what each thread retires at once: beyond it retiring threads wait for the scan under way.
//  7. Locks are taken in the order: scan, list, kept or cleared.
//
// Sources: epochs, Fraser (2004); hazard pointers, Michael (2004); the hybrid follows Brown (DEBRA, PODC 2015) and Hyaline
// (Nikolaev, Ravindran, PODC 2019) in purpose; small frees, Kim, Brown, Singh (Token-EBR, PPoPP 2024).
#pragma once

#include <tsl/robin_set.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "detail/asymmetric_fence.hpp"
#include "detail/thread_number.hpp"
#include "reclaimer.hpp"
#include "retire_list.hpp"
#include "state_factory.hpp"
#include "state_memory.hpp"
#include "transaction_registry.hpp"

namespace cow {

class HybridReclaimer final : public Reclaimer {
 public:
  /// `limbo_budget`: bytes of retired states that may wait before logs are scanned.
  HybridReclaimer(TransactionRegistry& registry, std::size_t limbo_budget)
      : registry_(registry), limbo_budget_(limbo_budget), deep_scan_above_(limbo_budget) {}

  ~HybridReclaimer() override {
    for (RetireList& list : lists_) {
      destroy(list.open);
      destroy(list.closed);
    }
    destroy(cleared_);
    for (const Kept& kept : kept_) destroy_state(*kept.state);
  }

  void retire(std::span<StateHeader* const> states) noexcept override {
    RetireList& list = lists_[detail::thread_number() % kLists];
    RetireBatches expired;
    std::size_t batches = 0;
    {
      std::scoped_lock lock(list.mutex);
      for (StateHeader* state : states) {
        if (!list.add(*state)) continue;
        close(list);
        ++batches;
      }
      if (batches == 0) return;
      take_expired(list, 2 * batches + list.closed.size() / 8, expired);  // invariant 5
    }
    free_unless_parked(expired);
    free_cleared(batches);
    free_kept();
    std::size_t limbo = unsettled_bytes(), above = deep_scan_above_.load(std::memory_order_relaxed);
    if (limbo > above) deep_scan(limbo > above + kMostOvershoot ? WhenBusy::wait : WhenBusy::leave);
  }

  void reclaim_all() noexcept override {
    deep_scan(WhenBusy::wait_and_scan);
    RetireBatches cleared;
    {
      std::scoped_lock lock(cleared_mutex_);
      cleared.swap(cleared_);
    }
    free_now(cleared);
  }

  std::size_t limbo_bytes() const noexcept override {
    std::size_t bytes = limbo_bytes_.load(std::memory_order_relaxed);
    for (const RetireList& list : lists_) bytes += list.open_bytes.load(std::memory_order_relaxed);
    return bytes;
  }
  std::uint64_t deep_scans() const noexcept override { return deep_scans_.load(std::memory_order_relaxed); }

 private:
  /// A state that a sleeper held when somebody last looked.
  struct Kept {
    StateHeader* state;
    std::uint64_t stamp;
    std::uint32_t charge;
  };

  using Handles = tsl::robin_set<StateHandle, StateHandleHash>;

  static constexpr std::size_t kLists = 32;
  static constexpr std::size_t kMostFresh = std::size_t{2} << 20, kMostOvershoot = std::size_t{256} << 10;
  static constexpr std::size_t kMostParked = std::size_t{64} << 10;  // states, at a time: some milliseconds
  static constexpr std::size_t kStatesPerLook = 16;  // slots that are looked at for each state retired, at most

  /// REQUIRES: the list's mutex.
  void close(RetireList& list) {
    // Relaxed: a statistic, and a trigger that may be late.
    limbo_bytes_.fetch_add(list.close(registry_.stamp()), std::memory_order_relaxed);
  }

  // ---- tier 0

  /// Moves up to `most` batches whose time has come. REQUIRES: the list's mutex.
  void take_expired(RetireList& list, std::size_t most, RetireBatches& expired) {
    std::uint64_t below = safe_below_.load(std::memory_order_acquire);  // pairs with look_at_announcements
    for (; most > 0 && !list.closed.empty(); --most) {
      if (list.closed.front().stamp >= below) {
        // Reading every announcement for each batch would be dear with thousands of slots.
        if (list.retired_since_look < registry_.slot_count() / kStatesPerLook) return;
        list.retired_since_look = 0;
        below = look_at_announcements();
        if (list.closed.front().stamp >= below) return;
      }
      expired.splice(expired.end(), list.closed, list.closed.begin());
    }
  }

  std::uint64_t look_at_announcements() noexcept {
    std::uint64_t below = registry_.safe_below(), known = safe_below_.load(std::memory_order_relaxed);
    // Release: what the transactions that have ended did with states happens before whoever frees them; acquire: below.
    while (known < below && !safe_below_.compare_exchange_weak(known, below, std::memory_order_acq_rel)) {
    }
    return std::max(known, below);
  }

  /// Frees states that no epoch protects any more. Those that parked transactions hold are kept.
  void free_unless_parked(RetireBatches& expired) {
    std::size_t freed = 0;
    for (RetireBatch& batch : expired) {
      for (StateHeader* state : batch) {
        std::uint32_t charge = charge_in(*state);
        if (registry_.held().contains(handle_of(state))) {
          std::scoped_lock lock(kept_mutex_);
          kept_.push_back({state, batch.stamp, charge});
        } else {
          destroy_state(*state);
          freed += charge;
        }
      }
    }
    limbo_bytes_.fetch_sub(freed, std::memory_order_relaxed);
  }

  /// Goes round through what sleepers held, a few states at a time, and frees what they have let go.
  void free_kept() {
    constexpr std::size_t kStep = 2 * RetireBatch::kMostStates;
    std::array<StateHeader*, kStep> free;
    std::size_t count = 0, freed = 0;
    {
      std::unique_lock lock(kept_mutex_, std::try_to_lock);
      if (!lock) return;                                                  // somebody else is at it
      std::uint64_t below = safe_below_.load(std::memory_order_acquire);  // as in take_expired
      for (std::size_t steps = std::min(kept_.size(), kStep + kept_.size() / 32); steps > 0 && count < kStep; --steps) {
        if (kept_at_ >= kept_.size()) kept_at_ = 0;
        Kept& kept = kept_[kept_at_];
        if (kept.stamp >= below || registry_.held().contains(handle_of(kept.state))) {
          ++kept_at_;
          continue;
        }
        free[count++] = kept.state;
        freed += kept.charge;
        kept = kept_.back();
        kept_.pop_back();
      }
    }
    for (StateHeader* state : std::span(free.data(), count)) destroy_state(*state);
    limbo_bytes_.fetch_sub(freed, std::memory_order_relaxed);
  }

  // ---- tier 1

  /// What a thread does that finds another one scanning.
  enum class WhenBusy { leave, wait, wait_and_scan };

  /// One thread at a time. Others go on, their next retirement tries again; but who retires faster than the scanner frees
  /// must wait for it (invariant 6).
  void deep_scan(WhenBusy when_busy) {
    std::unique_lock scanning(scan_mutex_, std::try_to_lock);
    if (!scanning) {
      if (when_busy == WhenBusy::leave) return;
      scanning.lock();
      bool done = unsettled_bytes() <= deep_scan_above_.load(std::memory_order_relaxed);
      if (done && when_busy == WhenBusy::wait) return;
    }
    registry_.park_sleepers(kMostParked);
    std::vector<Kept> candidates = collect();
    if (candidates.empty()) return;
    std::uint64_t below = look_at_announcements();
    Handles unlogged;  // of what an epoch would wait for
    for (const Kept& each : candidates) {
      if (each.stamp >= below) unlogged.insert(handle_of(each.state));
    }
    if (!unlogged.empty()) {
      deep_scans_.fetch_add(1, std::memory_order_relaxed);
      detail::heavy_fence();
      // Every candidate's stamp is below the present epoch.
      registry_.for_each_logged(registry_.epoch(), [&](StateHandle handle) { unlogged.erase(handle); });
    }
    std::vector<Kept> kept;
    RetireBatches cleared;
    std::size_t cleared_bytes = 0;
    for (const Kept& each : candidates) {
      StateHandle handle = handle_of(each.state);
      bool is_logged = each.stamp >= below && !unlogged.contains(handle);
      if (is_logged || registry_.held().contains(handle)) {  // the parked are asked after the announcements
        kept.push_back(each);
        continue;
      }
      if (cleared.empty() || cleared.back().full()) cleared.emplace_back();
      cleared.back().add(*each.state);
      cleared_bytes += each.charge;
    }
    keep(kept);
    // In one step for those who free: what counts as cleared must be there, or they would go on retiring without freeing.
    std::scoped_lock lock(cleared_mutex_);
    cleared_bytes_.fetch_add(cleared_bytes, std::memory_order_relaxed);
    cleared_.splice(cleared_.end(), cleared);
  }

  /// Takes everything that is in limbo and not cleared yet, stamped. REQUIRES: scan_mutex_.
  std::vector<Kept> collect() {
    std::vector<Kept> all;
    {
      std::scoped_lock lock(kept_mutex_);
      all.swap(kept_);
    }
    for (RetireList& list : lists_) {
      RetireBatches batches;
      {
        std::scoped_lock lock(list.mutex);
        if (list.open.front().count > 0) close(list);
        batches.swap(list.closed);
      }
      for (RetireBatch& batch : batches) {
        for (StateHeader* state : batch) all.push_back({state, batch.stamp, charge_in(*state)});
      }
    }
    return all;
  }

  /// Puts back what is still held, and says when to scan again (invariant 4). REQUIRES: scan_mutex_.
  void keep(std::vector<Kept>& kept) {
    std::size_t bytes = 0;
    for (const Kept& each : kept) bytes += each.charge;
    deep_scan_above_.store(bytes + std::max(limbo_budget_, std::min(bytes, kMostFresh)), std::memory_order_relaxed);
    std::scoped_lock lock(kept_mutex_);
    kept.insert(kept.end(), kept_.begin(), kept_.end());  // what tier 0 has found held meanwhile
    kept_.swap(kept);
  }

  // ---- freeing

  /// What somebody may hold, as far as is known. Relaxed: a trigger that may be late.
  std::size_t unsettled_bytes() const noexcept {
    std::size_t cleared = cleared_bytes_.load(std::memory_order_relaxed),
                limbo = limbo_bytes_.load(std::memory_order_relaxed);
    return limbo - std::min(limbo, cleared);
  }

  /// Frees some of what deep scans have cleared: more than as many batches as were retired, so that it gets less.
  void free_cleared(std::size_t retired) {
    RetireBatches some;
    {
      // Waits, unlike free_kept: if a thread is preempted here the others must not go on retiring without freeing.
      std::scoped_lock lock(cleared_mutex_);
      for (std::size_t most = 2 * retired + cleared_.size() / 8; most > 0 && !cleared_.empty(); --most) {
        some.splice(some.end(), cleared_, cleared_.begin());
      }
    }
    free_now(some);
  }

  void free_now(RetireBatches& cleared) noexcept {
    std::size_t bytes = 0;
    for (const RetireBatch& batch : cleared) bytes += batch.bytes;
    destroy(cleared);
    limbo_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    cleared_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  static void destroy(RetireBatches& batches) noexcept {
    for (RetireBatch& batch : batches) {
      for (StateHeader* state : batch) destroy_state(*state);
    }
  }

  TransactionRegistry& registry_;
  const std::size_t limbo_budget_;
  std::atomic<std::size_t> deep_scan_above_;
  std::atomic<std::uint64_t> deep_scans_{0};

  alignas(64) std::atomic<std::uint64_t> safe_below_{0};  // only grows
  alignas(64) std::atomic<std::size_t> limbo_bytes_{0};   // of what has a stamp
  std::atomic<std::size_t> cleared_bytes_{0};             // of that, what deep scans have found free

  std::array<RetireList, kLists> lists_;
  std::mutex scan_mutex_;
  std::mutex kept_mutex_;
  std::vector<Kept> kept_;
  std::size_t kept_at_ = 0;  // where `free_kept` goes on
  std::mutex cleared_mutex_;
  RetireBatches cleared_;
};

}  // namespace cow
