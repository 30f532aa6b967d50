// What the tests of the reclaimer share: states that can tell whether they were destroyed, and transactions without a cache.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cow_cache/detail/reclaim/hybrid_reclaimer.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/state/key.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"

namespace cow::testing {

using cow::detail::build_state;
using cow::detail::HybridReclaimer;
using cow::detail::Participant;
using cow::detail::ReadLog;
using cow::detail::Reclaimer;
using cow::detail::set_charge;
using cow::detail::State;
using cow::detail::StateChain;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::TransactionRegistry;
using cow::detail::TypeOperations;
using cow::detail::value_of;
namespace size_classes = cow::detail::size_classes;

/// A value that can tell whether it was destroyed. Its text lives on the heap, where AddressSanitizer watches.
struct Probe {
  explicit Probe(std::uint64_t id)
      : id(id), text("a text too long for the small string buffer, " + std::to_string(id)) {
    ++alive;
  }
  ~Probe() { --alive; }
  bool intact() const { return text.ends_with(std::to_string(id)); }

  std::uint64_t id;
  std::string text;
  static inline std::atomic<std::int64_t> alive = 0;
};

inline constexpr TypeOperations kProbeOperations{
    .name = "Probe",
    .spelled = "cow::testing::Probe",
    .schema = 1,
    .state_bytes = sizeof(State<Probe>),
    .type_bits = detail::type_bits<Probe>,
    .destroy = [](StateHeader& state) noexcept { value_of<Probe>(state).~Probe(); },
    .copy = nullptr,
    .encode = nullptr,
    .decode = nullptr,
    .add_heap_bytes = nullptr,
};

inline StateHeader& make_probe(std::uint64_t id) {
  StateHeader& state =
      build_state(kProbeOperations, [&](StateHeader& raw) { ::new (&value_of<Probe>(raw)) Probe(id); });
  set_charge(state, 0);
  state.key.store(state.key_as(Oid{id}, 0), std::memory_order_release);
  return state;
}

inline constexpr std::size_t kBudget = 64 << 10;

class ReclaimerTest : public ::testing::Test {
 protected:
  ~ReclaimerTest() override {
    reclaimer_.reset();
    EXPECT_EQ(Probe::alive.load(), 0) << "states leaked";
  }

  void retire(StateHeader& state) {
    Reclaimer::mark_dead(state);
    reclaimer_->retire(StateChain(state));
  }

  std::atomic<std::uint64_t> frontier_{1};
  TransactionRegistry registry_{frontier_};
  std::unique_ptr<HybridReclaimer> reclaimer_ = std::make_unique<HybridReclaimer>(registry_, kBudget);
};

/// What a transaction is to the reclaimer.
struct Sleeper {
  explicit Sleeper(TransactionRegistry& registry) : registry(registry), participant(registry.begin()) {
    log.open(participant);
  }
  ~Sleeper() {
    log.close();
    registry.end(participant);
  }
  TransactionRegistry& registry;
  Participant& participant;
  ReadLog log;
};

}  // namespace cow::testing
