// Two sessions in lock step: A has locked the tid row and changed something, B proposes and waits, A commits. For each case what
// PostgresStore answers; and for each form of the statement that loses an update, that it does, so that nobody puts it back.
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "persistence/detail/postgres/tokens.hpp"
#include "tests/support/postgres_session.hpp"
#include "tests/support/store_kinds.hpp"

namespace cow::testing {
namespace {

using Kind = Outcome::Kind;

/// Objects 1 and 2 exist, of tid 1; 3 does not. Session `a` is in the midst of commit 2.
class PostgresLockStep : public ::testing::TestWithParam<PostgresIsolation> {
 protected:
  void SetUp() override {
    if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
    PostgresOptions options;
    options.isolation = GetParam();
    options = in_fresh_schema(options);
    store_ = std::make_unique<PostgresStore>(options);
    commit(*store_, 1, {put(1, "one"), put(2, "two")});
    a_ = std::make_unique<PostgresSession>(options.connection, options.schema);
    watcher_ = std::make_unique<PostgresSession>(options.connection, options.schema);
  }

  /// As the store would write it: one object, at tid 2, uncommitted.
  void a_changes(const std::string& oid, const std::string& state = "'changed'") {
    (*a_)("BEGIN");
    (*a_)("UPDATE tidgen SET tid = tid + 1 WHERE id = 1");
    (*a_)("INSERT INTO cur VALUES (" + oid + ", 2) ON CONFLICT (oid) DO UPDATE SET tid = 2");
    (*a_)("INSERT INTO obj VALUES (" + oid + ", 2, " + state + ")");
    (*a_)("INSERT INTO txn (tid, prev, at, oids) VALUES (2, 1, 0, ARRAY[" + oid + "])");
  }

  /// B proposes while A is not finished; then A ends as it is told.
  std::vector<Outcome> b_proposes(const std::vector<Proposal>& group, const char* end_of_a = "COMMIT") {
    auto outcomes = std::async(std::launch::async, [&] { return store_->propose(group); });
    watcher_->await_waiting();
    (*a_)(end_of_a);
    return outcomes.get();
  }
  Outcome b_proposes(const std::vector<ProposedWrite>& writes, const std::vector<ProposedRead>& reads = {},
                     const char* end_of_a = "COMMIT") {
    return b_proposes({Proposal{Tid{1}, writes, reads, nullptr, {}}}, end_of_a).front();
  }
  static void expect_conflict(const Outcome& outcome, std::uint64_t oid, std::uint64_t base, bool changed) {
    ASSERT_EQ(outcome.kind, Kind::conflict);
    ASSERT_EQ(outcome.conflicts.size(), 1u);
    EXPECT_EQ(outcome.conflicts[0].oid, Oid{oid});
    EXPECT_EQ(outcome.conflicts[0].base, Tid{base});
    EXPECT_EQ(outcome.conflicts[0].current, Tid{2});
    EXPECT_EQ(outcome.conflicts[0].changed, changed);
  }
  void expect_committed(const Outcome& outcome, std::uint64_t tid) {
    ASSERT_EQ(outcome.kind, Kind::committed);
    EXPECT_EQ(outcome.tid, Tid{tid});
    EXPECT_EQ(store_->last_tid(), Tid{tid});
  }

  std::unique_ptr<PostgresStore> store_;
  std::unique_ptr<PostgresSession> a_, watcher_;
};

TEST_P(PostgresLockStep, AChangeOfWhatTheOtherChanges) {
  a_changes("1");
  expect_conflict(b_proposes({{put(1, "mine"), Tid{1}}}), 1, 1, true);
  EXPECT_EQ(store_->load(Oid{1}, kInfinity)->record, "changed");
}

TEST_P(PostgresLockStep, AnErasureOfWhatTheOtherChanges) {
  a_changes("1", "NULL");
  expect_conflict(b_proposes({{put(1, "mine"), Tid{1}}}), 1, 1, true);
}

TEST_P(PostgresLockStep, AnInsertOfWhatTheOtherInserts) {
  a_changes("3");
  expect_conflict(b_proposes({{put(3, "mine"), Tid{}}}), 3, 0, true);
  EXPECT_EQ(store_->load(Oid{3}, kInfinity)->record, "changed");
}

TEST_P(PostgresLockStep, AReadOfWhatTheOtherChanges) {
  a_changes("1");
  expect_conflict(b_proposes({{put(2, "mine"), Tid{1}}}, {{Oid{1}, Tid{1}}}), 1, 1, false);
  EXPECT_EQ(store_->load(Oid{2}, kInfinity)->record, "two");
}

TEST_P(PostgresLockStep, AnAbsentReadOfWhatTheOtherInserts) {
  a_changes("3");
  expect_conflict(b_proposes({{put(2, "mine"), Tid{1}}}, {{Oid{3}, Tid{}}}), 3, 0, false);
  EXPECT_EQ(store_->load(Oid{2}, kInfinity)->record, "two");
}

TEST_P(PostgresLockStep, AReadThatTheGroupItselfWrites) {
  // The first one reads what the second one writes: FOR SHARE would skip that row. Both are judged by what A has committed.
  a_changes("1");
  const std::vector<ProposedWrite> two{{put(2, "mine"), Tid{1}}}, one{{put(1, "mine, too"), Tid{1}}};
  const std::vector<ProposedRead> reads{{Oid{1}, Tid{1}}};
  const std::vector<Outcome> outcomes =
      b_proposes({Proposal{Tid{1}, two, reads, nullptr, {}}, Proposal{Tid{1}, one, {}, nullptr, {}}});
  expect_conflict(outcomes[0], 1, 1, false);
  expect_conflict(outcomes[1], 1, 1, true);
}

TEST_P(PostgresLockStep, OthersOfTheGroupGoOn) {
  a_changes("1");
  const std::vector<ProposedWrite> one{{put(1, "mine"), Tid{1}}}, two{{put(2, "mine"), Tid{1}}};
  const std::vector<Outcome> outcomes =
      b_proposes({Proposal{Tid{1}, one, {}, nullptr, {}}, Proposal{Tid{1}, two, {}, nullptr, {}}});
  expect_conflict(outcomes[0], 1, 1, true);
  expect_committed(outcomes[1], 3);
}

TEST_P(PostgresLockStep, WhatDoesNotTouchIsCommitted) {
  a_changes("1");
  expect_committed(b_proposes({{put(2, "mine"), Tid{1}}}, {{Oid{3}, Tid{}}}), 3);
  EXPECT_EQ(store_->transactions(Tid{1}, kInfinity, HistoryOrder::oldest_first, 10).size(), 3u);
}

TEST_P(PostgresLockStep, WhatTheOtherTakesBackIsNone) {
  a_changes("1");
  expect_committed(b_proposes({{put(1, "mine"), Tid{1}}}, {{Oid{2}, Tid{1}}, {Oid{3}, Tid{}}}, "ROLLBACK"), 2);
}

TEST_P(PostgresLockStep, ASnapshotThatAPackOvertakesIsTooOld) {
  (*a_)("BEGIN");
  (*a_)("UPDATE tidgen SET tid = 5, oldest = 4 WHERE id = 1");
  const Outcome outcome = b_proposes({{put(1, "mine"), Tid{1}}});
  ASSERT_EQ(outcome.kind, Kind::failed);
  EXPECT_THROW(std::rethrow_exception(outcome.error), SnapshotTooOldError);
}

TEST_P(PostgresLockStep, ATokenIsSettledOnlyWhenTheOtherHasEnded) {
  const std::string token(16, 't');
  const auto settle = [&](const char* end_of_a) {
    detail::postgres::Counters counters;
    PostgresOptions options;
    options.connection = PostgresServer::shared().connection();
    options.schema = watcher_->value("SHOW search_path");
    detail::postgres::Pool pool(options, counters);
    const detail::postgres::Statements statements(options);
    const auto insert = "INSERT INTO txn (tid, prev, at, token, oids) VALUES (7, 1, 0, 'tttttttttttttttt', '{}')";
    (*a_)("BEGIN");
    (*a_)(insert);
    EXPECT_EQ(watcher_->value("SELECT count(*) FROM txn WHERE token = 'tttttttttttttttt'"), "0")
        << "whoever only asks is told that it is not there";
    auto settled = std::async(std::launch::async, [&] { return settle_token(pool, statements, token, Tid{1}); });
    watcher_->await_waiting();
    (*a_)(end_of_a);
    const std::optional<Tid> found = settled.get();
    if (!found) {
      EXPECT_THROW((*a_)(insert), std::runtime_error) << "a burnt token can be committed";
    }
    EXPECT_EQ(settle_token(pool, statements, token, Tid{1}), found) << "and so it stays";
    return found;
  };
  EXPECT_EQ(settle("ROLLBACK"), std::nullopt);
  (*a_)("DELETE FROM txn WHERE token = 'tttttttttttttttt'");
  EXPECT_EQ(settle("COMMIT"), Tid{7});
}

TEST_P(PostgresLockStep, ALeaseThatAPackOvertakesIsRefused) {
  commit(*store_, 2, {put(1, "later")});
  (*a_)("BEGIN");
  (*a_)("SELECT * FROM tidgen WHERE id = 1 FOR UPDATE");
  (*a_)("UPDATE settings SET value = 2 WHERE name = 'oldest_tid'");
  auto held = std::async(std::launch::async, [&] { store_->hold(Tid{1}); });
  watcher_->await_waiting();
  (*a_)("COMMIT");
  EXPECT_THROW(held.get(), SnapshotTooOldError);
  EXPECT_NO_THROW(store_->hold(Tid{2}));
}

TEST_P(PostgresLockStep, APackSeesTheLeaseThatItHasWaitedFor) {
  commit(*store_, 2, {put(1, "later")});
  const bool serializable = GetParam() == PostgresIsolation::serializable;
  (*a_)(serializable ? "BEGIN ISOLATION LEVEL SERIALIZABLE" : "BEGIN");
  (*a_)("SELECT value FROM settings WHERE name = 'oldest_tid' FOR SHARE");
  (*a_)("INSERT INTO lease VALUES (7, 1, 9000000000000000, 60000000)");
  auto packed = std::async(
      std::launch::async, [&] { return store_->pack({.before = kInfinity, .is_garbage = {}, .progress = {}}).oldest; });
  watcher_->await_waiting();
  (*a_)("COMMIT");
  EXPECT_EQ(packed.get(), Tid{1});
}

INSTANTIATE_TEST_SUITE_P(Levels, PostgresLockStep,
                         ::testing::Values(PostgresIsolation::read_committed, PostgresIsolation::serializable),
                         [](const auto& info) {
                           return info.param == PostgresIsolation::serializable ? "Serializable" : "ReadCommitted";
                         });

// ---- What loses an update, and what does not, as bare SQL. Each begins with "t", which locks the tid row.

struct Form {
  const char* name;
  const char* statement;  // answers how many of what must be unchanged are so: 0 is a conflict that was noticed
  int oid;                // that A changes meanwhile
  bool loses;
};

void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

/// Two sessions in a fresh store, and one that looks on.
struct Sessions {
  const PostgresOptions options = in_fresh_schema();
  PostgresStore store{options};
  PostgresSession a{options.connection, options.schema}, b{options.connection, options.schema};
  PostgresSession watcher{options.connection, options.schema};
};

class PostgresForm : public ::testing::TestWithParam<Form> {};

constexpr const char* kLock = "WITH t AS (UPDATE tidgen SET tid = tid + 1 WHERE id = 1 RETURNING tid), ";

TEST_P(PostgresForm, SeesOrDoesNotSeeWhatWasCommittedWhileItWaited) {
  if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  Sessions sessions;
  auto& [options, store, a, b, watcher] = sessions;
  commit(store, 1, {put(1, "one"), put(2, "two")});
  const std::string oid = std::to_string(GetParam().oid);
  a("BEGIN");
  a("UPDATE tidgen SET tid = tid + 1 WHERE id = 1");
  a("INSERT INTO cur VALUES (" + oid + ", 2) ON CONFLICT (oid) DO UPDATE SET tid = 2");
  b("BEGIN ISOLATION LEVEL READ COMMITTED");
  b.send(kLock + std::string(GetParam().statement));
  watcher.await_waiting();
  a("COMMIT");
  const PostgresSession::Rows answer = b.finish();
  EXPECT_EQ(answer.front().front(), GetParam().loses ? "1" : "0");
  b("COMMIT");
}

constexpr Form kForms[] = {
    {"BareLookAtAWrite", "s AS (SELECT oid FROM cur, t WHERE oid = 1 AND cur.tid <= 1) SELECT count(*) FROM s", 1,
     true},
    {"CountOfWhatIsNewer",
     "s AS (SELECT 1 FROM t WHERE (SELECT count(*) FROM cur, t WHERE oid = 1 AND cur.tid > 1) = 0) SELECT count(*) "
     "FROM s",
     1, true},
    {"UpdateNamedByTid",
     "u AS (UPDATE cur SET tid = t.tid FROM t WHERE oid = 1 AND cur.tid <= 1 RETURNING oid) SELECT count(*) FROM u", 1,
     false},
    {"UpsertNamedByTid",
     "u AS (INSERT INTO cur SELECT 1, t.tid FROM t ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid WHERE cur.tid <= "
     "1 RETURNING oid) "
     "SELECT count(*) FROM u",
     1, false},
    {"UpsertOfWhatIsNew",
     "u AS (INSERT INTO cur SELECT 3, t.tid FROM t ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid WHERE cur.tid <= "
     "1 RETURNING oid) "
     "SELECT count(*) FROM u",
     3, false},
    {"UpsertThatNamesNoTid",
     "u AS (INSERT INTO cur SELECT 1, t.tid FROM t ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid RETURNING oid) "
     "SELECT count(*) FROM u",
     1, true},
    {"BareLookAtARead", "s AS (SELECT oid FROM cur, t WHERE oid = 2 AND cur.tid <= 1) SELECT count(*) FROM s", 2, true},
    {"ForShareNamedByTid",
     "s AS (SELECT oid FROM cur, t WHERE oid = 2 AND cur.tid <= 1 FOR SHARE OF cur) SELECT count(*) FROM s", 2, false},
    {"ForShareThatNamesNoTid", "s AS (SELECT oid FROM cur, t WHERE oid = 2 FOR SHARE OF cur) SELECT count(*) FROM s", 2,
     true},
    {"AbsentReadInTheSameStatement",
     "s AS (SELECT 1 FROM t WHERE NOT EXISTS (SELECT 1 FROM cur, t WHERE cur.oid = 3)) SELECT count(*) FROM s", 3,
     true},
};

INSTANTIATE_TEST_SUITE_P(Forms, PostgresForm, ::testing::ValuesIn(kForms),
                         [](const auto& info) { return info.param.name; });

TEST(PostgresForms, AnAbsentReadIsSeenByAStatementAfterTheLock) {
  if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  Sessions sessions;
  auto& [options, store, a, b, watcher] = sessions;
  a("BEGIN");
  a("UPDATE tidgen SET tid = tid + 1 WHERE id = 1");
  a("INSERT INTO cur VALUES (3, 1)");
  b("BEGIN ISOLATION LEVEL READ COMMITTED");
  b.send("SELECT tid FROM tidgen WHERE id = 1 FOR UPDATE");
  watcher.await_waiting();
  a("COMMIT");
  b.finish();
  EXPECT_EQ(b.value("SELECT count(*) FROM cur WHERE oid = 3"), "1");
}

TEST(PostgresForms, RepeatableReadIsRefused) {
  if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  Sessions sessions;
  auto& [options, store, a, b, watcher] = sessions;
  a("BEGIN");
  a("UPDATE tidgen SET tid = tid + 1 WHERE id = 1");
  b("BEGIN ISOLATION LEVEL REPEATABLE READ");
  b.send("UPDATE tidgen SET tid = tid + 1 WHERE id = 1");
  watcher.await_waiting();
  a("COMMIT");
  try {
    b.finish();
    FAIL() << "not refused";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, 5), "40001");
  }
}

// Without a lock the tids of a sequence become visible in any order: who polls for what is above the last one misses one for ever.
TEST(PostgresForms, TidsOfASequenceAreMissed) {
  if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  const PostgresOptions options = in_fresh_schema();
  const PostgresStore store(options);
  PostgresSession a(options.connection, options.schema), b(options.connection, options.schema);
  a("CREATE SEQUENCE numbers");
  const auto commit_of = "INSERT INTO txn (tid, prev, at, oids) SELECT nextval('numbers'), 0, 0, '{}'";
  a("BEGIN");
  a(commit_of);
  b(commit_of);
  const std::string last = b.value("SELECT max(tid) FROM txn");
  EXPECT_EQ(last, "2");
  a("COMMIT");
  EXPECT_EQ(b.value("SELECT count(*) FROM txn WHERE tid > " + last), "0");
  EXPECT_EQ(b.value("SELECT count(*) FROM txn WHERE tid > 0"), "2");
}

}  // namespace
}  // namespace cow::testing
