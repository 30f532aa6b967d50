// simulate-cluster: nodes x sessions over one distributed store, and the same simulation checked against the real caches.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/support/command_line.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/rows.hpp"
#include "cluster.hpp"
#include "hit_model.hpp"
#include "validation.hpp"

namespace cow::bench::simulation {

namespace {

/// Times in microseconds, as they are asked for. The defaults of processor time are of the order of what
/// `time-operations` measures; those of network and store are assumptions.
struct Study {
  std::vector<std::string> layouts{"shared", "private"};
  std::vector<std::uint32_t> nodes{1, 10, 100, 1'000};
  std::vector<double> write_shares{0.0};
  std::uint32_t sessions = 64, cores = 16, reads = 20, objects = 200'000, object_bytes = 1'024, store_servers = 512;
  double theta = 0.99, cache_share = 0.25;
  double transaction_us = 5, hit_us = 0.1, miss_us = 3, commit_us = 5, invalidation_us = 0.1;
  double wait_us = 10'000, network_us = 50, load_us = 100, commit_at_store_us = 200;
  std::uint64_t transactions = 100'000, seed = 1;
};

/// `shared`: one cache of a node. `private`: the same memory, split among the node's sessions. `private-full`: each
/// session has as much as a node's one cache.
nlohmann::json simulate(const Study& study, const std::string& layout, std::uint32_t nodes, double write_share) {
  const bool shared = layout == "shared";
  const double node_bytes = study.cache_share * study.objects * study.object_bytes;
  const double cache_bytes = layout == "private" ? node_bytes / study.sessions : node_bytes;
  const std::uint64_t caches = std::uint64_t{nodes} * (shared ? 1 : study.sessions);

  ClusterParameters parameters;
  parameters.shared = shared;
  parameters.nodes = nodes;
  parameters.sessions = study.sessions;
  parameters.cores = study.cores;
  parameters.reads = study.reads;
  parameters.write_share = write_share;
  parameters.miss_ratio = che_miss_ratio(plain_objects(study.objects, study.theta), cache_bytes / study.object_bytes,
                                         changes_per_request(caches, write_share, study.reads));
  parameters.transaction_s = 1e-6 * study.transaction_us;
  parameters.hit_s = 1e-6 * study.hit_us;
  parameters.miss_s = 1e-6 * study.miss_us;
  parameters.commit_s = 1e-6 * study.commit_us;
  parameters.invalidation_s = 1e-6 * study.invalidation_us;
  parameters.wait_s = 1e-6 * study.wait_us;
  parameters.network_s = 1e-6 * study.network_us;
  parameters.store_servers = study.store_servers;
  parameters.load_s = 1e-6 * study.load_us;
  parameters.commit_at_store_s = 1e-6 * study.commit_at_store_us;
  parameters.objects = study.objects;
  parameters.transactions = study.transactions;
  parameters.seed = study.seed;
  const ClusterResult result = Cluster(parameters).run();
  const double sessions_in_all = static_cast<double>(nodes) * study.sessions;
  return {{"system", layout},
          {"operations_per_s", result.throughput},
          {"point",
           {{"part", "cluster"},
            {"nodes", nodes},
            {"write_share", write_share},
            {"sessions", study.sessions},
            {"wait_us", study.wait_us}}},
          {"figures",
           {{"throughput", result.throughput},
            {"mean_cycle_ms", 1e3 * result.mean_cycle_s},
            {"little", result.throughput * result.mean_cycle_s / sessions_in_all},
            {"miss_ratio", parameters.miss_ratio},
            {"node_bytes", cache_bytes * (shared ? 1 : study.sessions)},
            {"processor_utilisation", result.processor_utilisation},
            {"store_utilisation", result.store_utilisation},
            {"store_wait_us", 1e6 * result.store_wait_s},
            {"loads_per_s", result.loads_per_s},
            {"invalidations_per_s", result.invalidations_per_s},
            {"invalidation_share", result.invalidation_share},
            {"aborts_per_commit", result.aborts_per_commit}}}};
}

void run_study(const Study& study, const std::string& output) {
  std::vector<nlohmann::json> rows;
  for (double write_share : study.write_shares) {
    for (std::uint32_t nodes : study.nodes) {
      for (const std::string& layout : study.layouts) {
        rows.push_back(simulate(study, layout, nodes, write_share));
        const auto& figures = rows.back()["figures"];
        fmt::print(
            "{:12} {:5} nodes, {:4.1f}% writes: {:12.0f} transactions/s, misses {:.4f}, store {:3.0f}%, processors "
            "{:3.0f}%\n",
            layout, nodes, 100 * write_share, figures["throughput"].get<double>(), figures["miss_ratio"].get<double>(),
            100 * figures["store_utilisation"].get<double>(), 100 * figures["processor_utilisation"].get<double>());
      }
    }
  }
  append_rows(output, rows);
}

void run_validation(const ValidationOptions& options, const std::string& output) {
  const std::vector<nlohmann::json> rows = Validation(options).run();
  for (const nlohmann::json& row : rows) {
    const auto& figures = row["figures"];
    fmt::print("{:8} {:3} sessions: throughput {:+.1f}%, misses {:+.1f}%, memory {:+.1f}% of what is measured\n",
               row["system"].get<std::string>(), row["point"]["sessions"].get<int>(),
               100 * figures["throughput_off"].get<double>(), 100 * figures["misses_off"].get<double>(),
               100 * figures["bytes_off"].get<double>());
  }
  append_rows(output, rows);
}

void add_study_options(CLI::App& command, Study& study) {
  const CLI::Validator positive = at_least_one(), microseconds = within(0, 1e12);
  command.add_option("--cache", study.layouts)->check(CLI::IsMember({"shared", "private", "private-full"}));
  command.add_option("--nodes", study.nodes)->check(positive);
  command.add_option("--write-share", study.write_shares, "Of transactions that write one object")->check(share());
  command.add_option("--sessions", study.sessions, "Of each node")->check(positive)->capture_default_str();
  command.add_option("--cores", study.cores, "Of each node")->check(positive)->capture_default_str();
  command.add_option("--reads", study.reads, "Of a transaction")->check(positive)->capture_default_str();
  command.add_option("--objects", study.objects)->check(positive)->capture_default_str();
  command.add_option("--object-bytes", study.object_bytes)->check(positive)->capture_default_str();
  command.add_option("--theta", study.theta, "Of Zipf's law of reads; writes are uniform")
      ->check(within(0, 100))
      ->capture_default_str();
  command.add_option("--cache-share", study.cache_share, "Of all objects, that a node has room for")
      ->check(share())
      ->capture_default_str();
  command.add_option("--store-servers", study.store_servers)->check(positive)->capture_default_str();
  command.add_option("--wait-us", study.wait_us, "External wait in a transaction")
      ->check(microseconds)
      ->capture_default_str();
  command.add_option("--network-us", study.network_us, "One way")->check(microseconds)->capture_default_str();
  command.add_option("--load-us", study.load_us, "At the store")->check(microseconds)->capture_default_str();
  command.add_option("--commit-at-store-us", study.commit_at_store_us)->check(microseconds)->capture_default_str();
  command.add_option("--transaction-us", study.transaction_us, "Processor time besides reads")
      ->check(microseconds)
      ->capture_default_str();
  command.add_option("--hit-us", study.hit_us)->check(microseconds)->capture_default_str();
  command.add_option("--miss-us", study.miss_us)->check(microseconds)->capture_default_str();
  command.add_option("--commit-us", study.commit_us)->check(microseconds)->capture_default_str();
  command.add_option("--invalidation-us", study.invalidation_us)->check(microseconds)->capture_default_str();
  command.add_option("--transactions", study.transactions, "To be counted; four of each session in any case")
      ->check(positive)
      ->capture_default_str();
  command.add_option("--seed", study.seed)->capture_default_str();
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Simulates nodes with a shared cache or private ones on a distributed store.");
  app.require_subcommand(1);
  std::string output;
  Study study;
  CLI::App* study_command = app.add_subcommand("study", "Simulate a grid of clusters");
  add_study_options(*study_command, study);
  ValidationOptions validation;
  CLI::App* validate_command = app.add_subcommand("validate", "Predict one node and compare with the real caches");
  validate_command->add_option("--experiment", validation.experiment, "The program of that name")->required();
  validate_command->add_option("--records", validation.records)
      ->check(CLI::Range(1'000u, 10'000'000u))
      ->capture_default_str();
  validate_command->add_option("--sessions", validation.sessions)->check(at_least_one());
  validate_command->add_option("--threads", validation.threads)->check(at_least_one())->capture_default_str();
  validate_command->add_option("--seconds", validation.seconds, "Of each run")
      ->check(measured_seconds())
      ->capture_default_str();
  validate_command->add_option("--seed", validation.seed)->capture_default_str();
  for (CLI::App* command : {study_command, validate_command})
    command->add_option("--output", output, "File to append the rows to, as lines of JSON")->check(writable_file());
  return run_program(app, argc, argv, [&] {
    if (*study_command) run_study(study, output);
    if (*validate_command) run_validation(validation, output);
  });
}

}  // namespace

}  // namespace cow::bench::simulation

int main(int argc, char** argv) { return cow::bench::simulation::run_command_line(argc, argv); }
