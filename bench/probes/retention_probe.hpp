// What the probe `retention` is told.
//
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "probe.hpp"

namespace cow::bench {

struct RetentionProbeOptions : ProbeOptions {
  std::string keep = "all";  ///< all; window: what is younger than `window_s`; present
  double window_s = 5;
  double every_s = 0.5;  ///< from the end of one pack to the begin of the next
  double share = 0.25;   ///< of the time that a pack works
  std::uint64_t commits = 100'000;
  std::uint64_t objects = 20'000;
  std::size_t bytes = 256;     ///< of each object
  std::filesystem::path path;  ///< of the store; empty: a scratch directory
};

/// Appends a row, prints a line, and throws when the store is not whole afterwards.
void probe_retention(const RetentionProbeOptions& options);

}  // namespace cow::bench
