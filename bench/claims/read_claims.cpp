// The read path: chase, oo7-raw, oo7-private, begin-end, two-threads.
#include <fmt/format.h>

#include <atomic>
#include <barrier>
#include <thread>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/chase.hpp"
#include "bench/workloads/oo7/oo7.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"

namespace cow::bench {

using cow::detail::SharedCache;

namespace {

// ---- chase

/// A chain and a transaction that walks it.
template <class System>
class Chase {
 public:
  using Database = typename System::Database;

  explicit Chase(std::size_t objects)
      : start_(chase::build<Database>(system_.session, objects)), txn_(system_.session.begin()), at_(&start_) {}

  double seconds(std::size_t steps) {
    return seconds_of([&] {
      at_ = chase::follow(txn_, at_, steps);
      keep(at_);
    });
  }

 private:
  using Node = chase::Node<typename Database::Pointers>;

  System system_;
  typename Node::template Ref<Node> start_;
  typename Database::Transaction txn_;
  const typename Node::template Ref<Node>* at_;
};

Measured measure_chase() {
  std::vector<double> ratios;
  std::string detail;
  for (std::size_t objects : {100, 1'000, 10'000, 100'000, 1'000'000}) {
    Chase<RawInMemory> raw(objects);
    Chase<InMemory<SharedCache>> shared(objects);
    // Warm: every hint set, every state logged; then long enough to outlast a timer tick.
    raw.seconds(objects);
    shared.seconds(objects);
    std::size_t steps = std::max<std::size_t>(objects, 500'000);
    int repetitions = objects >= 1'000'000 ? 15 : 41;
    Paired paired = measure_paired(
        repetitions, [&] { return shared.seconds(steps); }, [&] { return raw.seconds(steps); });
    ratios.push_back(paired.ratio);
    double nanoseconds = 1e9 / static_cast<double>(steps);
    detail += fmt::format("{}{} objects: {:.2f} / {:.2f} ns = {:.3f}x", detail.empty() ? "" : "; ", objects,
                          paired.first * nanoseconds, paired.second * nanoseconds, paired.ratio);
  }
  return {geometric_mean(ratios), detail};
}

// ---- OO7

/// OO7 small in memory, hot.
template <class System>
class Oo7 {
 public:
  using Database = typename System::Database;

  Oo7() : system_([&](Database& database) { oo7::generate(database, parameters_); }), traverser_(parameters_) {
    typename Database::Transaction txn = system_.session.begin();
    for (int i = 0; i < 3; ++i) traverser_.run(txn, oo7::Operation::kT1);
    txn.commit();
  }

  /// One traversal in a transaction that has run it before, as OO7 defines hot: the mean of the later iterations.
  double seconds(oo7::Operation operation, int times) {
    typename Database::Transaction txn = system_.session.begin();
    oo7::check(traverser_.expected(operation), traverser_.run(txn, operation));
    double seconds = seconds_of([&] {
      for (int i = 0; i < times; ++i) oo7::check(traverser_.expected(operation), traverser_.run(txn, operation));
    });
    txn.commit();
    return seconds / times;
  }

 private:
  const oo7::Parameters parameters_ = oo7::Parameters::small();
  System system_;
  oo7::Traverser<Database> traverser_;
};

template <class Other>
Measured measure_oo7() {
  Oo7<InMemory<SharedCache>> shared;
  Oo7<Other> other;
  Measured worst;
  for (auto [name, operation, times] : {std::tuple{"T1", oo7::Operation::kT1, 5}, {"T6", oo7::Operation::kT6, 50}}) {
    Paired paired = measure_paired(
        31, [&, operation = operation, times = times] { return shared.seconds(operation, times); },
        [&, operation = operation, times = times] { return other.seconds(operation, times); });
    worst.value = std::max(worst.value, paired.ratio);
    worst.detail += fmt::format("{}{}: {:.1f} / {:.1f} us = {:.3f}x", worst.detail.empty() ? "" : "; ", name,
                                paired.first * 1e6, paired.second * 1e6, paired.ratio);
  }
  return worst;
}

// ---- begin and end

Measured measure_begin_end() {
  InMemory<SharedCache> system;
  constexpr int kTransactions = 200'000;
  std::vector<double> nanoseconds;
  for (int repetition = 0; repetition < 31; ++repetition) {
    nanoseconds.push_back(seconds_of([&] {
                            for (int i = 0; i < kTransactions; ++i) {
                              Transaction txn = system.database.begin();
                              keep(txn);
                              txn.commit();
                            }
                          }) *
                          1e9 / kTransactions);
  }
  return {median(nanoseconds), fmt::format("median of {} batches of {}", nanoseconds.size(), kTransactions)};
}

// ---- threads

/// Reads a second by `threads` threads that chase the same chain, each in its own transactions.
double reads_per_second(Database& database, const Ref<chase::Node<SharedCache::Pointers>>& start, std::size_t objects,
                        int threads) {
  constexpr double kSeconds = 0.25;
  std::atomic<std::uint64_t> reads{0};
  std::barrier ready(threads);
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&] {
      ready.arrive_and_wait();
      std::uint64_t done = 0;
      for (double until = seconds_now() + kSeconds; seconds_now() < until; done += 4 * objects) {
        Transaction txn = database.begin();
        keep(chase::follow(txn, &start, 4 * objects));
        txn.commit();
      }
      reads += done;
    });
  }
  for (std::thread& worker : workers) worker.join();
  return static_cast<double>(reads) / kSeconds;
}

Measured measure_two_threads() {
  InMemory<SharedCache> system;
  constexpr std::size_t kObjects = 1'000;  // within each core's own cache: nothing but shared writes could slow it down
  auto start = chase::build<Database>(system.session, kObjects);
  Paired paired = measure_paired(
      15, [&] { return reads_per_second(system.database, start, kObjects, 2); },
      [&] { return reads_per_second(system.database, start, kObjects, 1); });
  return {paired.ratio, fmt::format("{:.0f} / {:.0f} million reads/s; {} cores", paired.first / 1e6,
                                    paired.second / 1e6, std::thread::hardware_concurrency())};
}

}  // namespace

std::vector<Claim> read_claims() {
  using enum Claim::Comparison;
  return {
      {"chase", "warm pointer chase through Ref<T> against T*, geometric mean over 100 to 1,000,000 objects", at_most,
       1.15, "x", measure_chase},
      {"oo7-raw", "OO7 small T1 and T6 hot, shared cache against raw C++ structs; the worse of the two", at_most, 1.25,
       "x", measure_oo7<RawInMemory>, false},
      {"oo7-private", "OO7 small T1 and T6 hot, shared cache against a private one; the worse of the two", at_most,
       1.10, "x", measure_oo7<InMemory<PrivateCache>>},
      {"begin-end", "begin and commit of an empty read-only transaction", at_most, 20, "ns", measure_begin_end},
      {"two-threads", "warm reads of 2 threads against 1", at_least, 1.9, "x", measure_two_threads},
  };
}

}  // namespace cow::bench
