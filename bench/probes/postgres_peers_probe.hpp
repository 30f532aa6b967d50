// What the probe `postgres-peers` is told, and the words that it and its processes exchange.
//
// Thread safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "probe.hpp"

namespace cow::bench {

struct PostgresPeersOptions : ProbeOptions {
  std::vector<std::string> caches{"shared", "private", "two-level"};
  std::vector<std::uint32_t> processes{1, 2, 4, 8};
  std::uint32_t sessions = 4;  ///< of each process, a thread each
  std::uint32_t objects = 8'000;
  std::size_t bytes = 1'024;  ///< of each object
  std::uint32_t reads = 20;   ///< of a transaction, by Zipf's law
  double write_share = 0.1;   ///< of transactions that also change one object, any of them
  double seconds = 1;         ///< that are measured of each point
  std::uint32_t rounds = 1;   ///< of all points, each with processes of its own

  // Of a process that the probe starts.
  std::string cache, connection, schema;
};

/// Exponent of Zipf's law.
inline constexpr double kPeersTheta = 0.99;

/// The one row of a run that could not measure anything.
inline nlohmann::json not_measurable_row(const PostgresPeersOptions& options, const std::string& why) {
  nlohmann::json row = probe_row(options, "none", "postgres-peers", nlohmann::json::object());
  row["figures"] = {{"not_measurable", why}};
  return row;
}

/// Appends a row for each cache, number of processes and round, and prints a line. Where there is no PostgreSQL it says so, in one row.
/// Throws when an answer is wrong, or the processes disagree.
void probe_postgres_peers(const PostgresPeersOptions& options);

/// The process that the probe starts: does what the lines of its standard input say, and answers each with a line of JSON.
void run_postgres_peer(const PostgresPeersOptions& options);

}  // namespace cow::bench
