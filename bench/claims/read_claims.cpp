// The read path: chase, oo7-raw, oo7-raw-t1, oo7-private, begin-end, two-threads.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/chase.hpp"
#include "bench/workloads/oo7/oo7.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "warm_oo7.hpp"

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

/// In a transaction that has run them before.
template <class Other>
OfTraversals compare_hot() {
  WarmOo7<InMemory<SharedCache>> shared;
  WarmOo7<Other> other;
  return compare_traversals([&](auto operation, int times) { return shared.seconds_hot(operation, times); },
                            [&](auto operation, int times) { return other.seconds_hot(operation, times); });
}

template <class Other>
Measured measure_oo7() {
  OfTraversals both = compare_hot<Other>();
  return {both.worse(), both.detail()};
}

Measured measure_oo7_raw_t1() {
  OfTraversals both = compare_hot<RawInMemory>();
  return {both.t1.ratio, both.detail()};
}

// ---- begin and end

Measured measure_begin_end() {
  InMemory<SharedCache> system;
  std::mutex mutex;
  constexpr int kTimes = 200'000, kBatches = 31;
  auto transactions = [&] {
    return seconds_of([&] {
      for (int i = 0; i < kTimes; ++i) {
        Transaction txn = system.database.begin();
        keep(txn);
        txn.commit();
      }
    });
  };
  auto locks = [&] {
    return seconds_of([&] {
      for (int i = 0; i < kTimes; ++i) {
        std::scoped_lock lock(mutex);
        keep(mutex);
      }
    });
  };
  Paired paired = measure_paired(kBatches, transactions, locks);
  constexpr double kNanoseconds = 1e9 / kTimes;
  return {paired.first * kNanoseconds,
          fmt::format("median of {} batches of {}; to lock and unlock a std::mutex that nobody else wants: {:.1f} ns",
                      kBatches, kTimes, paired.second * kNanoseconds)};
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
       1.10, "x", measure_chase},
      {"oo7-raw", "OO7 small T1 and T6 hot, shared cache against raw C++ structs; the worse of the two", at_most, 2.1,
       "x", measure_oo7<RawInMemory>, false},
      {"oo7-raw-t1", "OO7 small T1 hot, shared cache against raw C++ structs", at_most, 1.45, "x", measure_oo7_raw_t1,
       false},
      {"oo7-private", "OO7 small T1 and T6 hot, shared cache against a private one; the worse of the two", at_most,
       1.06, "x", measure_oo7<InMemory<PrivateCache>>},
      {"begin-end", "begin and commit of an empty read-only transaction", at_most, 15, "ns", measure_begin_end},
      {"two-threads", "warm reads of 2 threads against 1", at_least, 1.9, "x", measure_two_threads},
  };
}

}  // namespace cow::bench
