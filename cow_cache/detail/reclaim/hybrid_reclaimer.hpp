// HybridReclaimer: epochs as the normal case, read logs as hazard lists for the transactions that an epoch would wait for.
//
// Thread safety: all functions may be called from any thread, the destructor apart.
//
// The rule: a retired state is freed once every active transaction either began after it was retired (its epoch says so)
// or has not logged it.
//
// Invariants:
//  1. A state handed to `retire` is dead (`kDeadMark` in its key, by mark_before_fence) and unlinked from table and chains.
//     It is stamped after that (TransactionRegistry::stamp).
//  2. Tier 0. States stamped below `safe_below_` are freed without any fence or scan of logs, unless a transaction holds
//     them ([epoch-rule], [parked-is-held], transaction_registry.hpp).
//  3. Tier 1, only when limbo exceeds its budget because some transaction sleeps. The sleepers that said so are parked, so
//     that epochs do not wait for them again. The other transactions that an epoch waits for are made to hold what stands
//     in their logs ([held-at-the-end]). What no transaction holds then is free.
//  4. What a transaction holds is left with its holders (HeldStates) and never looked at again: the end of the last holder
//     frees it (`take_over`). So a scan costs what was retired since the last one, besides the logs that it reads. What
//     waits for holders is limbo, but does not count as unsettled, which is what triggers scans: the next one comes when
//     max(budget, min(held bytes, 2 MiB)) are unsettled. So limbo stays within what live transactions hold and a constant.
//  5. Frees are amortised: for each batch that a thread retires it frees a few, but more when more wait. What a scan finds
//     free is not freed at once either, but in the same proportion: so a thread that retired most of it, in one call, frees
//     it in that call, and no other transaction pays for it.
//  6. Unsettled limbo never exceeds the trigger of invariant 4 by more than 256 KiB, what each list may hold without a stamp
//     (RetireBatch) and what each thread retires at once: beyond it retiring threads wait for the scan under way.
//  7. Nothing waits for a retirement that may never come. A transaction that has freed what only it held also frees what has
//     become free of the rest, if that is worth the look: afterwards no more than the budget and the open batches are
//     unsettled, and nothing that scans have cleared is left.
//  8. No function can fail. Where there is no memory for a scan, the states stay where they were until the next one, and
//     limbo exceeds its bounds for so long; where there is none to close a batch, it grows (RetireList).
//  9. Locks are taken in the order: scan, list, cleared. States are destroyed outside of all of them.
//
// Sources: epochs, Fraser (2004); hazard pointers, Michael (2004); small frees, Kim, Brown, Singh (Token-EBR, PPoPP 2024). Epochs first
// and hazard pointers without fences when somebody is delayed: QSense (Balmau, Guerraoui, Herlihy, Zablotchi, SPAA 2016), EpochPOP
// (Singh, Brown, Publish on Ping, PPoPP 2025), HP-BRCU (Kim, Jung, Kang, SPAA 2024). Bounded in the presence of delayed threads, by
// other means: DEBRA+ (Brown, PODC 2015), Hyaline-S (Nikolaev, Ravindran, PLDI 2021). A look at memory that keeps its type, and a
// version in it: VBR (Sheffi, Herlihy, Petrank, DISC 2021).
#pragma once

#include <tsl/robin_set.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/state_memory.hpp"
#include "reclaimer.hpp"
#include "retire_list.hpp"
#include "thread_number.hpp"
#include "transaction_registry.hpp"

namespace cow::detail {

class HybridReclaimer final : public Reclaimer, private Heir {
 public:
  /// `limbo_budget`: bytes of retired states that may wait before logs are scanned.
  HybridReclaimer(TransactionRegistry& registry, std::size_t limbo_budget)
      : registry_(registry), limbo_budget_(limbo_budget) {
    registry_.set_heir(this);
  }

  /// Nothing waits for holders: no transaction is active.
  ~HybridReclaimer() override {
    for (RetireList& list : lists_) {
      destroy(std::move(list.open));
      destroy(list.closed);
    }
    destroy(cleared_);
    registry_.set_heir(nullptr);
  }

  void retire(StateChain states) noexcept override {
    RetireList& list = lists_[thread_number() % kLists];
    RetireBatches expired;
    std::size_t batches = 0;
    {
      std::scoped_lock lock(list.mutex);
      while (!states.empty()) {
        if (!list.add(states.take())) continue;
        close(list);
        ++batches;
      }
      if (batches == 0) return;
      take_expired(list, 2 * batches + list.closed.size() / 8, expired);  // invariant 5
    }
    free_unless_held(expired);
    free_cleared(batches);
    std::size_t unsettled = unsettled_bytes(), above = deep_scan_above();
    if (unsettled <= above) return;
    deep_scan(unsettled > above + kMaxOvershoot ? WhenBusy::wait : WhenBusy::leave);
    free_cleared(batches);
  }

  void reclaim_all() noexcept override {
    deep_scan(WhenBusy::wait_and_scan);
    free_all_cleared();
  }

  std::size_t limbo_bytes() const noexcept override {
    std::int64_t bytes = limbo_bytes_.load(std::memory_order_relaxed);
    for (const RetireList& list : lists_)
      bytes += static_cast<std::int64_t>(list.open_bytes.load(std::memory_order_relaxed));
    return static_cast<std::size_t>(std::max<std::int64_t>(bytes, 0));
  }
  std::uint64_t deep_scans() const noexcept override { return deep_scans_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kLists = 32;
  static constexpr std::size_t kMaxFresh = std::size_t{2} << 20, kMaxOvershoot = std::size_t{256} << 10;
  static constexpr std::size_t kMaxParked = std::size_t{64} << 10;  // states, at a time: some milliseconds
  static constexpr std::size_t kStatesPerLook = 16;  // participants that are looked at for each state retired, at most
  static constexpr std::size_t kBytesPerLook = 16;  // and bytes let go for each participant that is looked at, at least

  using TakenBatches = std::array<RetireBatches, kLists>;

  /// REQUIRES: the list's mutex.
  void close(RetireList& list) noexcept {
    count(limbo_bytes_, list.close([&] { return registry_.stamp(); }));
  }

  // ---- tier 0

  /// Moves up to `most` batches whose time has come. REQUIRES: the list's mutex.
  void take_expired(RetireList& list, std::size_t most, RetireBatches& expired) noexcept {
    std::uint64_t below = safe_below_.load(std::memory_order_acquire);  // pairs with refresh_safe_epoch
    for (; most > 0 && !list.closed.empty(); --most) {
      if (list.closed.front().stamp >= below) {
        // Reading every announcement for each batch would be dear with thousands of participants.
        if (list.retired_since_look < registry_.participant_count() / kStatesPerLook) return;
        list.retired_since_look = 0;
        below = refresh_safe_epoch();
        if (list.closed.front().stamp >= below) return;
      }
      expired.splice(expired.end(), list.closed, list.closed.begin());
    }
  }

  std::uint64_t refresh_safe_epoch() noexcept {
    std::uint64_t below = registry_.safe_below();
    // What the transactions that have ended did with states must happen before they are freed. Release: for the threads that
    // free by this look; acquire, of the load as well: the look of another thread may be the later one.
    std::uint64_t known = safe_below_.load(std::memory_order_acquire);
    while (known < below && !safe_below_.compare_exchange_weak(known, below, std::memory_order_acq_rel)) {
    }
    return std::max(known, below);
  }

  /// Frees states that no epoch protects any more. Those that transactions hold are left with them.
  void free_unless_held(RetireBatches& expired) noexcept {
    std::size_t freed = 0;
    for (RetireBatch& batch : expired) {
      while (!batch.states.empty()) {
        StateHeader& state = batch.states.take();
        std::size_t charge = charge_in(state);
        if (leave_with_holders(state, charge)) continue;
        destroy_state(state);
        freed += charge;
      }
    }
    uncount(limbo_bytes_, freed);
  }

  /// `charge`: that of the state, which its holder may have freed when it is counted.
  bool leave_with_holders(StateHeader& state, std::size_t charge) noexcept {
    if (!registry_.held().leave(state)) return false;
    count(held_bytes_, charge);
    return true;
  }

  // ---- tier 1

  /// What a thread does that finds another one scanning.
  enum class WhenBusy { leave, wait, wait_and_scan };

  /// One thread at a time. Others go on, their next retirement tries again; but a thread that retires faster than the
  /// scanner frees must wait for it (invariant 6).
  void deep_scan(WhenBusy when_busy) noexcept {
    StateChain released;
    {
      std::unique_lock scanning(scan_mutex_, std::try_to_lock);
      if (!scanning) {
        if (when_busy == WhenBusy::leave) return;
        scanning.lock();
        if (when_busy == WhenBusy::wait && unsettled_bytes() <= deep_scan_above()) return;
      }
      scan(released);
    }
    take_back(std::move(released));
  }

  /// REQUIRES: scan_mutex_.
  void scan(StateChain& released) noexcept {
    registry_.park_sleepers(kMaxParked, released);
    TakenBatches taken = take_all();
    std::uint64_t below = refresh_safe_epoch();
    if (!hold_logged(taken, below, released)) return put_back(taken);
    RetireBatches cleared;
    std::size_t cleared_bytes = 0;
    for (RetireBatches& batches : taken) {
      for (RetireBatch& batch : batches) {
        StateChain states = std::move(batch.states);
        while (!states.empty()) {
          StateHeader& state = states.take();
          // The holders are asked after the announcements were read, and after hold_logged.
          if (!leave_with_holders(state, charge_in(state))) batch.states.add(state);
        }
        cleared_bytes += batch.states.bytes();
      }
      cleared.splice(cleared.end(), batches);
    }
    cleared.remove_if([](const RetireBatch& batch) { return batch.states.empty(); });
    // In one step for threads that free: what counts as cleared must be there, or they would retire on without freeing.
    std::scoped_lock lock(cleared_mutex_);
    count(cleared_bytes_, cleared_bytes);
    cleared_.splice(cleared_.end(), cleared);
  }

  /// Takes everything that is in limbo and neither held nor cleared yet, stamped. REQUIRES: scan_mutex_.
  TakenBatches take_all() noexcept {
    TakenBatches taken;
    for (std::size_t i = 0; i < kLists; ++i) {
      std::scoped_lock lock(lists_[i].mutex);
      if (!lists_[i].open.empty()) close(lists_[i]);
      taken[i].swap(lists_[i].closed);
    }
    return taken;
  }

  void put_back(TakenBatches& taken) noexcept {
    for (std::size_t i = 0; i < kLists; ++i) {
      std::scoped_lock lock(lists_[i].mutex);
      lists_[i].closed.splice(lists_[i].closed.begin(), taken[i]);  // in front: their stamps are older
    }
  }

  /// Makes transactions hold what they have logged of what an epoch would wait for. False: there is no memory for it.
  bool hold_logged(const TakenBatches& taken, std::uint64_t below, StateChain& released) noexcept {
    try {
      tsl::robin_set<StateHandle, StateHandleHash> candidates;
      for (const RetireBatches& batches : taken) {
        for (const RetireBatch& batch : batches) {
          if (batch.stamp < below) continue;
          batch.states.for_each([&](StateHeader& state) { candidates.insert(handle_of(&state)); });
        }
      }
      if (candidates.empty()) return true;
      deep_scans_.fetch_add(1, std::memory_order_relaxed);
      // Every candidate's stamp is below the present epoch.
      return registry_.hold_logged(
          registry_.epoch(), [&](StateHandle handle) { return candidates.contains(handle); }, released);
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  // ---- what the end of a transaction frees

  void take_over(StateChain released) noexcept override {
    std::size_t bytes = released.bytes();
    take_back(std::move(released));
    // Invariant 7. What is unsettled or cleared comes to the budget at most without a look; and a look costs a load for each
    // participant, so a crowd of transactions that end does not look for each of them. Relaxed: a statistic.
    if (unsettled_bytes() + cleared_bytes() <= limbo_budget_ / 2) return;
    std::size_t let_go = let_go_since_look_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (let_go < registry_.participant_count() * kBytesPerLook) return;
    let_go_since_look_.store(0, std::memory_order_relaxed);
    for (RetireList& list : lists_) {
      std::scoped_lock lock(list.mutex);
      if (!list.open.empty()) close(list);
    }
    std::uint64_t below = refresh_safe_epoch();
    RetireBatches expired;
    for (RetireList& list : lists_) {
      std::scoped_lock lock(list.mutex);
      while (!list.closed.empty() && list.closed.front().stamp < below)
        expired.splice(expired.end(), list.closed, list.closed.begin());
    }
    free_unless_held(expired);
    if (unsettled_bytes() > deep_scan_above()) deep_scan(WhenBusy::leave);  // less is held than was: it came down
    free_all_cleared();
  }

  /// Frees what has waited for its holders.
  void take_back(StateChain released) noexcept {
    if (released.empty()) return;
    std::size_t bytes = released.bytes();
    destroy(std::move(released));
    uncount(held_bytes_, bytes);
    uncount(limbo_bytes_, bytes);
  }

  // ---- figures. Relaxed: triggers that may be late, and statistics. Signed: what one thread adds another may have
  // subtracted before.

  using Bytes = std::atomic<std::int64_t>;
  static void count(Bytes& of, std::size_t bytes) noexcept {
    of.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  static void uncount(Bytes& of, std::size_t bytes) noexcept {
    of.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  static std::size_t value(std::int64_t bytes) noexcept { return bytes > 0 ? static_cast<std::size_t>(bytes) : 0; }

  std::size_t cleared_bytes() const noexcept { return value(cleared_bytes_.load(std::memory_order_relaxed)); }
  /// What transactions may hold, as far as is known.
  std::size_t unsettled_bytes() const noexcept {
    return value(limbo_bytes_.load(std::memory_order_relaxed) - cleared_bytes_.load(std::memory_order_relaxed) -
                 held_bytes_.load(std::memory_order_relaxed));
  }
  /// Invariant 4.
  std::size_t deep_scan_above() const noexcept {
    return std::max(limbo_budget_, std::min(value(held_bytes_.load(std::memory_order_relaxed)), kMaxFresh));
  }

  // ---- freeing

  /// Frees at least twice as many cleared batches as were just retired, so the backlog shrinks.
  void free_cleared(std::size_t retired) noexcept {
    RetireBatches some;
    {
      std::scoped_lock lock(cleared_mutex_);
      for (std::size_t most = 2 * retired + cleared_.size() / 8; most > 0 && !cleared_.empty(); --most) {
        some.splice(some.end(), cleared_, cleared_.begin());
      }
    }
    free_now(some);
  }

  void free_all_cleared() noexcept {
    RetireBatches cleared;
    {
      std::scoped_lock lock(cleared_mutex_);
      cleared.swap(cleared_);
    }
    free_now(cleared);
  }

  void free_now(RetireBatches& cleared) noexcept {
    std::size_t bytes = 0;
    for (const RetireBatch& batch : cleared) bytes += batch.states.bytes();
    destroy(cleared);
    uncount(limbo_bytes_, bytes);
    uncount(cleared_bytes_, bytes);
  }

  static void destroy(RetireBatches& batches) noexcept {
    for (RetireBatch& batch : batches) destroy(std::move(batch.states));
  }
  static void destroy(StateChain states) noexcept {
    while (!states.empty()) destroy_state(states.take());
  }

  TransactionRegistry& registry_;
  const std::size_t limbo_budget_;
  std::atomic<std::uint64_t> deep_scans_{0};

  alignas(64) std::atomic<std::uint64_t> safe_below_{0};  // only grows
  alignas(64) Bytes limbo_bytes_{0};                      // of what has a stamp
  Bytes cleared_bytes_{0};                                // of that, what deep scans have found free,
  Bytes held_bytes_{0};                                   // and what waits for holders
  std::atomic<std::size_t> let_go_since_look_{0};

  std::array<RetireList, kLists> lists_;
  std::mutex scan_mutex_;
  std::mutex cleared_mutex_;
  RetireBatches cleared_;
};

}  // namespace cow::detail
