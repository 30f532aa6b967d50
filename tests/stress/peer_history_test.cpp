// Histories of several processes over one PostgreSQL, whose connections fail and which are killed: that nothing is found in them, and that
// what a store does wrong is found. (What is found in histories that were made up: peer_verdict_test.cpp.)
//
// This program is executed afresh for each process (bench/history/peer_process.hpp). COW_CACHE_SEED=N runs that seed only.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/history/peer_process.hpp"
#include "bench/history/peer_run.hpp"
#include "bench/history/verdict.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "persistence/postgres_store.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

using bench::history::Breach;
using bench::history::PeerRun;
using bench::history::PeerRunner;
using bench::history::PeerRunOptions;
using bench::history::Verdict;

// ---- processes

class PeerHistory : public ::testing::TestWithParam<Isolation> {
 protected:
  void SetUp() override {
    if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  }
};

TEST_P(PeerHistory, HasNoAnomalyAndLosesNothing) {
  PeerRunOptions options{.level = GetParam(), .seed = chosen_seed().value_or(first_seed()), .kills = 12, .outages = 3};
  options.transactions = detail::kThreadSanitizer ? 4'000 : 50'000;
  if (detail::kThreadSanitizer) options.fails_one_in = 40;  // so that each fault happens
  const PeerRun run = PeerRunner(PostgresServer::shared(), options).run();
  std::cout << "COW_CACHE_SEED=" << options.seed << ": " << run.text() << '\n';
  EXPECT_EQ(run.verdict.wrongs(), 0u) << run.verdict.text();
  EXPECT_EQ(run.kills, options.kills);
  EXPECT_GT(run.outages, 0u);
  for (std::size_t fault = 1; fault < run.faults.size(); ++fault) EXPECT_GT(run.faults[fault], 0u) << fault;
  EXPECT_GT(run.questions, 0u) << "the proxy does not know any more how the store asks";
  EXPECT_GT(run.verdict.acknowledged, options.transactions / 4);
  EXPECT_GT(run.verdict.refused, 0u);
  EXPECT_GT(run.verdict.cut_short, 0u) << "no process was killed while it was committing";
  if (options.level == Isolation::snapshot) {
    EXPECT_GT(run.verdict.skews, 0u) << "a workload that does not provoke it";
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, PeerHistory, ::testing::Values(Isolation::snapshot, Isolation::serializable),
                         [](const auto& info) {
                           return info.param == Isolation::snapshot ? "Snapshot" : "Serializable";
                         });

// ---- stores that do something wrong, in processes that have no faults otherwise

/// Passes everything on to a PostgresStore, and does now and then what the orders name.
class SabotagedStore final : public Store,
                             public HistoryStore,
                             public PackableStore,
                             public BatchStore,
                             public SharedStore {
 public:
  SabotagedStore(PostgresStore& inner, std::string how) : inner_(inner), how_(std::move(how)) {}

  Tid last_tid() override { return inner_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return inner_.allocate_oids(count); }
  void commit(std::span<const TransactionWrite> group) override { inner_.commit(group); }
  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    return inner_.transactions(from, to, order, most);
  }
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override {
    return inner_.revisions(oid, newest, most);
  }
  Tid tid_at(CommitTime time) override { return inner_.tid_at(time); }
  Tid oldest_tid() noexcept override { return inner_.oldest_tid(); }
  PackResult pack(const PackRequest& request) override { return inner_.pack(request); }
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override { return inner_.wait_beyond(seen, longest); }
  void hold(Tid oldest) override { inner_.hold(oldest); }
  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override {
    std::vector<std::optional<Revision>> loaded;
    for (const Oid oid : oids) loaded.push_back(load(oid, at));
    return loaded;
  }

  std::optional<Revision> load(Oid oid, Tid at) override {
    std::optional<Revision> revision = inner_.load(oid, at);
    if (how_ != "stale" || !revision || !now_and_then()) return revision;
    std::optional<Revision> before = inner_.load(oid, Tid{revision->begin.value - 1});
    if (!before) return revision;
    before->end = revision->end;
    return before;
  }

  std::vector<Outcome> propose(std::span<const Proposal> group) override {
    std::vector<Outcome> outcomes = inner_.propose(group);
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      Outcome& outcome = outcomes[i];
      if (outcome.kind != Outcome::Kind::committed || group[i].note == nullptr || !now_and_then()) continue;
      if (how_ == "twice") do_again(group[i], outcome.tid);
      if (how_ == "denied")
        outcome = {
            Outcome::Kind::failed, {}, {}, std::make_exception_ptr(StoreConnectionError("it is done, in truth"))};
      if (how_ == "open")
        outcome = {Outcome::Kind::failed, {}, {}, std::make_exception_ptr(OutcomeUnknownError({}, "no"))};
    }
    return outcomes;
  }

 private:
  bool now_and_then() { return ++count_ % 20 == 0; }

  void do_again(const Proposal& done, Tid tid) {
    std::vector<ProposedWrite> writes(done.writes.begin(), done.writes.end());
    for (ProposedWrite& write : writes) write.base = tid;
    CommitToken token{};
    token[0] = std::byte{1};
    for (std::size_t i = 0; i < 8; ++i) token[i + 1] = static_cast<std::byte>(tid.value >> 8 * i);
    const Proposal again{inner_.last_tid(), writes, {}, done.note, token};
    inner_.propose({&again, 1});
  }

  PostgresStore& inner_;
  const std::string how_;
  std::atomic<int> count_{0};
};

TEST(PeerSabotage, IsFound) {
  if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  const std::vector<std::pair<std::string, std::function<std::uint64_t(const Verdict&)>>> wrongs = {
      {"stale", [](const Verdict& verdict) { return verdict.anomalies; }},
      {"twice", [](const Verdict& verdict) { return verdict.of(Breach::doubled); }},
      {"denied", [](const Verdict& verdict) { return verdict.of(Breach::refused_but_done); }},
      {"open", [](const Verdict& verdict) { return verdict.of(Breach::needlessly_open); }},
  };
  for (const auto& [how, count] : wrongs) {
    PeerRunOptions options{.transactions = detail::kThreadSanitizer ? 1'000u : 3'000u,
                           .kills = 0,
                           .outages = 0,
                           .fails_one_in = 0,
                           .sabotage = how};
    const PeerRun run = PeerRunner(PostgresServer::shared(), options).run();
    EXPECT_GT(count(run.verdict), 0u) << how << " is not found\n" << run.verdict.text();
  }
}

}  // namespace
}  // namespace cow::testing

int main(int argc, char** argv) {
  const auto sabotage = [](cow::PostgresStore& store, const cow::bench::history::PeerOrders& orders) {
    return std::make_unique<cow::testing::SabotagedStore>(store, orders.sabotage);
  };
  if (const auto exit_code = cow::bench::history::run_as_peer(argc, argv, sabotage)) return *exit_code;
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
