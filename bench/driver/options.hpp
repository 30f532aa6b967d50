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
#include "bench/support/usage_error.hpp"
#include "bench/workloads/oo7/operations.hpp"

namespace cow::bench {

struct ExperimentOptions {
  std::string experiment = "manual";  ///< name in the rows
  std::string workload = "wordnet";
  std::string cache = "shared";
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

  std::filesystem::path wordnet;  ///< its files; empty: where Debian has them
  std::size_t closure_limit = 1'000;
  bool read_all = false;           ///< WordNet: every session reads everything once, in place of the timed mix
  std::string oo7_size = "small";  ///< STMBench7 as well
  std::uint32_t oo7_fan_out = 0;   ///< 0: 3, for STMBench7 6
  std::string oo7_operation = "T1";
  std::uint32_t objects = 1'000;  ///< zodbshootout: per transaction
  std::uint32_t item_bytes = 300;
  std::string mix;                             ///< of YCSB, OO7's users and STMBench7; empty: the first one of each
  std::uint32_t records = 100'000;             ///< YCSB
  std::string zipf = "scrambled";              ///< YCSB: or "true"
  std::uint32_t customers = 1'000'000;         ///< Smallbank
  std::uint32_t hotspot = 0;                   ///< Smallbank: customers that get 90% of the transactions
  std::uint32_t isolation_transactions = 250;  ///< Smallbank: per thread of the isolation check, 0: none
  bool long_traversals = true;                 ///< STMBench7

  std::uint32_t fan_out() const { return oo7_fan_out != 0 ? oo7_fan_out : workload == "stmbench7" ? 6 : 3; }
  /// `mix`, or the first one of the workload.
  std::string chosen_mix() const {
    if (!mix.empty()) return mix;
    return workload == "ycsb" ? "A" : workload == "oo7-users" ? "80/20/0/0" : "read";
  }

  /// Whether transactions of the workload write.
  bool writes() const {
    if (workload == "wordnet") return write_share > 0;
    if (workload == "ycsb") return chosen_mix() != "C";
    if (workload == "oo7-users") return chosen_mix() != "80/20/0/0";
    if (workload == "oo7") return write_share > 0 || oo7::is_update(oo7::operation_named(oo7_operation));
    return true;
  }

  /// Throws UsageError if they do not go together.
  void check() const {
    if (seconds == 0 && !read_all && workload != "zodbshootout") throw UsageError("--seconds 0 measures nothing");
    if (threads == 0 || sessions < threads) throw UsageError("there must be a session for every thread, and a thread");
    if (store != "memory" && path.empty() && cache != "raw") throw UsageError("--store " + store + " needs --path");
    if (cache == "raw" && threads > 1 && writes()) {
      throw UsageError("raw pointers have no isolation: writing workloads need --threads 1");
    }
  }
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

/// The workloads. Each throws WrongAnswerError if the database gave a wrong answer.
Measurement run_wordnet(const ExperimentOptions& options);
Measurement run_oo7(const ExperimentOptions& options);
Measurement run_oo7_users(const ExperimentOptions& options);
Measurement run_stmbench7(const ExperimentOptions& options);
Measurement run_ycsb(const ExperimentOptions& options);
Measurement run_smallbank(const ExperimentOptions& options);
Measurement run_zodbshootout(const ExperimentOptions& options);

/// Imports WordNet into the store of `options`, unless it is there, and verifies it.
void import_wordnet(const ExperimentOptions& options);

}  // namespace cow::bench
