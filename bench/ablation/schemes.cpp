#include <limits>
#include <memory>

#include "cow_cache/detail/reclaim/hybrid_reclaimer.hpp"
#include "scan_reclaimer.hpp"
#include "scheme.hpp"

namespace cow::bench {

using cow::detail::HybridReclaimer;
using cow::detail::Reclaimer;
using cow::detail::StateChain;
using cow::detail::TransactionRegistry;

namespace {

/// Frees nothing, ever: what freeing costs is the distance to it.
class LeakingReclaimer final : public Reclaimer {
 public:
  void retire(StateChain states) noexcept override {
    limbo_bytes_.fetch_add(states.bytes(), std::memory_order_relaxed);  // a statistic
  }
  void reclaim_all() noexcept override {}
  std::size_t limbo_bytes() const noexcept override { return limbo_bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> limbo_bytes_{0};
};

}  // namespace

std::vector<Scheme> schemes() {
  using Made = std::unique_ptr<Reclaimer>;
  return {
      {.name = "hybrid",
       .about = "the cache's own: epochs, and read logs for those who sleep",
       .make = [](TransactionRegistry& registry, std::size_t limbo_budget) -> Made {
         return std::make_unique<HybridReclaimer>(registry, limbo_budget);
       }},
      {.name = "epochs",
       .about = "epochs only: garbage waits for the oldest transaction",
       .make = [](TransactionRegistry& registry, std::size_t) -> Made {
         return std::make_unique<HybridReclaimer>(registry, std::numeric_limits<std::size_t>::max() / 4);
       }},
      {.name = "scan",
       .about = "read logs only: hazard lists, scanned for every 64 KiB of garbage",
       .make = [](TransactionRegistry& registry, std::size_t limbo_budget) -> Made {
         return std::make_unique<ScanReclaimer>(registry, limbo_budget);
       }},
      urcu_memb_scheme(),
      urcu_qsbr_scheme(),
      {.name = "leak",
       .about = "frees nothing",
       .make = [](TransactionRegistry&, std::size_t) -> Made { return std::make_unique<LeakingReclaimer>(); }},
  };
}

}  // namespace cow::bench
