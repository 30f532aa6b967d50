// OO7 small in memory, everything resident: for the claims that traverse it.
//
// Thread safety: one measurement at a time.
#pragma once

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

}  // namespace cow::bench
