// zodbshootout, and what workloads stand on: counts and known answers, on raw pointers and on the database.

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <type_traits>

#include "bench/workloads/workload_error.hpp"
#include "bench/workloads/zodbshootout/zodbshootout.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

template <class D>
class WorkloadTest : public testing::Test {
 protected:
  Opened<D> opened_;
};
TYPED_TEST_SUITE(WorkloadTest, Databases);

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
