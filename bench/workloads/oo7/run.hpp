// Any operation of OO7 as one call: traversals and queries as a transaction each, CU and S, which take two.
//
// Thread safety: a Runner belongs to one thread; any number of them may run on one database. Counts are exact only
// while nobody runs S at the same time.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "bench/baselines/session.hpp"
#include "factory.hpp"
#include "queries.hpp"
#include "traversals.hpp"

namespace cow::bench::oo7 {

template <ObjectDatabase Database>
class Runner {
 public:
  using Session = bench::Session<Database>;
  using Transaction = typename Database::Transaction;
  static constexpr std::uint32_t kInserted = 10;  ///< composite parts of S1

  Runner(const Parameters& parameters, std::uint64_t seed, std::uint32_t number = 1)
      : parameters_(parameters),
        number_(number),
        traverser_(parameters, number),
        queries_(parameters, seed, number),
        factory_(parameters, seed) {}

  /// Reads the module once, to know the answers to the queries. REQUIRES: before the first query.
  void learn_answers(Session& session) {
    until_committed(session, attempts_, [&](Transaction& txn) { queries_.learn_answers(txn); });
  }

  /// Runs `operation` and checks its counts; throws WrongAnswerError.
  Result run(Session& session, Operation operation) {
    if (is_traversal(operation)) return oo7::run<Database>(session, traverser_, operation, &attempts_);
    if (operation == Operation::cu) {
      oo7::run<Database>(session, traverser_, Operation::t1, &attempts_);
      const auto before = std::chrono::steady_clock::now();
      const Result result = oo7::run<Database>(session, traverser_, Operation::t2a, &attempts_);
      last_update_time_ =
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - before);
      return result;
    }
    if (operation == Operation::s1_and_s2) {
      const Result result = insert(session);
      check_count("atomic parts deleted", result.atomic_parts, erase(session).atomic_parts);
      return result;
    }
    const Random before = queries_.random;
    const Result result = until_committed(session, attempts_, [&](Transaction& txn) {
      queries_.random = before;  // a retry draws the same
      return queries_.run(txn, operation);
    });
    queries_.check_answer(operation, result);
    return result;
  }

  /// S1: ten new composite parts, each used by a base assembly chosen at random.
  Result insert(Session& session) {
    const Random before = factory_.random;
    return until_committed(session, attempts_, [&](Transaction& txn) {
      factory_.random = before;
      ModuleQueries<Database> view(txn, number_);
      std::uint32_t id = 0;  // after the largest
      view.indexes.composite_by_id.scan_all([&](std::uint32_t last, const auto&) { return id = last + 1, true; });
      inserted_.clear();
      Result inserting;
      for (std::uint32_t i = 0; i < kInserted; ++i, ++id) {
        auto composite = factory_.make_composite(txn, view.indexes, id);
        const auto* user = view.indexes.base_by_id.find(
            1 + static_cast<std::uint32_t>(factory_.random.below(parameters_.base_assemblies())));
        if (user == nullptr) throw WrongAnswerError("OO7: a base assembly is missing");
        txn.write(*user).components_private.push_back(composite);
        txn.write(composite).used_in_private.push_back(*user);
        inserted_.push_back(id);
        inserting.atomic_parts += parameters_.atomic_per_composite;
      }
      return inserting;
    });
  }

  /// S2: deletes what the last S1 of this runner has inserted.
  Result erase(Session& session) {
    return until_committed(session, attempts_, [&](Transaction& txn) {
      ModuleQueries<Database> view(txn, number_);
      Result erasing;
      for (std::uint32_t id : inserted_) {
        const auto* found = view.indexes.composite_by_id.find(id);
        if (found == nullptr) throw WrongAnswerError("OO7: an inserted composite part is missing");
        const auto composite = *found;
        erasing.atomic_parts += txn.read(composite).parts.size();
        Factory<Database>::erase_composite(txn, view.indexes, composite);
      }
      return erasing;
    });
  }

  /// Executions of transactions, conflicts included.
  std::uint64_t attempts() const { return attempts_; }
  /// How long the timed half of the last CU took.
  std::chrono::nanoseconds last_update_time() const { return last_update_time_; }

 private:
  const Parameters parameters_;
  const std::uint32_t number_;
  Traverser<Database> traverser_;
  Queries<Database> queries_;
  Factory<Database> factory_;
  std::uint64_t attempts_ = 0;
  std::vector<std::uint32_t> inserted_;  ///< ids of composite parts
  std::chrono::nanoseconds last_update_time_{};
};

}  // namespace cow::bench::oo7
