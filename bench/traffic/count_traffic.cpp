// count-traffic: the traffic between cores that each operation of a cache causes, counted in an instrumented build.
//
// This file is compiled with the instrumentation, and with it everything of the caches; the recorder is not.
#include <CLI/CLI.hpp>
#include <barrier>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/command_line.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/rows.hpp"
#include "phases.hpp"
#include "recorder.hpp"

namespace cow::bench::coherence {

namespace {

struct Options {
  std::vector<std::string> caches = kCacheNames;
  std::size_t threads = 2;
  std::size_t operations = 1'024;  // of each thread and phase
  std::size_t warmup = 256;
  bool concurrent = false;
  std::size_t sites = 0;
  std::string output;
};

/// One operation after the other, thread by thread, so that whatever two threads share moves as often as it can, and a
/// count is the same in every run; or all at once, as they are scheduled.
class Schedule {
 public:
  Schedule(const Options& options) : concurrent_(options.concurrent), turns_(static_cast<int>(options.threads)) {}

  template <class Cache>
  void run(Worker<Cache>& worker, int number, Phase phase, std::size_t steps) {
    if (concurrent_) return worker.step(phase, steps);
    for (; steps > 0; --steps) {
      turns_.take(number);
      worker.step(phase, 1);
      turns_.pass(number);
    }
  }

 private:
  const bool concurrent_;
  Turns turns_;
};

void print_sites(std::size_t most, double operations) {
  std::vector<Site> sites(most);
  sites.resize(busiest_sites(sites.data(), most));
  for (const Site& site : sites) {
    std::printf("    %8.3f transfers at %#zx\n", static_cast<double>(site.transfers) / operations,
                static_cast<std::size_t>(site.address));
  }
}

nlohmann::json row_of(const std::string& cache, Phase phase, const Options& options, const Traffic& traffic) {
  const double operations = static_cast<double>(options.threads * options.operations);
  auto each = [&](std::uint64_t count) { return static_cast<double>(count) / operations; };
  return {{"system", cache},
          {"operations", options.threads * options.operations},
          {"point",
           {{"phase", kPhaseNames[static_cast<std::size_t>(phase)]},
            {"threads", options.threads},
            {"schedule", options.concurrent ? "concurrent" : "alternate"}}},
          {"figures",
           {{"shared_writes", each(traffic.shared_writes)},
            {"shared_updates", each(traffic.shared_updates)},
            {"read_transfers", each(traffic.read_transfers)},
            {"write_transfers", each(traffic.write_transfers)},
            {"transfers", each(traffic.read_transfers + traffic.write_transfers)},
            {"busiest_line_transfers", each(traffic.busiest_line)},
            {"heavy_fences", each(traffic.heavy_fences)},
            {"shared_lines", traffic.shared_lines},
            {"lines", traffic.lines},
            {"accesses", each(traffic.accesses)}}}};
}

template <class Cache>
void measure(const std::string& cache, const Options& options, std::vector<nlohmann::json>& rows) {
  Prepared<Cache> prepared(options.threads, options.warmup + options.operations);
  Schedule schedule(options);
  std::barrier together(static_cast<std::ptrdiff_t>(options.threads) + 1);
  std::vector<std::exception_ptr> failures(options.threads);
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < options.threads; ++number) {
    threads.emplace_back([&, number] {
      const Participant participant(static_cast<int>(number));
      std::unique_ptr<Worker<Cache>> worker;
      auto meet = [&] {
        const Pause pause;
        together.arrive_and_wait();
      };
      // Whoever fails goes on meeting the others.
      auto attempt = [&](auto&& work) {
        if (failures[number]) return;
        try {
          work();
        } catch (...) {
          const Pause pause;
          failures[number] = std::current_exception();
        }
      };
      attempt([&] { worker = std::make_unique<Worker<Cache>>(prepared, number); });
      for (Phase phase : kPhases) {
        meet();
        attempt([&] {
          worker->enter(phase);
          // Everything hot is in everybody's cache before anything is counted, however the threads met until here.
          if (phase == Phase::hit) worker->step(phase, 2 * kHotObjects);
          schedule.run(*worker, static_cast<int>(number), phase, options.warmup);
        });
        meet();  // the main thread starts to count
        meet();
        attempt([&] { schedule.run(*worker, static_cast<int>(number), phase, options.operations); });
        meet();  // and stops
        meet();
        attempt([&] { worker->leave(phase); });
      }
      worker.reset();
    });
  }
  for (Phase phase : kPhases) {
    together.arrive_and_wait();
    together.arrive_and_wait();
    begin_phase();
    together.arrive_and_wait();
    together.arrive_and_wait();
    rows.push_back(row_of(cache, phase, options, end_phase()));
    const auto& figures = rows.back()["figures"];
    std::printf("%-9s %-12s writes to shared lines %7.3f, of them atomic updates %7.3f, transfers %7.3f\n",
                cache.c_str(), std::string(kPhaseNames[static_cast<std::size_t>(phase)]).c_str(),
                figures["shared_writes"].get<double>(), figures["shared_updates"].get<double>(),
                figures["transfers"].get<double>());
    if (options.sites > 0) print_sites(options.sites, static_cast<double>(options.threads * options.operations));
    together.arrive_and_wait();
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

void run(const Options& options) {
  begin_phase();
  std::vector<nlohmann::json> rows;
  for (const std::string& cache : options.caches) {
    with_cache(cache, [&]<class Cache>(std::type_identity<Cache>) { measure<Cache>(cache, options, rows); });
  }
  append_rows(options.output, rows);
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Counts the traffic between cores that hits, transactions, commits and misses cause.");
  Options options;
  app.add_option("--cache", options.caches)->check(CLI::IsMember(kCacheNames))->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(2, kMaxParticipants))->capture_default_str();
  app.add_option("--operations", options.operations, "Of each thread in each phase")
      ->check(at_least_one())
      ->capture_default_str();
  app.add_option("--warmup", options.warmup, "Operations before those that are counted")->capture_default_str();
  app.add_flag("--concurrent", options.concurrent, "Threads run as they are scheduled, not in turns");
  app.add_option("--sites", options.sites, "Print so many places in the program that cause transfers (for addr2line)");
  app.add_option("--output", options.output, "File to append the rows to, as lines of JSON")->check(writable_file());
  return run_program(app, argc, argv, [&] { run(options); });
}

}  // namespace

}  // namespace cow::bench::coherence

int main(int argc, char** argv) { return cow::bench::coherence::run_command_line(argc, argv); }
