// What an experiment is asked to do, and what it measures.
//
// Thread safety: plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/support/latency_histogram.hpp"
#include "bench/support/process_memory.hpp"

namespace cow::bench {

/// What every workload is told. What one of them is told besides is its own affair (workload.hpp).
struct ExperimentOptions {
  std::string experiment = "manual";  ///< name in the rows
  std::string workload = "wordnet";
#ifdef COW_BENCH_COUNTED
  std::string cache = "counted";
#else
  std::string cache = "shared";
#endif
  std::string store = "memory";
  std::filesystem::path path;  ///< of the store
  std::uint32_t sessions = 1;
  std::uint32_t threads = 1;
  double write_share = 0;
  double seconds = 5;
  double warmup = 1;
  std::size_t cache_bytes = std::size_t{256} << 20;
  std::size_t block_cache_bytes = std::size_t{64} << 20;
  bool unsynced = false;      ///< commits return before they are on the device
  bool serializable = false;  ///< in place of snapshot isolation
  std::uint64_t seed = 1;
  std::uint32_t repetition = 0;
  std::filesystem::path output;  ///< rows are appended here; empty: nowhere
};

/// What one run found out.
struct Measurement {
  std::chrono::system_clock::time_point start = std::chrono::system_clock::now();
  double duration_s = 0;
  std::uint64_t operations = 0;
  std::uint64_t aborts = 0;     ///< attempts that met a conflict
  ProcessMemory memory_before;  ///< with the database open and no session
  ProcessMemory memory;         ///< at the end, with all sessions open
  std::uint64_t cache_bytes = 0;
  std::uint64_t limbo_bytes = 0;
  std::uint64_t store_loads = 0;                      ///< warm-up included
  LatencyHistogram latencies;                         ///< of transactions, in nanoseconds, retries included
  nlohmann::json figures = nlohmann::json::object();  ///< what only this workload has
};

}  // namespace cow::bench
