// Compares ways to give memory back under the same cache: throughput, tail latency, memory and limbo, with sleepers and more
// threads than cores. Exit codes: 0 measured, 1 failed, 2 bad usage.
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
#include "bench/workloads/workload_error.hpp"
#include "cow_cache/cow_cache.hpp"
#include "memory_samples.hpp"
#include "scheme.hpp"
#include "session.hpp"

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
  std::uint64_t too_old = 0;           ///< ended with SnapshotTooOldError: of those that run,
  std::uint64_t sleepers_aborted = 0;  ///< and of those that sleep, as they find when they wake up
  double seconds = 0;
  Samples limbo, rss;
  nlohmann::json limbo_over_time = nlohmann::json::array();  ///< pairs of seconds and bytes
  nlohmann::json p99_over_time =
      nlohmann::json::array();  ///< pairs of seconds, at the middle of a part, and nanoseconds
  LatencyHistogram latencies;
  Statistics statistics;
};

constexpr std::size_t kParts = 10;  ///< of the run, each with tails of its own
using LatenciesByPart = std::array<LatencyHistogram, kParts>;

/// What a thread of the crowd has of its own. Made by its thread; reports when the thread ends.
class Worker {
 public:
  struct Reports {
    std::mutex mutex;
    LatenciesByPart latencies;
    std::uint64_t too_old = 0, commits = 0;
  };

  Worker(const Scheme& scheme, Database& database, const Options& options, Reports& reports)
      : scheme_(scheme), member_(scheme), session_(database), options_(options), reports_(reports) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    std::scoped_lock lock(reports_.mutex);
    for (std::size_t part = 0; part < kParts; ++part) reports_.latencies[part].add(latencies_[part]);
    reports_.too_old += too_old_;
    reports_.commits += commits_;
  }

  /// `start`: of the run.
  void run_one(std::mt19937_64& dice, double start) {
    const double before = seconds_now();
    scheme_.begin();
    try {
      run_in(dice);
    } catch (const ConflictError&) {  // rare, and an end like any other
    } catch (const SnapshotTooOldError&) {
      ++too_old_;
    }
    session_.abort();
    scheme_.end();
    const double after = seconds_now();
    // What ends after the time is up belongs to the last part.
    const double share = std::clamp((after - start) / options_.seconds, 0.0, 1.0);
    const auto part = std::min(kParts - 1, static_cast<std::size_t>(share * kParts));
    latencies_[part].record(static_cast<std::uint64_t>((after - before) * 1e9));
  }

 private:
  void run_in(std::mt19937_64& dice) {
    session_.begin();
    for (int i = 0; i < kReads; ++i) session_.read(item(dice() % kItems), [](const Item&) {});
    if (std::uniform_real_distribution<>(0, 1)(dice) >= options_.writes) return;
    session_.write(item(dice() % kItems), [](Item& written) { ++written.value; });
    session_.commit();
    ++commits_;
  }

  const Scheme& scheme_;
  Membership member_;  // before the session, and after it
  AttachedSession session_;
  const Options& options_;
  Reports& reports_;
  LatenciesByPart latencies_;
  std::uint64_t too_old_ = 0, commits_ = 0;
};

/// Transactions that have read, and then sleep until the end of the run.
class Sleepers {
 public:
  Sleepers(Database& database, const Options& options) {
    std::mt19937_64 random(options.seed);
    for (int i = 0; i < options.sleepers; ++i) {
      sleeping_.push_back(std::make_unique<AttachedSession>(database));
      sleeping_.back()->begin();
      for (int k = 0; k < options.objects_of_sleeper; ++k)
        sleeping_.back()->read(item(random() % kItems), [](const Item&) {});
      if (options.park) sleeping_.back()->will_sleep();
    }
  }

  bool empty() const noexcept { return sleeping_.empty(); }

  /// They go on reading, and end. Returns how many of them cannot go on.
  std::uint64_t wake() {
    std::uint64_t aborted = 0;
    for (const std::unique_ptr<AttachedSession>& session : sleeping_) {
      try {
        session->read(item(0), [](const Item&) {});
      } catch (const SnapshotTooOldError&) {
        ++aborted;
      }
    }
    sleeping_.clear();
    return aborted;
  }

 private:
  std::vector<std::unique_ptr<AttachedSession>> sleeping_;
};

/// Each commit has added one to an item. Throws WrongAnswerError if some of that is lost.
void check_items(Database& database, std::uint64_t commits) {
  AttachedSession session(database);
  session.begin();
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < kItems; ++i) {
    session.read(item(i), [&](const Item& one) { sum += static_cast<std::uint64_t>(one.value); });
  }
  check_count("the sum of all items", commits, sum);
}

Result measure(const Scheme& scheme, const Options& options) {
  Result result;
  ItemStore store;
  Membership main_thread(scheme);
  Database database(store, {.cache_bytes = std::size_t{256} << 20, .reclaimer = scheme.make});
  // One critical section for all sleepers: they sleep in this thread.
  scheme.begin();
  {
    AttachedSession session(database);
    session.begin();
    for (std::uint64_t i = 0; i < kItems; ++i)
      session.read(item(i), [](const Item&) {});  // nothing is loaded while it is timed
  }
  Sleepers sleepers(database, options);
  if (sleepers.empty()) scheme.end();

  Worker::Reports reports;
  {
    const double start = seconds_now();
    Crowd crowd(options.threads, [&](std::mt19937_64& dice) {
      thread_local Worker worker(scheme, database, options, reports);
      worker.run_one(dice, start);
    });
    ResidentMemory memory;
    double next_sample = 0;
    for (double now = 0; now < options.seconds; now = seconds_now() - start) {
      std::size_t limbo = database.statistics().limbo_bytes;
      result.limbo.add(limbo);
      result.rss.add(memory.bytes());
      if (now >= next_sample) {
        result.limbo_over_time.push_back({now, limbo});
        next_sample += options.seconds / 40;
      }
      if (sleepers.empty()) {  // this thread holds nothing, and says so; with sleepers it holds what they hold
        scheme.begin();
        scheme.end();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    result.transactions = crowd.stop();
    result.seconds = seconds_now() - start;
  }
  for (std::size_t part = 0; part < kParts; ++part) {
    result.latencies.add(reports.latencies[part]);
    if (reports.latencies[part].count() == 0) continue;
    const double middle = (static_cast<double>(part) + 0.5) * options.seconds / kParts;
    result.p99_over_time.push_back({middle, reports.latencies[part].quantile(0.99)});
  }
  result.statistics = database.statistics();
  result.conflicts = result.statistics.conflicts;
  result.too_old = reports.too_old;
  if (!sleepers.empty()) {
    result.sleepers_aborted = sleepers.wake();
    scheme.end();
  }
  result.transactions -= result.too_old;
  scheme.begin();
  check_items(database, reports.commits);
  scheme.end();
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
          {"aborts", result.conflicts + result.too_old},
          {"rss_bytes", process_memory().rss},
          {"cache_bytes", result.statistics.cache_bytes},
          {"peak_rss_bytes", result.rss.peak()},
          {"mean_rss_bytes", result.rss.mean()},
          {"limbo_bytes", result.limbo.peak()},
          {"mean_limbo_bytes", result.limbo.mean()},
          {"p50_ns", result.latencies.quantile(0.5)},
          {"p99_ns", result.latencies.quantile(0.99)},
          {"p999_ns", result.latencies.quantile(0.999)},
          {"figures",
           {{"commits", result.statistics.commits},
            {"deep_scans", result.statistics.deep_scans},
            {"too_old", result.too_old},
            {"sleepers_aborted", result.sleepers_aborted}}},
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
    for (const Scheme& scheme : all)
      fmt::print("{:<12} {}\n             garbage: {}\n", scheme.name, scheme.about, name_of(scheme.bound));
    return;
  }
  auto chosen = std::find_if(all.begin(), all.end(), [&](const Scheme& s) { return s.name == options.reclaimer; });
  if (chosen == all.end()) {
    throw UsageError("no reclaimer '" + options.reclaimer + "' (see --list)");
  }
  use_allocator(options.allocator, argv);
  Result result = measure(*chosen, options);
  nlohmann::json row = row_of(options, result);
  auto mebibytes = [](double bytes) { return bytes / (1 << 20); };
  fmt::print(
      "{:<11} {:<9} {:>3} threads {:>3} sleepers {:>4.0f}% writes: {:>8.0f} thousand/s, p99.9 {:>9.1f} us, {} scans, "
      "{} "
      "aborted\n            operations {}, memory peak {:.1f} mean {:.1f} MiB, garbage peak {:.2f} mean {:.2f} MiB\n",
      options.reclaimer, options.allocator, options.threads, options.sleepers, options.writes * 100,
      row["operations_per_s"].get<double>() / 1e3, static_cast<double>(result.latencies.quantile(0.999)) / 1e3,
      result.statistics.deep_scans, result.too_old + result.sleepers_aborted, result.transactions,
      mebibytes(static_cast<double>(result.rss.peak())), mebibytes(result.rss.mean()),
      mebibytes(static_cast<double>(result.limbo.peak())), mebibytes(result.limbo.mean()));
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
