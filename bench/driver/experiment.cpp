// The experiment driver: runs one workload on one system once and appends one row of JSON.
//
// Exit codes: 0 the run is good; 1 it failed or gave a wrong answer; 2 the command line makes no sense.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "bench/support/command_line.hpp"
#include "bench/support/machine.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/rows.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

namespace cow::bench {

namespace {

/// By name.
const std::map<std::string, std::unique_ptr<Workload> (*)()> kWorkloads = {
    {"wordnet", make_wordnet},     {"oo7", make_oo7},
    {"oo7-users", make_oo7_users}, {"zodbshootout", make_zodbshootout},
    {"stmbench7", make_stmbench7}, {"ycsb", make_ycsb},
    {"smallbank", make_smallbank}, {"walk", make_walk}};

nlohmann::json parameters_of(const ExperimentOptions& options, const Workload& workload) {
  nlohmann::json parameters{{"store", options.cache == "raw" ? "none" : options.store},
                            {"sessions", options.sessions},
                            {"threads", options.threads},
                            {"write_share", options.write_share},
                            {"seconds", options.seconds},
                            {"warmup", options.warmup},
                            {"cache_bytes", options.cache_bytes}};
  if (options.store == "rocksdb") {
    parameters["block_cache_bytes"] = options.block_cache_bytes;
    parameters["unsynced"] = options.unsynced;
  }
  parameters.update(workload.parameters(options));
  return parameters;
}

nlohmann::json row_of(const ExperimentOptions& options, const Workload& workload, const Measurement& measurement) {
  const double rate =
      measurement.duration_s > 0 ? static_cast<double>(measurement.operations) / measurement.duration_s : 0;
  nlohmann::json figures = measurement.figures;
  figures["uss_bytes"] = measurement.memory.uss;
  figures["uss_before_bytes"] = measurement.memory_before.uss;
  return {{"experiment", options.experiment},
          {"system", options.cache + (options.serializable ? "/serializable" : "")},
          {"workload", options.workload},
          {"parameters", parameters_of(options, workload)},
          {"seed", options.seed},
          {"repetition", options.repetition},
          {"start", iso_8601(measurement.start)},
          {"duration_s", measurement.duration_s},
          {"operations", measurement.operations},
          {"operations_per_s", rate},
          {"aborts", measurement.aborts},
          {"rss_bytes", measurement.memory.rss},
          {"rss_before_bytes", measurement.memory_before.rss},
          {"cache_bytes", measurement.cache_bytes},
          {"limbo_bytes", measurement.limbo_bytes},
          {"store_loads", measurement.store_loads},
          {"p50_ns", measurement.latencies.quantile(0.5)},
          {"p99_ns", measurement.latencies.quantile(0.99)},
          {"p999_ns", measurement.latencies.quantile(0.999)},
          {"figures", figures}};
}

void print_table(const nlohmann::json& row) {
  auto print = [](const std::string& name, const nlohmann::json& value) {
    const std::string text = value.is_string()         ? value.get<std::string>()
                             : value.is_number_float() ? CLI::detail::to_string(value.get<double>())
                                                       : value.dump();
    std::printf("  %-32s %s\n", name.c_str(), text.c_str());
  };
  for (const auto& [name, value] : row.items()) {
    if (name != "parameters" && name != "figures") print(name, value);
  }
  for (const char* group : {"parameters", "figures"}) {
    std::printf(" %s\n", group);
    for (const auto& [name, value] : row[group].items()) print(name, value);
  }
}

void run(const ExperimentOptions& options, const Workload& workload) {
  workload.check(options);
  const nlohmann::json row = row_of(options, workload, workload.measure(options));
  append_rows(options.output, {row});
  print_table(row);
}

void add_run_options(CLI::App& run, ExperimentOptions& options) {
  run.add_option("--workload", options.workload)->check(CLI::IsMember(&kWorkloads))->capture_default_str();
  run.add_option("--cache", options.cache, "The system to measure")
      ->check(CLI::IsMember(kSystemNames))
      ->capture_default_str();
  run.add_option("--store", options.store)->check(CLI::IsMember({"memory", "rocksdb", "log"}))->capture_default_str();
  run.add_option("--path", options.path, "Directory of the store; with --store log, its file");
  run.add_option("--sessions", options.sessions, "Open sessions, served round robin")
      ->check(at_least_one())
      ->capture_default_str();
  run.add_option("--threads", options.threads, "Threads that serve them")->check(at_least_one())->capture_default_str();
  run.add_option("--write-share", options.write_share, "Share of writing transactions")
      ->check(share())
      ->capture_default_str();
  run.add_option("--seconds", options.seconds, "Measured time (ignored by zodbshootout and --read-all)")
      ->check(seconds_or_none())
      ->capture_default_str();
  run.add_option("--warmup", options.warmup, "Seconds before that")->check(seconds_or_none())->capture_default_str();
  run.add_option("--cache-bytes", options.cache_bytes, "Budget of the object cache; suffixes KB, MB, GB = 2^10, ...")
      ->transform(byte_size())
      ->capture_default_str();
  run.add_option("--block-cache-bytes", options.block_cache_bytes, "Budget of RocksDB's block cache")
      ->transform(byte_size())
      ->capture_default_str();
  run.add_flag("--unsynced", options.unsynced, "Commits return before they are on the device");
  run.add_flag("--serializable", options.serializable, "Transactions are serializable, in place of snapshot isolation");
  run.add_option("--seed", options.seed)->capture_default_str();
  run.add_option("--repetition", options.repetition, "Number of this repetition, for the row")->capture_default_str();
  run.add_option("--experiment", options.experiment, "Name of the experiment, for the row")->capture_default_str();
  run.add_option("--output", options.output, "File to append the row to, as one line of JSON")->check(writable_file());
}

/// The workload that a command line names, so that its options are declared and nobody else's. What is no name of one is
/// refused with everything else.
std::string named_workload(int argc, char** argv) {
  constexpr std::string_view kOption = "--workload";
  std::string name = ExperimentOptions().workload;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == kOption && i + 1 < argc) name = argv[i + 1];
    if (argument.starts_with(kOption) && argument.substr(kOption.size()).starts_with('=')) {
      name = argument.substr(kOption.size() + 1);
    }
  }
  return kWorkloads.contains(name) ? name : ExperimentOptions().workload;
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Runs an experiment once and appends a row of JSON to a file.");
  app.require_subcommand(1);
  ExperimentOptions options;
  CLI::App* run_command = app.add_subcommand("run", "Run one workload on one system");
  run_command->footer("Each workload has options of its own: run --workload NAME --help");
  add_run_options(*run_command, options);
  const std::string name = named_workload(argc, argv);
  const std::unique_ptr<Workload> workload = kWorkloads.at(name)();
  workload->add_options(*run_command->add_option_group(name, "The workload's own"));
  CLI::App* import_command = app.add_subcommand("import-wordnet", "Import WordNet 3.0 into a RocksDB store");
  import_command->add_option("--path", options.path, "Directory of the store")->required();
  std::filesystem::path wordnet;
  add_wordnet_folder(*import_command, wordnet);
  CLI::App* machine_command = app.add_subcommand("machine", "Print what is known about machine and build as JSON");
  return run_program(app, argc, argv, [&] {
    if (*run_command) run(options, *workload);
    if (*import_command) {
      options.store = "rocksdb";
      import_wordnet(options, wordnet);
    }
    if (*machine_command) std::cout << machine_facts().dump(2) << "\n";
  });
}

}  // namespace

}  // namespace cow::bench

int main(int argc, char** argv) { return cow::bench::run_command_line(argc, argv); }
