// The options that every program has that measures as a probe.
//
// Thread safety: for `main`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "bench/support/option_checks.hpp"
#include "probe.hpp"

namespace cow::bench {

/// `seed_of`: what the seed is of, for --help.
inline void add_common_options(CLI::App& command, ProbeOptions& options, const std::string& seed_of = "") {
  command.add_option("--seed", options.seed, seed_of)->capture_default_str();
  command.add_option("--repetition", options.repetition, "Number of this repetition, for the rows")
      ->capture_default_str();
  command.add_option("--experiment", options.experiment, "Name of the experiment, for the rows")->capture_default_str();
  command.add_option("--output", options.output, "File to append the rows to, as lines of JSON")
      ->check(writable_file());
}

}  // namespace cow::bench
