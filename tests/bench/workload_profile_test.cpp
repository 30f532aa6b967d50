// The cache that counts: what a transaction reads first and again, what it changes, and whose objects are whose.
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "bench/driver/counted_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {
namespace {

struct CountedCell {
  static constexpr std::string_view cow_type_name = "test.CountedCell";
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
};

class WorkloadProfileTest : public ::testing::Test {
 protected:
  using Transaction = CountedDatabase::Transaction;
  using CellRef = CountedDatabase::Ref<CountedCell>;

  WorkloadProfileTest() {
    auto session = open_session(database_);
    session.transact([&](Transaction& txn) {
      for (std::int64_t i = 0; i < 100; ++i) cells_.push_back(txn.create(CountedCell{i}));
    });
    cache().start_counting();
  }

  CountedCache& cache() { return cow::detail::cache_of<CountedCache>(database_); }
  nlohmann::json profile() { return cache().profile().as_json(); }

  MemoryStore store_;
  CountedDatabase database_{store_};
  std::vector<CellRef> cells_;
};

TEST_F(WorkloadProfileTest, ToldOfFirstAndRepeatedReads) {
  auto session = open_session(database_);
  for (int transaction = 0; transaction < 3; ++transaction) {
    session.transact([&](Transaction& txn) {
      for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 10; ++i) EXPECT_EQ(txn.read(cells_[static_cast<std::size_t>(i)]).value, i);
      }
    });
  }
  const nlohmann::json counts = profile();
  EXPECT_EQ(counts["transactions"], 3);
  EXPECT_EQ(counts["first_reads"], 30);
  EXPECT_EQ(counts["repeated_reads"], 90);
  EXPECT_EQ(counts["writing"], 0);
  ASSERT_EQ(counts["groups"].size(), 1u);
  EXPECT_EQ(counts["groups"][0][0], 10);  // objects
  EXPECT_EQ(counts["groups"][0][1], 30);  // reads of them
  EXPECT_GT(counts["groups"][0][3], 0);   // bytes
}

TEST_F(WorkloadProfileTest, ToldOfChanges) {
  auto session = open_session(database_);
  for (int transaction = 0; transaction < 5; ++transaction) {
    session.transact([&](Transaction& txn) {
      for (std::size_t i = 0; i < 2; ++i) txn.write(cells_[i]).value += 1;
      txn.create(CountedCell{7});
    });
  }
  const nlohmann::json counts = profile();
  EXPECT_EQ(counts["writing"], 5);
  EXPECT_EQ(counts["changed"], 10);
  EXPECT_EQ(counts["created"], 5);
  EXPECT_GT(counts["written_bytes"], 0);
  ASSERT_EQ(counts["groups"].size(), 1u);  // what was only created is read by nobody
  EXPECT_EQ(counts["groups"][0][2], 10);
}

TEST_F(WorkloadProfileTest, KnowsWhoReadsWhat) {
  auto first = open_session(database_), second = open_session(database_);
  first.transact([&](Transaction& txn) { (void)txn.read(cells_[0]), (void)txn.read(cells_[1]); });
  second.transact([&](Transaction& txn) { (void)txn.read(cells_[1]), (void)txn.read(cells_[2]); });
  const nlohmann::json counts = profile();
  std::uint64_t own = 0, common = 0;
  for (const auto& group : counts["groups"]) (group[4] == 1 ? own : common) += group[0].get<std::uint64_t>();
  EXPECT_EQ(own, 2u);
  EXPECT_EQ(common, 1u);
}

TEST_F(WorkloadProfileTest, ReadsWhatOthersHaveCommitted) {
  auto first = open_session(database_), second = open_session(database_);
  first.transact([&](Transaction& txn) { EXPECT_EQ(txn.read(cells_[5]).value, 5); });
  second.transact([&](Transaction& txn) { txn.write(cells_[5]).value = 50; });
  first.transact([&](Transaction& txn) { EXPECT_EQ(txn.read(cells_[5]).value, 50); });
  second.transact([&](Transaction& txn) { EXPECT_EQ(txn.read(cells_[5]).value, 50); });
}

TEST_F(WorkloadProfileTest, ForgetsWhatWasBefore) {
  auto session = open_session(database_);
  session.transact([&](Transaction& txn) { txn.write(cells_[0]).value = 1; });
  cache().start_counting();
  EXPECT_EQ(profile()["writing"], 0);
}

TEST(ProcessorCache, OfSomeLevelIsKnownOrNone) {
  EXPECT_EQ(processor_cache_bytes(17), 0u);
  EXPECT_LE(processor_cache_bytes(2), processor_cache_bytes(3) == 0 ? ~std::uint64_t{0} : processor_cache_bytes(3));
}

}  // namespace
}  // namespace cow::bench
