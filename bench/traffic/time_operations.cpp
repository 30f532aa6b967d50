// time-operations: how long the operations take whose traffic count-traffic counts, in the build that is measured.
#include <time.h>

#include <CLI/CLI.hpp>
#include <barrier>
#include <chrono>
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

namespace cow::bench::coherence {

namespace {

struct Options {
  std::vector<std::string> caches = kCacheNames;
  std::vector<std::size_t> threads{1, 2};
  double seconds = 0.1;
  std::string output;
};

/// So many operations at once between two looks at the clock.
constexpr std::size_t chunk_of(Phase phase) {
  return phase == Phase::hit ? 10'000 : phase == Phase::first_reads ? 20 : 100;
}

/// What one thread has done in one phase.
struct alignas(128) Done {
  std::uint64_t operations = 0;
  double seconds = 0;
  double processor_seconds = 0;  // of the thread: what other programs take does not count
};

double processor_seconds_now() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <class Cache>
Done time_phase(Worker<Cache>& worker, Phase phase, std::barrier<>& together, double seconds) {
  using Clock = std::chrono::steady_clock;
  const std::size_t chunk = chunk_of(phase);
  worker.enter(phase);
  worker.step(phase, chunk);
  together.arrive_and_wait();
  Done done;
  const double processor_begin = processor_seconds_now();
  const auto begin = Clock::now();
  while (done.seconds < seconds && (phase != Phase::miss || worker.cold_left() >= chunk)) {
    worker.step(phase, chunk);
    done.operations += chunk;
    done.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  done.processor_seconds = processor_seconds_now() - processor_begin;
  together.arrive_and_wait();  // the last one is timed with the others still there
  worker.leave(phase);
  return done;
}

template <class Cache>
void measure(const std::string& cache, std::size_t thread_count, const Options& options,
             std::vector<nlohmann::json>& rows) {
  constexpr std::size_t kCold = 40'000;
  Prepared<Cache> prepared(thread_count, kCold);
  std::barrier together(static_cast<std::ptrdiff_t>(thread_count));
  std::vector<std::array<Done, kPhases.size()>> done(thread_count);
  std::vector<std::exception_ptr> failures(thread_count);
  {
    std::vector<std::jthread> threads;
    for (std::size_t number = 0; number < thread_count; ++number) {
      threads.emplace_back([&, number] {
        try {
          auto worker = std::make_unique<Worker<Cache>>(prepared, number);
          for (std::size_t i = 0; i < kPhases.size(); ++i) {
            done[number][i] = time_phase(*worker, kPhases[i], together, options.seconds);
          }
        } catch (...) {
          failures[number] = std::current_exception();
          together.arrive_and_drop();
        }
      });
    }
  }  // joins
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  for (std::size_t i = 0; i < kPhases.size(); ++i) {
    double rate = 0, processor_seconds = 0;
    std::uint64_t operations = 0;
    for (const auto& thread : done) {
      rate += static_cast<double>(thread[i].operations) / thread[i].seconds;
      operations += thread[i].operations;
      processor_seconds += thread[i].processor_seconds;
    }
    const double processor_ns = 1e9 * processor_seconds / static_cast<double>(operations);
    std::printf("%-9s %-12s %zu threads: %12.0f operations/s, %9.1f ns of processor time each\n", cache.c_str(),
                std::string(kPhaseNames[i]).c_str(), thread_count, rate, processor_ns);
    rows.push_back({{"system", cache},
                    {"operations", operations},
                    {"operations_per_s", rate},
                    {"point", {{"phase", kPhaseNames[i]}, {"threads", thread_count}, {"schedule", "timed"}}},
                    {"figures", {{"processor_ns", processor_ns}}}});
  }
}

void run(const Options& options) {
  std::vector<nlohmann::json> rows;
  for (const std::string& cache : options.caches) {
    with_cache(cache, [&]<class Cache>(std::type_identity<Cache>) {
      for (std::size_t threads : options.threads) measure<Cache>(cache, threads, options, rows);
    });
  }
  append_rows(options.output, rows);
}

int run_command_line(int argc, char** argv) {
  CLI::App app("Times hits, transactions, commits and misses.");
  Options options;
  app.add_option("--cache", options.caches)->check(CLI::IsMember(kCacheNames))->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--seconds", options.seconds, "For each phase; misses end earlier")
      ->check(measured_seconds())
      ->capture_default_str();
  app.add_option("--output", options.output, "File to append the rows to, as lines of JSON")->check(writable_file());
  return run_program(app, argc, argv, [&] { run(options); });
}

}  // namespace

}  // namespace cow::bench::coherence

int main(int argc, char** argv) { return cow::bench::coherence::run_command_line(argc, argv); }
