// A probe: a measurement with a program part of its own, because none of the workloads can show what it is about.
//
// Thread safety: plain values and functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/process_memory.hpp"

namespace cow::bench {

/// What all probes are told.
struct ProbeOptions {
  std::string experiment = "manual";  ///< name in the rows
  std::uint64_t seed = 1;
  std::uint32_t repetition = 0;
  std::filesystem::path output;  ///< rows are appended here; empty: nowhere
};

struct HitCostOptions : ProbeOptions {
  int rounds = 15;            ///< samples of each variant
  double sample_s = 0.003;    ///< time that a sample takes at least
  bool small_chases = false;  ///< without OO7: for tests
};

struct ObjectSizeOptions : ProbeOptions {
  std::string store = "memory";  ///< memory, rocksdb-unsynced, rocksdb
  std::filesystem::path path;    ///< of RocksDB's stores; empty: a scratch directory
  int rounds = 15;
  std::size_t most_bytes = std::size_t{1} << 20;
};

struct RecoveryOptions : ProbeOptions {
  std::string cache = "shared";
  std::filesystem::path path;  ///< of the store; empty: a scratch directory
  std::uint32_t accounts = 40'000;
  std::uint32_t clients = 4;  ///< a thread and a session each
  double cached = 0.25;       ///< share of the accounts that the caches have room for, all sessions together
  double seconds = 2;         ///< of the workload before it is killed
  bool unsynced = false;
};

// Each in the file of that name. They append rows, print a table, and throw when an answer is wrong.
void probe_hit_cost(const HitCostOptions& options);
void probe_object_size(const ObjectSizeOptions& options);
void probe_recovery(const RecoveryOptions& options);

/// The process that `probe_recovery` starts and kills; see recovery_victim.cpp. Ends by being killed, or returns when it
/// finds that nobody listens any more.
void run_recovery_victim(const RecoveryOptions& options, int acknowledgements);

inline std::string utc_now() {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// A row with what every row has; the probe adds its own.
inline nlohmann::json probe_row(const ProbeOptions& options, const std::string& system, const std::string& workload,
                                nlohmann::json point) {
  return {{"experiment", options.experiment},
          {"system", system},
          {"workload", workload},
          {"point", point},
          {"parameters", point},
          {"seed", options.seed},
          {"repetition", options.repetition},
          {"start", utc_now()},
          {"aborts", 0},
          {"rss_bytes", process_memory().rss}};
}

inline void append_rows(const ProbeOptions& options, const std::vector<nlohmann::json>& rows) {
  if (options.output.empty()) return;
  std::string text;
  for (const nlohmann::json& row : rows) text += row.dump() + "\n";
  std::ofstream out(options.output, std::ios::app);
  out << text << std::flush;
  if (!out) throw std::runtime_error("cannot write to " + options.output.string());
}

}  // namespace cow::bench
