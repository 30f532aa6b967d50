// zodbshootout as an experiment: every region once, one worker per thread.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "bench/support/option_checks.hpp"
#include "bench/workloads/zodbshootout/zodbshootout.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

namespace cow::bench {

namespace {

struct ZodbshootoutOptions {
  std::uint32_t objects = 1'000;  ///< per transaction
  std::uint32_t item_bytes = 300;
};

template <ObjectDatabase Database>
Measurement run(const ExperimentOptions& options, const ZodbshootoutOptions& own) {
  System<Database> system(options);
  zodbshootout::Parameters parameters{options.threads, own.objects, own.item_bytes, options.seed};
  Measurement measurement;
  give_back_freed_memory();
  measurement.memory_before = process_memory();
  zodbshootout::Shootout<Database, System<Database>> shootout(parameters, system);
  for (const zodbshootout::Region& region : shootout.run(!system.forgets())) {
    measurement.operations += region.operations;
    measurement.duration_s += region.seconds;
    measurement.aborts += region.aborts;
    measurement.store_loads += region.loads;
    measurement.figures[region.name] = {{"per_second", region.per_second()},
                                        {"seconds", region.seconds},
                                        {"operations", region.operations},
                                        {"aborts", region.aborts},
                                        {"loads", region.loads}};
  }
  const auto statistics = system.database().statistics();
  measurement.memory = process_memory();
  measurement.cache_bytes = statistics.cache_bytes;
  measurement.limbo_bytes = statistics.limbo_bytes;
  return measurement;
}

class Zodbshootout final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    own.add_option("--objects", own_.objects, "Per transaction")->check(at_least_one())->capture_default_str();
    own.add_option("--item-bytes", own_.item_bytes, "Bytes an object")->check(at_least_one())->capture_default_str();
  }

  nlohmann::json parameters(const ExperimentOptions&) const override {
    return {{"objects", own_.objects}, {"item_bytes", own_.item_bytes}};
  }

  bool writes(const ExperimentOptions&) const override { return true; }

  bool is_timed() const override { return false; }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options, own_); });
  }

 private:
  ZodbshootoutOptions own_;
};

}  // namespace

std::unique_ptr<Workload> make_zodbshootout() { return std::make_unique<Zodbshootout>(); }

}  // namespace cow::bench
