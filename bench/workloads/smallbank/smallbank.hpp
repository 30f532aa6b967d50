// Smallbank (Alomari, Cahill, Fekete, Röhm: "The Cost of Serializability on Platforms That Use Snapshot Isolation",
// ICDE 2008): six short transactions on bank accounts, made so that snapshot isolation can go wrong. WriteCheck looks
// at both accounts of a customer and changes one; TransactSavings changes the other one; a Balance between their
// commits sees a state that no serial order of the three has.
//
// What is checked: money. Each transaction says how it changes the sum of all accounts, and the sum must have changed
// by that, whatever the isolation. And isolation: `check_isolation` runs the same transactions on few customers,
// records who read and wrote which revision, and counts what has no serial order (isolation_history.hpp).
//
// Thread safety: a Worker belongs to one thread and may serve many sessions; `check_isolation` starts its own threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/until_committed.hpp"
#include "transactions.hpp"

namespace cow::bench::smallbank {

/// What a worker has done.
struct WorkDone {
  std::array<std::uint64_t, kOperations> operations{};  ///< committed, by Operation
  std::uint64_t refused = 0;                            ///< of these, for lack of money
  std::uint64_t attempts = 0;                           ///< executions of transactions, conflicts included
  std::uint64_t writes = 0;                             ///< of accounts
  Money change = 0;                                     ///< of all money

  std::uint64_t transactions() const {
    std::uint64_t sum = 0;
    for (std::uint64_t count : operations) sum += count;
    return sum;
  }
  WorkDone& operator+=(const WorkDone& other) {
    for (std::size_t i = 0; i < kOperations; ++i) operations[i] += other.operations[i];
    refused += other.refused;
    attempts += other.attempts;
    writes += other.writes;
    change += other.change;
    return *this;
  }
};

template <ObjectDatabase Database>
class Worker {
 public:
  /// `number` tells the workers of a run apart.
  Worker(const Population& population, std::uint64_t seed, std::uint64_t number)
      : population_(population), random_(seed * 0x10001 + number) {}

  /// One transaction in `session`.
  void step(Session<Database>& session) {
    step(session, [](auto& txn, const Request& request) { return Teller<Database>(txn).run(request); });
  }

  /// The same with `execute(txn, request)` in place of a plain Teller.
  template <class Execute>
  void step(Session<Database>& session, Execute execute) {
    const Request request = Request::draw(population_, random_);
    const Outcome outcome = until_committed(session, done_.attempts, [&](auto& txn) { return execute(txn, request); });
    ++done_.operations[static_cast<std::size_t>(request.operation)];
    done_.refused += outcome.refused;
    done_.writes += outcome.writes;
    done_.change += outcome.change;
  }

  const WorkDone& done() const { return done_; }

 private:
  const Population population_;
  Random random_;
  WorkDone done_;
};

/// Throws WrongAnswerError unless the accounts changed by exactly what the workers have done. REQUIRES: nobody else
/// writes.
template <ObjectDatabase Database>
void check_totals(Session<Database>& session, const Totals& before, const WorkDone& done) {
  const Totals now = read_totals<Database>(session);
  check_count("customers", before.customers, now.customers);
  check_count("writes of accounts", before.revisions + done.writes, now.revisions);
  check_count("cents in the bank", static_cast<std::uint64_t>(before.money + done.change),
              static_cast<std::uint64_t>(now.money));
}

/// Records what is read and written, and after each read lets another thread run: transactions are so short that they
/// would hardly ever overlap.
struct RecordingObserver {
  History* history;

  void read(std::uint32_t item, std::uint64_t revision) {
    history->read(item, revision);
    std::this_thread::yield();
  }
  void write(std::uint32_t item, std::uint64_t revision) { history->write(item, revision); }
};

/// Lets `threads` threads do `transactions` transactions each on `customers` customers of the bank, and returns what
/// went wrong with their isolation. Checks the totals as well. REQUIRES: nobody else writes.
template <ObjectDatabase Database>
Anomalies check_isolation(Database& database, std::uint32_t threads, std::uint32_t transactions,
                          std::uint32_t customers, std::uint64_t seed) {
  const Population few{.customers = customers};
  std::vector<Worker<Database>> workers;
  for (std::uint32_t i = 0; i < threads; ++i) workers.emplace_back(few, seed, i);
  std::vector<History> histories(threads);
  std::vector<std::exception_ptr> failures(threads);
  auto session = open_session(database);
  const Totals before = read_totals<Database>(session);
  {
    std::vector<std::jthread> running;
    for (std::uint32_t i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        try {
          auto own = open_session(database);
          for (std::uint32_t n = 0; n < transactions; ++n) {
            workers[i].step(own, [&](auto& txn, const Request& request) {
              histories[i].restart();
              return Teller<Database, RecordingObserver>(txn, {&histories[i]}).run(request);
            });
            histories[i].committed();
          }
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
  }  // joins
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  WorkDone done;
  for (const auto& worker : workers) done += worker.done();
  check_totals<Database>(session, before, done);
  std::vector<const History*> all;
  for (const History& history : histories) all.push_back(&history);
  return anomalies_of(all);
}

}  // namespace cow::bench::smallbank
