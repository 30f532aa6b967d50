// STMBench7 as an experiment.

#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/stmbench7/stmbench7.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"

namespace cow::bench {

namespace {

template <ObjectDatabase Database>
Measurement measure(const ExperimentOptions& options) {
  const auto parameters = oo7::Parameters::named(options.oo7_size, options.fan_out(), options.seed);
  const auto mix = stmbench7::Mix::named(options.chosen_mix(), options.long_traversals);
  System<Database> system(options);
  Database& database = system.database();
  oo7::generate_if_absent(database, parameters, 1, progress_of("generating OO7"));
  auto count = [&](typename Database::Transaction& txn) { return oo7::Verifier<Database>(txn, parameters, 1).run(); };
  const oo7::ObjectCounts before = open_session(database).transact(count);
  std::vector<stmbench7::Worker<Database>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) workers.emplace_back(parameters, mix, options.seed, i);

  Measurement measurement = closed_loop(database, options, workers);

  stmbench7::WorkDone done;
  for (const auto& worker : workers) done += worker.done();
  auto session = open_session(database);
  stmbench7::check_module<Database>(session, parameters, before, done);
  measurement.figures["retries_in_all"] = done.attempts - done.transactions();
  measurement.figures["failed_in_all"] = done.failures();
  for (std::size_t i = 0; i < stmbench7::kClasses; ++i) {
    measurement.figures[std::string(stmbench7::kClassNames[i]) + "_in_all"] = done.of(static_cast<stmbench7::Class>(i));
  }
  return measurement;
}

}  // namespace

Measurement run_stmbench7(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

}  // namespace cow::bench
