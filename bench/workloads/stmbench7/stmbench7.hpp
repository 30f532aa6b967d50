// STMBench7 (Guerraoui, Kapalka, Vitek: "STMBench7: A Benchmark for Software Transactional Memory", EuroSys 2007):
// OO7's module, medium with six connections a part, under 45 operations from ten objects to all of them, structural
// changes included. All 45 are here. The coarse-grained lock that the paper compares with is the blocking cache.
//
// Differences that OO7's model here makes: composite parts are used through OO7's private components (its shared ones
// are kept, nobody asks for them); connections are objects of their own; the module has no list of assemblies but the
// indexes by id. A failed operation (an id without an object) is a transaction that wrote nothing.
//
// Correctness: afterwards every relation and every index of the module must hold, and its objects must be as many as at
// the start, plus those made, less those removed (`check_module`).
//
// Thread safety: a Worker belongs to one thread and may serve many sessions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "bench/baselines/session.hpp"
#include "bench/workloads/oo7/generate.hpp"
#include "bench/workloads/until_committed.hpp"
#include "short.hpp"
#include "structure.hpp"
#include "traversals.hpp"

namespace cow::bench::stmbench7 {

/// What a worker has done.
struct WorkDone {
  std::array<std::uint64_t, kOperations> operations{};  ///< by Operation, failed ones included
  std::array<std::uint64_t, kOperations> failed{};
  std::uint64_t attempts = 0;  ///< executions of transactions, conflicts included
  std::int64_t checksum = 0;   ///< of what was read
  // Objects made, less objects removed:
  std::int64_t composites = 0, bases = 0, complexes = 0;

  std::uint64_t transactions() const {
    std::uint64_t sum = 0;
    for (std::uint64_t count : operations) sum += count;
    return sum;
  }
  std::uint64_t failures() const {
    std::uint64_t sum = 0;
    for (std::uint64_t count : failed) sum += count;
    return sum;
  }
  std::uint64_t of(Class group) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kOperations; ++i) sum += kOperationTable[i].group == group ? operations[i] : 0;
    return sum;
  }
  WorkDone& operator+=(const WorkDone& other) {
    for (std::size_t i = 0; i < kOperations; ++i) {
      operations[i] += other.operations[i];
      failed[i] += other.failed[i];
    }
    attempts += other.attempts;
    checksum += other.checksum;
    composites += other.composites;
    bases += other.bases;
    complexes += other.complexes;
    return *this;
  }
};

template <ObjectDatabase Database>
class Worker {
 public:
  using Session = bench::Session<Database>;
  using Transaction = typename Database::Transaction;

  /// `number` tells the workers of a run apart.
  Worker(const oo7::Parameters& parameters, const Mix& mix, std::uint64_t seed, std::uint64_t number)
      : parameters_(parameters),
        limits_(parameters),
        mix_(mix),
        random_(seed * 0x10001 + number),
        traverser_(parameters),
        factory_(parameters, seed * 0x10001 + number) {}

  /// One operation of the mix.
  void step(Session& session) { run(session, mix_.draw(random_)); }

  /// One operation as one transaction of `session`.
  Outcome run(Session& session, Operation operation) {
    const Random before = factory_.random;
    const Outcome outcome = until_committed(session, done_.attempts, [&](Transaction& txn) {
      factory_.random = before;  // a retry does the same
      Context<Database> context(txn, 1, parameters_, limits_, traverser_, factory_);
      switch (info_of(operation).group) {
        case Class::long_traversal:
          return run_long_traversal(context, operation);
        case Class::short_traversal:
          return run_short_traversal(context, operation);
        case Class::operation:
          return run_operation(context, operation);
        case Class::structure:
          return StructuralChanges<Database>(context).run(operation);
      }
      throw std::logic_error("not an operation of STMBench7");
    });
    ++done_.operations[static_cast<std::size_t>(operation)];
    done_.failed[static_cast<std::size_t>(operation)] += outcome.failed;
    done_.checksum += outcome.checksum;
    done_.composites += outcome.composites;
    done_.bases += outcome.bases;
    done_.complexes += outcome.complexes;
    return outcome;
  }

  const WorkDone& done() const { return done_; }

 private:
  const oo7::Parameters parameters_;
  const Limits limits_;
  const Mix mix_;
  Random random_;
  oo7::Traverser<Database> traverser_;
  oo7::Factory<Database> factory_;
  WorkDone done_;
};

/// Throws WrongAnswerError unless the module is whole and has what it had before, changed by what the workers did.
/// REQUIRES: nobody else writes.
template <ObjectDatabase Database>
void check_module(Session<Database>& session, const oo7::Parameters& parameters, const oo7::ObjectCounts& before,
                  const WorkDone& done) {
  session.transact([&](typename Database::Transaction& txn) {
    const oo7::ObjectCounts now = oo7::Verifier<Database>(txn, parameters, 1).run();
    auto changed = [](std::uint64_t count, std::int64_t by) { return static_cast<std::uint64_t>(by) + count; };
    check_count("composite parts", changed(before.composites, done.composites), now.composites);
    check_count("base assemblies", changed(before.base_assemblies, done.bases), now.base_assemblies);
    check_count("complex assemblies", changed(before.complex_assemblies, done.complexes), now.complex_assemblies);
  });
}

}  // namespace cow::bench::stmbench7
