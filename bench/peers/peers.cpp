// The cache beside other stores and maps: the same objects, the same way through them, each in transactions of its own kind, all in
// one process and interleaved.
//
// Exit codes: 0 measured, 1 failed or a wrong answer, 2 bad usage.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/probes/common_options.hpp"
#include "bench/probes/probe.hpp"
#include "bench/support/command_line.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/support/usage_error.hpp"
#include "field.hpp"
#include "rounds.hpp"

namespace cow::bench::peers {
namespace {

struct Options : ProbeOptions {
  std::size_t objects = 10'000;
  std::vector<std::size_t> reads{10, 100, 1'000};
  std::vector<std::size_t> threads{1, 2};
  int rounds = 15;
  double sample_s = 0.02;
  std::filesystem::path path;
};

std::vector<Shape> shapes_of(const Options& options) {
  std::vector<Shape> shapes;
  for (std::size_t threads : options.threads) {
    for (std::size_t reads : options.reads) shapes.push_back({.reads = reads, .threads = threads});
  }
  return shapes;
}

void measure(const Options& options) {
  start_a_thread_once();
  if (std::filesystem::exists(options.path)) throw UsageError(options.path.string() + " exists");
  std::optional<ScratchDirectory> scratch;
  if (options.path.empty()) scratch.emplace();
  const Chain chain(options.objects, options.seed);
  const Field field = all_contenders(chain, scratch ? scratch->path() : options.path);

  const std::vector<Shape> shapes = shapes_of(options);
  std::vector<nlohmann::json> rows;
  Progress progress("peers");
  fmt::print("nanoseconds of a read, {} objects\n{:>7} {:>7}", options.objects, "threads", "reads");
  for (const auto& one : field) fmt::print(" {:>13}", one->name());
  fmt::print("\n");
  for (const Shape& shape : shapes) {
    const Rounds rounds(field, shape, options.rounds, options.sample_s, options.seed);
    fmt::print("{:>7} {:>7}", shape.threads, shape.reads);
    for (std::size_t i = 0; i < field.size(); ++i) {
      fmt::print(" {:>13.1f}", rounds.nanoseconds(i));
      nlohmann::json row =
          probe_row(options, field[i]->name(), "chase",
                    {{"objects", options.objects}, {"reads", shape.reads}, {"threads", shape.threads}});
      row["figures"] = {{"ns_per_read", rounds.nanoseconds(i)}, {"ratio_to_shared", rounds.ratio(i, 0)}};
      rows.push_back(std::move(row));
    }
    fmt::print("\n");
    progress(rows.size(), shapes.size() * field.size());
  }
  append_rows(options.output, rows);
}

int run_command_line(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Reads by this cache (shared: by reference; shared/by-oid), LMDB, WiredTiger, RocksDB, an unordered_map of "
      "shared_ptr "
      "behind a shared_mutex, and tbb::concurrent_hash_map: the same chase, each under its own snapshot where it has "
      "one. "
      "Appends rows of JSON to a file.\n"
      "Exit code: 0 measured, 1 failed or a wrong answer, 2 bad usage.");
  app.add_option("--objects", options.objects)->check(within(1, 100'000'000))->capture_default_str();
  app.add_option("--reads", options.reads, "Reads a transaction: one number or several, with commas")
      ->delimiter(',')
      ->check(within(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads that read at the same time: one number or several, with commas")
      ->delimiter(',')
      ->check(within(1, 64))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "Samples of each, interleaved")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--sample", options.sample_s, "Seconds that a sample takes")
      ->check(within(1e-6, 10))
      ->capture_default_str();
  app.add_option("--path", options.path, "Directory for files, which must not exist [a scratch directory]");
  add_common_options(app, options, "Of the way through the objects and of the order of samples");
  return run_program(app, argc, argv, [&] { measure(options); });
}

}  // namespace
}  // namespace cow::bench::peers

int main(int argc, char** argv) { return cow::bench::peers::run_command_line(argc, argv); }
