// A probe: a measurement with a program part of its own, because none of the workloads can show what it is about.
//
// Thread safety: plain values and functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/support/process_memory.hpp"
#include "bench/support/rows.hpp"

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

struct ChunkCheckOptions : ProbeOptions {
  int rounds = 15;            ///< samples of each side
  double sample_s = 0.003;    ///< time that a sample takes at least
  bool small_module = false;  ///< of OO7, a few dozen objects: for tests
  bool instructions = true;   ///< counts them, by Valgrind
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

struct PinnedVersionsOptions : ProbeOptions {
  std::uint32_t objects = 20'000;
  std::uint32_t updates = 1'000'000;
  std::uint32_t sleepers = 100;
  std::uint32_t reads = 100;                         ///< of each sleeper, before it sleeps; at most the objects
  double zipf = 0;                                   ///< theta of the updates; 0: they are uniform
  std::uint64_t rereads = 2'000'000;                 ///< of all sleepers together, beside what they had read before
  std::vector<std::string> reclaimers = {"hybrid"};  ///< none: it is only counted
};

// Each in the file of that name. They append rows, print a table, and throw when an answer is wrong.
void probe_hit_cost(const HitCostOptions& options);
void probe_object_size(const ObjectSizeOptions& options);
void probe_recovery(const RecoveryOptions& options);
void probe_chunk_check(const ChunkCheckOptions& options);

/// The process that `probe_chunk_check` starts under Valgrind; see chunk_counts.hpp.
void run_counted_chunk_check(const ChunkCheckOptions& options);
void probe_pinned_versions(const PinnedVersionsOptions& options);

/// The process that `probe_recovery` starts and kills; see recovery_victim.cpp. Ends by being killed, or returns when it
/// finds that nobody listens any more.
void run_recovery_victim(const RecoveryOptions& options, int acknowledgements);

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
          {"start", iso_8601(std::chrono::system_clock::now())},
          {"aborts", 0},
          {"rss_bytes", process_memory().rss}};
}

}  // namespace cow::bench
