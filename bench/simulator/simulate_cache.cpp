// simulate-cache: miss ratios of the replacement policies on traces and generated workloads.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/support/command_line.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/rows.hpp"
#include "further_policies.hpp"
#include "key_sequences.hpp"
#include "session_split.hpp"
#include "simulation.hpp"

namespace cow::bench {

namespace {

const std::map<std::string, std::function<Keys(std::uint64_t seed)>> kWorkloads{
    {"zipf", [](std::uint64_t seed) { return zipf_keys({.seed = seed}); }},
    {"zipf-scan", [](std::uint64_t seed) { return zipf_keys({.scan_every = 20'000, .seed = seed}); }},
    {"oo7", [](std::uint64_t seed) { return oo7_keys(seed); }},
};

struct Options {
  std::vector<std::string> traces, workloads, also;
  std::vector<double> shares{kCapacityShares.begin(), kCapacityShares.end()};
  std::vector<std::uint32_t> clusters{1}, sessions;
  std::string part = "all", objects = "same", output;
  std::uint64_t seed = 1;
};

Keys part_of(Keys keys, const std::string& part) {
  auto middle = keys.begin() + static_cast<std::ptrdiff_t>(keys.size() / 2);
  if (part == "first") keys.erase(middle, keys.end());
  if (part == "second") keys.erase(keys.begin(), middle);
  return keys;
}

std::vector<SimulatedPolicy> further_policies(const Options& options) {
  std::vector<SimulatedPolicy> found;
  for (const SimulatedPolicy& policy : kFurtherPolicies) {
    if (std::find(options.also.begin(), options.also.end(), policy.name) != options.also.end()) found.push_back(policy);
  }
  return found;
}

/// Prints a table and returns it as a row: what each policy misses, by capacity.
nlohmann::json report(const std::string& name, const Keys& keys, const Options& options, std::uint32_t cluster) {
  Accesses accesses = number_units(keys, cluster);
  const std::vector<SimulatedPolicy> further = further_policies(options);
  std::string units = cluster == 1 ? "keys" : fmt::format("clusters of {} keys", cluster);
  fmt::print("{}: {} accesses to {} {}\n{:>9}{:>9}", name, accesses.units.size(), accesses.distinct, units, "capacity",
             "");
  for (const SimulatedPolicy& policy : kSimulatedPolicies) fmt::print("{:>14}", policy.name);
  for (const SimulatedPolicy& policy : further) fmt::print("{:>14}", policy.name);
  fmt::print("{:>10}\n", "to best");
  nlohmann::json miss_ratios;
  for (double share : options.shares) {
    std::size_t capacity = capacity_of(accesses, share);
    auto misses = simulate(accesses, capacity);
    fmt::print("{:>8.3g}%{:>9}", share * 100, capacity);
    auto note = [&](const SimulatedPolicy& policy, std::uint64_t missed) {
      double ratio = static_cast<double>(missed) / static_cast<double>(accesses.units.size());
      fmt::print("{:>14.4f}", ratio);
      miss_ratios[std::string(policy.name)][fmt::format("{:g}", share)] = ratio;
    };
    for (std::size_t i = 0; i < misses.size(); ++i) note(kSimulatedPolicies[i], misses[i]);
    for (const SimulatedPolicy& policy : further) note(policy, policy.misses(accesses, capacity));
    fmt::print("{:>10.3f}\n", static_cast<double>(misses[kRivals]) / static_cast<double>(best_of_rivals(misses)));
    std::fflush(stdout);
  }
  return {{"workload", name},
          {"operations", accesses.units.size()},
          {"distinct", accesses.distinct},
          {"point", {{"sequence", name}, {"cluster", cluster}}},
          {"figures", miss_ratios}};
}

/// The policies that are compared with sessions: the default, and what most private caches have.
constexpr std::array<std::string_view, 2> kSessionPolicies{"adaptive", "lru"};

/// Prints a table and returns its rows: what hits in one cache for all sessions, and in a cache for each.
std::vector<nlohmann::json> report_sessions(const std::string& name, const Keys& keys, const Options& options) {
  const Accesses accesses = number_units(keys);
  auto objects =
      static_cast<SessionObjects>(std::find(kSessionObjectsNames.begin(), kSessionObjectsNames.end(), options.objects) -
                                  kSessionObjectsNames.begin());
  fmt::print("{}: {} accesses, hit ratios, objects of the sessions: {}\n{:>9}{:>9}", name, accesses.units.size(),
             options.objects, "capacity", "sessions");
  for (std::string_view policy : kSessionPolicies)
    fmt::print("{:>18}{:>18}", fmt::format("shared {}", policy), fmt::format("private {}", policy));
  fmt::print("\n");
  std::vector<nlohmann::json> rows;
  for (std::uint32_t sessions : options.sessions) {
    const SessionSplit dealt = split(accesses, sessions, objects, options.seed);
    for (double share : options.shares) {
      std::size_t capacity = capacity_of(dealt.shared, share);
      nlohmann::json hits;
      fmt::print("{:>8.3g}%{:>9}", share * 100, sessions);
      for (std::string_view name_of_policy : kSessionPolicies) {
        const SimulatedPolicy& policy =
            *std::find_if(kSimulatedPolicies.begin(), kSimulatedPolicies.end(),
                          [&](const SimulatedPolicy& p) { return p.name == name_of_policy; });
        auto ratio = [&](std::uint64_t misses) {
          return 1 - static_cast<double>(misses) / static_cast<double>(accesses.units.size());
        };
        double in_shared = ratio(policy.misses(dealt.shared, capacity));
        double in_private = ratio(count_private_misses(dealt, capacity, policy));
        hits[std::string(name_of_policy)] = {{"shared", in_shared}, {"private", in_private}};
        fmt::print("{:>18.4f}{:>18.4f}", in_shared, in_private);
      }
      fmt::print("\n");
      std::fflush(stdout);
      rows.push_back(
          {{"workload", name},
           {"operations", accesses.units.size()},
           {"distinct", dealt.shared.distinct},
           {"point", {{"sequence", name}, {"objects", options.objects}, {"sessions", sessions}, {"capacity", share}}},
           {"figures", {{"hit_ratio", hits}}}});
    }
  }
  return rows;
}

void run(const Options& options) {
  std::vector<nlohmann::json> rows;
  auto simulate_all = [&](const std::string& name, Keys keys) {
    keys = part_of(std::move(keys), options.part);
    if (keys.empty()) throw std::runtime_error(name + " has no accesses");
    if (!options.sessions.empty()) {
      for (nlohmann::json& row : report_sessions(name, keys, options)) rows.push_back(std::move(row));
      return;
    }
    for (std::uint32_t cluster : options.clusters) rows.push_back(report(name, keys, options, cluster));
  };
  for (const std::string& trace : options.traces)
    simulate_all(std::filesystem::path(trace).filename().string(), read_trace(trace));
  for (const std::string& workload : options.workloads) simulate_all(workload, kWorkloads.at(workload)(options.seed));
  append_rows(options.output, rows);
}

int run_command_line(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Counts the misses of a cache of equal objects under each replacement policy, at several capacities.\n"
      "\"to best\" is what the default policy (adaptive) misses, divided by what the best of the columns before it "
      "does. With --also, further policies have columns behind the limit (min).\n"
      "Exit code: 0 done, 1 a trace cannot be read or a result not be written, 2 bad usage.");
  std::vector<std::string> names;
  for (const auto& [name, keys] : kWorkloads) names.push_back(name);
  app.add_option("TRACE", options.traces,
                 "Files of keys as big-endian 4-byte integers, packed with xz if they are called .xz");
  app.add_option("--workload", options.workloads, "Generated: Zipf 0.99, the same with scans, or T1 of OO7 three times")
      ->check(CLI::IsMember(names));
  std::vector<std::string> further;
  for (const SimulatedPolicy& policy : kFurtherPolicies) further.emplace_back(policy.name);
  app.add_option("--also", options.also, "Policies to show beside them")->check(CLI::IsMember(further));
  app.add_option("--capacity", options.shares, "Capacities as shares of the distinct keys")
      ->check(share())
      ->capture_default_str();
  app.add_option("--cluster", options.clusters, "Adjacent keys that are loaded and evicted together")
      ->check(at_least_one())
      ->capture_default_str();
  app.add_option("--sessions", options.sessions,
                 "In place of that: hits of one cache for so many sessions, and of a cache for each in the same memory")
      ->check(CLI::Range(1, 65'536));
  app.add_option("--objects", options.objects,
                 "With --sessions: all read the same objects, or each its own, or every second one scans its own")
      ->check(CLI::IsMember({"same", "disjoint", "scanned"}))
      ->capture_default_str();
  app.add_option("--part", options.part, "Half of each sequence to use")
      ->check(CLI::IsMember({"all", "first", "second"}))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of what is generated")->capture_default_str();
  app.add_option("--output", options.output, "File to append the results to, one line of JSON for each table")
      ->check(writable_file());
  return run_program(app, argc, argv, [&] {
    if (options.traces.empty() && options.workloads.empty()) throw UsageError("name a TRACE or a --workload");
    run(options);
  });
}

}  // namespace

}  // namespace cow::bench

int main(int argc, char** argv) { return cow::bench::run_command_line(argc, argv); }
