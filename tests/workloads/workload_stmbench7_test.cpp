// STMBench7: its mix of operations, each operation by itself, and all of them at once; on raw pointers and on the database.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/workloads/stmbench7/stmbench7.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

using stmbench7::Class;
using stmbench7::Operation;

/// Small enough for long traversals under a sanitizer.
oo7::Parameters tiny_design() {
  oo7::Parameters parameters = oo7::Parameters::small(6);
  parameters.composites = 40;
  parameters.assembly_levels = 4;
  parameters.manual_bytes = 10'000;
  return parameters;
}

TEST(Stmbench7Mix, HasTheOperationsOfThePaper) {
  std::set<std::string_view> names;
  std::array<std::array<int, 2>, stmbench7::kClasses> counts{};
  for (const auto& info : stmbench7::kOperationTable) {
    names.insert(info.name);
    ++counts[static_cast<std::size_t>(info.group)][info.read_only];
  }
  EXPECT_EQ(names.size(), 45u);
  using Counts = std::array<int, 2>;  // that write, that read
  EXPECT_EQ(counts[0], (Counts{7, 5}));
  EXPECT_EQ(counts[1], (Counts{4, 6}));
  EXPECT_EQ(counts[2], (Counts{7, 8}));
  EXPECT_EQ(counts[3], (Counts{8, 0}));
}

TEST(Stmbench7Mix, HasTheWeightsOfThePaper) {
  for (const auto& [name, read_share] : {std::pair{"read", 0.9}, {"read-write", 0.6}, {"write", 0.1}}) {
    for (bool long_traversals : {true, false}) {
      const auto mix = stmbench7::Mix::named(name, long_traversals);
      const double structure = 10 * (1 - read_share), sum = (long_traversals ? 5 : 0) + 40 + 45 + structure;
      std::array<double, stmbench7::kClasses> expected = {long_traversals ? 5 / sum : 0, 40 / sum, 45 / sum,
                                                          structure / sum};
      Random random(1);
      constexpr int kDraws = 200'000;
      std::array<double, stmbench7::kClasses> seen{};
      std::array<double, stmbench7::kOperations> each{};
      double reads = 0;
      for (int i = 0; i < kDraws; ++i) {
        const Operation operation = mix.draw(random);
        const auto& info = stmbench7::info_of(operation);
        seen[static_cast<std::size_t>(info.group)] += 1.0 / kDraws;
        each[static_cast<std::size_t>(operation)] += 1.0 / kDraws;
        reads += info.read_only && info.group == Class::operation ? 1.0 / kDraws : 0;
      }
      for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(seen[i], expected[i], 0.005) << name << " " << i;
      EXPECT_NEAR(reads, expected[2] * read_share, 0.005) << name;
      for (std::size_t i = 0; i < each.size(); ++i) {
        EXPECT_NEAR(each[i], mix.share(static_cast<Operation>(i)), 0.003) << stmbench7::kOperationTable[i].name;
      }
    }
  }
  EXPECT_THROW(stmbench7::Mix::named("none", true), std::invalid_argument);
}

template <class D>
class Stmbench7Test : public testing::Test {
 protected:
  Opened<D> opened_;
};
TYPED_TEST_SUITE(Stmbench7Test, Databases);

TYPED_TEST(Stmbench7Test, EachOperationLeavesTheModuleWhole) {
  const auto parameters = tiny_design();
  const oo7::ObjectCounts before = oo7::generate(this->opened_.database(), parameters);
  auto session = open_session(this->opened_.database());
  stmbench7::Worker<TypeParam> worker(parameters, stmbench7::Mix(0.5, true), 1, 0);
  for (std::size_t i = 0; i < stmbench7::kOperations; ++i) {
    const auto operation = static_cast<Operation>(i);
    const int times = stmbench7::info_of(operation).group == Class::long_traversal ? 2 : 20;
    int failed = 0;
    for (int n = 0; n < times; ++n) failed += worker.run(session, operation).failed;
    EXPECT_LT(failed, times) << stmbench7::kOperationTable[i].name << " always fails";
    EXPECT_TRUE(failed == 0 || stmbench7::info_of(operation).group != Class::long_traversal);
    stmbench7::check_module<TypeParam>(session, parameters, before, worker.done());
  }
}

TYPED_TEST(Stmbench7Test, ReadOnlyOperationsWriteNothing) {
  if constexpr (!std::is_same_v<TypeParam, RawDatabase>) {
    const auto parameters = tiny_design();
    oo7::generate(this->opened_.database(), parameters);
    auto session = open_session(this->opened_.database());
    stmbench7::Worker<TypeParam> worker(parameters, stmbench7::Mix(0.5, true), 1, 0);
    for (std::size_t i = 0; i < stmbench7::kOperations; ++i) {
      const auto operation = static_cast<Operation>(i);
      const Tid before = this->opened_.database().last_tid();
      bool done = false;
      for (int n = 0; n < 100 && !done; ++n) done = !worker.run(session, operation).failed;
      const bool wrote = this->opened_.database().last_tid() != before;
      EXPECT_EQ(wrote, !stmbench7::info_of(operation).read_only) << stmbench7::kOperationTable[i].name;
    }
  }
}

TYPED_TEST(Stmbench7Test, AllOperationsAtOnceLeaveTheModuleWhole) {
  constexpr bool kIsRaw = std::is_same_v<TypeParam, RawDatabase>;
  constexpr int kSteps = 1'500;
  const auto parameters = tiny_design();
  const oo7::ObjectCounts before = oo7::generate(this->opened_.database(), parameters);
  for (const char* name : {"read-write", "write"}) {
    SCOPED_TRACE(name);
    auto session = open_session(this->opened_.database());
    oo7::ObjectCounts start;
    session.transact(
        [&](typename TypeParam::Transaction& txn) { start = oo7::Verifier<TypeParam>(txn, parameters, 1).run(); });
    std::vector<stmbench7::Worker<TypeParam>> workers;
    for (std::uint64_t i = 0; i < (kIsRaw ? 1 : 3); ++i) {
      workers.emplace_back(parameters, stmbench7::Mix::named(name, false), 1, i);
    }
    {
      std::vector<std::jthread> threads;
      for (auto& worker : workers) {
        threads.emplace_back([&] {
          auto own = open_session(this->opened_.database());
          for (int i = 0; i < kSteps; ++i) worker.step(own);
        });
      }
    }
    stmbench7::WorkDone done;
    for (const auto& worker : workers) done += worker.done();
    EXPECT_EQ(done.transactions(), workers.size() * kSteps);
    EXPECT_EQ(done.of(Class::long_traversal), 0u);
    EXPECT_LT(static_cast<double>(done.failures()), 0.3 * static_cast<double>(done.transactions()));
    stmbench7::check_module<TypeParam>(session, parameters, start, done);
    ++done.bases;
    EXPECT_THROW(stmbench7::check_module<TypeParam>(session, parameters, start, done), WrongAnswerError);
  }
  EXPECT_EQ(before.composites, parameters.composites);
}

}  // namespace
}  // namespace cow::bench
