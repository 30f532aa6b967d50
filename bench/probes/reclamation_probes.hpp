// What the probes of reclamation are told: how long one takes beside sleepers, and what a thread that is stopped stops.
//
// Thread safety: plain values and functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "probe.hpp"

namespace cow::bench {

struct ReclamationTimeOptions : ProbeOptions {
  std::string scheme = "hybrid";  ///< see reclamation_time.cpp
  std::uint32_t sleepers = 100;
  bool threads = false;  ///< each of them has a thread, or one thread has all
  std::uint32_t commits = 10'000;
  std::size_t limbo_bytes = std::size_t{64}
                            << 10;  ///< garbage that comes together before any scheme looks who is in the way
};

struct StoppedThreadOptions : ProbeOptions {
  std::string scheme = "hybrid";    ///< hybrid, scan, ping, epochs
  std::string stopped = "scanner";  ///< scanner, scanner-in-log, reader
  double seconds = 1;               ///< for which it is stopped; half of that before it and after it
};

// Each in the file of that name. They append a row, print a line, and throw when an answer is wrong.
void probe_reclamation_time(const ReclamationTimeOptions& options);
void probe_stopped_thread(const StoppedThreadOptions& options);

}  // namespace cow::bench
