// How long one reclamation takes, and what a writer's commits take, beside transactions that sleep; and what it costs at first, when the
// sleepers are met. One thread commits, one reads and checks what it reads, and every sleeper checks what it finds when it wakes.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/ablation/own_schemes.hpp"
#include "bench/support/latency_histogram.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/usage_error.hpp"
#include "bench/workloads/workload_error.hpp"
#include "first_failure.hpp"
#include "grouped_cells.hpp"
#include "persistence/memory_store.hpp"
#include "reclamation_probes.hpp"
#include "sleeping_crowd.hpp"
#include "timed_reclaimer.hpp"

namespace cow::bench {
namespace {

/// A scheme, and whether the sleepers say that they sleep. Of the cache's own both are measured: "hybrid", whose sleepers say so and are
/// parked, and "deep-scan", whose sleepers do not, so that each scan reads all of their logs.
struct Contender {
  Scheme scheme;
  bool say_that_they_sleep;
};

Contender contender_of(const std::string& name) {
  for (const Scheme& scheme : own_schemes()) {
    if (scheme.name == (name == "deep-scan" ? "hybrid" : name)) return {scheme, name == "hybrid"};
  }
  throw UsageError("no scheme " + name);
}

/// What it costs until the sleepers are out of the way: parked, or aborted.
struct Settling {
  bool happens = false;
  ReclamationRecord record;
};

struct ReclamationOutcome {
  Settling settling;
  ReclamationRecord record;
  LatencyHistogram commits;
  std::uint64_t too_old = 0, aborted = 0, reads_checked = 0;
  double seconds = 0;
};

class ReclamationRun {
 public:
  explicit ReclamationRun(const ReclamationTimeOptions& options)
      : options_(options), contender_(contender_of(options.scheme)), cells_(store_) {}

  ReclamationOutcome measure() {
    Membership member(contender_.scheme);
    Database database(store_, {.cache_bytes = std::size_t{1} << 30,
                               .limbo_bytes = options_.limbo_bytes,
                               .reclaimer = TimedReclaimer::around(contender_.scheme.make)});
    auto& reclaimer = dynamic_cast<TimedReclaimer&>(cow::detail::cache_of(database).reclaimer());
    cells_.warm(database);
    SleepingCrowd crowd(contender_.scheme, database, cells_,
                        {.sleepers = options_.sleepers,
                         .threads = options_.threads,
                         .say_that_they_sleep = contender_.say_that_they_sleep,
                         .seed = options_.seed});
    settle(database, reclaimer);
    // What the sleepers have read stands in chains until here, where their snapshots keep it. From here on only what the scheme knows
    // of them does.
    database.evict_all();
    cells_.warm(database);
    reclaimer.restart();
    outcome_.seconds = seconds_of([&] {
      with_a_reader(database, [&](AttachedSession& session, std::mt19937_64& dice) {
        for (std::uint32_t i = 0; i < options_.commits; ++i) {
          const auto start = std::chrono::steady_clock::now();
          commit(session, dice);
          outcome_.commits.record(
              static_cast<std::uint64_t>((std::chrono::steady_clock::now() - start) / std::chrono::nanoseconds(1)));
        }
      });
    });
    outcome_.record = reclaimer.record();
    cells_.check_newest(database);
    outcome_.aborted = crowd.wake();
    if (contender_.scheme.bound != Bound::budget) check_count("sleepers that were aborted", 0, outcome_.aborted);
    return outcome_;
  }

 private:
  static constexpr std::uint32_t kFewest = 2'000, kMost = 200'000;  ///< commits before anything is timed

  /// Commits until nobody is in the way any more whom the scheme can get out of it, and some more, so that all is warm.
  void settle(Database& database, TimedReclaimer& reclaimer) {
    const std::uint64_t begun = reclaimer.registry().epoch();  // at or after the begin of each sleeper
    auto is_settled = [&] {
      if (contender_.say_that_they_sleep) return reclaimer.registry().safe_below() > begun;
      return reclaimer.aborted() >= options_.sleepers;
    };
    Settling& settling = outcome_.settling;
    const bool shall_settle = contender_.say_that_they_sleep || contender_.scheme.bound == Bound::budget;
    with_a_reader(database, [&](AttachedSession& session, std::mt19937_64& dice) {
      for (std::uint32_t i = 0; i < kFewest || (shall_settle && !settling.happens); ++i) {
        if (i == kMost) throw WrongAnswerError("the sleepers are in the way after 200,000 commits");
        commit(session, dice);
        if (!shall_settle || settling.happens || !is_settled()) continue;
        settling.happens = true;
        settling.record = reclaimer.record();
      }
    });
  }

  /// `write(session, dice)` on a thread of its own, beside one that reads and checks.
  template <class Write>
  void with_a_reader(Database& database, Write&& write) {
    std::atomic<bool> done{false};
    FirstFailure failure;
    std::thread reader([&] {
      failure.guard([&] {
        Membership member(contender_.scheme);
        AttachedSession session(database);
        std::mt19937_64 dice(options_.seed + 1);
        while (!done.load(std::memory_order_relaxed)) {
          try {
            outcome_.reads_checked += cells_.check_one_snapshot(session, dice);
          } catch (const SnapshotTooOldError&) {
            session.abort();
          }
        }
      });
    });
    std::thread writer([&] {
      failure.guard([&] {
        Membership member(contender_.scheme);
        AttachedSession session(database);
        std::mt19937_64 dice(options_.seed);
        write(session, dice);
      });
      done = true;
    });
    writer.join();
    reader.join();
    failure.rethrow();
  }

  void commit(AttachedSession& session, std::mt19937_64& dice) {
    const auto group = static_cast<std::uint32_t>(dice() % GroupedCells::kGroups);
    for (;;) {
      try {
        return cells_.write(session, group);
      } catch (const SnapshotTooOldError&) {  // a commit takes so much longer, and is counted as it is
        session.abort();
        ++outcome_.too_old;
      }
    }
  }

  const ReclamationTimeOptions& options_;
  const Contender contender_;
  MemoryStore store_;
  GroupedCells cells_;
  ReclamationOutcome outcome_;
};

/// Of one reclamation: of the calls that look who is in the way; of those that free as well, where epochs alone suffice once the sleepers
/// are out of the way.
LatencyHistogram reclamations_of(const ReclamationOutcome& outcome) {
  LatencyHistogram all = outcome.record.looks;
  if (outcome.settling.happens) all.add(outcome.record.frees);
  return all;
}

nlohmann::json reclamation_figures(const ReclamationOutcome& outcome, std::size_t limbo_bytes) {
  const ReclamationRecord& record = outcome.record;
  const LatencyHistogram reclamations = reclamations_of(outcome);
  nlohmann::json figures = {{"looks", record.looks.count()},
                            {"frees", record.frees.count()},
                            {"reclamation_p50_ns", reclamations.quantile(0.5)},
                            {"reclamation_p99_ns", reclamations.quantile(0.99)},
                            {"reclamation_max_ns", reclamations.max()},
                            {"free_p50_ns", record.frees.quantile(0.5)},
                            {"free_p99_ns", record.frees.quantile(0.99)},
                            {"budget_ns", record.ns_for(limbo_bytes)},
                            {"states_retired", record.states},
                            {"most_limbo_bytes", record.most_limbo_bytes},
                            {"commits", outcome.commits.count()},
                            {"commit_max_ns", outcome.commits.max()},
                            {"aborted", outcome.aborted},
                            {"too_old", outcome.too_old},
                            {"reads_checked", outcome.reads_checked},
                            {"wrong", 0}};  // or this would not be reached
  if (outcome.settling.happens) {
    const ReclamationRecord& first = outcome.settling.record;
    figures["first_longest_ns"] = first.longest_ns;
    figures["first_total_ns"] = first.ns;
    figures["first_looks"] = first.looks.count();
  }
  return figures;
}

}  // namespace

void probe_reclamation_time(const ReclamationTimeOptions& options) {
  start_a_thread_once();
  const ReclamationOutcome outcome = ReclamationRun(options).measure();
  const char* kind = options.threads ? "threads" : "transactions";
  nlohmann::json row = probe_row(options, options.scheme, "reclamation-time",
                                 {{"sleepers", options.sleepers},
                                  {"sleepers_are", kind},
                                  {"reads", SleepingCrowd::kReads},
                                  {"limbo_bytes", options.limbo_bytes}});
  row["operations"] = outcome.commits.count();
  row["duration_s"] = outcome.seconds;
  row["aborts"] = outcome.aborted + outcome.too_old;
  row["p50_ns"] = outcome.commits.quantile(0.5);
  row["p99_ns"] = outcome.commits.quantile(0.99);
  row["p999_ns"] = outcome.commits.quantile(0.999);
  row["figures"] = reclamation_figures(outcome, options.limbo_bytes);
  auto us = [](double ns) { return ns / 1e3; };
  auto of = [&](const char* figure) { return us(row["figures"][figure].get<double>()); };
  fmt::print(
      "{:<10} {:>6} {:<12}: {:>4} looks, {} frees; a reclamation {:.1f} us (p99 {:.1f}, most {:.1f}), {:.1f} us for {} "
      "KiB; commit "
      "{:.1f} us, p99.9 {:.1f}, most {:.1f}; {} aborted",
      options.scheme, options.sleepers, kind, outcome.record.looks.count(), outcome.record.frees.count(),
      of("reclamation_p50_ns"), of("reclamation_p99_ns"), of("reclamation_max_ns"), of("budget_ns"),
      options.limbo_bytes >> 10, us(row["p50_ns"].get<double>()), us(row["p999_ns"].get<double>()), of("commit_max_ns"),
      outcome.aborted);
  if (outcome.settling.happens) {
    fmt::print("; out of the way after {} looks, {:.1f} us together, {:.1f} at most",
               outcome.settling.record.looks.count(), of("first_total_ns"), of("first_longest_ns"));
  }
  fmt::print("\n");
  append_rows(options.output, {row});
}

}  // namespace cow::bench
