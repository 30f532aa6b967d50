// The simulation of a cluster and its parts against what is known in closed form.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "bench/cluster/closed_forms.hpp"
#include "bench/cluster/cluster.hpp"
#include "bench/cluster/processes_model.hpp"
#include "bench/cluster/simulated_cache.hpp"
#include "bench/cluster/station.hpp"

namespace cow::bench::simulation {
namespace {

TEST(ClosedFormsTest, ErlangsFormula) {
  // One server: rho / (mu - lambda).
  EXPECT_NEAR(mean_wait_mmc(0.5, 1, 1), 1.0, 1e-12);
  // Two servers at rho = 0.75: C = 2 rho^2 / (1 + rho) = 0.642857..., over 2 - 1.5.
  EXPECT_NEAR(mean_wait_mmc(1.5, 1, 2), 0.6428571428571429 / 0.5, 1e-12);
  EXPECT_THROW(mean_wait_mmc(2, 1, 2), std::invalid_argument);
}

TEST(StationTest, WaitsAsMMcDoes) {
  for (const auto& [servers, utilisation] :
       std::vector<std::pair<std::uint32_t, double>>{{1, 0.5}, {1, 0.8}, {4, 0.8}, {16, 0.9}}) {
    Station station(servers);
    Random random(servers);
    auto exponential = [&](double mean) { return -mean * std::log1p(-random.unit()); };
    const double arrivals = servers * utilisation;
    double now = 0;
    for (int i = 0; i < 50'000; ++i) station.serve(now += exponential(1 / arrivals), exponential(1));
    station.reset_counts();
    for (int i = 0; i < 1'000'000; ++i) station.serve(now += exponential(1 / arrivals), exponential(1));
    const double expected = mean_wait_mmc(arrivals, 1, servers);
    EXPECT_NEAR(station.mean_wait(), expected, 0.06 * expected) << servers << " servers at " << utilisation;
  }
}

TEST(StationTest, FirstComeFirstServed) {
  Station station(2);
  EXPECT_EQ(station.serve(0, 10), 10);
  EXPECT_EQ(station.serve(1, 2), 3);
  EXPECT_EQ(station.serve(2, 5), 8);  // waits for the second server
  EXPECT_EQ(station.serve(2, 1), 9);  // behind it, although it is short
  EXPECT_EQ(station.serve(20, 1), 21);
  EXPECT_EQ(station.busy(), 19);
}

Popularity zipf(std::size_t objects, double theta, double change_theta) {
  return {zipf_probabilities(objects, theta), zipf_probabilities(objects, change_theta), {}};
}

TEST(CheTest, MeetsASimulatedCache) {
  const Popularity popularity = zipf(5'000, 0.99, 0);
  for (double capacity : {50.0, 500.0, 2'500.0}) {
    for (double changes : {0.0, 0.3, 3.0}) {
      EXPECT_NEAR(che_miss_ratio(popularity, capacity, changes),
                  lru_miss_ratio(popularity, capacity, changes, 400'000, 7), 0.01)
          << "capacity " << capacity << ", changes per request " << changes;
    }
  }
}

TEST(CheTest, ObjectsOfSeveralSizes) {
  Popularity popularity = zipf(2'000, 0.8, 0);
  for (std::size_t i = 0; i < 2'000; ++i) popularity.sizes.push_back(i % 3 == 0 ? 5 : 1);
  EXPECT_NEAR(che_miss_ratio(popularity, 800, 0), lru_miss_ratio(popularity, 800, 0, 400'000, 3), 0.01);
}

TEST(CheTest, Limits) {
  const Popularity popularity = zipf(100, 0.99, 0);
  EXPECT_NEAR(che_miss_ratio(popularity, 100, 0), 0, 1e-6);
  // Everything fits, and as many changes as requests, of the same objects: each hit was a coin's toss.
  const Popularity same = zipf(100, 0.99, 0.99);
  EXPECT_NEAR(che_miss_ratio(same, 100, 1), 0.5, 1e-9);
  EXPECT_NEAR(lru_miss_ratio(same, 100, 1, 400'000, 5), 0.5, 0.01);
}

TEST(MissRatioOfChangesTest, MeetsASimulatedCacheThatHasEverything) {
  const Popularity popularity = zipf(100, 0.99, 0);
  const Zipf requests(100, 0.99);
  for (const double changes : {0.05, 1.0}) {
    for (const int asked : {20, 300, 3'000}) {
      Random random(3);
      const int rounds = 300'000 / asked;
      std::uint64_t misses = 0;
      for (int round = 0; round < rounds; ++round) {
        std::vector<bool> is_there(100, true);
        for (int i = 0; i < asked; ++i) {
          // As many changes between two requests as Poisson's law gives.
          for (double gap = -std::log1p(-random.unit()); gap < changes; gap -= std::log1p(-random.unit()))
            is_there[random.below(100)] = false;
          const std::size_t which = requests.draw(random);
          misses += !is_there[which];
          is_there[which] = true;
        }
      }
      const double simulated = static_cast<double>(misses) / (static_cast<double>(rounds) * asked);
      EXPECT_NEAR(miss_ratio_of_changes(popularity, changes, asked), simulated, 0.015) << changes << " in " << asked;
    }
  }
}

TEST(MissRatioOfChangesTest, Limits) {
  const Popularity popularity = zipf(100, 0.99, 0);
  EXPECT_NEAR(miss_ratio_of_changes(popularity, 0.3, 1e9), che_miss_ratio(popularity, 101, 0.3), 1e-6);
  EXPECT_EQ(miss_ratio_of_changes(popularity, 0.3, 0), 0);
  EXPECT_EQ(miss_ratio_of_changes(popularity, 0, 1e9), 0);
}

TEST(CheTest, TheCachesPolicyIsBetterThanLruOnZipf) {
  const Popularity popularity = zipf(5'000, 0.99, 0);
  const double adaptive = policy_miss_ratio(popularity, 500, 0, Replacement::adaptive, 400'000, 7);
  EXPECT_LT(adaptive, che_miss_ratio(popularity, 500, 0));
  EXPECT_GT(adaptive, 0.1);
}

ClusterParameters small_cluster() {
  ClusterParameters parameters;
  parameters.nodes = 4;
  parameters.sessions = 8;
  parameters.reads = 10;
  parameters.write_share = 0.2;
  parameters.miss_ratio = 0.1;
  parameters.transaction_s = 2e-6;
  parameters.hit_s = 1e-6;
  parameters.miss_s = 5e-6;
  parameters.commit_s = 10e-6;
  parameters.invalidation_s = 1e-6;
  parameters.wait_s = 1e-3;
  parameters.network_s = 100e-6;
  parameters.store_servers = 4;
  parameters.load_s = 50e-6;
  parameters.commit_at_store_s = 100e-6;
  parameters.objects = 200;
  return parameters;
}

TEST(ClusterTest, SameSeedSameResult) {
  const ClusterResult one = Cluster(small_cluster()).run(), other = Cluster(small_cluster()).run();
  EXPECT_EQ(one.throughput, other.throughput);
  EXPECT_EQ(one.aborts_per_commit, other.aborts_per_commit);
  ClusterParameters seeded = small_cluster();
  seeded.seed = 2;
  const ClusterResult third = Cluster(seeded).run();
  EXPECT_NE(one.throughput, third.throughput);
  EXPECT_NEAR(one.throughput, third.throughput, 0.02 * one.throughput);
}

TEST(ClusterTest, LittlesLaw) {
  for (bool shared : {true, false}) {
    for (std::uint32_t sessions : {1u, 8u, 200u}) {
      ClusterParameters parameters = small_cluster();
      parameters.shared = shared;
      parameters.sessions = sessions;
      const ClusterResult result = Cluster(parameters).run();
      EXPECT_NEAR(result.throughput * result.mean_cycle_s, 4.0 * sessions, 0.02 * 4 * sessions) << sessions;
    }
  }
}

TEST(ClusterTest, WhatNobodyWaitsForAddsUp) {
  // One session per node, nothing shared that is busy: the cycle is the sum of its parts.
  ClusterParameters parameters = small_cluster();
  parameters.sessions = 1;
  parameters.nodes = 1;
  parameters.objects = 1'000'000;
  const ClusterResult result = Cluster(parameters).run();
  const double load = 2 * 100e-6 + 50e-6 + 5e-6, commit = 10e-6 + 2 * 100e-6 + 100e-6;
  const double expected = 2e-6 + 10 * 1e-6 + 10 * 0.1 * load + 1e-3 + 0.2 * commit;
  EXPECT_NEAR(result.mean_cycle_s, expected, 0.02 * expected);
  EXPECT_EQ(result.invalidations_per_s, 0) << "there is no other node";
  EXPECT_EQ(result.aborts_per_commit, 0) << "there is no other session";
}

TEST(ClusterTest, NodesOfOneMachineShareItsCores) {
  ClusterParameters parameters;
  parameters.nodes = 4;
  parameters.cores = 2;
  parameters.transaction_s = 1e-3;
  parameters.transactions = 10'000;
  EXPECT_NEAR(Cluster(parameters).run().throughput, 4e3, 40);
  parameters.one_machine = true;
  const ClusterResult one = Cluster(parameters).run();
  EXPECT_NEAR(one.throughput, 2e3, 20);
  EXPECT_NEAR(one.processor_utilisation, 1, 0.01);
}

TEST(ClusterTest, CommitsOfANodeGoInGroupsAndGroupsOneAfterTheOther) {
  for (const std::uint32_t nodes : {1u, 5u}) {
    ClusterParameters parameters;
    parameters.nodes = nodes;
    parameters.sessions = 8;
    parameters.reads = 0;
    parameters.write_share = 1;
    parameters.commits_in_groups = true;
    parameters.commit_at_store_s = 1e-3;
    parameters.store_servers = 64;
    parameters.objects = 10'000'000;
    // The first that comes back goes alone, and the others while it does: groups of one and of seven by turns.
    const ClusterResult result = Cluster(parameters).run();
    EXPECT_NEAR(result.group_size, 4, 0.1) << nodes;
    EXPECT_NEAR(result.throughput, 4e3, 200) << nodes << ": the store is one sequence, however many nodes there are";
    parameters.commits_in_groups = false;
    EXPECT_GT(Cluster(parameters).run().throughput, 7e3 * nodes);
  }
}

TEST(ProcessesModelTest, WhatIsSharedIsLoadedAndKeptOnce) {
  const ProcessCosts costs{.transaction = 2e-6,
                           .load_processor = 30e-6,
                           .load_wait = 10e-6,
                           .decode = 1e-6,
                           .commit_processor = 100e-6,
                           .commit = 300e-6,
                           .learn = 20e-6,
                           .object_bytes = 10,
                           .record_bytes = 1};
  const auto of = [&](ProcessCaches caches, std::uint32_t processes) {
    return predict(caches, costs,
                   {.processes = processes,
                    .sessions = 4,
                    .cores = 2,
                    .objects = 1'000,
                    .reads = 20,
                    .theta = 0.99,
                    .write_share = 0.1,
                    .seconds = 1,
                    .seed = 1});
  };
  const ProcessCaches shared{.shares_objects = true, .has_records = false},
      own{.shares_objects = false, .has_records = false}, two{.shares_objects = false, .has_records = true};
  EXPECT_EQ(of(shared, 1).loads_per_transaction, 0) << "nobody else changes anything";
  EXPECT_GT(of(own, 1).loads_per_transaction, 0);
  EXPECT_EQ(of(two, 1).loads_per_transaction, 0);
  EXPECT_EQ(of(shared, 3).bytes, 30);
  EXPECT_EQ(of(own, 3).bytes, 120);
  EXPECT_EQ(of(two, 3).bytes, 123);
  EXPECT_GT(of(own, 4).loads_per_transaction, of(shared, 4).loads_per_transaction);
  EXPECT_GT(of(shared, 4).throughput, of(own, 4).throughput);
  EXPECT_GT(of(two, 4).throughput, of(own, 4).throughput);
}

TEST(ClusterTest, BottlenecksAreKept) {
  ClusterParameters parameters = small_cluster();
  parameters.sessions = 400;
  parameters.write_share = 0;
  parameters.wait_s = 0;
  parameters.miss_ratio = 0.5;
  // 5 loads of 50 us each, on 4 servers.
  EXPECT_NEAR(Cluster(parameters).run().throughput, 4 / (5 * 50e-6), 0.02 * 16'000);
  parameters.miss_ratio = 0;
  // 12 us on 2 cores of 4 nodes.
  const ClusterResult result = Cluster(parameters).run();
  EXPECT_NEAR(result.throughput, 8 / 12e-6, 0.02 * 8 / 12e-6);
  EXPECT_NEAR(result.processor_utilisation, 1, 0.02);
}

TEST(ClusterTest, EveryCacheIsToldOfOthersCommits) {
  for (bool shared : {true, false}) {
    ClusterParameters parameters = small_cluster();
    parameters.shared = shared;
    parameters.objects = 1'000'000;
    const ClusterResult result = Cluster(parameters).run();
    const double caches = shared ? 4 : 4 * 8;
    EXPECT_NEAR(result.invalidations_per_s, 0.2 * result.throughput * (caches - 1),
                0.03 * 0.2 * result.throughput * caches);
    EXPECT_NEAR(result.invalidation_share, result.invalidations_per_s * 1e-6 / 8, 1e-9);
  }
}

TEST(ClusterTest, ConflictsGrowWithTheSnapshotsAge) {
  ClusterParameters parameters = small_cluster();
  parameters.write_share = 1;
  parameters.objects = 10'000;
  const ClusterResult result = Cluster(parameters).run();
  // A commit conflicts if one of the others changed its object while it ran: rate x age / objects, for few conflicts.
  const double age =
      result.mean_cycle_s - 100e-6 - 100e-6 + 100e-6;  // to the arrival at the store, from a snapshot that lags
  const double expected = result.throughput * age / 10'000;
  EXPECT_NEAR(result.aborts_per_commit, expected, 0.25 * expected);
}

}  // namespace
}  // namespace cow::bench::simulation
