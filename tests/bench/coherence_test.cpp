// The recorder of traffic between cores, on programs whose traffic is known. This file is compiled with the
// instrumentation.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "bench/traffic/phases.hpp"
#include "bench/traffic/recorder.hpp"

namespace cow::bench::coherence {
namespace {

constexpr std::uint64_t kSteps = 200;

struct alignas(kLineBytes) Counter {
  std::atomic<std::uint64_t> value{0};
};

/// Threads take turns; each does `step(thread)` so many times. A first round is not counted.
Traffic traffic_of(int thread_count, const std::function<void(int)>& step, std::uint64_t steps = kSteps) {
  Turns turns(thread_count);
  std::atomic<int> warm{0}, counting{0};
  begin_phase();
  std::vector<std::thread> threads;
  for (int number = 0; number < thread_count; ++number) {
    threads.emplace_back([&, number] {
      auto run = [&](std::uint64_t count) {
        for (; count > 0; --count) {
          turns.take(number);
          {
            const Participant participant(number);
            step(number);
          }
          turns.pass(number);
        }
      };
      run(2);
      ++warm;
      while (counting == 0) std::this_thread::yield();
      run(steps);
    });
  }
  while (warm < thread_count) std::this_thread::yield();
  begin_phase();
  counting = 1;
  for (std::thread& thread : threads) thread.join();
  return end_phase();
}

TEST(CoherenceTest, SharedCounterIsOneUpdateAndOneTransferEach) {
  static Counter counter;
  const Traffic traffic = traffic_of(2, [](int) { counter.value.fetch_add(1, std::memory_order_relaxed); });
  EXPECT_EQ(traffic.shared_updates, 2 * kSteps);
  EXPECT_EQ(traffic.shared_writes, 2 * kSteps);
  EXPECT_EQ(traffic.write_transfers, 2 * kSteps);
  EXPECT_EQ(traffic.read_transfers, 0u);
  EXPECT_EQ(traffic.busiest_line, 2 * kSteps);
  EXPECT_GE(traffic.shared_lines, 1u);
}

TEST(CoherenceTest, DisjointLinesHaveNone) {
  static std::array<Counter, 3> counters;
  const Traffic traffic = traffic_of(3, [](int number) { ++counters[static_cast<std::size_t>(number)].value; });
  EXPECT_EQ(traffic.shared_writes, 0u);
  EXPECT_EQ(traffic.read_transfers + traffic.write_transfers, 0u);
  EXPECT_GE(traffic.lines, 3u);
}

TEST(CoherenceTest, NeighboursOnOneLineShareIt) {
  struct alignas(kLineBytes) Pair {
    std::uint64_t values[2] = {};
  };
  static Pair pair;
  // Plain writes; each is one, whatever the value was.
  const Traffic traffic = traffic_of(2, [](int number) {
    volatile std::uint64_t& own = pair.values[number];
    own = 1;
  });
  EXPECT_EQ(traffic.shared_writes, 2 * kSteps);
  EXPECT_EQ(traffic.shared_updates, 0u);
  EXPECT_EQ(traffic.write_transfers, 2 * kSteps);
}

TEST(CoherenceTest, ReadersAloneTransferNothingAndAWriterMakesEachReadAgain) {
  static Counter counter;
  Traffic traffic = traffic_of(3, [](int) { (void)counter.value.load(); });
  EXPECT_EQ(traffic.read_transfers + traffic.write_transfers, 0u);
  EXPECT_EQ(traffic.shared_writes, 0u);
  EXPECT_GE(traffic.shared_lines, 1u);
  // Thread 0 writes, the two others read: the write takes the line from both at once, each reader fetches it.
  traffic = traffic_of(3, [](int number) {
    if (number == 0) counter.value.store(1);
    if (number != 0) (void)counter.value.load();
  });
  EXPECT_EQ(traffic.write_transfers, kSteps);
  EXPECT_EQ(traffic.read_transfers, 2 * kSteps);
  EXPECT_EQ(traffic.shared_writes, kSteps);
}

TEST(CoherenceTest, LocksAndCopiesOfTheLibraryAreSeen) {
  struct alignas(kLineBytes) Lock {
    std::mutex mutex;
    std::shared_mutex shared;
  };
  static Lock lock;
  Traffic traffic = traffic_of(2, [](int) { const std::scoped_lock held(lock.mutex); });
  EXPECT_EQ(traffic.shared_updates, 4 * kSteps);  // taken and released
  EXPECT_EQ(traffic.write_transfers, 2 * kSteps);
  // A reader-writer lock is no better: this is what "locks on read" costs.
  traffic = traffic_of(2, [](int) { const std::shared_lock held(lock.shared); });
  EXPECT_EQ(traffic.shared_updates, 4 * kSteps);
  EXPECT_EQ(traffic.write_transfers, 2 * kSteps);

  struct alignas(kLineBytes) Block {
    std::array<char, 4 * kLineBytes> bytes{};
  };
  static Block block;
  static std::array<Block, 2> own;
  // The size is a variable, so that a call is left of it.
  static volatile std::size_t size = sizeof(Block);
  traffic = traffic_of(2, [](int number) {
    if (number == 0) std::memcpy(&block, &own[0], size);
    if (number == 1) std::memcpy(&own[1], &block, size);
  });
  EXPECT_EQ(traffic.write_transfers, 4 * kSteps);
  EXPECT_EQ(traffic.read_transfers, 4 * kSteps);
}

TEST(CoherenceTest, CopiesAreRight) {
  // Those of this program, which stand in the place of the library's.
  std::vector<char> bytes(1'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  const std::vector<char> before = bytes;
  volatile std::size_t size = 900;
  std::memmove(bytes.data() + 50, bytes.data(), size);
  EXPECT_EQ(std::memcmp(bytes.data() + 50, before.data(), size), 0);
  bytes = before;
  std::memmove(bytes.data(), bytes.data() + 50, size);
  EXPECT_EQ(std::memcmp(bytes.data(), before.data() + 50, size), 0);
  std::memset(bytes.data(), 3, size);
  EXPECT_EQ(bytes[899], 3);
  EXPECT_EQ(bytes[900], before[900]);
  EXPECT_LT(std::memcmp("a", "b", size - 899), 0);
  EXPECT_GT(std::memcmp("\xff", "b", size - 899), 0);
}

/// What ten operations of a cache cost in each step, by phase.
template <class Cache>
Traffic traffic_of_phase(Phase phase, int threads) {
  Prepared<Cache> prepared(static_cast<std::size_t>(threads), 2'000);
  std::vector<std::unique_ptr<Worker<Cache>>> workers;
  for (int i = 0; i < threads; ++i) {
    workers.push_back(std::make_unique<Worker<Cache>>(prepared, static_cast<std::size_t>(i)));
    workers.back()->enter(phase);
  }
  // Two rounds through the hot objects, so that nothing is read for the first time.
  auto step = [&](int number) {
    workers[static_cast<std::size_t>(number)]->step(phase, phase == Phase::hit ? 1'000 : 10);
  };
  const Traffic traffic = traffic_of(threads, step, 20);
  for (auto& worker : workers) worker->leave(phase);
  return traffic;
}

TEST(SharedCacheTrafficTest, ReadingWritesNoSharedLine) {
  for (Phase phase : {Phase::hit, Phase::begin_end, Phase::first_reads}) {
    const Traffic traffic = traffic_of_phase<cow::detail::SharedCache>(phase, 2);
    EXPECT_EQ(traffic.shared_writes, 0u) << kPhaseNames[static_cast<std::size_t>(phase)];
    EXPECT_EQ(traffic.read_transfers + traffic.write_transfers, 0u) << kPhaseNames[static_cast<std::size_t>(phase)];
  }
}

TEST(LockedCacheTrafficTest, CountsItsTransactionsInOneLine) {
  // 20 steps of 10 transactions of two threads; each counts itself in and out, and finds the line elsewhere once a step.
  const Traffic traffic = traffic_of_phase<LockedCache>(Phase::begin_end, 2);
  EXPECT_EQ(traffic.shared_updates, 2u * 20 * 10 * 2);
  EXPECT_EQ(traffic.write_transfers, 2u * 20);
}

TEST(SharedCacheTrafficTest, CommitIsAConstant) {
  // 20 x 10 commits of each thread, on objects of its own.
  auto transfers = [](int threads) {
    const Traffic traffic = traffic_of_phase<cow::detail::SharedCache>(Phase::commit, threads);
    return static_cast<double>(traffic.read_transfers + traffic.write_transfers) / (threads * 200.0);
  };
  const double two = transfers(2), eight = transfers(8);
  EXPECT_GT(two, 1);
  EXPECT_LT(two, 60);
  EXPECT_LT(eight, 2.5 * two) << "four times the threads";
}

}  // namespace
}  // namespace cow::bench::coherence
