// TwoStepReclaimer: epochs free almost everything; what they leave is looked up in the read logs, if it is more than the budget.
//
// Thread safety: as Reclaimer. take_free is called under the lock of a bag, by several threads at once for different bags.
//
// Invariants:
//  1. A state with a stamp below `safe_below()` is out of reach of every transaction ([epoch-rule], transaction_registry.hpp).
//  2. [marked-before-fence] A state in a bag was marked dead before the heavy fence. So a transaction that may use it has it in its log
//     by the time that the log is read, or finds it dead and does not use it (asymmetric_fence.hpp).
//  3. Nobody is parked, for nothing here calls `park_sleepers`: so no state is held anywhere but in a log.
//
// Sources: Fraser, "Practical Lock-Freedom", 2004 (epochs); Michael, "Hazard Pointers", TPDS 2004 (lists that a scan reads).
#pragma once

#include <tsl/robin_set.h>

#include <cstddef>
#include <cstdint>

#include "bench/ablation/bagged_reclaimer.hpp"

namespace cow::bench {

class TwoStepReclaimer final : public BaggedReclaimer {
 public:
  TwoStepReclaimer(cow::detail::TransactionRegistry& registry, std::size_t limbo_budget)
      : BaggedReclaimer(registry), budget_(limbo_budget) {}

 private:
  using Logged = tsl::robin_set<cow::detail::StateHandle, cow::detail::StateHandleHash>;

  void take_free(cow::detail::RetireBatches& batches, Sift how, cow::detail::StateChain& free) override {
    const std::uint64_t safe = registry().safe_below();
    std::size_t in_reach = 0;
    for (const cow::detail::RetireBatch& batch : batches) in_reach += batch.stamp < safe ? 0 : batch.states.bytes();
    const bool scans = in_reach > (how == Sift::thoroughly ? 0 : budget_);
    const Logged logged = scans ? read_logs() : Logged();  // throws before anything is moved
    sort_out(batches, free, [&](std::uint64_t stamp, const cow::detail::StateHeader& state) {
      if (stamp < safe) return Fate::free;
      return scans && !logged.contains(cow::detail::handle_of(&state)) ? Fate::free : Fate::kept;
    });
  }

  Logged read_logs() {
    count_scan();
    cow::detail::heavy_fence();  // invariant 2
    Logged logged;
    registry().for_each_logged(cow::detail::Participant::kParked - 1,
                               [&](cow::detail::StateHandle state) { logged.insert(state); });
    return logged;
  }

  const std::size_t budget_;
};

}  // namespace cow::bench
