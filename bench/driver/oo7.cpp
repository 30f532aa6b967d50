// OO7 as an experiment: one operation is one traversal, query, or what else it has; and OO7 with a module for each thread.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/oo7/oo7.hpp"
#include "bench/workloads/random.hpp"
#include "loop.hpp"
#include "oo7_module.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

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
    last_ = runner_.run(session, write ? oo7::Operation::t2a : operation_);
    if (operation_ == oo7::Operation::cu) {
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

struct Oo7Options {
  Oo7Module module;
  std::string operation = "T1";

  bool writes(const ExperimentOptions& options) const {
    return options.write_share > 0 || oo7::is_update(oo7::operation_named(operation));
  }
};

struct Oo7UserOptions {
  Oo7Module module;
  std::string mix = "80/20/0/0";
};

template <ObjectDatabase Database>
Measurement run(const ExperimentOptions& options, const Oo7Options& own) {
  const auto parameters = own.module.of(options.seed);
  const auto operation = oo7::operation_named(own.operation);
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
  if (own.writes(options)) oo7::verify<Database>(session, parameters);
  measurement.figures["objects"] = parameters.objects();
  measurement.figures["atomic_parts"] = workers.front().last().atomic_parts;
  measurement.figures["generated_in_process"] = generated;
  if (operation == oo7::Operation::cu) {
    LatencyHistogram updates;
    for (const auto& worker : workers) updates.add(worker.updates());
    measurement.figures["update_p50_ns"] = updates.quantile(0.5);
  }
  return measurement;
}

template <ObjectDatabase Database>
Measurement run_users(const ExperimentOptions& options, const Oo7UserOptions& own) {
  const auto parameters = own.module.of(options.seed);
  const auto mix = oo7::UserMix::named(own.mix);
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

class Oo7 final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    own_.module.add_options(own);
    own.add_option("--operation", own_.operation, "The operation; writes are T2a")
        ->check(CLI::IsMember(std::vector<std::string>(oo7::kOperationNames.begin(), oo7::kOperationNames.end())))
        ->capture_default_str();
  }

  nlohmann::json parameters(const ExperimentOptions&) const override {
    nlohmann::json parameters = own_.module.parameters();
    parameters["operation"] = own_.operation;
    return parameters;
  }

  bool writes(const ExperimentOptions& options) const override { return own_.writes(options); }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options, own_); });
  }

 private:
  Oo7Options own_;
};

class Oo7Users final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    own_.module.add_options(own);
    own.add_option("--mix", own_.mix, "Percent: private reads, shared reads, private writes, shared writes")
        ->check(CLI::IsMember({"80/20/0/0", "60/20/15/5", "20/20/30/30"}))
        ->capture_default_str();
  }

  nlohmann::json parameters(const ExperimentOptions&) const override {
    nlohmann::json parameters = own_.module.parameters();
    parameters["mix"] = own_.mix;
    return parameters;
  }

  bool writes(const ExperimentOptions&) const override { return own_.mix != "80/20/0/0"; }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache, [&]<class Database>(std::type_identity<Database>) {
      return run_users<Database>(options, own_);
    });
  }

 private:
  Oo7UserOptions own_;
};

}  // namespace

std::unique_ptr<Workload> make_oo7() { return std::make_unique<Oo7>(); }
std::unique_ptr<Workload> make_oo7_users() { return std::make_unique<Oo7Users>(); }

}  // namespace cow::bench
