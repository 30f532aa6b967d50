// The closed loop: threads that serve sessions round robin, for some seconds, each transaction timed.
//
// Thread safety: `closed_loop` starts and joins its own threads.
#pragma once

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stop_token>
#include <thread>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/support/progress.hpp"
#include "cow_cache/database.hpp"
#include "options.hpp"

namespace cow::bench {

namespace detail {

/// The cache below a database, where there is one; of the others nothing is asked.
template <class Cache>
Cache& counting_cache(BasicDatabase<Cache>& database) {
  return cow::detail::cache_of<Cache>(database);
}

/// What one thread of the loop has seen.
struct LoopThread {
  LatencyHistogram latencies;
  std::uint64_t first_operation_ns = 0;  ///< the very first one: its caches are cold
  std::chrono::steady_clock::time_point end;
  std::exception_ptr failure;
};

/// Serves `sessions` in turn until `end`; records what begins after `start`.
template <class Worker, class Session>
void serve(Worker& worker, std::vector<Session>& sessions, std::chrono::steady_clock::time_point start,
           std::chrono::steady_clock::time_point end, std::stop_source& stop, LoopThread& seen) {
  using Clock = std::chrono::steady_clock;
  auto nanoseconds = [](Clock::duration d) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(d).count());
  };
  try {
    Clock::time_point before = Clock::now();
    for (std::size_t i = 0; before < end && !stop.stop_requested(); i = i + 1 == sessions.size() ? 0 : i + 1) {
      worker.step(sessions[i]);
      const Clock::time_point after = Clock::now();
      if (seen.first_operation_ns == 0) seen.first_operation_ns = nanoseconds(after - before);
      if (before >= start) seen.latencies.record(nanoseconds(after - before));
      before = after;
    }
    seen.end = before;
  } catch (...) {
    seen.failure = std::current_exception();
    stop.request_stop();
  }
}

}  // namespace detail

/// Opens `options.sessions` sessions and lets one thread per worker serve its share with `worker.step(session)`.
/// Fills in everything of the measurement but the workload's own figures.
template <ObjectDatabase Database, class Worker>
Measurement closed_loop(Database& database, const ExperimentOptions& options, std::vector<Worker>& workers) {
  using Clock = std::chrono::steady_clock;
  auto span = [](double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };

  Measurement measurement;
  give_back_freed_memory();  // of the preparation
  measurement.memory_before = process_memory();
  const auto at_open = database.statistics();

  constexpr bool kCounts = requires { detail::counting_cache(database).profile(); };
  if constexpr (kCounts) detail::counting_cache(database).start_counting();
  std::vector<std::vector<Session<Database>>> sessions(workers.size());
  for (std::uint32_t i = 0; i < options.sessions; ++i) sessions[i % workers.size()].push_back(open_session(database));

  std::vector<detail::LoopThread> seen(workers.size());
  std::stop_source stop;
  const auto begin = Clock::now(), start = begin + span(options.warmup), end = start + span(options.seconds);
  auto conflicts_before = at_open.conflicts, loads_before = at_open.loads;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      threads.emplace_back([&, i] { detail::serve(workers[i], sessions[i], start, end, stop, seen[i]); });
    }
    Progress progress(options.experiment + " " + options.workload + " on " + options.cache);
    bool is_warm = false;
    for (auto now = begin; now < end && !stop.stop_requested(); now = Clock::now()) {
      if (!is_warm && now >= start) {
        is_warm = true;
        measurement.start = std::chrono::system_clock::now();
        const auto at_start = database.statistics();
        conflicts_before = at_start.conflicts;
        loads_before = at_start.loads;
      }
      progress(static_cast<std::uint64_t>((now - begin).count()), static_cast<std::uint64_t>((end - begin).count()));
      std::this_thread::sleep_until(std::min({is_warm ? end : start, end, now + std::chrono::milliseconds(200)}));
    }
  }  // joins
  auto last = start;
  for (const detail::LoopThread& thread : seen) {
    if (thread.failure) std::rethrow_exception(thread.failure);
    measurement.latencies.add(thread.latencies);
    last = std::max(last, thread.end);
  }

  const auto statistics = database.statistics();
  measurement.memory = process_memory();
  measurement.duration_s = std::chrono::duration<double>(last - start).count();
  measurement.operations = measurement.latencies.count();
  measurement.aborts = statistics.conflicts - conflicts_before;
  measurement.cache_bytes = statistics.cache_bytes;
  measurement.limbo_bytes = statistics.limbo_bytes;
  measurement.store_loads = statistics.loads - at_open.loads;
  measurement.figures["loads_without_warmup"] = statistics.loads - loads_before;
  if constexpr (kCounts) measurement.figures["profile"] = detail::counting_cache(database).profile().as_json();
  measurement.figures["first_operation_ns"] = seen.front().first_operation_ns;
  return measurement;
}

/// Opens `options.sessions` sessions and lets each do `work(session)` once, the threads starting together; the sessions
/// stay open until memory is read. One operation is the work of one session; the duration is until the last is done.
template <ObjectDatabase Database, class Work>
Measurement each_session_once(Database& database, const ExperimentOptions& options, Work work) {
  using Clock = std::chrono::steady_clock;
  Measurement measurement;
  ::malloc_trim(0);
  measurement.memory_before = process_memory();
  const auto at_open = database.statistics();
  std::vector<std::vector<Session<Database>>> sessions(options.threads);
  for (std::uint32_t i = 0; i < options.sessions; ++i) sessions[i % options.threads].push_back(open_session(database));

  std::vector<detail::LoopThread> seen(options.threads);
  std::barrier together(static_cast<std::ptrdiff_t>(options.threads) + 1);
  Clock::time_point begin;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < options.threads; ++i) {
      threads.emplace_back([&, i] {
        together.arrive_and_wait();
        try {
          for (auto& session : sessions[i]) {
            const auto before = Clock::now();
            work(session);
            seen[i].latencies.record(static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - before).count()));
          }
        } catch (...) {
          seen[i].failure = std::current_exception();
        }
      });
    }
    begin = Clock::now();
    measurement.start = std::chrono::system_clock::now();
    together.arrive_and_wait();
  }  // joins
  measurement.duration_s = std::chrono::duration<double>(Clock::now() - begin).count();
  for (const detail::LoopThread& thread : seen) {
    if (thread.failure) std::rethrow_exception(thread.failure);
    measurement.latencies.add(thread.latencies);
  }
  const auto statistics = database.statistics();
  measurement.memory = process_memory();
  measurement.operations = measurement.latencies.count();
  measurement.aborts = statistics.conflicts - at_open.conflicts;
  measurement.cache_bytes = statistics.cache_bytes;
  measurement.limbo_bytes = statistics.limbo_bytes;
  measurement.store_loads = statistics.loads - at_open.loads;
  return measurement;
}

}  // namespace cow::bench
