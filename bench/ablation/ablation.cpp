// Compares ways to give memory back under the same cache: throughput, tail latency and limbo, with sleepers and more threads
// than cores. Exit codes: 0 measured, 1 failed, 2 bad usage.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "bench/support/command_line.hpp"
#include "bench/support/crowd.hpp"
#include "bench/support/generated_items.hpp"
#include "bench/support/latency_histogram.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/process_memory.hpp"
#include "bench/support/rows.hpp"
#include "cow_cache/cow_cache.hpp"
#include "scheme.hpp"

namespace cow::bench {
namespace {

struct Options {
  std::string reclaimer = "hybrid", allocator = "glibc", experiment = "ablation", output;
  int threads = 2, sleepers = 0, objects_of_sleeper = 1000;
  double writes = 0.05, seconds = 1;
  std::uint64_t seed = 1, repetition = 0;
  bool park = false, list = false;
};

constexpr std::uint64_t kItems = 20'000;
constexpr int kReads = 20;  // a transaction

struct Result {
  std::uint64_t transactions = 0, conflicts = 0;
  double seconds = 0;
  std::size_t most_limbo = 0;
  nlohmann::json limbo_over_time = nlohmann::json::array();  ///< pairs of seconds and bytes
  nlohmann::json p99_over_time =
      nlohmann::json::array();  ///< pairs of seconds, at the middle of a part, and nanoseconds
  LatencyHistogram latencies;
  Statistics statistics;
};

/// Registers a thread with a scheme for as long as it lives.
class Membership {
 public:
  explicit Membership(const Scheme& scheme) : scheme_(scheme) { scheme_.enter_thread(); }
  ~Membership() { scheme_.leave_thread(); }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

 private:
  const Scheme& scheme_;
};

constexpr std::size_t kParts = 10;  ///< of the run, each with tails of its own
using LatenciesByPart = std::array<LatencyHistogram, kParts>;

/// What a thread of the crowd has of its own.
struct Worker {
  explicit Worker(const Scheme& scheme) : member(scheme) {}
  Membership member;
  LatenciesByPart latencies;
};

Result measure(const Scheme& scheme, const Options& options) {
  Result result;
  ItemStore store;
  Membership main_thread(scheme);
  Database database(store, {.cache_bytes = std::size_t{256} << 20, .reclaimer = scheme.make});
  // One critical section for all sleepers: they sleep in this thread.
  scheme.begin();
  {
    Transaction txn = database.begin();
    for (std::uint64_t i = 0; i < kItems; ++i) (void)txn.read(item(i));  // nothing is loaded while it is timed
  }
  std::vector<Transaction> sleeping;
  std::mt19937_64 random(options.seed);
  for (int i = 0; i < options.sleepers; ++i) {
    sleeping.push_back(database.begin());
    for (int k = 0; k < options.objects_of_sleeper; ++k) (void)sleeping.back().read(item(random() % kItems));
    if (options.park) sleeping.back().will_sleep();
  }
  if (sleeping.empty()) scheme.end();

  std::mutex mutex;
  LatenciesByPart latencies;
  auto one_transaction = [&](std::mt19937_64& dice) {
    scheme.begin();
    {
      Transaction txn = database.begin();
      for (int i = 0; i < kReads; ++i) (void)txn.read(item(dice() % kItems));
      if (std::uniform_real_distribution<>(0, 1)(dice) < options.writes) {
        ++txn.write(item(dice() % kItems)).value;
        try {
          txn.commit();
        } catch (const ConflictError&) {  // rare, and an end like any other
        }
      }
    }
    scheme.end();
  };
  {
    const double start = seconds_now();
    Crowd crowd(options.threads, [&](std::mt19937_64& dice) {
      // The worker is made by its thread and reports when the thread ends.
      struct Report {
        Report(const Scheme& scheme, LatenciesByPart& all, std::mutex& mutex)
            : worker(scheme), all(all), mutex(mutex) {}
        ~Report() {
          std::scoped_lock lock(mutex);
          for (std::size_t part = 0; part < kParts; ++part) all[part].add(worker.latencies[part]);
        }
        Worker worker;
        LatenciesByPart& all;
        std::mutex& mutex;
      };
      thread_local Report report(scheme, latencies, mutex);
      const double before = seconds_now();
      one_transaction(dice);
      const double after = seconds_now();
      // What ends after the time is up belongs to the last part.
      const double share = std::clamp((after - start) / options.seconds, 0.0, 1.0);
      const auto part = std::min(kParts - 1, static_cast<std::size_t>(share * kParts));
      report.worker.latencies[part].record(static_cast<std::uint64_t>((after - before) * 1e9));
    });
    double next_sample = 0;
    for (double now = 0; now < options.seconds; now = seconds_now() - start) {
      std::size_t limbo = database.statistics().limbo_bytes;
      result.most_limbo = std::max(result.most_limbo, limbo);
      if (now >= next_sample) {
        result.limbo_over_time.push_back({now, limbo});
        next_sample += options.seconds / 40;
      }
      if (sleeping.empty()) {  // this thread holds nothing, and says so; with sleepers it holds what they hold
        scheme.begin();
        scheme.end();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    result.transactions = crowd.stop();
    result.seconds = seconds_now() - start;
  }
  for (std::size_t part = 0; part < kParts; ++part) {
    result.latencies.add(latencies[part]);
    if (latencies[part].count() == 0) continue;
    const double middle = (static_cast<double>(part) + 0.5) * options.seconds / kParts;
    result.p99_over_time.push_back({middle, latencies[part].quantile(0.99)});
  }
  result.statistics = database.statistics();
  result.conflicts = result.statistics.conflicts;
  if (!sleeping.empty()) {
    sleeping.clear();
    scheme.end();
  }
  return result;
}

nlohmann::json row_of(const Options& options, const Result& result) {
  return {{"experiment", options.experiment},
          {"system", options.reclaimer},
          {"workload", "items"},
          {"parameters",
           {{"allocator", options.allocator},
            {"threads", options.threads},
            {"sleepers", options.sleepers},
            {"objects_of_sleeper", options.objects_of_sleeper},
            {"parked", options.park},
            {"write_share", options.writes},
            {"seconds", options.seconds}}},
          {"seed", options.seed},
          {"repetition", options.repetition},
          {"duration_s", result.seconds},
          {"operations", result.transactions},
          {"operations_per_s", static_cast<double>(result.transactions) / result.seconds},
          {"aborts", result.conflicts},
          {"rss_bytes", process_memory().rss},
          {"cache_bytes", result.statistics.cache_bytes},
          {"limbo_bytes", result.most_limbo},
          {"p50_ns", result.latencies.quantile(0.5)},
          {"p99_ns", result.latencies.quantile(0.99)},
          {"p999_ns", result.latencies.quantile(0.999)},
          {"figures", {{"commits", result.statistics.commits}, {"deep_scans", result.statistics.deep_scans}}},
          {"limbo_over_time", result.limbo_over_time},
          {"p99_over_time", result.p99_over_time}};
}

/// Starts this program again with another allocator in front of glibc's. Returns if that is not needed.
void use_allocator(const std::string& name, char** argv) {
  static constexpr const char* kDone = "COW_CACHE_ALLOCATOR";
  if (name == "glibc" || std::getenv(kDone) != nullptr) return;
  ::setenv(kDone, name.c_str(), 1);
  ::setenv("LD_PRELOAD", name == "jemalloc" ? "libjemalloc.so.2" : "libmimalloc.so.2", 1);
  ::execv("/proc/self/exe", argv);
  throw std::system_error(errno, std::generic_category(), "cannot start again with " + name);
}

void run(const Options& options, char** argv) {
  std::vector<Scheme> all = schemes();
  if (options.list) {
    for (const Scheme& scheme : all) fmt::print("{:<12} {}\n", scheme.name, scheme.about);
    return;
  }
  auto chosen = std::find_if(all.begin(), all.end(), [&](const Scheme& s) { return s.name == options.reclaimer; });
  if (chosen == all.end()) {
    throw UsageError("no reclaimer '" + options.reclaimer + "' (see --list)");
  }
  use_allocator(options.allocator, argv);
  Result result = measure(*chosen, options);
  nlohmann::json row = row_of(options, result);
  fmt::print(
      "{:<10} {:<9} {:>3} threads {:>3} sleepers {:>4.0f}% writes: {:>8.0f} thousand/s, p99.9 {:>9.1f} us, limbo "
      "at most {:>9.2f} MiB, {} scans\n",
      options.reclaimer, options.allocator, options.threads, options.sleepers, options.writes * 100,
      row["operations_per_s"].get<double>() / 1e3, static_cast<double>(result.latencies.quantile(0.999)) / 1e3,
      static_cast<double>(result.most_limbo) / (1 << 20), result.statistics.deep_scans);
  append_rows(options.output, {row});
}

}  // namespace
}  // namespace cow::bench

int main(int argc, char** argv) {
  cow::bench::Options options;
  CLI::App app(
      "Compares ways to give memory back under the same cache. Threads run transactions of 20 reads, some with a "
      "write, "
      "on 20,000 objects that are all resident, while other transactions sleep.\n"
      "Exit code: 0 measured, 1 failed, 2 bad usage.");
  app.add_option("--reclaimer", options.reclaimer, "see --list")->capture_default_str();
  app.add_option("--allocator", options.allocator, "of what lives on the heap")
      ->check(CLI::IsMember({"glibc", "jemalloc", "mimalloc"}))
      ->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--sleepers", options.sleepers, "transactions that sleep")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  app.add_option("--objects", options.objects_of_sleeper, "that each of them has read")
      ->check(CLI::Range(0, 20'000))
      ->capture_default_str();
  app.add_flag("--park", options.park, "they are parked");
  app.add_option("--writes", options.writes, "share of the transactions that write one object")
      ->check(cow::bench::share())
      ->capture_default_str();
  app.add_option("--seconds", options.seconds)->check(cow::bench::within(0.01, 3600))->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--repetition", options.repetition, "recorded in the row")->capture_default_str();
  app.add_option("--experiment", options.experiment, "recorded in the row")->capture_default_str();
  app.add_option("--output", options.output, "append a row of JSON to this file")->check(cow::bench::writable_file());
  app.add_flag("--list", options.list, "name the reclaimers and leave");
  return cow::bench::run_program(app, argc, argv, [&] { cow::bench::run(options, argv); });
}
