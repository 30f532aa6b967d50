// The schemes that need nothing but headers: all but liburcu's.
//
// Thread safety: a plain function.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bench/extensions/two_step_reclaimer.hpp"
#include "counted_reclaimer.hpp"
#include "cow_cache/detail/reclaim/hybrid_reclaimer.hpp"
#include "interval_reclaimer.hpp"
#include "neutralise_reclaimer.hpp"
#include "ping_reclaimer.hpp"
#include "scan_reclaimer.hpp"
#include "scheme.hpp"

namespace cow::bench {

/// Frees nothing, ever: what freeing costs is the distance to it.
class LeakingReclaimer final : public cow::detail::Reclaimer {
 public:
  LeakingReclaimer(TransactionRegistry&, std::size_t) {}
  void retire(StateChain states) noexcept override {
    limbo_bytes_.fetch_add(states.bytes(), std::memory_order_relaxed);  // a statistic
  }
  void reclaim_all() noexcept override {}
  std::size_t limbo_bytes() const noexcept override { return limbo_bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> limbo_bytes_{0};
};

template <class Made>
std::unique_ptr<Reclaimer> make_reclaimer(TransactionRegistry& registry, std::size_t limbo_budget) {
  return std::make_unique<Made>(registry, limbo_budget);
}

/// Without the last one, which frees nothing: the cache's own first.
inline std::vector<Scheme> own_schemes() {
  using cow::detail::HybridReclaimer;
  return {
      {.name = "hybrid",
       .about = "the cache's own: epochs, and read logs for those who sleep",
       .bound = Bound::logged,
       .make = make_reclaimer<HybridReclaimer>},
      {.name = "epochs",
       .about = "epochs only: garbage waits for the oldest transaction",
       .bound = Bound::none,
       .make = [](TransactionRegistry& registry, std::size_t) -> std::unique_ptr<Reclaimer> {
         return std::make_unique<HybridReclaimer>(registry, std::numeric_limits<std::size_t>::max() / 4);
       }},
      {.name = "scan",
       .about = "read logs only: hazard lists, scanned for every 64 KiB of garbage",
       .bound = Bound::logged,
       .make = make_reclaimer<ScanReclaimer<PrivateFence>>},
      {.name = "scan-global",
       .about = "the same, the fence by MEMBARRIER_CMD_GLOBAL",
       .bound = Bound::logged,
       .make = [](TransactionRegistry& registry, std::size_t budget) -> std::unique_ptr<Reclaimer> {
         if (!GlobalFence::is_available()) throw std::runtime_error("this kernel has no MEMBARRIER_CMD_GLOBAL");
         return std::make_unique<ScanReclaimer<GlobalFence>>(registry, budget);
       }},
      {.name = "ping",
       .about = "epochs, and private lists that a signal makes threads publish (EpochPOP)",
       .bound = Bound::logged,
       .make = make_reclaimer<PingReclaimer<>>,
       .enter_thread = PingDomain::enter_thread,
       .leave_thread = PingDomain::leave_thread,
       .transactions_may_move = false},
      {.name = "interval",
       .about = "birth and retirement of a state against a transaction's interval (2GEIBR)",
       .bound = Bound::visible,
       .make = make_reclaimer<IntervalReclaimer<>>},
      {.name = "counted",
       .about = "a counted handle for each state read",
       .bound = Bound::logged,
       .make = make_reclaimer<CountedReclaimer<>>},
      {.name = "neutralise",
       .about = "epochs; above the budget the oldest transactions are aborted (NBR)",
       .bound = Bound::budget,
       .make = make_reclaimer<NeutraliseReclaimer<>>},
      {.name = "two-step",
       .about = "epochs, then the read logs, every time that more than the budget is left: the guide's example",
       .bound = Bound::logged,
       .make = make_reclaimer<TwoStepReclaimer>},
  };
}

inline Scheme leaking_scheme() {
  return {.name = "leak", .about = "frees nothing", .bound = Bound::none, .make = make_reclaimer<LeakingReclaimer>};
}

}  // namespace cow::bench
