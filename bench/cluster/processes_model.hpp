// What processes over one database server do, by the cluster's simulation: throughput, loads and memory of any number of processes, from costs
// that one process, and two, have shown.
//
// Thread safety: plain functions.
//
// A process is a node, and all of them run on one machine, the server as well: so the processor time of a load, of a commit and of learning what
// another process has committed is that of both sides. Every cache has room for everything, and has it when it begins.
#pragma once

#include <algorithm>
#include <cstdint>

#include "closed_forms.hpp"
#include "cluster.hpp"
#include "hit_model.hpp"

namespace cow::bench::simulation {

/// How a process remembers: objects once, or once for each session; and below these records as bytes, once.
struct ProcessCaches {
  bool shares_objects = true, has_records = false;
};

/// Of one process alone, in seconds, but for the last two.
struct ProcessCosts {
  double transaction = 0;                     ///< one that reads what is in the cache, and changes nothing
  double load_processor = 0, load_wait = 0;   ///< of one object from the server: processor time, and what else it takes
  double decode = 0;                          ///< of one object whose record is in the process; 0: there are no such
  double commit_processor = 0, commit = 0;    ///< of one change: processor time, and what the server takes for a group
  double learn = 0;                           ///< processor time for a commit of another process
  double object_bytes = 0, record_bytes = 0;  ///< of one cache that has everything
};

struct ProcessWork {
  std::uint32_t processes = 1, sessions = 1, cores = 1;  ///< sessions of each process; cores of the machine
  std::uint32_t objects = 1, reads = 1;
  double theta = 0;        ///< of the reads; what is changed is uniform
  double write_share = 0;  ///< of transactions that change one object besides
  double seconds = 1;      ///< from when everything is in every cache
  std::uint64_t seed = 1;
};

struct ProcessPrediction {
  double throughput = 0, loads_per_transaction = 0, bytes = 0;
};

inline ProcessPrediction predict(const ProcessCaches& caches, const ProcessCosts& costs, const ProcessWork& work) {
  const double asked = work.reads + work.write_share;  // objects of a transaction
  Popularity popularity = plain_objects(work.objects, work.theta);
  for (std::size_t i = 0; i < work.objects; ++i)
    popularity.requests[i] = (popularity.requests[i] * work.reads + popularity.changes[i] * work.write_share) / asked;
  const std::uint64_t sessions = std::uint64_t{work.processes} * work.sessions;
  const auto misses = [&](std::uint64_t of_caches, double throughput) {
    const double changes = static_cast<double>(of_caches - 1) * work.write_share / asked;
    return miss_ratio_of_changes(popularity, changes,
                                 throughput * work.seconds * asked / static_cast<double>(of_caches));
  };

  const std::uint64_t loading = caches.shares_objects || caches.has_records ? work.processes : sessions;
  ClusterParameters parameters;
  parameters.nodes = work.processes;
  parameters.sessions = work.sessions;
  parameters.cores = work.cores;
  parameters.one_machine = parameters.commits_in_groups = true;
  parameters.reads = work.reads;
  parameters.write_share = work.write_share;
  parameters.miss_s = costs.load_processor;
  parameters.load_s = costs.load_wait;
  parameters.store_servers = static_cast<std::uint32_t>(sessions);  // a connection each
  parameters.commit_s = costs.commit_processor;
  parameters.commit_at_store_s = costs.commit;
  parameters.invalidation_s = costs.learn;
  parameters.objects = work.objects;
  parameters.transactions = 20'000;
  parameters.seed = work.seed;
  // How much is changed depends on how fast it goes, and the reverse.
  constexpr int kRounds = 4;
  ProcessPrediction prediction{.throughput = 1 / costs.transaction, .loads_per_transaction = 0, .bytes = 0};
  for (int round = 0; round < kRounds; ++round) {
    parameters.miss_ratio = misses(loading, prediction.throughput);
    const double decoded =
        caches.has_records ? std::max(0.0, misses(sessions, prediction.throughput) - parameters.miss_ratio) : 0;
    parameters.transaction_s = costs.transaction + asked * decoded * costs.decode;
    prediction.throughput = Cluster(parameters).run().throughput;
  }
  prediction.loads_per_transaction = asked * parameters.miss_ratio;
  const double object_caches = caches.shares_objects ? work.processes : static_cast<double>(sessions);
  prediction.bytes =
      object_caches * costs.object_bytes + (caches.has_records ? work.processes * costs.record_bytes : 0);
  return prediction;
}

}  // namespace cow::bench::simulation
