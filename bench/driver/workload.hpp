// A workload as an experiment: what it wants to be told on the command line, and how one run of it is measured.
//
// To add one: a class in a file of its own, its `make_...` here, a line in `kWorkloads` (experiment.cpp), and the file's name in
// bench/meson.build. Where all transactions are of one kind, transaction_workload.hpp leaves little to write
// (docs/guide/your-workload.md).
//
// Thread safety: one thread; a measurement starts its own.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>

#include "bench/support/usage_error.hpp"
#include "options.hpp"

namespace cow::bench {

class Workload {
 public:
  Workload() = default;
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;
  virtual ~Workload() = default;

  /// Declares the options that are its own; they are kept in it.
  virtual void add_options(CLI::App& own) = 0;

  /// What it was told, for the row. REQUIRES: the command line was parsed, here and below.
  virtual nlohmann::json parameters(const ExperimentOptions& options) const = 0;

  /// Whether its transactions write.
  virtual bool writes(const ExperimentOptions& options) const = 0;

  /// Whether it ends when its time is over, not when its work is done.
  virtual bool is_timed() const { return true; }

  /// Throws WrongAnswerError if the database gave a wrong answer.
  virtual Measurement measure(const ExperimentOptions& options) const = 0;

  /// Throws UsageError if the options do not go together.
  void check(const ExperimentOptions& options) const {
    if (options.seconds == 0 && is_timed()) throw UsageError("--seconds 0 measures nothing");
    if (options.threads == 0 || options.sessions < options.threads) {
      throw UsageError("there must be a session for every thread, and a thread");
    }
    if (options.store != "memory" && options.path.empty() && options.cache != "raw") {
      throw UsageError("--store " + options.store + " needs --path");
    }
    if (options.cache == "raw" && options.threads > 1 && writes(options)) {
      throw UsageError("raw pointers have no isolation: writing workloads need --threads 1");
    }
  }
};

std::unique_ptr<Workload> make_wordnet();
std::unique_ptr<Workload> make_oo7();
std::unique_ptr<Workload> make_oo7_users();
std::unique_ptr<Workload> make_stmbench7();
std::unique_ptr<Workload> make_ycsb();
std::unique_ptr<Workload> make_smallbank();
std::unique_ptr<Workload> make_zodbshootout();
std::unique_ptr<Workload> make_walk();  // bench/extensions: the guide's example

/// Declares where WordNet's files are.
inline void add_wordnet_folder(CLI::App& command, std::filesystem::path& folder) {
  command.add_option("--wordnet", folder, "Folder of WordNet's files [where Debian has them]");
}

/// Imports WordNet from `folder` into the store of `options`, unless it is there, and verifies it.
void import_wordnet(const ExperimentOptions& options, const std::filesystem::path& folder);

}  // namespace cow::bench
