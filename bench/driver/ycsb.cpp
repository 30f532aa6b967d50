// YCSB as an experiment.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/option_checks.hpp"
#include "bench/support/progress.hpp"
#include "bench/workloads/ycsb/ycsb.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

namespace cow::bench {

namespace {

struct YcsbOptions {
  std::string mix = "A";
  std::uint32_t records = 100'000;
  std::string zipf = "scrambled";
};

template <ObjectDatabase Database>
Measurement run(const ExperimentOptions& options, const YcsbOptions& own) {
  const auto mix = ycsb::Mix::named(own.mix);
  System<Database> system(options);
  Database& database = system.database();
  if (!ycsb::is_loaded(database)) ycsb::load(database, own.records, progress_of("loading YCSB"));
  const ycsb::TableTotals before = [&] {
    auto session = open_session(database);
    return ycsb::read_table<Database>(session);
  }();
  const ycsb::RequestSource source(mix, ycsb::distribution_named(own.zipf), own.records, options.seed);
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
  measurement.figures["inserts_in_all"] = done.of(ycsb::Operation::insert);
  measurement.figures["scanned_in_all"] = done.scanned;
  return measurement;
}

class Ycsb final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    own.add_option("--mix", own_.mix)->check(CLI::IsMember({"A", "B", "C", "D", "E", "F"}))->capture_default_str();
    own.add_option("--records", own_.records, "Records of 1,000 bytes")->check(at_least_one())->capture_default_str();
    own.add_option("--zipf", own_.zipf, "YCSB's own distribution, scrambled, or true Zipf")
        ->check(CLI::IsMember({"scrambled", "true"}))
        ->capture_default_str();
  }

  nlohmann::json parameters(const ExperimentOptions&) const override {
    return {{"mix", own_.mix},
            {"records", own_.records},
            {"keys", own_.zipf == "true" ? "true Zipf, theta 0.99" : "scrambled Zipf, theta 0.99"}};
  }

  bool writes(const ExperimentOptions&) const override { return ycsb::Mix::named(own_.mix).writes(); }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options, own_); });
  }

 private:
  YcsbOptions own_;
};

}  // namespace

std::unique_ptr<Workload> make_ycsb() { return std::make_unique<Ycsb>(); }

}  // namespace cow::bench
