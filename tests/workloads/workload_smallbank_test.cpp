// Smallbank: its mix, its money, and what its isolation check finds; on raw pointers and on the database.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/baselines/blocking_cache.hpp"
#include "bench/workloads/smallbank/smallbank.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

using smallbank::Operation;
using smallbank::Request;

TEST(SmallbankRequests, HaveTheMixAndTheHotspot) {
  constexpr int kDraws = 100'000;
  const smallbank::Population population{.customers = 10'000, .hotspot = 100, .hotspot_share = 0.9};
  Random random(1);
  std::array<std::uint64_t, smallbank::kOperations> seen{};
  std::uint64_t hot = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Request request = Request::draw(population, random);
    ++seen[static_cast<std::size_t>(request.operation)];
    hot += request.customer < 100;
    EXPECT_NE(request.customer, request.other);
    EXPECT_LT(request.other, 10'000u);
  }
  constexpr std::array<double, smallbank::kOperations> kShares = {0.15, 0.15, 0.15, 0.25, 0.15, 0.15};
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(static_cast<double>(seen[i]) / kDraws, kShares[i], 0.01);
  EXPECT_NEAR(static_cast<double>(hot) / kDraws, 0.901, 0.01);
}

template <class D>
class SmallbankTest : public testing::Test {
 protected:
  Opened<D> opened_;
};
TYPED_TEST_SUITE(SmallbankTest, Databases);

TYPED_TEST(SmallbankTest, TransactionsDoWhatTheyAreCalled) {
  smallbank::load(this->opened_.database(), 10, 1);
  auto session = open_session(this->opened_.database());
  auto run = [&](Request request) {
    return session.transact(
        [&](typename TypeParam::Transaction& txn) { return smallbank::Teller<TypeParam>(txn).run(request); });
  };
  auto balance = [&](std::uint32_t customer) {
    return run({.operation = Operation::balance, .customer = customer}).balance;
  };
  const smallbank::Money one = balance(1), two = balance(2);
  run({Operation::deposit_checking, 1, 0, 130});
  EXPECT_EQ(balance(1), one + 130);
  run({Operation::transact_savings, 1, 0, 30});
  EXPECT_EQ(balance(1), one + 100);
  EXPECT_TRUE(run({Operation::transact_savings, 1, 0, one + 1'000}).refused);
  EXPECT_TRUE(run({Operation::send_payment, 1, 2, one + 1'000}).refused);
  run({Operation::send_payment, 1, 2, 100});
  EXPECT_EQ(balance(1), one);
  EXPECT_EQ(balance(2), two + 100);
  run({Operation::amalgamate, 1, 2});
  EXPECT_EQ(balance(1), 0);
  EXPECT_EQ(balance(2), two + one + 100);
  run({Operation::write_check, 2, 0, 100});
  EXPECT_EQ(balance(2), two + one);
  run({Operation::write_check, 1, 0, 5'00});
  EXPECT_EQ(balance(1), -6'00) << "with the penalty";
}

TYPED_TEST(SmallbankTest, NoMoneyIsLost) {
  constexpr std::uint32_t kCustomers = 500, kSteps = 5'000;
  constexpr bool kIsRaw = std::is_same_v<TypeParam, RawDatabase>;
  TypeParam& database = this->opened_.database();
  smallbank::load(database, kCustomers, 1);
  auto session = open_session(database);
  const smallbank::Totals before = smallbank::read_totals<TypeParam>(session);
  EXPECT_EQ(before.customers, kCustomers);
  const smallbank::Population population{.customers = kCustomers, .hotspot = 10};
  std::vector<smallbank::Worker<TypeParam>> workers;
  for (std::uint64_t i = 0; i < (kIsRaw ? 1 : 4); ++i) workers.emplace_back(population, 1, i);
  {
    std::vector<std::jthread> threads;
    for (auto& worker : workers) {
      threads.emplace_back([&] {
        auto own = open_session(database);
        for (std::uint32_t i = 0; i < kSteps; ++i) worker.step(own);
      });
    }
  }
  smallbank::WorkDone done;
  for (const auto& worker : workers) done += worker.done();
  EXPECT_EQ(done.transactions(), workers.size() * kSteps);
  EXPECT_GT(done.writes, 0u);
  smallbank::check_totals<TypeParam>(session, before, done);
  ++done.change;
  EXPECT_THROW(smallbank::check_totals<TypeParam>(session, before, done), WrongAnswerError);
}

/// The one interleaving that the paper is about: WriteCheck, TransactSavings between its reads and its commit, and a
/// Balance between the two commits.
TEST(SmallbankIsolation, SnapshotsAllowWriteSkewAndTheCheckFindsIt) {
  Opened<Database> opened;
  smallbank::load(opened.database(), 2, 1);
  std::vector<History> histories(3);
  auto run = [&](Transaction& txn, int number, const Request& request) {
    smallbank::Teller<Database, smallbank::RecordingObserver>(txn, {&histories[number]}).run(request);
  };
  auto commit = [&](Transaction& txn, int number) {
    txn.commit();
    histories[number].committed();
  };
  Transaction check = opened.database().begin();
  run(check, 0, {Operation::write_check, 1, 0, 5'00});
  Transaction savings = opened.database().begin();
  run(savings, 1, {Operation::transact_savings, 1, 0, 20'20});
  commit(savings, 1);
  Transaction balance = opened.database().begin();
  run(balance, 2, {.operation = Operation::balance, .customer = 1});
  commit(balance, 2);
  commit(check, 0);
  const Anomalies anomalies = anomalies_of({&histories[0], &histories[1], &histories[2]});
  EXPECT_EQ(anomalies.transactions, 3u);
  EXPECT_EQ(anomalies.skews, 1u);
  EXPECT_EQ(anomalies.transactions_in_skews, 3u);
  EXPECT_TRUE(anomalies.snapshot_isolated());
  EXPECT_FALSE(anomalies.serializable());
  // Without the Balance the order "WriteCheck, TransactSavings" explains everything.
  EXPECT_TRUE(anomalies_of({&histories[0], &histories[1]}).serializable());
}

TEST(SmallbankIsolation, IsSnapshotIsolationWhateverTheThreadsDo) {
  Opened<Database> opened;
  smallbank::load(opened.database(), 100, 1);
  const Anomalies anomalies = smallbank::check_isolation(opened.database(), 4, 250, 4, 1);
  EXPECT_EQ(anomalies.transactions, 1'000u);
  EXPECT_TRUE(anomalies.snapshot_isolated());
}

TEST(SmallbankIsolation, SerializableTransactionsHaveASerialOrder) {
  MemoryStore store;
  Database database(store, {}, Isolation::serializable);
  smallbank::load(database, 100, 1);
  const Anomalies anomalies = smallbank::check_isolation(database, 4, 1'000, 4, 1);
  EXPECT_EQ(anomalies.transactions, 4'000u);
  EXPECT_TRUE(anomalies.serializable());
}

TEST(SmallbankIsolation, ReadersAndWritersThatTakeTurnsAreSerializable) {
  MemoryStore store;
  BasicDatabase<BlockingCache> database(store);
  smallbank::load(database, 100, 1);
  const Anomalies anomalies = smallbank::check_isolation(database, 4, 100, 4, 1);
  EXPECT_EQ(anomalies.transactions, 400u);
  EXPECT_TRUE(anomalies.serializable());
}

/// Builds a history from what each transaction read and wrote.
class HistoryTest : public testing::Test {
 protected:
  void transaction(std::initializer_list<History::Access> accesses) {
    for (const auto& access : accesses) {
      access.write ? history_.write(access.item, access.revision) : history_.read(access.item, access.revision);
    }
    history_.committed();
  }
  Anomalies anomalies() const { return anomalies_of({&history_}); }

  History history_;
};

TEST_F(HistoryTest, OneAfterTheOtherIsSerializable) {
  for (std::uint64_t i = 0; i < 1'000; ++i)
    transaction({{1, i, false}, {1, i + 1, true}, {2, i, false}, {2, i + 1, true}});
  EXPECT_TRUE(anomalies().serializable());
}

TEST_F(HistoryTest, FindsWriteSkew) {
  transaction({{1, 0, false}, {2, 0, false}, {1, 1, true}});
  transaction({{1, 0, false}, {2, 0, false}, {2, 1, true}});
  EXPECT_EQ(anomalies().skews, 1u);
  EXPECT_TRUE(anomalies().snapshot_isolated());
}

TEST_F(HistoryTest, FindsLostUpdates) {
  transaction({{1, 0, false}, {1, 1, true}});
  transaction({{1, 0, false}, {1, 1, true}});
  EXPECT_EQ(anomalies().lost_updates, 1u);
  EXPECT_FALSE(anomalies().snapshot_isolated());
}

TEST_F(HistoryTest, FindsAReaderThatSawHalfACommit) {
  transaction({{1, 0, false}, {1, 1, true}, {2, 0, false}, {2, 1, true}});
  transaction({{1, 1, false}, {2, 0, false}});
  EXPECT_GT(anomalies().cycles_without_skew, 0u);
  EXPECT_FALSE(anomalies().snapshot_isolated());
}

TEST_F(HistoryTest, WhatWasTriedAgainDoesNotCount) {
  history_.read(1, 0);
  history_.restart();
  transaction({{2, 0, false}});
  ASSERT_EQ(history_.transactions().size(), 1u);
  EXPECT_EQ(history_.transactions().front().size(), 1u);
}

}  // namespace
}  // namespace cow::bench
