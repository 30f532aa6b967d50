// STMBench7 as an experiment.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/stmbench7/stmbench7.hpp"
#include "loop.hpp"
#include "oo7_module.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

namespace cow::bench {

namespace {

struct Stmbench7Options {
  Oo7Module module{.fan_out = 6};
  std::string mix = "read";
  bool long_traversals = true;
};

template <ObjectDatabase Database>
Measurement run(const ExperimentOptions& options, const Stmbench7Options& own) {
  const auto parameters = own.module.of(options.seed);
  const auto mix = stmbench7::Mix::named(own.mix, own.long_traversals);
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

class Stmbench7 final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    own_.module.add_options(own);
    own.add_option("--mix", own_.mix, "What dominates")
        ->check(CLI::IsMember({"read", "read-write", "write"}))
        ->capture_default_str();
    own.add_flag("!--no-long-traversals", own_.long_traversals, "Without T1 to T6, Q6 and Q7");
  }

  nlohmann::json parameters(const ExperimentOptions&) const override {
    nlohmann::json parameters = own_.module.parameters();
    parameters["mix"] = own_.mix;
    parameters["long_traversals"] = own_.long_traversals;
    return parameters;
  }

  bool writes(const ExperimentOptions&) const override { return true; }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options, own_); });
  }

 private:
  Stmbench7Options own_;
};

}  // namespace

std::unique_ptr<Workload> make_stmbench7() { return std::make_unique<Stmbench7>(); }

}  // namespace cow::bench
