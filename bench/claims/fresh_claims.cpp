// Transactions that read everything for a first time, as most real ones do: first-reads, oo7-fresh.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/thread_time.hpp"
#include "bench/workloads/chase.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "warm_oo7.hpp"

namespace cow::bench {

using cow::detail::SharedCache;

namespace {

using Shared = InMemory<SharedCache>;
using Private = InMemory<PrivateCache>;

// ---- first-reads

/// A chain that each transaction follows once around: it reads every object, and none of them twice.
template <class System>
class OnceAround {
 public:
  using Database = typename System::Database;

  explicit OnceAround(std::size_t objects)
      : objects_(objects), start_(chase::build<Database>(system_.session, objects)) {}

  double seconds(std::size_t transactions) {
    return processor_seconds_of([&] {
      for (std::size_t i = 0; i < transactions; ++i) {
        typename Database::Transaction txn = system_.session.begin();
        keep(chase::follow(txn, &start_, objects_));
        txn.commit();
      }
    });
  }

 private:
  using Node = chase::Node<typename Database::Pointers>;

  System system_;
  const std::size_t objects_;
  const typename Node::template Ref<Node> start_;
};

Measured measure_first_reads() {
  Measured worst;
  for (std::size_t reads : {10, 100, 1'000}) {
    OnceAround<Shared> shared(reads);
    OnceAround<Private> separate(reads);
    const std::size_t transactions = 1'000'000 / reads;
    Paired paired = measure_paired(
        repetitions(41), [&] { return shared.seconds(transactions); }, [&] { return separate.seconds(transactions); });
    worst.value = std::max(worst.value, paired.ratio);
    const double nanoseconds = 1e9 / static_cast<double>(transactions * reads);
    worst.detail += fmt::format("{}{} reads: {:.2f} / {:.2f} ns a read = {:.2f}x", worst.detail.empty() ? "" : "; ",
                                reads, paired.first * nanoseconds, paired.second * nanoseconds, paired.ratio);
  }
  return worst;
}

// ---- oo7-fresh

Measured measure_oo7_fresh() {
  WarmOo7<Shared> shared;
  WarmOo7<Private> separate;
  OfTraversals both =
      compare_traversals([&](auto operation, int times) { return shared.seconds_fresh(operation, times); },
                         [&](auto operation, int times) { return separate.seconds_fresh(operation, times); });
  return {both.worse(), both.detail()};
}

}  // namespace

std::vector<Claim> fresh_claims() {
  using enum Claim::Comparison;
  return {
      {"first-reads",
       "transactions of 10, 100 and 1,000 first reads, begin and commit included, shared cache against a private one; "
       "the worst (the goal is 1.4)",
       at_most, 1.9, "x", measure_first_reads},
      {"oo7-fresh",
       "OO7 small T1 and T6, each in a transaction of its own, shared cache against a private one; the worse of the "
       "two (the goal is 1.15)",
       at_most, 1.4, "x", measure_oo7_fresh},
  };
}

}  // namespace cow::bench
