// Smallbank as an experiment: the timed mix, and after it the check of isolation.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/smallbank/smallbank.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

namespace cow::bench {

namespace {

struct SmallbankOptions {
  std::uint32_t customers = 1'000'000;
  std::uint32_t hotspot = 0;                   ///< customers that get 90% of the transactions
  std::uint32_t isolation_transactions = 250;  ///< per thread of the isolation check, 0: none
};

template <ObjectDatabase Database>
Measurement run(const ExperimentOptions& options, const SmallbankOptions& own) {
  System<Database> system(options);
  Database& database = system.database();
  if (!smallbank::is_loaded(database)) {
    smallbank::load(database, own.customers, options.seed, progress_of("opening accounts"));
  }
  const smallbank::Totals before = [&] {
    auto session = open_session(database);
    return smallbank::read_totals<Database>(session);
  }();
  check_count("customers in the store", own.customers, before.customers);
  const smallbank::Population population{.customers = own.customers, .hotspot = own.hotspot};
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
    if (own.isolation_transactions == 0) return measurement;
    constexpr std::uint32_t kFew = 4;  // customers, so that transactions meet
    const Anomalies anomalies = smallbank::check_isolation(database, std::max(4u, options.threads),
                                                           own.isolation_transactions, kFew, options.seed);
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

class Smallbank final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    own.add_option("--customers", own_.customers)->check(CLI::Range(100u, 100'000'000u))->capture_default_str();
    own.add_option("--hotspot", own_.hotspot, "So many customers get 90% of the requests; usual is 100")
        ->capture_default_str();
    own.add_option("--isolation-transactions", own_.isolation_transactions,
                   "Of each thread of the isolation check after the run")
        ->capture_default_str();
  }

  nlohmann::json parameters(const ExperimentOptions& options) const override {
    return {{"customers", own_.customers},
            {"hotspot", own_.hotspot},
            {"isolation", options.serializable ? "serializable" : "snapshot"}};
  }

  bool writes(const ExperimentOptions&) const override { return true; }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options, own_); });
  }

 private:
  SmallbankOptions own_;
};

}  // namespace

std::unique_ptr<Workload> make_smallbank() { return std::make_unique<Smallbank>(); }

}  // namespace cow::bench
