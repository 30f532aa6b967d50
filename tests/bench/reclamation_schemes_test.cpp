// The schemes of bench/ablation: all of them are safe, and their garbage is bounded as their class promises, no less and no more.
//
// Those of liburcu are not here: they wait for a transaction where the others go on without what it uses, so a test that reclaims beside
// an open transaction would wait for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/ablation/own_schemes.hpp"
#include "reclamation_scenarios.hpp"

namespace cow::testing {
namespace {

using bench::Bound;
using bench::Scheme;
using scenarios::kMany;
using scenarios::Watched;

std::string name_of_test(const Scheme& scheme) {
  std::string name(scheme.name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class ReclamationSchemeTest : public ::testing::TestWithParam<Scheme> {};

INSTANTIATE_TEST_SUITE_P(All, ReclamationSchemeTest, ::testing::ValuesIn(bench::own_schemes()),
                         [](const auto& info) { return name_of_test(info.param); });

TEST_P(ReclamationSchemeTest, IsSafe) {
  for (const scenarios::Scenario& scenario : scenarios::kAll) {
    SCOPED_TRACE(scenario.name);
    World world(GetParam());
    EXPECT_EQ(scenario.run(world), "");
  }
}

TEST_P(ReclamationSchemeTest, NothingIsLeftWhenNobodyIsActive) {
  World world(GetParam());
  for (int round = 0; round < 20; ++round) {
    Reader reader(world);
    Watched state(world);
    reader.read(state.state);
    world.retire(state.state);
    world.retire_garbage(200);
  }
  world.reclaimer().reclaim_all();
  EXPECT_EQ(Tracked::count.load(), 0);
  EXPECT_EQ(world.reclaimer().limbo_bytes(), 0u);
}

TEST_P(ReclamationSchemeTest, ATransactionMayEndOnAnotherThread) {
  if (!GetParam().transactions_may_move) GTEST_SKIP() << "its lists are a thread's own";
  World world(GetParam());
  Watched state(world);
  std::unique_ptr<Reader> reader;
  std::thread([&] {
    bench::Membership member(GetParam());
    reader = std::make_unique<Reader>(world);
    reader->read(state.state);
  }).join();
  world.retire(state.state);
  world.retire_garbage(100);
  world.reclaimer().reclaim_all();
  EXPECT_TRUE(!reader->may_go_on() || state.is_alive());
  reader.reset();
  world.reclaimer().reclaim_all();
  EXPECT_FALSE(state.is_alive());
}

// ---- bounds: what is in limbo behind a sleeper, counted

/// What may be collected before anybody looks: twice a bag, and the budget, for the one thread that retires.
constexpr std::size_t kConstant = 4 * World::kBudget;

/// More than the constant by far.
constexpr int kGarbage = 12'000;

/// Of garbage that the sleeper has not read: born after its snapshot, or before.
std::size_t limbo_behind_a_sleeper(const Scheme& scheme, bool born_later, std::size_t& all) {
  World world(scheme);
  std::vector<Watched> old;
  Reader sleeper(world);
  for (int i = 0; i < 10; ++i) {
    Watched state(world);
    sleeper.read(state.state);
    world.retire(state.state);
  }
  if (born_later) world.commit();
  all = kGarbage * world.retire_garbage(kGarbage);
  std::size_t limbo = world.reclaimer().limbo_bytes();
  world.reclaimer().reclaim_all();
  EXPECT_LE(world.reclaimer().limbo_bytes(), limbo);
  return limbo;
}

TEST_P(ReclamationSchemeTest, GarbageBornAfterASleepersSnapshot) {
  std::size_t all = 0, limbo = limbo_behind_a_sleeper(GetParam(), true, all);
  ASSERT_GT(all, 2 * kConstant);
  if (GetParam().bound == Bound::none) {
    EXPECT_GE(limbo, all);
  } else {
    EXPECT_LE(limbo, kConstant);
  }
}

TEST_P(ReclamationSchemeTest, GarbageThatASleepersSnapshotCanSee) {
  std::size_t all = 0, limbo = limbo_behind_a_sleeper(GetParam(), false, all);
  if (GetParam().bound == Bound::none || GetParam().bound == Bound::visible) {
    EXPECT_GE(limbo, all);
  } else {
    EXPECT_LE(limbo, kConstant);
  }
}

TEST_P(ReclamationSchemeTest, GarbageThatASleeperHasRead) {
  World world(GetParam());
  std::vector<Watched> states;
  for (int i = 0; i < kGarbage; ++i) states.emplace_back(world);
  Reader sleeper(world);
  for (Watched& one : states) ASSERT_TRUE(sleeper.read(one.state));
  std::size_t all = 0;
  for (Watched& one : states) {
    all += one.state.charge();
    world.retire(one.state);
  }
  ASSERT_GT(all, 2 * kConstant);
  if (GetParam().bound == Bound::budget) {
    EXPECT_LE(world.reclaimer().limbo_bytes(), kConstant);
    EXPECT_FALSE(sleeper.may_go_on());
    EXPECT_EQ(dynamic_cast<bench::AttachedReclaimer&>(world.reclaimer()).aborted(), 1u);
  } else {
    EXPECT_EQ(world.reclaimer().limbo_bytes(), all);
    EXPECT_TRUE(sleeper.may_go_on());
  }
}

// ---- with threads

/// Follows cells that a writer replaces all the time. Every transaction checks all it has read again at its end.
class CellReader {
 public:
  using Cells = std::array<std::atomic<detail::StateHeader*>, 64>;

  CellReader(World& world, Cells& cells, unsigned seed) : reader_(world), cells_(cells), random_(seed) {}

  /// Returns the number of states that it has read and not found whole, of `reads`.
  int run_transaction(int& reads) {
    int broken = 0;
    try {
      for (int i = 0; i < 25; ++i) {
        detail::StateHeader& state = *cells_[random_() % cells_.size()].load(std::memory_order_acquire);
        if (!reader_.start_read(state)) continue;
        read_.push_back(&state);
        broken += broken_ones();
        reader_.finish_read();
        if (random_() % 16 == 0) std::this_thread::yield();
      }
    } catch (const bench::SnapshotTooOldError&) {  // what it has read it may not use any more
    }
    reads += static_cast<int>(read_.size());
    read_.clear();
    reader_.end();
    reader_.begin();
    return broken;
  }

 private:
  int broken_ones() const {
    return static_cast<int>(std::count_if(read_.begin(), read_.end(), [](const detail::StateHeader* state) {
      return !detail::value_of<Tracked>(*state).is_intact();
    }));
  }

  Reader reader_;
  Cells& cells_;
  std::mt19937 random_;
  std::vector<detail::StateHeader*> read_;
};

TEST_P(ReclamationSchemeTest, NothingIsFreedUnderAReader) {
  // The machine-wide fence takes milliseconds: a few scans must do.
  const int rounds = GetParam().name == "scan-global" ? 100 : detail::kSmallBatches ? 300 : 1000;
  World world(GetParam());
  CellReader::Cells cells;
  std::atomic<std::uint64_t> next_number = 1;
  for (auto& cell : cells) cell = &World::make_as(next_number++, world.frontier());
  std::atomic<int> broken = 0, reads = 0, readers_left = 3;
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    threads.emplace_back([&, seed] {
      bench::Membership member(GetParam());
      {
        CellReader reader(world, cells, seed);
        int read = 0;
        for (int round = 0; round < rounds; ++round) broken += reader.run_transaction(read);
        reads += read;
      }
      --readers_left;
    });
  }
  threads.emplace_back([&] {
    bench::Membership member(GetParam());
    std::mt19937 random(99);
    for (int round = 0; readers_left.load() > 0; ++round) {
      // Several states of one commit, which the frontier reaches when all are there.
      for (int i = 0; i < 4; ++i) {
        detail::StateHeader& fresh = World::make_as(next_number++, world.frontier() + 1);
        world.retire(*cells[random() % cells.size()].exchange(&fresh, std::memory_order_acq_rel));
      }
      world.commit();
      if (round % 500 == 499) world.reclaimer().reclaim_all();
    }
  });
  for (std::thread& thread : threads) thread.join();
  for (auto& cell : cells) world.retire(*cell.load());
  EXPECT_EQ(broken.load(), 0);
  EXPECT_GT(reads.load(), rounds);
  world.reclaimer().reclaim_all();
  EXPECT_EQ(Tracked::count.load(), 0);
}

}  // namespace
}  // namespace cow::testing
