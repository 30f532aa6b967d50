// What a thread that is stopped stops: in the middle of a scan, or of a read. Two threads commit, one reads and checks what it reads;
// a further thread is stopped for some time (stoppable.hpp), and goes on. Counted: commits and reads before, meanwhile and afterwards, and limbo.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/ablation/own_schemes.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/usage_error.hpp"
#include "bench/workloads/workload_error.hpp"
#include "grouped_cells.hpp"
#include "persistence/memory_store.hpp"
#include "reclamation_probes.hpp"
#include "stoppable.hpp"
#include "stopped_threads.hpp"
#include "timed_reclaimer.hpp"

namespace cow::bench {
namespace {

constexpr double kStoppedSample = 0.005;  // seconds between looks

struct StoppedPhase {
  double seconds = 0;
  double last_commit_s = 0;  ///< when, since its begin, a commit was seen to have returned for the last time
  std::uint64_t commits = 0, late_commits = 0, reads = 0;  ///< late: in its second half
  std::size_t limbo_most = 0, limbo_end = 0;

  double commits_per_s() const { return static_cast<double>(commits) / seconds; }
  double reads_per_s() const { return static_cast<double>(reads) / seconds; }
};

struct StoppedOutcome {
  StoppedPhase before, meanwhile, after;
  std::uint64_t longest_commit_ns = 0;
  nlohmann::json over_time = nlohmann::json::array();  ///< seconds, bytes in limbo, commits so far
};

class StoppedRun {
 public:
  explicit StoppedRun(const StoppedThreadOptions& options)
      : options_(options), scheme_(scheme_of(options.scheme)), cells_(store_) {}

  StoppedOutcome measure() {
    Membership member(scheme_);
    Database database(store_, {.cache_bytes = std::size_t{1} << 30, .reclaimer = TimedReclaimer::around(scheme_.make)});
    cells_.warm(database);
    StoppedOutcome outcome;
    {
      WakefulSleeper sleeper(database, cells_);
      Stopper stopper;  // there until all threads have ended
      StoppedThreads threads(scheme_, database, cells_, sleeper, options_.stopped);
      started_ = seconds_now();
      outcome.before = watch(database, threads, options_.seconds / 2, outcome);
      threads.stop_one(stopper);
      outcome.meanwhile = watch(database, threads, options_.seconds, outcome);
      threads.let_it_go_on();
      outcome.after = watch(database, threads, options_.seconds / 2, outcome);
      threads.join();
      outcome.longest_commit_ns = threads.longest_commit_ns();
      sleeper.check("the commit that a sleeper sees again");
    }
    cells_.check_newest(database);
    check_bound(outcome);
    return outcome;
  }

 private:
  static Scheme scheme_of(const std::string& name) {
    for (const Scheme& scheme : own_schemes()) {
      if (scheme.name == name) return scheme;
    }
    throw UsageError("no scheme " + name);
  }

  /// What the cache and its threads do in the next so many seconds.
  StoppedPhase watch(Database& database, const StoppedThreads& threads, double seconds, StoppedOutcome& outcome) const {
    StoppedPhase phase;
    const double start = seconds_now();
    const std::uint64_t commits = threads.commits(), reads = threads.reads();
    std::uint64_t seen = commits;
    std::optional<std::uint64_t> at_half;
    for (double now = start; now < start + seconds && !threads.have_failed(); now = seconds_now()) {
      phase.limbo_end = cow::detail::cache_of(database).reclaimer().limbo_bytes();
      phase.limbo_most = std::max(phase.limbo_most, phase.limbo_end);
      const std::uint64_t so_far = threads.commits();
      if (so_far != seen) phase.last_commit_s = now - start;
      seen = so_far;
      if (!at_half && now >= start + seconds / 2) at_half = so_far;
      outcome.over_time.push_back({now - started_, phase.limbo_end, so_far});
      std::this_thread::sleep_for(std::chrono::duration<double>(kStoppedSample));
    }
    phase.seconds = seconds_now() - start;
    phase.commits = threads.commits() - commits;
    phase.late_commits = at_half ? threads.commits() - *at_half : 0;
    phase.reads = threads.reads() - reads;
    return phase;
  }

  /// What the cache promises, whoever is stopped: invariants 4 and 6 of HybridReclaimer. Twice, for what scans have cleared may wait
  /// beside what is not settled.
  void check_bound(const StoppedOutcome& outcome) const {
    if (scheme_.name != "hybrid") return;
    constexpr std::size_t kBudget = CacheOptions{}.limbo_bytes, kOvershoot = std::size_t{256} << 10;
    const std::size_t most =
        std::max({outcome.before.limbo_most, outcome.meanwhile.limbo_most, outcome.after.limbo_most});
    if (most > 2 * (kBudget + kOvershoot))
      throw WrongAnswerError(fmt::format("limbo of {} bytes is more than promised", most));
  }

  const StoppedThreadOptions& options_;
  const Scheme scheme_;
  MemoryStore store_;
  GroupedCells cells_;
  double started_ = 0;
};

void check_stopped_usage(const StoppedThreadOptions& options) {
  if (options.stopped == "scanner-in-log" && options.scheme == "ping") throw UsageError("ping locks no log");
  if (options.stopped != "reader" && options.scheme == "epochs") throw UsageError("epochs never scan");
}

}  // namespace

void probe_stopped_thread(const StoppedThreadOptions& options) {
  check_stopped_usage(options);
  const StoppedOutcome outcome = StoppedRun(options).measure();
  const StoppedPhase& meanwhile = outcome.meanwhile;
  nlohmann::json row = probe_row(options, options.scheme, "stopped-thread",
                                 {{"stopped", options.stopped}, {"seconds", options.seconds}});
  row["operations"] = outcome.before.commits + meanwhile.commits + outcome.after.commits;
  row["duration_s"] = outcome.before.seconds + meanwhile.seconds + outcome.after.seconds;
  row["figures"] = {{"commits_per_s_before", outcome.before.commits_per_s()},
                    {"commits_meanwhile", meanwhile.commits},
                    {"late_commits_per_s", 2 * static_cast<double>(meanwhile.late_commits) / meanwhile.seconds},
                    {"last_commit_s", meanwhile.last_commit_s},
                    {"commits_per_s_after", outcome.after.commits_per_s()},
                    {"longest_commit_ms", static_cast<double>(outcome.longest_commit_ns) / 1e6},
                    {"reads_per_s_before", outcome.before.reads_per_s()},
                    {"reads_per_s_meanwhile", meanwhile.reads_per_s()},
                    {"limbo_bytes_before", outcome.before.limbo_most},
                    {"limbo_bytes_meanwhile", meanwhile.limbo_most},
                    {"limbo_bytes_after", outcome.after.limbo_end},
                    {"wrong", 0}};  // or this would not be reached
  row["over_time"] = outcome.over_time;
  fmt::print(
      "{:<8} {:<15} stopped for {:.2f} s: commits {:.0f}/s before, {} meanwhile (the last after {:.3f} s; {:.0f}/s in "
      "the second half), "
      "{:.0f}/s after; reads {:.0f}/s before, {:.0f}/s meanwhile; limbo at most {} KiB before, {} meanwhile, {} at the "
      "end\n",
      options.scheme, options.stopped, meanwhile.seconds, outcome.before.commits_per_s(), meanwhile.commits,
      meanwhile.last_commit_s, row["figures"]["late_commits_per_s"].get<double>(), outcome.after.commits_per_s(),
      outcome.before.reads_per_s(), meanwhile.reads_per_s(), outcome.before.limbo_most >> 10,
      meanwhile.limbo_most >> 10, outcome.after.limbo_end >> 10);
  append_rows(options.output, {row});
}

}  // namespace cow::bench
