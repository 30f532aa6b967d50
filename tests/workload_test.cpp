// OO7 and zodbshootout, and what they stand on: counts and known answers, on raw pointers and on the database.

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include "bench/workloads/oo7.hpp"
#include "bench/workloads/workload_error.hpp"
#include "bench/workloads/zodbshootout.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

template <class D>
class WorkloadTest : public testing::Test {
 protected:
  Opened<D> opened_;
};
TYPED_TEST_SUITE(WorkloadTest, Databases);

TYPED_TEST(WorkloadTest, Oo7SmallHasTheCountsOfThePaper) {
  const auto parameters = oo7::Parameters::small();
  const oo7::ObjectCounts counts = oo7::generate(this->opened_.database(), parameters);
  EXPECT_EQ(counts.total(), 42'095u);
  EXPECT_EQ(counts.complex_assemblies, 364u);
  EXPECT_EQ(counts.base_assemblies, 729u);
  EXPECT_EQ(counts.atomic_parts, 10'000u);

  auto session = this->opened_.database().open_session();
  oo7::Traverser<TypeParam> traverser(parameters);
  auto run = [&](const char* name) { return oo7::run<TypeParam>(session, traverser, oo7::operation_named(name)); };
  const oo7::Result before = run("T1");
  EXPECT_EQ(before.atomic_parts, 43'740u);
  EXPECT_EQ(run("T6").atomic_parts, 2'187u);
  EXPECT_EQ(run("T2a").swaps, 2'187u);
  EXPECT_EQ(run("T2b").swaps, 43'740u);
  EXPECT_EQ(run("T2c").swaps, 174'960u);
  EXPECT_NE(run("T1"), before) << "the swaps are committed";
  // T2b swaps a part as often as its composite is used, T2a only root parts. Twice each is nothing.
  run("T2a");
  run("T2b");
  EXPECT_EQ(run("T1"), before);
  run("T8");
  run("T9");
}

TYPED_TEST(WorkloadTest, Oo7IsTheSameForTheSameSeedOnly) {
  oo7::Parameters parameters = oo7::Parameters::small();
  parameters.composites = 50;  // a small one will do
  parameters.assembly_levels = 4;
  auto checksum = [&](std::uint64_t seed) {
    parameters.seed = seed;
    Opened<TypeParam> opened;
    oo7::generate(opened.database(), parameters);
    auto session = opened.database().open_session();
    oo7::Traverser<TypeParam> traverser(parameters);
    return oo7::run<TypeParam>(session, traverser, oo7::Operation::kT1).checksum;
  };
  EXPECT_EQ(checksum(1), checksum(1));
  EXPECT_NE(checksum(1), checksum(2));
}

TYPED_TEST(WorkloadTest, ZodbshootoutLosesNoUpdate) {
  constexpr bool kIsRaw = std::is_same_v<TypeParam, RawDatabase>;
  zodbshootout::Parameters parameters{.workers = kIsRaw ? 1u : 2u, .objects = 200};
  zodbshootout::Shootout<TypeParam, Opened<TypeParam>> shootout(parameters, this->opened_);
  const auto regions = shootout.run(!kIsRaw);
  ASSERT_EQ(regions.size(), kIsRaw ? 7u : 9u);
  for (const auto& region : regions) {
    EXPECT_GT(region.operations, 0u) << region.name;
    EXPECT_GT(region.seconds, 0) << region.name;
    if (region.name == "cold" || region.name == "hot") {
      EXPECT_GE(region.loads, 2 * 200u) << region.name;
    } else if (region.name == "steamin") {
      EXPECT_EQ(region.loads, 0u);
    }
  }
}

TEST(WorkloadChecks, WrongCountsAreErrors) {
  EXPECT_NO_THROW(check_count("things", 3, 3));
  try {
    check_count("things", 3, 4);
    FAIL();
  } catch (const WrongAnswerError& error) {
    EXPECT_STREQ(error.what(), "wrong number of things: 4, expected 3");
  }
  oo7::Result result = oo7::expected_result(oo7::Operation::kT1, oo7::Parameters::small());
  EXPECT_NO_THROW(oo7::check(oo7::expected_result(oo7::Operation::kT1, oo7::Parameters::small()), result));
  --result.atomic_parts;
  EXPECT_THROW(oo7::check(oo7::expected_result(oo7::Operation::kT1, oo7::Parameters::small()), result),
               WrongAnswerError);
}

TEST(Oo7Parameters, HaveTheTotalsOfThePaper) {
  EXPECT_EQ(oo7::Parameters::small(6).objects(), 72'095u);
  EXPECT_EQ(oo7::Parameters::small(9).objects(), 102'095u);
  EXPECT_EQ(oo7::Parameters::medium(3).objects(), 402'095u);
  EXPECT_EQ(oo7::Parameters::medium(6).objects(), 702'095u);
  EXPECT_EQ(oo7::Parameters::medium(9).objects(), 1'002'095u);
  EXPECT_EQ(oo7::expected_result(oo7::Operation::kT1, oo7::Parameters::medium()).atomic_parts, 437'400u);
}

TEST(RawDatabaseTest, IsPlainPointers) {
  RawDatabase database;
  database.transact([](RawDatabase::Transaction& txn) {
    auto number = txn.root().emplace<int>("number", 1);
    EXPECT_EQ(&txn.read(number), number.pointer);
    txn.write(number) = 2;
    EXPECT_EQ(txn.read(txn.root().get<int>("number")), 2);
    EXPECT_THROW(txn.root().get<long>("number"), std::logic_error);
    EXPECT_THROW(txn.root().get<int>("other"), std::out_of_range);
    auto next = txn.create(3);
    auto last = txn.create(4);
    EXPECT_EQ(last.pointer, next.pointer + 1) << "values of a type lie side by side";
    EXPECT_THROW(txn.abort(), std::logic_error);
  });
}

}  // namespace
}  // namespace cow::bench
