// The asymmetric fence on the machine at hand: what it promises holds, and what is taken away from it is missed soon (the
// broken variant stops as soon as it went wrong). The functions are those of detail/reclaim/asymmetric_fence.hpp; the
// few lines around them are the read path and the deep scan reduced to one state.
//
// x86 reorders only a store with a later load, so this can catch a missing heavy fence. A look before the log is not caught
// reliably here, for its window is some instructions wide: the models do (tests/models). Weaker orders of single accesses
// are for relacy (tests/models/relacy) and ThreadSanitizer.
#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "bench/ablation/scan_reclaimer.hpp"

namespace cow::detail {
namespace {

using Clock = std::chrono::steady_clock;

/// By MEMBARRIER_CMD_GLOBAL: of a scheme that the cache is compared with (bench/ablation).
enum class Variant { right, no_heavy_fence, global };

/// One reader and one reclaimer that meet again and again over one state.
class Dekker {
 public:
  /// True if within the time a reader found the state alive that the reclaimer found in no log.
  template <Variant kVariant>
  bool goes_wrong(Clock::duration time) {
    std::thread reader([this] {
      for (std::uint32_t round = 1; meet(reader_at_, reclaimer_at_, 2 * round - 1); ++round) {
        if constexpr (kVariant != Variant::no_heavy_fence) dawdle();
        announce(entry_, kHandle);
        found_alive_ = validate(key_) == kAlive;
        if (!meet(reader_at_, reclaimer_at_, 2 * round)) return;
      }
    });
    Clock::time_point end = Clock::now() + time;
    bool wrong = false;
    for (std::uint32_t round = 1; !wrong && Clock::now() < end; ++round) {
      entry_ = 0;
      key_ = kAlive;
      meet(reclaimer_at_, reader_at_, 2 * round - 1);
      key_.store(kDead, std::memory_order_seq_cst);
      if constexpr (kVariant == Variant::right) heavy_fence();
      if constexpr (kVariant == Variant::global) bench::GlobalFence::fence();
      bool held = entry_.load(std::memory_order_seq_cst) != 0;
      meet(reclaimer_at_, reader_at_, 2 * round);
      wrong = found_alive_ && !held;
    }
    stop_ = true;
    reader.join();
    return wrong;
  }

 private:
  static constexpr std::uint64_t kAlive = 1, kDead = 2;
  static constexpr std::uint32_t kHandle = 1;

  /// Both go on from here at about the same time. False: there will be no more rounds.
  bool meet(std::atomic<std::uint32_t>& mine, const std::atomic<std::uint32_t>& others, std::uint32_t at) const {
    mine = at;
    for (int spins = 0; others < at; ++spins) {
      if (stop_) return false;
      if (spins % 2048 == 2047) std::this_thread::yield();
    }
    return !stop_;
  }

  /// From nothing to some microseconds, differently in each round.
  void dawdle() {
    for (volatile std::uint32_t left = (dice_ = dice_ * 1664525 + 1013904223) >> 20; left > 0;) left = left - 1;
  }

  alignas(128) std::atomic<std::uint32_t> entry_{0};
  alignas(128) std::atomic<std::uint64_t> key_{kAlive};
  alignas(128) std::atomic<std::uint32_t> reader_at_{0};
  alignas(128) std::atomic<std::uint32_t> reclaimer_at_{0};
  alignas(128) std::atomic<bool> stop_{false};
  bool found_alive_ = false;  // handed over by reader_at_
  std::uint32_t dice_ = 1;
};

class FenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one CPU does not reorder what it sees itself";
  }
};

TEST_F(FenceTest, WhatALookFoundAliveTheReclaimerFindsInTheLog) {
  EXPECT_FALSE(Dekker().goes_wrong<Variant::right>(std::chrono::seconds(1)));
}

TEST_F(FenceTest, TheMachineWideFenceDoesAsWell) {
  if (!bench::GlobalFence::is_available()) GTEST_SKIP() << "this kernel has none";
  EXPECT_FALSE(Dekker().goes_wrong<Variant::global>(std::chrono::seconds(1)));
}

TEST_F(FenceTest, AMissingHeavyFenceIsCaught) {
  if (!asymmetric_fences) GTEST_SKIP() << "the reader fences itself";
  EXPECT_TRUE(Dekker().goes_wrong<Variant::no_heavy_fence>(std::chrono::seconds(30)));
}

}  // namespace
}  // namespace cow::detail
