// TransactionWorkload: what workloads have in common whose work is one kind of transaction, which writes or does not.
//
// Thread safety: as Workload. The functions of `Own` that a measurement calls are const, and are called by several threads at once.
//
// Invariants:
//  1. A retry of a transaction gets the same dice as the attempt before it, so it does the same work.
//  2. [counted-writes] What `count` finds grows by one with each writing transaction that commits; else the answer is wrong.
//
// What is the workload's own stands in `Own`:
//   static constexpr std::string_view kRoot               the name of its root, which says that the store has been loaded
//   void add_options(CLI::App&)                           the options that are its own; they are kept in it
//   nlohmann::json parameters() const                     what it was told, for the row
//   void load<Database>(txn, Random&) const               makes the objects
//   void step<Database>(txn, Random&, bool writes) const  the transaction that is measured
//   std::uint64_t count<Database>(txn) const              what the writing transactions have left
// where `txn` is a `typename Database::Transaction&`; `--write-share` says how many of them write.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "bench/workloads/random.hpp"
#include "bench/workloads/until_committed.hpp"
#include "bench/workloads/workload_error.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

namespace cow::bench {

template <class Own>
class TransactionWorkload final : public Workload {
 public:
  void add_options(CLI::App& own) override { own_.add_options(own); }
  nlohmann::json parameters(const ExperimentOptions&) const override { return own_.parameters(); }
  bool writes(const ExperimentOptions& options) const override { return options.write_share > 0; }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options); });
  }

 private:
  template <class Database>
  struct Worker {
    const Own* own;
    double write_share;
    Random random;
    std::uint64_t transactions = 0, attempts = 0, writes = 0;

    void step(Session<Database>& session) {
      const bool is_writing = random.chance(write_share);
      const Random dice(random.next());
      until_committed(session, attempts, [&](typename Database::Transaction& txn) {
        Random same = dice;
        own->template step<Database>(txn, same, is_writing);
      });
      ++transactions;
      writes += is_writing;
    }
  };

  template <class Database>
  Measurement run(const ExperimentOptions& options) const {
    using Transaction = typename Database::Transaction;
    System<Database> system(options);
    Database& database = system.database();
    Random random(options.seed);
    const std::uint64_t before = open_session(database).transact([&](Transaction& txn) {
      if (!txn.root().contains(Own::kRoot)) own_.template load<Database>(txn, random);
      return own_.template count<Database>(txn);
    });
    std::vector<Worker<Database>> workers;
    for (std::uint32_t i = 0; i < options.threads; ++i)
      workers.push_back({&own_, options.write_share, Random(random.next())});

    Measurement measurement = closed_loop(database, options, workers);

    std::uint64_t writes = 0, retries = 0;
    for (const Worker<Database>& worker : workers) {
      writes += worker.writes;
      retries += worker.attempts - worker.transactions;
    }
    const auto count = [&](Transaction& txn) { return own_.template count<Database>(txn); };
    check_count("traces of writing transactions", before + writes, open_session(database).transact(count));
    measurement.figures["writes_in_all"] = writes;
    measurement.figures["retries_in_all"] = retries;
    return measurement;
  }

  Own own_;
};

}  // namespace cow::bench
