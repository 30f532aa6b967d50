// ScanReclaimer: read logs as hazard lists, always; epochs are never asked. The heavy half of the fence is a parameter.
//
// Thread safety: as Reclaimer.
//
// Invariants:
//  1. A list is scanned when it holds twice what its last scan had to keep, and kMinScanned at least: so a scan's cost is
//     spread over as much garbage as it may find held (Michael, "Hazard Pointers", 2004).
//  2. Freed is only what was marked dead before a heavy fence and found in no log after it (HybridReclaimer, invariant 3).
//
// Sources: Michael, "Hazard Pointers", TPDS 2004; asymmetric fences for them as in folly. MEMBARRIER_CMD_GLOBAL waits for every CPU of the
// machine to pass through the scheduler, milliseconds; it is what hazard pointers are compared by where nobody has registered for
// MEMBARRIER_CMD_PRIVATE_EXPEDITED, which interrupts the CPUs that run this process, microseconds (membarrier(2)).
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <tsl/robin_set.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"
#include "cow_cache/detail/reclaim/reclaimer.hpp"
#include "cow_cache/detail/reclaim/retire_list.hpp"
#include "cow_cache/detail/reclaim/thread_number.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"

namespace cow::bench {

using cow::detail::destroy_state;
using cow::detail::handle_of;
using cow::detail::Participant;
using cow::detail::Reclaimer;
using cow::detail::StateChain;
using cow::detail::StateHandle;
using cow::detail::StateHandleHash;
using cow::detail::StateHeader;
using cow::detail::TransactionRegistry;

/// The heavy half that the cache itself has.
struct PrivateFence {
  static void fence() noexcept { cow::detail::heavy_fence(); }
};

/// The same by MEMBARRIER_CMD_GLOBAL, which needs no registration.
struct GlobalFence {
  /// Not where CPUs are kept free of the scheduler's clock (nohz_full).
  static bool is_available() noexcept {
    long commands = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return commands >= 0 && (commands & MEMBARRIER_CMD_GLOBAL) != 0;
  }
  static void fence() noexcept {
    if (!cow::detail::asymmetric_fences) return;  // readers fence themselves
    // As in heavy_fence: going on without the fence would free what others read.
    if (::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) std::abort();
  }
};

/// What tests break on purpose. (A missing fence is caught by tests of the fence alone.)
enum class ScanFault { none, reads_no_log };

template <class Fence = PrivateFence, ScanFault kFault = ScanFault::none>
class ScanReclaimer final : public Reclaimer {
 public:
  ScanReclaimer(TransactionRegistry& registry, std::size_t) : registry_(registry) {}
  ~ScanReclaimer() override {
    for (List& list : lists_) {
      while (!list.states.empty()) destroy_state(list.states.take());
    }
  }

  void retire(StateChain states) noexcept override {
    List& list = lists_[cow::detail::thread_number() % lists_.size()];
    std::scoped_lock lock(list.mutex);
    limbo_bytes_.fetch_add(states.bytes(), std::memory_order_relaxed);  // a statistic
    list.states.append(std::move(states));
    if (list.states.bytes() > list.scan_above) scan(list);
  }

  void reclaim_all() noexcept override {
    for (List& list : lists_) {
      std::scoped_lock lock(list.mutex);
      if (!list.states.empty()) scan(list);
    }
  }

  std::size_t limbo_bytes() const noexcept override { return limbo_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t deep_scans() const noexcept override { return scans_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kMinScanned = 64 << 10;

  struct alignas(64) List {
    std::mutex mutex;
    StateChain states;
    std::size_t scan_above = kMinScanned;
  };

  /// REQUIRES: the list's mutex.
  void scan(List& list) {
    scans_.fetch_add(1, std::memory_order_relaxed);
    Fence::fence();
    tsl::robin_set<StateHandle, StateHandleHash> logged;
    if constexpr (kFault != ScanFault::reads_no_log) {
      registry_.for_each_logged(Participant::kParked - 1, [&](StateHandle handle) { logged.insert(handle); });
    }
    StateChain all = std::move(list.states);
    std::size_t before = all.bytes();
    while (!all.empty()) {
      StateHeader& state = all.take();
      if (logged.contains(handle_of(&state))) {
        list.states.add(state);
      } else {
        destroy_state(state);
      }
    }
    limbo_bytes_.fetch_sub(before - list.states.bytes(), std::memory_order_relaxed);
    list.scan_above = std::max(kMinScanned, 2 * list.states.bytes());
  }

  TransactionRegistry& registry_;
  std::array<List, 32> lists_;
  std::atomic<std::size_t> limbo_bytes_{0};
  std::atomic<std::uint64_t> scans_{0};
};

}  // namespace cow::bench
