// OO7 as an experiment: one operation is one traversal.

#include <cstdint>
#include <type_traits>
#include <vector>

#include "experiment_loop.hpp"
#include "experiment_options.hpp"
#include "experiment_systems.hpp"
#include "progress.hpp"
#include "workloads/oo7.hpp"
#include "workloads/random.hpp"

namespace cow::bench {

namespace {

/// The wished traversal, or T2a for the share of writes.
template <class Database>
class Worker {
 public:
  Worker(const oo7::Parameters& parameters, oo7::Operation operation, double write_share, std::uint64_t seed)
      : traverser_(parameters), operation_(operation), write_share_(write_share), random_(seed) {}

  void step(typename Database::Session& session) {
    const bool write = write_share_ > 0 && random_.chance(write_share_);
    last_ = oo7::run<Database>(session, traverser_, write ? oo7::Operation::kT2a : operation_);
  }

  const oo7::Result& last() const { return last_; }

 private:
  oo7::Traverser<Database> traverser_;
  oo7::Operation operation_;
  double write_share_;
  Random random_;
  oo7::Result last_;
};

template <class Database>
Measurement measure(const ExperimentOptions& options) {
  const auto parameters = oo7::Parameters::named(options.oo7_size, options.oo7_fan_out, options.seed);
  const auto operation = oo7::operation_named(options.oo7_operation);
  System<Database> system(options);
  Database& database = system.database();
  const bool is_there = database.open_session().transact(
      [](typename Database::Transaction& txn) { return txn.root().contains(oo7::kModuleName); });
  if (!is_there) {
    Progress progress("generating OO7 " + options.oo7_size);
    oo7::generate(database, parameters, [&](std::uint64_t done, std::uint64_t all) { progress(done, all); });
  }
  std::vector<Worker<Database>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) {
    workers.emplace_back(parameters, operation, options.write_share, options.seed * 0x10001 + i);
  }
  Measurement measurement = closed_loop(database, options, workers);
  measurement.figures["objects"] = parameters.objects();
  measurement.figures["atomic_parts"] = workers.front().last().atomic_parts;
  measurement.figures["generated_in_process"] = !is_there;
  return measurement;
}

}  // namespace

Measurement run_oo7(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

}  // namespace cow::bench
