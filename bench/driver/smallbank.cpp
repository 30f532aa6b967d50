// Smallbank as an experiment: the timed mix, and after it the check of isolation.

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/smallbank/smallbank.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"

namespace cow::bench {

namespace {

template <ObjectDatabase Database>
Measurement measure(const ExperimentOptions& options) {
  System<Database> system(options);
  Database& database = system.database();
  if (!smallbank::is_loaded(database)) {
    smallbank::load(database, options.customers, options.seed, progress_of("opening accounts"));
  }
  const smallbank::Totals before = [&] {
    auto session = open_session(database);
    return smallbank::read_totals<Database>(session);
  }();
  check_count("customers in the store", options.customers, before.customers);
  const smallbank::Population population{.customers = options.customers, .hotspot = options.hotspot};
  std::vector<smallbank::Worker<Database>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) workers.emplace_back(population, options.seed, i);

  Measurement measurement = closed_loop(database, options, workers);

  smallbank::WorkDone done;
  for (const auto& worker : workers) done += worker.done();
  auto session = open_session(database);
  smallbank::check_totals<Database>(session, before, done);
  measurement.figures["retries_in_all"] = done.attempts - done.transactions();
  measurement.figures["refused_in_all"] = done.refused;
  // Raw pointers have no isolation to check.
  if constexpr (!std::is_same_v<Database, RawDatabase>) {
    if (options.isolation_transactions == 0) return measurement;
    constexpr std::uint32_t kFew = 4;  // customers, so that transactions meet
    const Anomalies anomalies = smallbank::check_isolation(database, std::max(4u, options.threads),
                                                           options.isolation_transactions, kFew, options.seed);
    if (!anomalies.snapshot_isolated()) {
      throw WrongAnswerError("Smallbank: " + std::to_string(anomalies.lost_updates) + " lost updates and " +
                             std::to_string(anomalies.cycles_without_skew) +
                             " cycles that snapshot isolation does not allow");
    }
    if (options.serializable && !anomalies.serializable()) {
      throw WrongAnswerError("Smallbank: " + std::to_string(anomalies.skews) +
                             " groups of serializable transactions without a serial order");
    }
    measurement.figures["isolation_transactions"] = anomalies.transactions;
    measurement.figures["write_skews"] = anomalies.skews;
    measurement.figures["transactions_in_write_skews"] = anomalies.transactions_in_skews;
  }
  return measurement;
}

}  // namespace

Measurement run_smallbank(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

}  // namespace cow::bench
