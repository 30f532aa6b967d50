// OO7's counts, on raw pointers and on the database: traversals, queries, insertions and deletions, and many users.

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/workloads/oo7/oo7.hpp"
#include "bench/workloads/workload_error.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

using enum oo7::Operation;

template <class D>
class Oo7Test : public testing::Test {
 protected:
  using Transaction = typename D::Transaction;
  using Session = bench::Session<D>;

  D& database() { return opened_.database(); }
  Session session() { return open_session(database()); }

  Opened<D> opened_;
};
TYPED_TEST_SUITE(Oo7Test, Databases);

/// A small one will do.
oo7::Parameters tiny() {
  oo7::Parameters parameters = oo7::Parameters::small();
  parameters.composites = 50;
  parameters.assembly_levels = 4;
  return parameters;
}

TYPED_TEST(Oo7Test, SmallHasTheCountsOfThePaper) {
  const auto parameters = oo7::Parameters::small();
  const oo7::ObjectCounts counts = oo7::generate(this->database(), parameters);
  EXPECT_EQ(counts.total(), 42'095u);
  EXPECT_EQ(counts.complex_assemblies, 364u);
  EXPECT_EQ(counts.base_assemblies, 729u);
  EXPECT_EQ(counts.atomic_parts, 10'000u);

  auto session = this->session();
  oo7::Runner<TypeParam> runner(parameters, 1);
  runner.learn_answers(session);
  const oo7::Result before = runner.run(session, t1);
  EXPECT_EQ(before.atomic_parts, 43'740u);
  EXPECT_EQ(runner.run(session, t6).atomic_parts, 2'187u);
  EXPECT_EQ(runner.run(session, t2a).swaps, 2'187u);
  EXPECT_EQ(runner.run(session, t2b).swaps, 43'740u);
  EXPECT_EQ(runner.run(session, t2c).swaps, 174'960u);
  EXPECT_NE(runner.run(session, t1), before) << "the swaps are committed";
  // T2b swaps a part as often as its composite is used, T2a only root parts. Twice each is nothing.
  runner.run(session, cu);
  runner.run(session, t2b);
  EXPECT_EQ(runner.run(session, t1), before);
  runner.run(session, t8);
  runner.run(session, t9);

  EXPECT_EQ(runner.run(session, t3a).date_changes, 2'187u);
  EXPECT_EQ(runner.run(session, t3b).date_changes, 43'740u);
  EXPECT_EQ(runner.run(session, t3c).date_changes, 174'960u);
  EXPECT_EQ(runner.run(session, t4).documents, 2'187u);
  EXPECT_EQ(runner.run(session, t5).documents, 2'187u);
  EXPECT_EQ(runner.run(session, t4).documents, 2'187u);

  EXPECT_EQ(runner.run(session, q1).found, 10u);
  EXPECT_NEAR(static_cast<double>(runner.run(session, q2).found), 100, 35);     // 1%: 3.5 standard deviations
  EXPECT_NEAR(static_cast<double>(runner.run(session, q3).found), 1'000, 105);  // 10%
  EXPECT_NEAR(static_cast<double>(runner.run(session, q5).found), 197.6, 42);
  EXPECT_EQ(runner.run(session, q7).found, 10'000u);
  EXPECT_EQ(runner.run(session, q8).found, 10'000u);
  oo7::verify<TypeParam>(session, parameters);
}

TYPED_TEST(Oo7Test, MeansOfRandomQueriesAreThoseOfThePaper) {
  const auto parameters = oo7::Parameters::small();
  oo7::generate(this->database(), parameters);
  auto session = this->session();
  oo7::Runner<TypeParam> runner(parameters, 7);
  runner.learn_answers(session);
  constexpr int kTimes = 1'000;
  double assemblies = 0, bases = 0;
  for (int i = 0; i < kTimes; ++i) {
    assemblies += static_cast<double>(runner.run(session, t7).assemblies);
    bases += static_cast<double>(runner.run(session, q4).found);
  }
  EXPECT_NEAR(assemblies / kTimes, 23.8, 1.2);
  EXPECT_NEAR(bases / kTimes / oo7::Queries<TypeParam>::kTitles, 4.374, 0.1);
}

TYPED_TEST(Oo7Test, TheWayUpFindsWhatTheWayDownFinds) {
  const auto parameters = tiny();
  oo7::generate(this->database(), parameters);
  this->session().transact([&](typename TypeParam::Transaction& txn) {
    oo7::ModuleQueries<TypeParam> view(txn, 1);
    // How many assemblies lead to a composite part, by its id: counted from the root.
    std::vector<std::uint64_t> expected(parameters.composites), bases(parameters.composites);
    auto down = [&](auto& self, const auto& assembly) -> std::vector<bool> {
      std::vector<bool> uses(parameters.composites);
      for (const auto& sub : assembly.complex_assemblies) {
        const auto below = self(self, txn.read(sub));
        for (std::size_t i = 0; i < uses.size(); ++i) uses[i] = uses[i] || below[i];
      }
      for (const auto& base : assembly.base_assemblies) {
        std::vector<bool> own(parameters.composites);
        for (const auto& composite : txn.read(base).components_private) own[txn.read(composite).id] = true;
        for (std::size_t i = 0; i < uses.size(); ++i) {
          uses[i] = uses[i] || own[i];
          bases[i] += own[i];
        }
      }
      for (std::size_t i = 0; i < uses.size(); ++i) expected[i] += uses[i];
      return uses;
    };
    down(down, txn.read(view.module.design_root));
    view.indexes.composite_by_id.scan_all([&](std::uint32_t id, const auto& composite) {
      std::uint64_t complexes_above = 0, bases_above = 0;
      view.assemblies_above(
          txn.read(composite), [&](const auto&) { ++complexes_above; }, [&](const auto&) { ++bases_above; });
      EXPECT_EQ(complexes_above, expected[id]) << id;
      EXPECT_EQ(bases_above, bases[id]) << id;
      return true;
    });
  });
}

TYPED_TEST(Oo7Test, IsTheSameForTheSameSeedOnly) {
  oo7::Parameters parameters = tiny();
  auto checksum = [&](std::uint64_t seed) {
    parameters.seed = seed;
    Opened<TypeParam> opened;
    oo7::generate(opened.database(), parameters);
    auto session = open_session(opened.database());
    oo7::Traverser<TypeParam> traverser(parameters);
    return oo7::run<TypeParam>(session, traverser, t1).checksum;
  };
  EXPECT_EQ(checksum(1), checksum(1));
  EXPECT_NE(checksum(1), checksum(2));
}

TYPED_TEST(Oo7Test, WhatIsInsertedIsFoundAndWhatIsDeletedIsGone) {
  const auto parameters = oo7::Parameters::small();
  oo7::generate(this->database(), parameters);
  auto session = this->session();
  oo7::Runner<TypeParam> runner(parameters, 3);
  runner.learn_answers(session);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(runner.insert(session).atomic_parts, 200u);
    session.transact([&](typename TypeParam::Transaction& txn) {
      const oo7::ObjectCounts more = oo7::Verifier<TypeParam>(txn, parameters, 1).run();
      EXPECT_EQ(more.composites, 510u);
      EXPECT_EQ(more.atomic_parts, 10'200u);
      EXPECT_EQ(more.connections, 30'600u);
      oo7::Queries<TypeParam> queries(parameters, 1);
      EXPECT_EQ(queries.run(txn, q7).found, 10'200u);
      EXPECT_EQ(queries.run(txn, q8).found, 10'200u);
      oo7::Traverser<TypeParam> traverser(parameters);
      EXPECT_EQ(traverser.run(txn, t1).atomic_parts, 43'740u + 200u);
    });
    EXPECT_EQ(runner.erase(session).atomic_parts, 200u);
    oo7::verify<TypeParam>(session, parameters);
  }
  runner.run(session, s1_and_s2);
  runner.run(session, q7);
  runner.run(session, t1);
}

TYPED_TEST(Oo7Test, UsersKeepToTheirModulesAndTheirMix) {
  constexpr std::uint32_t kClients = 2, kSteps = 2'000;
  const auto parameters = tiny();
  for (std::uint32_t number = oo7::kSharedModule; number < oo7::private_module(kClients); ++number) {
    EXPECT_TRUE(oo7::generate_if_absent(this->database(), parameters, number));
    EXPECT_FALSE(oo7::generate_if_absent(this->database(), parameters, number));
  }
  std::vector<oo7::User<TypeParam>> users;
  for (std::uint32_t i = 0; i < kClients; ++i) {
    users.emplace_back(parameters, oo7::UserMix::named("20/20/30/30"), i, 1);
  }
  auto serve = [&](oo7::User<TypeParam>& user) {
    auto session = this->session();
    for (std::uint32_t i = 0; i < kSteps; ++i) user.step(session);
  };
  if constexpr (std::is_same_v<TypeParam, RawDatabase>) {
    for (auto& user : users) serve(user);
  } else {
    std::vector<std::jthread> threads;
    for (auto& user : users) threads.emplace_back([&] { serve(user); });
  }
  for (const auto& user : users) {
    EXPECT_EQ(user.done().transactions(), kSteps);
    EXPECT_GE(user.done().attempts, kSteps);
    EXPECT_NEAR(static_cast<double>(user.done().private_reads), 0.2 * kSteps, 80);
    EXPECT_NEAR(static_cast<double>(user.done().shared_reads), 0.2 * kSteps, 80);
    EXPECT_NEAR(static_cast<double>(user.done().private_writes), 0.3 * kSteps, 90);
    EXPECT_NEAR(static_cast<double>(user.done().shared_writes), 0.3 * kSteps, 90);
  }
  auto session = this->session();
  for (std::uint32_t number = 1; number <= kClients + 1; ++number) {
    oo7::verify<TypeParam>(session, parameters, number);
  }
  EXPECT_THROW(oo7::UserMix::named("1/2/3/4"), std::invalid_argument);
}

TEST(Oo7Changes, PhrasesComeAndGo) {
  std::string text = "I am the first. I am the second. I a";
  const std::string before = text;
  EXPECT_EQ(oo7::toggle_phrases(text), 2u);
  EXPECT_EQ(text, "This is the first. This is the second. I a");
  EXPECT_EQ(oo7::toggle_phrases(text), 2u);
  EXPECT_EQ(text, before);
  for (std::int32_t date = 1000; date < 2000; ++date) {
    EXPECT_NE(oo7::toggled_date(date), date);
    EXPECT_EQ(oo7::toggled_date(oo7::toggled_date(date)), date);
    for (std::int32_t bound : {oo7::kFirstOfOnePercent, oo7::kFirstOfTenPercent}) {
      EXPECT_EQ(oo7::toggled_date(date) >= bound, date >= bound);
    }
  }
}

TEST(Oo7Verify, FindsAnIndexThatIsWrong) {
  Opened<Database> opened;
  const auto parameters = tiny();
  oo7::generate(opened.database(), parameters);
  auto session = open_session(opened.database());
  auto wrong_after = [&](auto change) {
    Transaction txn = session.begin();
    oo7::ModuleQueries<Database> view(txn, 1);
    change(txn, view);
    EXPECT_THROW(oo7::Verifier<Database>(txn, parameters, 1).run(), WrongAnswerError);
  };
  wrong_after([](Transaction&, auto& view) { EXPECT_TRUE(view.indexes.atomic_by_id.erase(17)); });
  wrong_after([](Transaction&, auto& view) { EXPECT_TRUE(view.indexes.base_by_id.erase(17)); });
  wrong_after(
      [](Transaction&, auto& view) { EXPECT_TRUE(view.indexes.document_by_title.erase(oo7::document_title(3))); });
  wrong_after([](Transaction& txn, auto& view) { ++txn.write(*view.indexes.atomic_by_id.find(17)).build_date; });
  wrong_after(
      [](Transaction& txn, auto& view) { txn.write(*view.indexes.base_by_id.find(5)).components_private.pop_back(); });
}

TEST(Oo7Parameters, HaveTheTotalsOfThePaper) {
  EXPECT_EQ(oo7::Parameters::small(6).objects(), 72'095u);
  EXPECT_EQ(oo7::Parameters::small(9).objects(), 102'095u);
  EXPECT_EQ(oo7::Parameters::medium(3).objects(), 402'095u);
  EXPECT_EQ(oo7::Parameters::medium(6).objects(), 702'095u);
  EXPECT_EQ(oo7::Parameters::medium(9).objects(), 1'002'095u);
  EXPECT_EQ(oo7::expected_result(t1, oo7::Parameters::medium()).atomic_parts, 437'400u);
  EXPECT_EQ(oo7::expected_result(t2c, oo7::Parameters::small()).swaps, 174'960u);
  EXPECT_EQ(oo7::operation_named("Q8"), q8);
  EXPECT_EQ(oo7::operation_named("S"), s1_and_s2);
  EXPECT_THROW(oo7::operation_named("T10"), std::invalid_argument);
}

TEST(Oo7Parameters, WrongCountsAreErrors) {
  oo7::Result result = oo7::expected_result(t1, oo7::Parameters::small());
  EXPECT_NO_THROW(oo7::check(oo7::expected_result(t1, oo7::Parameters::small()), result));
  --result.atomic_parts;
  EXPECT_THROW(oo7::check(oo7::expected_result(t1, oo7::Parameters::small()), result), WrongAnswerError);
}

}  // namespace
}  // namespace cow::bench
