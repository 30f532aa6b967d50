// OO7 small in memory, everything resident: for the claims that traverse it.
//
// Thread safety: one measurement at a time.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/thread_time.hpp"
#include "bench/workloads/oo7/oo7.hpp"

namespace cow::bench {

template <class System>
class WarmOo7 {
 public:
  using Database = typename System::Database;

  WarmOo7() : system_([&](Database& database) { oo7::generate(database, parameters_); }), traverser_(parameters_) {
    typename Database::Transaction txn = system_.session.begin();
    for (int i = 0; i < 3; ++i) traverser_.run(txn, oo7::Operation::t1);
    txn.commit();
  }

  /// One traversal in a transaction that has run it before, as OO7 defines hot: the mean of the later iterations.
  double seconds_hot(oo7::Operation operation, int times) {
    typename Database::Transaction txn = system_.session.begin();
    oo7::check(traverser_.expected(operation), traverser_.run(txn, operation));
    double seconds = seconds_of([&] {
      for (int i = 0; i < times; ++i) oo7::check(traverser_.expected(operation), traverser_.run(txn, operation));
    });
    txn.commit();
    return seconds / times;
  }

  /// One traversal in a transaction of its own, begin and commit included, where every object is read for a first time.
  /// Processor time.
  double seconds_fresh(oo7::Operation operation, int times) {
    return processor_seconds_of([&] {
             for (int i = 0; i < times; ++i) {
               typename Database::Transaction txn = system_.session.begin();
               oo7::check(traverser_.expected(operation), traverser_.run(txn, operation));
               txn.commit();
             }
           }) /
           times;
  }

 private:
  const oo7::Parameters parameters_ = oo7::Parameters::small();
  System system_;
  oo7::Traverser<Database> traverser_;
};

/// T1 and T6 with two systems.
struct OfTraversals {
  Paired t1, t6;

  double worse() const { return std::max(t1.ratio, t6.ratio); }
  std::string detail() const {
    auto one = [](const char* name, const Paired& paired) {
      return fmt::format("{}: {:.1f} / {:.1f} us = {:.3f}x", name, paired.first * 1e6, paired.second * 1e6,
                         paired.ratio);
    };
    return one("T1", t1) + "; " + one("T6", t6);
  }
};

/// `seconds_of_one(operation, times)`, `seconds_of_other(operation, times)`: of one traversal.
OfTraversals compare_traversals(auto&& seconds_of_one, auto&& seconds_of_other) {
  auto compare = [&](oo7::Operation operation, int times) {
    return measure_paired(
        31, [&] { return seconds_of_one(operation, times); }, [&] { return seconds_of_other(operation, times); });
  };
  return {compare(oo7::Operation::t1, 5), compare(oo7::Operation::t6, 50)};
}

}  // namespace cow::bench
