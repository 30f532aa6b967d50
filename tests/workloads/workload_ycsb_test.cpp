// YCSB: its distributions, its mixes, and that no insert or update is lost, on raw pointers and on the database.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/workloads/ycsb/ycsb.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

/// How often each of `count` records comes in `draws` draws.
template <class Source>
std::vector<std::uint64_t> counts_of(const Source& source, std::size_t count, int draws) {
  Random random(1);
  std::vector<std::uint64_t> counts(count);
  for (int i = 0; i < draws; ++i) ++counts.at(source.draw(random));
  return counts;
}

double hottest_share(const std::vector<std::uint64_t>& counts, int draws) {
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) / draws;
}

TEST(YcsbKeys, ScrambledZipfHasTheShareOfTheOriginal) {
  constexpr int kDraws = 100'000;
  for (std::size_t records : {1'000u, 100'000u}) {
    const auto counts = counts_of(ycsb::ScrambledZipf(records), records, kDraws);
    // 1 / zeta(10^10) = 3.78% whatever the number of records; among few, other ranks fall on the hottest one too.
    EXPECT_NEAR(hottest_share(counts, kDraws), 0.0378, 0.003) << records;
  }
  // The second rank has 2^-0.99 of the first.
  const auto counts = counts_of(ycsb::ScrambledZipf(100'000), 100'000, kDraws);
  const double second = static_cast<double>(counts[ycsb::fnv_hash(1) % 100'000]) / kDraws;
  EXPECT_NEAR(second, 0.0378 * std::pow(2, -0.99), 0.003);
}

TEST(YcsbKeys, TrueZipfIsHotterAndMixesItsRanks) {
  constexpr int kDraws = 100'000;
  constexpr std::size_t kRecords = 100'000;
  double zeta = 0;
  for (std::size_t rank = 1; rank <= kRecords; ++rank) zeta += std::pow(static_cast<double>(rank), -ycsb::kTheta);
  const auto counts = counts_of(ycsb::TrueZipf(kRecords, 5), kRecords, kDraws);
  EXPECT_NEAR(hottest_share(counts, kDraws), 1 / zeta, 0.004);
  auto sorted = counts;
  std::sort(sorted.rbegin(), sorted.rend());
  EXPECT_NEAR(static_cast<double>(sorted[9]) / kDraws, std::pow(10, -ycsb::kTheta) / zeta, 0.002);
  EXPECT_FALSE(std::is_sorted(counts.rbegin(), counts.rend()));
}

TEST(YcsbKeys, TheTrueZipfOfTenMillionIsAsPublished) {
  // The head as a sum, the tail as an integral (Euler and Maclaurin).
  constexpr double kHead = 1'000, kAll = 1e7;
  double zeta = 0;
  for (double rank = 1; rank <= kHead; ++rank) zeta += std::pow(rank, -ycsb::kTheta);
  zeta += (std::pow(kAll, 1 - ycsb::kTheta) - std::pow(kHead, 1 - ycsb::kTheta)) / (1 - ycsb::kTheta);
  EXPECT_NEAR(1 / zeta, 0.0554, 0.0001);
}

TEST(YcsbKeys, KeysAreDistinctAndOutOfOrder) {
  std::set<std::uint64_t> keys;
  std::uint64_t ascents = 0;
  for (std::uint64_t number = 0; number < 20'000; ++number) {
    keys.insert(ycsb::key_of(number));
    ascents += ycsb::key_of(number) < ycsb::key_of(number + 1);
  }
  EXPECT_EQ(keys.size(), 20'000u);
  EXPECT_GT(ascents, 4'000u);
  EXPECT_LT(ascents, 16'000u);
}

TEST(YcsbKeys, OnlyWhatIsAcknowledgedIsAskedFor) {
  ycsb::AcknowledgedCounter counter(10);
  const std::uint64_t a = counter.next(), b = counter.next(), c = counter.next();
  EXPECT_EQ(a, 10u);
  counter.acknowledge(b);
  EXPECT_EQ(counter.acknowledged(), 10u);
  counter.acknowledge(a);
  EXPECT_EQ(counter.acknowledged(), 12u);
  counter.acknowledge(c);
  EXPECT_EQ(counter.acknowledged(), 13u);
}

TEST(YcsbMixes, AreThoseOfThePaper) {
  using enum ycsb::Operation;
  struct Expected {
    const char* name;
    std::array<double, ycsb::kOperations> shares;  // read, update, insert, scan, read-modify-write
  };
  for (const Expected& expected :
       {Expected{"A", {0.5, 0.5}}, Expected{"B", {0.95, 0.05}}, Expected{"C", {1}}, Expected{"D", {0.95, 0, 0.05}},
        Expected{"E", {0, 0, 0.05, 0.95}}, Expected{"F", {0.5, 0, 0, 0, 0.5}}}) {
    const ycsb::Mix mix = ycsb::Mix::named(expected.name);
    const ycsb::RequestSource source(mix, ycsb::Distribution::scrambled_zipf, 1'000, 1);
    Random random(2);
    constexpr std::size_t kDraws = 100'000;
    std::array<std::uint64_t, ycsb::kOperations> seen{};
    double length = 0;
    for (const ycsb::Request& request : source.draw(kDraws, random)) {
      ++seen[static_cast<std::size_t>(request.operation)];
      length += request.length;
      EXPECT_TRUE(request.length >= 1 && request.length <= 100 && request.field < 10 && request.record < 1'000);
    }
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(seen[i]) / kDraws, expected.shares[i], 0.01) << expected.name << " " << i;
    }
    EXPECT_NEAR(length / kDraws, 50.5, 0.5);
    EXPECT_EQ(mix.latest, expected.name[0] == 'D');
  }
  EXPECT_THROW(ycsb::Mix::named("G"), std::invalid_argument);
  EXPECT_THROW(ycsb::distribution_named("flat"), std::invalid_argument);
}

template <class D>
class YcsbTest : public testing::Test {
 protected:
  Opened<D> opened_;
};
TYPED_TEST_SUITE(YcsbTest, Databases);

TYPED_TEST(YcsbTest, LosesNoInsertAndNoUpdate) {
  constexpr std::uint32_t kRecords = 2'000, kSteps = 3'000;
  constexpr bool kIsRaw = std::is_same_v<TypeParam, RawDatabase>;
  TypeParam& database = this->opened_.database();
  EXPECT_FALSE(ycsb::is_loaded(database));
  ycsb::load(database, kRecords);
  EXPECT_TRUE(ycsb::is_loaded(database));
  auto session = open_session(database);
  ycsb::TableTotals before = ycsb::read_table<TypeParam>(session);
  EXPECT_EQ(before.records, kRecords);
  EXPECT_EQ(before.changes, 0u);
  for (const char* name : {"A", "B", "C", "D", "E", "F"}) {
    const ycsb::Mix mix = ycsb::Mix::named(name);
    const ycsb::RequestSource source(mix, ycsb::Distribution::true_zipf, kRecords, 1);
    ycsb::AcknowledgedCounter counter(before.records);
    std::vector<ycsb::Worker<TypeParam>> workers;
    for (std::uint64_t i = 0; i < (kIsRaw ? 1 : 2); ++i) workers.emplace_back(source, counter, 1, i);
    {
      std::vector<std::jthread> threads;
      for (auto& worker : workers) {
        threads.emplace_back([&] {
          auto own = open_session(database);
          for (std::uint32_t i = 0; i < kSteps; ++i) worker.step(own);
        });
      }
    }
    ycsb::WorkDone done;
    for (const auto& worker : workers) done += worker.done();
    ycsb::check_table<TypeParam>(session, before, done);
    EXPECT_EQ(counter.acknowledged(), before.records + done.of(ycsb::Operation::insert));
    EXPECT_GE(done.scanned, done.of(ycsb::Operation::scan) * 40);
    EXPECT_EQ(done.changes() > 0, name[0] == 'A' || name[0] == 'B' || name[0] == 'F');
    before = ycsb::read_table<TypeParam>(session);

    ycsb::WorkDone wrong = done;
    ++wrong.operations[static_cast<std::size_t>(ycsb::Operation::insert)];
    EXPECT_THROW(ycsb::check_table<TypeParam>(session, before, wrong), WrongAnswerError);
  }
}

TYPED_TEST(YcsbTest, AnUpdateChangesOneField) {
  ycsb::load(this->opened_.database(), 1);
  const ycsb::RequestSource source({.update = 1}, ycsb::Distribution::true_zipf, 1, 1);
  ycsb::AcknowledgedCounter counter(1);
  ycsb::Worker<TypeParam> worker(source, counter, 1, 0);
  auto session = open_session(this->opened_.database());
  worker.step(session);
  session.transact([&](typename TypeParam::Transaction& txn) {
    const auto root = txn.root().template get<typename ycsb::Table<TypeParam>::TreeNode>(ycsb::kTableName);
    const auto* found = ycsb::Table<TypeParam>(txn, root).find(ycsb::key_of(0));
    ASSERT_NE(found, nullptr);
    const ycsb::Record& record = txn.read(*found);
    const ycsb::Record fresh = ycsb::record_of(0);
    int changed = 0;
    for (std::uint32_t i = 0; i < ycsb::kFields; ++i) changed += record.fields[i] != fresh.fields[i];
    EXPECT_EQ(changed, 1);
    EXPECT_EQ(record.changes, 1u);
  });
}

}  // namespace
}  // namespace cow::bench
