// The simulation against the real caches on one node: `experiment` is run as a process of its own, some runs give the
// parameters, the others are predicted and compared.
//
// Calibrated, for each system: the time of a transaction when everything is in the cache, the time that a miss adds (both
// with one thread), the bytes of an object, and what a cache needs besides. Predicted: misses, throughput and memory with
// any number of sessions on two threads, for a given total of memory.
//
// Thread safety: used by one thread.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/support/scratch_directory.hpp"
#include "cluster.hpp"
#include "hit_model.hpp"

namespace cow::bench::simulation {

struct ValidationOptions {
  std::filesystem::path experiment;
  std::uint32_t records = 20'000, threads = 2;
  double memory_share = 0.25;  ///< of what all records take, for all caches together
  std::vector<std::uint32_t> sessions{1, 4, 16};
  double seconds = 0.4;
  std::uint64_t seed = 1;
};

class Validation {
 public:
  explicit Validation(ValidationOptions options) : options_(std::move(options)) {}

  /// One row for each system and number of sessions.
  std::vector<nlohmann::json> run() {
    std::vector<nlohmann::json> rows;
    for (const char* system : {"shared", "private"}) {
      const Calibration calibration = calibrate(system);
      for (std::uint32_t sessions : options_.sessions) rows.push_back(compare(system, sessions, calibration));
    }
    return rows;
  }

 private:
  static constexpr double kTheta = 0.99;
  static constexpr std::uint32_t kRecordsPerLeaf = 44;  // of 64 at most; nodes that split in the middle are 69% full
  static constexpr double kLeafBytes = 1'600;
  static constexpr std::size_t kAmple = std::size_t{4} << 30;

  struct Measured {
    double rate = 0, misses = 0, bytes = 0;  // transactions per second, misses of each, cache bytes
  };
  struct Calibration {
    double transaction_s = 0, miss_s = 0, all_bytes = 0, record_bytes = 0;
    double other_bytes = 0;  // of its budget, that one cache does not use for objects
  };

  Measured measure(const std::string& system, std::uint32_t sessions, std::uint32_t threads, std::size_t cache_bytes) {
    const std::filesystem::path output = scratch_.path() / ("row-" + std::to_string(++runs_));
    const std::string seconds = std::to_string(options_.seconds);
    execute({options_.experiment.string(), "run", "--workload", "ycsb", "--mix", "C", "--zipf", "true", "--store",
             "memory", "--cache", system, "--records", std::to_string(options_.records), "--sessions",
             std::to_string(sessions), "--threads", std::to_string(threads), "--cache-bytes",
             std::to_string(cache_bytes), "--seconds", seconds,
             // Every session's cache must have filled.
             "--warmup", std::to_string(options_.seconds * (1 + sessions / 16.0)), "--seed",
             std::to_string(options_.seed), "--output", output.string()});
    std::ifstream file(output);
    const nlohmann::json row = nlohmann::json::parse(file);
    const double operations = row.at("operations");
    return {row.at("operations_per_s"), row.at("figures").at("loads_without_warmup").get<double>() / operations,
            row.at("cache_bytes")};
  }

  static void execute(const std::vector<std::string>& command) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    pid_t child = 0;
    int status = 0;
    if (::posix_spawn(&child, words[0], nullptr, nullptr, words.data(), environ) != 0 ||
        ::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      throw std::runtime_error("could not run " + command[0] + ", or it failed");
    }
  }

  /// Bytes for all caches together.
  double memory(const Calibration& calibration) const { return options_.memory_share * calibration.all_bytes; }

  /// The shared cache keeps a part of its budget for garbage (`CacheOptions::limbo_bytes`).
  static double usable(const std::string& system, double budget) {
    return system == "shared" ? budget - std::min(512.0 * 1024, budget / 16) : budget;
  }

  Calibration calibrate(const std::string& system) {
    Calibration calibration;
    const Measured fits = measure(system, 1, 1, kAmple);
    calibration.transaction_s = 1 / fits.rate;
    calibration.all_bytes = fits.bytes;
    const double leaves = static_cast<double>(options_.records) / kRecordsPerLeaf;
    calibration.record_bytes = (fits.bytes - leaves * kLeafBytes) / options_.records;
    // Half of the memory of the points: not one of the points themselves.
    const double budget = memory(calibration) / 2;
    const Measured small = measure(system, 1, 1, static_cast<std::size_t>(budget));
    calibration.miss_s = std::max(0.0, (1 / small.rate - 1 / fits.rate) / small.misses);
    calibration.other_bytes = std::max(0.0, usable(system, budget) - small.bytes);
    return calibration;
  }

  nlohmann::json compare(const std::string& system, std::uint32_t sessions, const Calibration& calibration) {
    const bool shared = system == "shared";
    const double total = memory(calibration), each = shared ? total : total / sessions;
    const std::uint32_t threads = std::min(options_.threads, sessions);
    const Measured measured = measure(system, sessions, threads, static_cast<std::size_t>(each));

    const Popularity popularity =
        indexed_records(options_.records, kTheta, kRecordsPerLeaf, calibration.record_bytes, kLeafBytes, options_.seed);
    // Private caches are LRU; the shared one has its own policy.
    const double capacity = std::max(each / 2, usable(system, each) - calibration.other_bytes);
    ClusterParameters parameters;
    parameters.shared = shared;
    parameters.sessions = sessions;
    parameters.cores = threads;
    parameters.reads = 2;  // a leaf and a record
    parameters.miss_ratio =
        shared ? policy_miss_ratio(popularity, capacity, 0, Replacement::adaptive, 1'000'000, options_.seed)
               : che_miss_ratio(popularity, capacity, 0);
    parameters.transaction_s = calibration.transaction_s;
    parameters.miss_s = calibration.miss_s;
    parameters.seed = options_.seed;
    const ClusterResult predicted = Cluster(parameters).run();
    const double caches = shared ? 1 : sessions;
    const double predicted_bytes = caches * std::min(capacity, calibration.all_bytes);
    auto off = [](double prediction, double measurement) { return prediction / measurement - 1; };
    return {{"system", system},
            {"operations_per_s", measured.rate},
            {"point", {{"part", "validation"}, {"sessions", sessions}}},
            {"figures",
             {{"measured_throughput", measured.rate},
              {"predicted_throughput", predicted.throughput},
              {"throughput_off", off(predicted.throughput, measured.rate)},
              {"measured_misses", measured.misses},
              {"predicted_misses", 2 * parameters.miss_ratio},
              {"misses_off", off(2 * parameters.miss_ratio, measured.misses)},
              {"measured_bytes", measured.bytes},
              {"predicted_bytes", predicted_bytes},
              {"bytes_off", off(predicted_bytes, measured.bytes)},
              {"transaction_ns", 1e9 * calibration.transaction_s},
              {"miss_ns", 1e9 * calibration.miss_s},
              {"record_bytes", calibration.record_bytes}}}};
  }

  const ValidationOptions options_;
  const ScratchDirectory scratch_;
  int runs_ = 0;
};

}  // namespace cow::bench::simulation
