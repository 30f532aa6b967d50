// A check of whole chunks before the check of single states: what it would save, and what it would cost elsewhere.
//
// Traversals of OO7's small module by plain structs, by the cache's own reader, and by a prototype that logs a chunk and looks at one
// interval for all states in it, while nobody has written to the chunk (chunk_reader.hpp). They are made where 0 to 50% of the chunks
// were written to; "hot" in a transaction that has made the traversal before, "fresh" as a transaction of its own, which ends without a
// commit. Instructions and cache lines are counted under Valgrind, in a process of its own; times are measured here, where nothing was
// written to.
//
// The stop rule, set before anything was measured: a cache adopts the check if T6 hot takes less than 1.6 times as long as plain structs.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/support/paired.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/thread_time.hpp"
#include "chunk_counts.hpp"
#include "chunk_sides.hpp"
#include "probe.hpp"

namespace cow::bench {

namespace {

// ---- what a commit pays

/// Supersedes states and lets them die, with the header of their chunk or, as the cache does it, without.
template <unsigned kShift>
void count_superseding(ChunkedModule<kShift>& module) {
  std::vector<std::pair<const StateHeader*, std::atomic<std::uint64_t>>> ends(1'000);
  std::size_t found = 0;
  module.residents().for_each_state([&](const StateHeader& state) {
    if (found < ends.size()) ends[found++].first = &state;
  });
  ChunkHeaders<kShift> headers(module.residents(), kInfinity);
  for (bool with_chunk : {false, true}) {
    start_simulating();
    start_counting();
    for (std::size_t i = 0; i < found; ++i) {
      auto& [state, end] = ends[i];
      end.store(i, std::memory_order_release);  // in place of the state's own, which stays infinite
      if (!with_chunk) continue;
      ChunkHeader& header = *headers.find(chunk_of<kShift>(*state));
      header.supersede(Tid{i});
      header.drop();
    }
    stop_counting(label_of(with_chunk ? "chunks" : "shared", "supersede", "hot", kShift, 0), found);
  }
}

// ---- times

class Stopwatch final : public Meter {
 public:
  void start() override { started_ = processor_seconds_now(); }
  void stop(std::uint64_t passes) override {
    seconds_ = (processor_seconds_now() - started_) / static_cast<double>(passes);
  }
  double seconds() const noexcept { return seconds_; }

 private:
  double started_ = 0, seconds_ = 0;
};

class Counter final : public Meter {
 public:
  explicit Counter(std::string label) : label_(std::move(label)) {}
  void prepare() override { start_simulating(); }
  void start() override { start_counting(); }
  void stop(std::uint64_t passes) override { stop_counting(label_, passes); }

 private:
  const std::string label_;
};

/// Of one side in one mode: seconds of a pass, and the median of its ratios to raw, round by round.
struct Time {
  double seconds = 0, to_raw = 0;
};

std::map<std::string, Time> measure_times(const ChunkCheckOptions& options, std::vector<Side>& sides, unsigned shift) {
  std::vector<std::function<double()>> samples;
  std::vector<std::string> labels, raws;
  for (Side& side : sides) {
    for (std::string_view mode : kModes) {
      auto seconds_of_passes = [&side, mode](std::uint64_t passes) {
        Stopwatch watch;
        side.runs(mode, passes, watch);
        return watch.seconds();
      };
      const double once = std::max(seconds_of_passes(1), 1e-9);
      const auto passes = static_cast<std::uint64_t>(std::clamp(options.sample_s / once, 1.0, 1e6));
      samples.emplace_back([seconds_of_passes, passes] { return seconds_of_passes(passes); });
      labels.push_back(label_of(side.system, side.operation, mode, shift, 0));
      raws.push_back(label_of("raw", side.operation, mode, shift, 0));
    }
  }
  const std::vector<std::vector<double>> seconds = measure_interleaved(options.rounds, samples, options.seed);
  std::map<std::string, Time> times;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto raw = std::find(labels.begin(), labels.end(), raws[i]) - labels.begin();
    times[labels[i]] = {median(seconds[i]), median_ratio(seconds[i], seconds[static_cast<std::size_t>(raw)])};
  }
  return times;
}

// ---- rows

using AllCounts = std::map<std::string, Counts>;

struct Found {
  const ChunkCheckOptions& options;
  const AllCounts& counts;
  std::vector<nlohmann::json> rows;
};

nlohmann::json figures_of(const Holdings& holdings) {
  return {{"chunks_logged", holdings.chunks},
          {"states_logged", holdings.states},
          {"held_states", holdings.held_states},
          {"held_bytes", holdings.held_bytes}};
}

void add_counts(nlohmann::json& figures, const AllCounts& counts, const std::string& label, double operations) {
  if (counts.empty()) return;  // not asked for
  const auto counted = counts.find(label);
  if (counted == counts.end()) throw std::runtime_error("valgrind has not counted " + label);
  figures["instructions"] = counted->second.instructions / operations;
  figures["data_references"] = counted->second.data_references / operations;
  figures["first_misses"] = counted->second.first_misses / operations;
  figures["last_misses"] = counted->second.last_misses / operations;
}

void add_row(Found& found, const std::string& system, const std::string& workload, std::string_view mode,
             unsigned shift, double share, double operations, nlohmann::json figures) {
  nlohmann::json row =
      probe_row(found.options, system, workload,
                {{"workload", workload}, {"reads", mode}, {"chunk_bytes", 1u << shift}, {"written", share}});
  row["operations"] = operations;
  row["duration_s"] = figures.value("us_per_pass", 0.0) / 1e6;
  fmt::print("{:<5} {:<5} {:>6} B {:>3.0f}% {:<15}", workload, mode, 1u << shift, share * 100, system);
  auto print = [&](const char* name, const char* unit) {
    if (figures.contains(name)) fmt::print(" {:>9.2f} {}", figures[name].get<double>(), unit);
  };
  print("instructions", "instructions");
  print("data_references", "references");
  print("first_misses", "lines");
  print("ratio_to_raw", "of raw");
  print("chunks_logged", "chunks");
  print("states_logged", "states");
  print("held_bytes", "bytes held");
  fmt::print("\n");
  row["figures"] = std::move(figures);
  found.rows.push_back(std::move(row));
}

/// A transaction that has looked at ten parts and sleeps.
template <class Features>
void add_sleeper(Found& found, ChunkedModule<Features::kShift>& module) {
  constexpr std::size_t kParts = 10;
  std::mt19937_64 same = module.random();
  for (bool by_chunk : {false, true}) {
    ChunkTransaction<Features> txn(module.residents(), by_chunk ? module.headers() : module.no_headers());
    module.read_parts(txn, kParts, same);
    nlohmann::json figures = figures_of(holdings_of(txn, module.residents(), Features::kShift));
    figures["states"] = module.residents().count();
    add_row(found, by_chunk ? "chunks" : "shared", "10-parts", "fresh", Features::kShift, 0, kParts,
            std::move(figures));
  }
}

template <class Features>
void measure(Found& found, Progress& progress, std::uint64_t& done) {
  constexpr unsigned kShift = Features::kShift;
  const ChunkCheckOptions& options = found.options;
  const oo7::Parameters parameters = chunk_check_module(options.small_module);
  ChunkedModule<kShift> module(parameters, options.seed);
  RawInMemory raw([&](auto& database) { oo7::generate(database, parameters); });
  for (double share : kShares) {
    module.write_to(share);
    Sides<Features> sides(module, raw, share == 0);
    const auto times = share == 0 ? measure_times(options, sides.all(), kShift) : std::map<std::string, Time>{};
    for (const Side& side : sides.all()) {
      const auto reads = static_cast<double>(sides.reads_of(side.operation));
      for (std::string_view mode : kModes) {
        const std::string label = label_of(side.system, side.operation, mode, kShift, share);
        nlohmann::json figures = nlohmann::json::object();
        if (side.holdings.held_states > 0) figures = figures_of(side.holdings);
        figures["chunks"] = module.chunks();
        figures["states"] = module.residents().count();
        add_counts(figures, found.counts, label, reads);
        if (auto time = times.find(label); time != times.end()) {
          figures["us_per_pass"] = time->second.seconds * 1e6;
          figures["ns_per_read"] = time->second.seconds * 1e9 / reads;
          figures["ratio_to_raw"] = time->second.to_raw;
        }
        add_row(found, side.system, side.operation, mode, kShift, share, reads, std::move(figures));
      }
    }
    if (share == 0) {
      add_sleeper<Features>(found, module);
      for (const char* system : {"shared", "chunks"}) {
        nlohmann::json figures = nlohmann::json::object();
        add_counts(figures, found.counts, label_of(system, "supersede", "hot", kShift, 0), 1);
        if (!figures.empty()) add_row(found, system, "supersede", "hot", kShift, 0, 1, std::move(figures));
      }
    }
    progress(++done, 2 * kShares.size());
  }
  ChunkLog<kShift>::forget();
}

template <class Features>
void count(const ChunkCheckOptions& options) {
  const oo7::Parameters parameters = chunk_check_module(options.small_module);
  ChunkedModule<Features::kShift> module(parameters, options.seed);
  RawInMemory raw([&](auto& database) { oo7::generate(database, parameters); });
  for (double share : kShares) {
    module.write_to(share);
    Sides<Features> sides(module, raw, share == 0);
    for (Side& side : sides.all()) {
      for (std::string_view mode : kModes) {
        Counter counter(label_of(side.system, side.operation, mode, Features::kShift, share));
        side.runs(mode, 1, counter);
      }
    }
    if (share == 0) count_superseding(module);
  }
}

}  // namespace

void probe_chunk_check(const ChunkCheckOptions& options) {
  start_a_thread_once();
  Progress progress("chunk check");
  const AllCounts counts = options.instructions ? count_under_valgrind("chunk-check-counted", options) : AllCounts{};
  if (options.instructions && counts.empty()) throw std::runtime_error("valgrind has counted nothing");
  Found found{options, counts, {}};
  std::uint64_t done = 0;
  measure<ByChunk>(found, progress, done);
  measure<ByPage>(found, progress, done);
  BitmapLog::forget();
  append_rows(options.output, found.rows);
}

void run_counted_chunk_check(const ChunkCheckOptions& options) {
  start_a_thread_once();
  count<ByChunk>(options);
  count<ByPage>(options);
}

}  // namespace cow::bench
