// Reads by an oid alone, as of an index: by-oid, by-oid-million.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/thread_time.hpp"
#include "bench/workloads/chase.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"

namespace cow::bench {
namespace {

using Shared = InMemory<cow::detail::SharedCache>;
using Node = chase::Node<Shared::Database::Pointers>;

/// Walks along a chain, in transactions of so many reads each.
constexpr std::size_t kWalk = 100;

/// By the references that the objects hold.
class ByReference {
 public:
  ByReference(Database& database, const Ref<Node>& start) : database_(database), at_(start) {}

  void walk(std::size_t transactions) {
    for (std::size_t i = 0; i < transactions; ++i) {
      Transaction txn = database_.begin();
      at_ = *chase::follow(txn, &at_, kWalk);  // which lies in an object that the transaction keeps
      txn.commit();
    }
  }

 private:
  Database& database_;
  Ref<Node> at_;
};

/// Takes nothing from an object except the oid of the next one.
class ByOid {
 public:
  ByOid(Database& database, const Ref<Node>& start) : database_(database), at_(start.oid()) {}

  void walk(std::size_t transactions) {
    for (std::size_t i = 0; i < transactions; ++i) {
      Transaction txn = database_.begin();
      for (std::size_t read = 0; read < kWalk; ++read) at_ = txn.read(Ref<Node>(at_)).next.oid();
      txn.commit();
    }
  }

 private:
  Database& database_;
  Oid at_;
};

template <std::size_t kObjects>
Measured measure_by_oid() {
  Shared system;
  const Ref<Node> start = chase::build<Database>(system.session, kObjects);
  ByReference by_reference(system.database, start);
  ByOid by_oid(system.database, start);
  by_reference.walk(kObjects / kWalk);  // every hint set
  constexpr std::size_t kTransactions = std::max<std::size_t>(kObjects, 200'000) / kWalk;
  Paired paired = measure_paired(
      repetitions(kObjects >= 1'000'000 ? 15 : 41),
      [&] { return processor_seconds_of([&] { by_oid.walk(kTransactions); }); },
      [&] { return processor_seconds_of([&] { by_reference.walk(kTransactions); }); });
  constexpr double kNanoseconds = 1e9 / static_cast<double>(kTransactions * kWalk);
  return {paired.ratio, fmt::format("{} objects: {:.1f} / {:.1f} ns", kObjects, paired.first * kNanoseconds,
                                    paired.second * kNanoseconds)};
}

}  // namespace

std::vector<Claim> oid_claims() {
  using enum Claim::Comparison;
  return {
      {"by-oid", "warm read by oid against one by reference, 10,000 objects, transactions of 100 reads", at_most, 2,
       "x", measure_by_oid<10'000>},
      {"by-oid-million", "warm read by oid against one by reference, 1,000,000 objects, transactions of 100 reads",
       at_most, 2.1, "x", measure_by_oid<1'000'000>},
  };
}

}  // namespace cow::bench
