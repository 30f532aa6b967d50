// Instructions and cache lines, counted: the probe starts itself under Valgrind's callgrind, which counts the same whatever else the
// machine does, and simulates two levels of caches of a fixed size.
//
// Thread safety: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "probe.hpp"

namespace cow::bench {

/// What was executed between a start and a stop.
struct Counts {
  double instructions = 0;
  double data_references = 0;  ///< loads and stores of data
  double first_misses = 0;     ///< of them, in a first cache of 32 KiB, 8 ways: lines that had to be fetched
  double last_misses = 0;      ///< of these, in a second one of 1 MiB, 16 ways
};

/// Runs `probes WORD`, with what the options say, under callgrind. Returns what it has counted, by label, divided by how often it
/// was done. Throws std::runtime_error if there is no Valgrind, or the process fails.
std::map<std::string, Counts> count_under_valgrind(const std::string& word, const ChunkCheckOptions& options);

/// In that process: from here on the caches are simulated; they begin empty, ...
void start_simulating();
/// ... from here on what is executed is counted, ...
void start_counting();
/// ... up to here. It was done `times` times. The label has no spaces.
void stop_counting(const std::string& label, std::uint64_t times);

}  // namespace cow::bench
