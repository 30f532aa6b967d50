// The experiment driver: runs one workload on one system once and appends one row of JSON.
//
// Exit codes: 0 the run is good; 1 it failed or gave a wrong answer; 2 the command line makes no sense.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/support/command_line.hpp"
#include "bench/support/machine.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/rows.hpp"
#include "options.hpp"

namespace cow::bench {

namespace {

/// By name. To add one: a line here, and what it needs in `parameters_of` and `add_run_options`.
const std::map<std::string, Measurement (*)(const ExperimentOptions&)> kWorkloads = {
    {"wordnet", run_wordnet},     {"oo7", run_oo7},   {"oo7-users", run_oo7_users}, {"zodbshootout", run_zodbshootout},
    {"stmbench7", run_stmbench7}, {"ycsb", run_ycsb}, {"smallbank", run_smallbank}};

nlohmann::json parameters_of(const ExperimentOptions& options) {
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
  if (options.workload == "wordnet") {
    parameters["closure_limit"] = options.closure_limit;
    parameters["keys"] = "true Zipf, theta 0.99";
    parameters["read_all"] = options.read_all;
  } else if (options.workload == "zodbshootout") {
    parameters["objects"] = options.objects;
    parameters["item_bytes"] = options.item_bytes;
  } else if (options.workload == "ycsb") {
    parameters["mix"] = options.chosen_mix();
    parameters["records"] = options.records;
    parameters["keys"] = options.zipf == "true" ? "true Zipf, theta 0.99" : "scrambled Zipf, theta 0.99";
  } else if (options.workload == "smallbank") {
    parameters["customers"] = options.customers;
    parameters["hotspot"] = options.hotspot;
    parameters["isolation"] = options.serializable ? "serializable" : "snapshot";
  } else {  // on OO7's module
    parameters["size"] = options.oo7_size;
    parameters["fan_out"] = options.fan_out();
    if (options.workload == "oo7") {
      parameters["operation"] = options.oo7_operation;
    } else {
      parameters["mix"] = options.chosen_mix();
    }
    if (options.workload == "stmbench7") parameters["long_traversals"] = options.long_traversals;
  }
  return parameters;
}

nlohmann::json row_of(const ExperimentOptions& options, const Measurement& measurement) {
  const double rate =
      measurement.duration_s > 0 ? static_cast<double>(measurement.operations) / measurement.duration_s : 0;
  nlohmann::json figures = measurement.figures;
  figures["uss_bytes"] = measurement.memory.uss;
  figures["uss_before_bytes"] = measurement.memory_before.uss;
  return {{"experiment", options.experiment},
          {"system", options.cache + (options.serializable ? "/serializable" : "")},
          {"workload", options.workload},
          {"parameters", parameters_of(options)},
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

void run(const ExperimentOptions& options) {
  options.check();
  const Measurement measurement = kWorkloads.at(options.workload)(options);
  const nlohmann::json row = row_of(options, measurement);
  append_rows(options.output, {row});
  print_table(row);
}

void add_run_options(CLI::App& run, ExperimentOptions& options) {
  run.add_option("--workload", options.workload)->check(CLI::IsMember(&kWorkloads))->capture_default_str();
  run.add_option("--cache", options.cache, "The system to measure")
      ->check(CLI::IsMember({"shared", "private", "two-level", "locked", "blocking", "raw"}))
      ->capture_default_str();
  run.add_option("--store", options.store)->check(CLI::IsMember({"memory", "rocksdb"}))->capture_default_str();
  run.add_option("--path", options.path, "Directory of the store");
  run.add_option("--sessions", options.sessions, "Open sessions, served round robin")
      ->check(at_least_one())
      ->capture_default_str();
  run.add_option("--threads", options.threads, "Threads that serve them")->check(at_least_one())->capture_default_str();
  run.add_option("--write-share", options.write_share, "Share of writing transactions")
      ->check(share())
      ->capture_default_str();
  run.add_option("--seconds", options.seconds, "Measured time (zodbshootout, --read-all: ignored)")
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
  run.add_option("--wordnet", options.wordnet, "Folder of WordNet's files [where Debian has them]");
  run.add_option("--closure-limit", options.closure_limit, "WordNet: hyponyms collected at most")
      ->capture_default_str();
  run.add_flag("--read-all", options.read_all,
               "WordNet: every session reads all of it once, in place of the timed mix");
  run.add_option("--size", options.oo7_size, "OO7, STMBench7")
      ->check(CLI::IsMember({"small", "medium"}))
      ->capture_default_str();
  run.add_option("--fan-out", options.oo7_fan_out, "OO7, STMBench7: connections per part [3, STMBench7 6]")
      ->check(CLI::IsMember({3, 6, 9}));
  run.add_option("--operation", options.oo7_operation, "OO7: the operation; writes are T2a")
      ->check(CLI::IsMember(std::vector<std::string>(oo7::kOperationNames.begin(), oo7::kOperationNames.end())))
      ->capture_default_str();
  run.add_option(
         "--mix", options.mix,
         "YCSB: A to F [A]; OO7's users: 80/20/0/0, 60/20/15/5 or 20/20/30/30 [the first]; STMBench7: dominated "
         "by read, read-write or write [read]")
      ->check(CLI::IsMember(
          {"A", "B", "C", "D", "E", "F", "80/20/0/0", "60/20/15/5", "20/20/30/30", "read", "read-write", "write"}));
  run.add_flag("!--no-long-traversals", options.long_traversals, "STMBench7: without T1 to T6, Q6 and Q7");
  run.add_option("--records", options.records, "YCSB: records of 1,000 bytes")
      ->check(at_least_one())
      ->capture_default_str();
  run.add_option("--zipf", options.zipf, "YCSB: its own distribution, scrambled, or true Zipf")
      ->check(CLI::IsMember({"scrambled", "true"}))
      ->capture_default_str();
  run.add_option("--customers", options.customers, "Smallbank")
      ->check(CLI::Range(100u, 100'000'000u))
      ->capture_default_str();
  run.add_option("--hotspot", options.hotspot, "Smallbank: so many customers get 90% of the requests; usual is 100")
      ->capture_default_str();
  run.add_option("--isolation-transactions", options.isolation_transactions,
                 "Smallbank: of each thread of the isolation check after the run")
      ->capture_default_str();
  run.add_option("--objects", options.objects, "zodbshootout: per transaction")
      ->check(at_least_one())
      ->capture_default_str();
  run.add_option("--item-bytes", options.item_bytes, "zodbshootout: bytes an object")
      ->check(at_least_one())
      ->capture_default_str();
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Runs an experiment once and appends a row of JSON to a file.");
  app.require_subcommand(1);
  ExperimentOptions options;
  CLI::App* run_command = app.add_subcommand("run", "Run one workload on one system");
  add_run_options(*run_command, options);
  CLI::App* import_command = app.add_subcommand("import-wordnet", "Import WordNet 3.0 into a RocksDB store");
  import_command->add_option("--path", options.path, "Directory of the store")->required();
  import_command->add_option("--wordnet", options.wordnet, "Folder of WordNet's files [where Debian has them]");
  CLI::App* machine_command = app.add_subcommand("machine", "Print what is known about machine and build as JSON");
  return run_program(app, argc, argv, [&] {
    if (*run_command) run(options);
    if (*import_command) {
      options.store = "rocksdb";
      import_wordnet(options);
    }
    if (*machine_command) std::cout << machine_facts().dump(2) << "\n";
  });
}

}  // namespace

}  // namespace cow::bench

int main(int argc, char** argv) { return cow::bench::run_command_line(argc, argv); }
