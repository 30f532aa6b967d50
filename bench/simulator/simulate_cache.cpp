// simulate-cache: miss ratios of the replacement policies on traces and generated workloads.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "key_sequences.hpp"
#include "simulation.hpp"

namespace cow::bench {

namespace {

const std::map<std::string, std::function<Keys(std::uint64_t seed)>> kWorkloads{
    {"zipf", [](std::uint64_t seed) { return zipf_keys({.seed = seed}); }},
    {"zipf-scan", [](std::uint64_t seed) { return zipf_keys({.scan_every = 20'000, .seed = seed}); }},
    {"oo7", [](std::uint64_t seed) { return oo7_keys(seed); }},
};

struct Options {
  std::vector<std::string> traces, workloads;
  std::vector<double> shares{kCapacityShares.begin(), kCapacityShares.end()};
  std::vector<std::uint32_t> clusters{1};
  std::string part = "all", output;
  std::uint64_t seed = 1;
};

Keys part_of(Keys keys, const std::string& part) {
  auto middle = keys.begin() + static_cast<std::ptrdiff_t>(keys.size() / 2);
  if (part == "first") keys.erase(middle, keys.end());
  if (part == "second") keys.erase(keys.begin(), middle);
  return keys;
}

/// Prints a table and returns it as a row: what each policy misses, by capacity.
nlohmann::json report(const std::string& name, const Keys& keys, const Options& options, std::uint32_t cluster) {
  Accesses accesses = number_units(keys, cluster);
  std::string units = cluster == 1 ? "keys" : fmt::format("clusters of {} keys", cluster);
  fmt::print("{}: {} accesses to {} {}\n{:>9}{:>9}", name, accesses.units.size(), accesses.distinct, units, "capacity",
             "");
  for (const SimulatedPolicy& policy : kSimulatedPolicies) fmt::print("{:>14}", policy.name);
  fmt::print("{:>10}\n", "to best");
  nlohmann::json miss_ratios;
  for (double share : options.shares) {
    std::size_t capacity = capacity_of(accesses, share);
    auto misses = simulate(accesses, capacity);
    fmt::print("{:>8.3g}%{:>9}", share * 100, capacity);
    for (std::size_t i = 0; i < misses.size(); ++i) {
      double ratio = static_cast<double>(misses[i]) / static_cast<double>(accesses.units.size());
      fmt::print("{:>14.4f}", ratio);
      miss_ratios[std::string(kSimulatedPolicies[i].name)][fmt::format("{:g}", share)] = ratio;
    }
    fmt::print("{:>10.3f}\n", static_cast<double>(misses[kRivals]) / static_cast<double>(best_of_rivals(misses)));
    std::fflush(stdout);
  }
  return {{"workload", name},
          {"operations", accesses.units.size()},
          {"distinct", accesses.distinct},
          {"point", {{"sequence", name}, {"cluster", cluster}}},
          {"figures", miss_ratios}};
}

void run(const Options& options) {
  std::vector<nlohmann::json> rows;
  auto simulate_all = [&](const std::string& name, Keys keys) {
    keys = part_of(std::move(keys), options.part);
    if (keys.empty()) throw std::runtime_error(name + " has no accesses");
    for (std::uint32_t cluster : options.clusters) rows.push_back(report(name, keys, options, cluster));
  };
  for (const std::string& trace : options.traces)
    simulate_all(std::filesystem::path(trace).filename().string(), read_trace(trace));
  for (const std::string& workload : options.workloads) simulate_all(workload, kWorkloads.at(workload)(options.seed));
  if (options.output.empty()) return;
  std::ofstream file(options.output, std::ios::app);
  for (const nlohmann::json& row : rows) file << row.dump() << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + options.output);
}

int run_command_line(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Counts the misses of a cache of equal objects under each replacement policy, at several capacities.\n"
      "\"to best\" is what the default policy (adaptive) misses, divided by what the best of the columns before it "
      "does.\n"
      "Exit code: 0 done, 1 a trace cannot be read or a result not be written, 2 bad usage.");
  std::vector<std::string> names;
  for (const auto& [name, keys] : kWorkloads) names.push_back(name);
  app.add_option("TRACE", options.traces,
                 "Files of keys as big-endian 4-byte integers, packed with xz if they are called .xz");
  app.add_option("--workload", options.workloads, "Generated: Zipf 0.99, the same with scans, or T1 of OO7 three times")
      ->check(CLI::IsMember(names));
  app.add_option("--capacity", options.shares, "Capacities as shares of the distinct keys")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--cluster", options.clusters, "Adjacent keys that are loaded and evicted together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--part", options.part, "Half of each sequence to use")
      ->check(CLI::IsMember({"all", "first", "second"}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of what is generated")->capture_default_str();
  app.add_option("--output", options.output, "File to append the results to, one line of JSON for each table");
  try {
    app.parse(argc, argv);
    if (options.traces.empty() && options.workloads.empty()) throw CLI::ValidationError("name a TRACE or a --workload");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "simulate-cache: {}\n", error.what());
    return 1;
  }
}

}  // namespace

}  // namespace cow::bench

int main(int argc, char** argv) { return cow::bench::run_command_line(argc, argv); }
