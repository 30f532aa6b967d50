// YCSB as an experiment.

#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/ycsb/ycsb.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"

namespace cow::bench {

namespace {

template <ObjectDatabase Database>
Measurement measure(const ExperimentOptions& options) {
  const auto mix = ycsb::Mix::named(options.chosen_mix());
  System<Database> system(options);
  Database& database = system.database();
  if (!ycsb::is_loaded(database)) ycsb::load(database, options.records, progress_of("loading YCSB"));
  const ycsb::TableTotals before = [&] {
    auto session = open_session(database);
    return ycsb::read_table<Database>(session);
  }();
  const ycsb::RequestSource source(mix, ycsb::distribution_named(options.zipf), options.records, options.seed);
  ycsb::AcknowledgedCounter counter(before.records);
  std::vector<ycsb::Worker<Database>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) workers.emplace_back(source, counter, options.seed, i);

  Measurement measurement = closed_loop(database, options, workers);

  ycsb::WorkDone done;
  for (const auto& worker : workers) done += worker.done();
  auto session = open_session(database);
  ycsb::check_table<Database>(session, before, done);
  measurement.figures["records_before"] = before.records;
  measurement.figures["changes_in_all"] = done.changes();
  measurement.figures["inserts_in_all"] = done.of(ycsb::Operation::kInsert);
  measurement.figures["scanned_in_all"] = done.scanned;
  return measurement;
}

}  // namespace

Measurement run_ycsb(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

}  // namespace cow::bench
