// OO7 as an experiment: one operation is one traversal, query, or what else it has; and OO7 with a module for each thread.

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/oo7/oo7.hpp"
#include "bench/workloads/random.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"

namespace cow::bench {

namespace {

/// The wished operation, or T2a for the share of writes.
template <ObjectDatabase Database>
class Worker {
 public:
  Worker(const oo7::Parameters& parameters, oo7::Operation operation, double write_share, std::uint64_t seed)
      : runner_(parameters, seed), operation_(operation), write_share_(write_share), random_(seed) {}

  void learn_answers(Session<Database>& session) { runner_.learn_answers(session); }

  void step(Session<Database>& session) {
    const bool write = write_share_ > 0 && random_.chance(write_share_);
    last_ = runner_.run(session, write ? oo7::Operation::kT2a : operation_);
    if (operation_ == oo7::Operation::kCU) {
      updates_.record(static_cast<std::uint64_t>(runner_.last_update_time().count()));
    }
  }

  const oo7::Result& last() const { return last_; }
  /// CU: the times of its second half, in nanoseconds.
  const LatencyHistogram& updates() const { return updates_; }

 private:
  oo7::Runner<Database> runner_;
  oo7::Operation operation_;
  double write_share_;
  Random random_;
  oo7::Result last_;
  LatencyHistogram updates_;
};

template <ObjectDatabase Database>
Measurement measure(const ExperimentOptions& options) {
  const auto parameters = oo7::Parameters::named(options.oo7_size, options.fan_out(), options.seed);
  const auto operation = oo7::operation_named(options.oo7_operation);
  System<Database> system(options);
  Database& database = system.database();
  const bool generated = oo7::generate_if_absent(database, parameters, 1, progress_of("generating OO7"));
  std::vector<Worker<Database>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    workers.emplace_back(parameters, operation, options.write_share, options.seed * 0x10001 + i);
    if (!oo7::is_query(operation)) continue;
    auto session = open_session(database);
    workers.back().learn_answers(session);
  }
  Measurement measurement = closed_loop(database, options, workers);
  auto session = open_session(database);
  if (options.writes()) oo7::verify<Database>(session, parameters);
  measurement.figures["objects"] = parameters.objects();
  measurement.figures["atomic_parts"] = workers.front().last().atomic_parts;
  measurement.figures["generated_in_process"] = generated;
  if (operation == oo7::Operation::kCU) {
    LatencyHistogram updates;
    for (const auto& worker : workers) updates.add(worker.updates());
    measurement.figures["update_p50_ns"] = updates.quantile(0.5);
  }
  return measurement;
}

template <ObjectDatabase Database>
Measurement measure_users(const ExperimentOptions& options) {
  const auto parameters = oo7::Parameters::named(options.oo7_size, options.fan_out(), options.seed);
  const auto mix = oo7::UserMix::named(options.chosen_mix());
  System<Database> system(options);
  Database& database = system.database();
  for (std::uint32_t number = oo7::kSharedModule; number < oo7::private_module(options.threads); ++number) {
    oo7::generate_if_absent(database, parameters, number, progress_of("generating OO7 " + std::to_string(number)));
  }
  std::vector<oo7::User<Database>> users;
  for (std::uint32_t i = 0; i < options.threads; ++i) users.emplace_back(parameters, mix, i, options.seed);
  Measurement measurement = closed_loop(database, options, users);
  typename oo7::User<Database>::Done done;
  for (const auto& user : users) done += user.done();
  auto session = open_session(database);
  for (std::uint32_t number = oo7::kSharedModule; number < oo7::private_module(options.threads); ++number) {
    oo7::verify<Database>(session, parameters, number);
  }
  measurement.figures["retries_in_all"] = done.attempts - done.transactions();
  measurement.figures["shared_writes_in_all"] = done.shared_writes;
  return measurement;
}

}  // namespace

Measurement run_oo7(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

Measurement run_oo7_users(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure_users<Database>(options); });
}

}  // namespace cow::bench
