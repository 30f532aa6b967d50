// What happens between a PostgresStore and its server, and to the server: connections cut at every point of a commit, refusals, a restart,
// no more connections, lost commits, clocks that jump.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "tests/support/postgres_proxy.hpp"
#include "tests/support/postgres_session.hpp"
#include "tests/support/store_kinds.hpp"

namespace cow::testing {
namespace {

using Kind = Outcome::Kind;

struct Counter {
  static constexpr std::string_view cow_type_name = "tests.RestartCounter";
  int value = 0;
  MSGPACK_DEFINE(value);
};

class PostgresFailure : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
    options_ = in_fresh_schema();
    direct_ = std::make_unique<PostgresStore>(options_);
    session_ = std::make_unique<PostgresSession>(options_.connection, options_.schema);
  }
  PostgresOptions through(const PostgresProxy& proxy) const {
    PostgresOptions options = options_;
    options.connection = PostgresServer::shared().tcp_connection(proxy.port()) + " sslmode=disable gssencmode=disable";
    return options;
  }
  static CommitToken fresh_token() {
    static std::atomic<std::uint64_t> count{0};
    CommitToken token{};
    const std::uint64_t value = ++count;
    for (unsigned i = 0; i < 8; ++i) token[i] = static_cast<std::byte>(value >> 8 * i);
    return token;
  }
  static Outcome propose(PostgresStore& store, Tid snapshot, const std::vector<ProposedWrite>& writes,
                         CommitToken token = fresh_token()) {
    const Proposal proposal{snapshot, writes, {}, nullptr, token};
    return store.propose({&proposal, 1}).front();
  }
  static std::string why(const Outcome& outcome) {
    try {
      if (outcome.error) std::rethrow_exception(outcome.error);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  PostgresOptions options_;
  std::unique_ptr<PostgresStore> direct_;
  std::unique_ptr<PostgresSession> session_;
};

// A commit's batch is cut in each way, with prepared and unprepared statements. Either answer is right, if it is the truth for ever.
TEST_F(PostgresFailure, WhatIsSaidOfALostCommitIsTrueForEver) {
  for (const PostgresPooler pooler : {PostgresPooler::none, PostgresPooler::transaction}) {
    for (const Fault fault : {Fault::cut_before, Fault::cut_within, Fault::cut_after, Fault::cut_answer,
                              Fault::arrives_late, Fault::delay}) {
      std::atomic<bool> armed{false};
      const PostgresProxy proxy(PostgresServer::shared().port(), [&](std::string_view batch) {
        return batch.find("victim") != batch.npos && armed.exchange(false) ? fault : Fault::none;
      });
      PostgresOptions options = through(proxy);
      options.pooler = pooler;
      PostgresStore store(options);
      const Tid before = store.last_tid();
      ASSERT_EQ(propose(store, before, {{put(1, "first"), {}}}).kind, Kind::committed);
      armed = true;
      const Tid snapshot = store.last_tid();
      const CommitToken token = fresh_token();
      const Outcome outcome = propose(store, snapshot, {{put(1, "victim"), snapshot}}, token);
      EXPECT_FALSE(armed) << "the fault has not happened";
      const bool is_done = fault == Fault::cut_after || fault == Fault::cut_answer || fault == Fault::delay;
      const bool is_lost = fault == Fault::cut_before || fault == Fault::cut_within;
      if (is_done) {
        EXPECT_EQ(outcome.kind, Kind::committed) << why(outcome);
      }
      if (is_lost) {
        EXPECT_EQ(outcome.kind, Kind::failed);
      }
      if (fault == Fault::arrives_late) std::this_thread::sleep_for(std::chrono::milliseconds(150));
      const std::string record = direct_->load(Oid{1}, kInfinity)->record;
      if (outcome.kind == Kind::committed) {
        EXPECT_EQ(outcome.tid.value, snapshot.value + 1);
        EXPECT_EQ(record, "victim");
      } else {
        EXPECT_THROW(std::rethrow_exception(outcome.error), StoreConnectionError);
        EXPECT_EQ(record, "first") << "it was said that it is not committed, and it is, by fault "
                                   << static_cast<int>(fault);
      }
      EXPECT_EQ(store.statistics().tokens_asked, fault == Fault::delay ? 0u : 1u);
      // Proposed once more it is what it was.
      const Outcome again = propose(*direct_, direct_->last_tid(), {{put(1, "victim"), snapshot}}, token);
      EXPECT_EQ(again.kind, outcome.kind);
      EXPECT_EQ(again.tid, outcome.tid);
      ASSERT_EQ(propose(store, store.last_tid(), {{put(1, "goes on"), snapshot}}).kind, Kind::committed);
    }
  }
}

// A look-up that only asks is told "absent", and then the commit arrives: why tokens are burnt.
TEST_F(PostgresFailure, ACommitArrivesAfterANaiveLookUp) {
  std::atomic<bool> armed{false}, looked{false};
  std::promise<void> cut;
  const PostgresProxy proxy(PostgresServer::shared().port(), [&](std::string_view batch) {
    if (batch.find("INSERT INTO late") == batch.npos || !armed.exchange(false)) return Fault::none;
    cut.set_value();
    return Fault::arrives_late;
  });
  (*session_)("CREATE TABLE late (token INT PRIMARY KEY)");
  detail::postgres::Counters counters;
  detail::postgres::Connection connection(through(proxy), counters);
  const detail::postgres::Statement insert{"INSERT INTO late VALUES (1)", false},
      path{"SET search_path = " + options_.schema, false};
  connection.run(path);
  armed = true;
  EXPECT_THROW(connection.run(insert), StoreConnectionError);
  cut.get_future().wait();
  EXPECT_EQ(session_->value("SELECT count(*) FROM late"), "0");
  for (int i = 0; i < 10'000 && session_->value("SELECT count(*) FROM late") == "0"; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(session_->value("SELECT count(*) FROM late"), "1");
}

TEST_F(PostgresFailure, ATokenThatCannotBeSettledIsAnUnknownOutcome) {
  std::atomic<bool> armed{false}, dead{false};
  const PostgresProxy proxy(PostgresServer::shared().port(), [&](std::string_view batch) {
    if (batch.find("victim") != batch.npos && armed.exchange(false)) {
      dead = true;
      return Fault::cut_after;
    }
    return dead ? Fault::cut_before : Fault::none;
  });
  PostgresOptions options = through(proxy);
  options.retry_for = std::chrono::milliseconds(200);
  PostgresStore store(options);
  armed = true;
  const Outcome outcome = propose(store, Tid{0}, {{put(1, "victim"), {}}});
  ASSERT_EQ(outcome.kind, Kind::failed);
  EXPECT_THROW(std::rethrow_exception(outcome.error), OutcomeUnknownError);
  EXPECT_THROW(store.load(Oid{1}, kInfinity), StoreConnectionError);
  dead = false;
  EXPECT_EQ(store.load(Oid{1}, kInfinity)->record, "victim") << "and it goes on once the server is back";
}

// Several stores, as of several processes, add one to counters, each through its own proxy that makes one batch in twelve fail in some way.
TEST_F(PostgresFailure, NothingIsLostOrDoneTwiceByFaultsAnywhere) {
  constexpr std::uint64_t kCounters = 3;
  constexpr int kStores = 3;
  const int steps = repetitions(120);
  std::vector<ObjectWrite> zeros;
  for (std::uint64_t oid = 1; oid <= kCounters; ++oid) zeros.push_back(put(oid, "0"));
  commit(*direct_, 1, zeros);
  std::atomic<int> done{0}, faults{0}, asked{0}, retries{0};
  std::mutex mutex;
  std::set<Tid> tids;
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < kStores; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 choose(seed);
      std::mutex choosing;
      const PostgresProxy proxy(PostgresServer::shared().port(), [&](std::string_view) {
        const std::lock_guard lock(choosing);
        return choose() % 12 == 0 ? static_cast<Fault>(1 + choose() % 8) : Fault::none;
      });
      PostgresOptions options = through(proxy);
      options.create_if_missing = false;
      if (seed == 1) options.pooler = PostgresPooler::transaction;
      if (seed == 2) options.isolation = PostgresIsolation::serializable;
      std::unique_ptr<PostgresStore> store;
      while (store == nullptr) {
        try {
          store = std::make_unique<PostgresStore>(options);
        } catch (const StoreConnectionError&) {  // the first connection is not tried again
        }
      }
      std::mt19937 random(100 + seed);
      for (int step = 0; step < steps;) {
        const Tid snapshot = store->last_tid();
        std::vector<Proposal> group;
        std::vector<std::vector<ProposedWrite>> writes(1 + random() % 2);
        std::vector<std::string> records(writes.size());
        std::vector<std::vector<ProposedRead>> reads(writes.size());
        for (std::size_t i = 0; i < writes.size(); ++i) {
          const std::uint64_t oid = 1 + random() % kCounters;
          const std::optional<Revision> found = store->load(Oid{oid}, snapshot);
          records[i] = std::to_string(std::stoi(found->record) + 1);
          writes[i] = {{put(oid, records[i]), found->begin}};
          if (random() % 4 == 0) reads[i] = {{Oid{99}, Tid{}}};
          group.push_back({snapshot, writes[i], reads[i], nullptr, fresh_token()});
        }
        for (const Outcome& outcome : store->propose(group)) {
          if (outcome.kind == Kind::failed) {
            EXPECT_THROW(std::rethrow_exception(outcome.error), StoreConnectionError) << why(outcome);
          }
          if (outcome.kind != Kind::committed) continue;
          ++step;
          ++done;
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(tids.insert(outcome.tid).second) << outcome.tid << " twice";
        }
      }
      faults += proxy.faults();
      asked += static_cast<int>(store->statistics().tokens_asked);
      retries += static_cast<int>(store->statistics().retries);
    });
  }
  threads.clear();
  int sum = 0;
  for (std::uint64_t oid = 1; oid <= kCounters; ++oid) sum += std::stoi(direct_->load(Oid{oid}, kInfinity)->record);
  EXPECT_EQ(sum, done);
  EXPECT_EQ(direct_->last_tid().value, 1u + static_cast<unsigned>(done)) << "tids are contiguous";
  EXPECT_EQ(direct_->transactions(Tid{1}, kInfinity, HistoryOrder::oldest_first, 10'000).size(),
            1u + static_cast<unsigned>(done));
  EXPECT_GT(asked, 0);
  EXPECT_GT(retries, 0);
  EXPECT_GT(faults, 10);
}

TEST_F(PostgresFailure, AGroupThatIsRefusedAgainAndAgainIsSplit) {
  const PostgresProxy proxy(PostgresServer::shared().port(), [&](std::string_view batch) {
    return batch.find("left") != batch.npos && batch.find("right") != batch.npos ? Fault::refuse_40P01 : Fault::none;
  });
  PostgresStore store(through(proxy));
  const std::vector<ProposedWrite> left{{put(1, "left"), {}}}, right{{put(2, "right"), {}}};
  const std::vector<Proposal> group{{Tid{0}, left, {}, nullptr, fresh_token()},
                                    {Tid{0}, right, {}, nullptr, fresh_token()}};
  const std::vector<Outcome> outcomes = store.propose(group);
  EXPECT_EQ(outcomes[0].tid, Tid{1});
  EXPECT_EQ(outcomes[1].tid, Tid{2});
  EXPECT_GT(store.statistics().retries, 2u);
}

TEST_F(PostgresFailure, ConnectionsThatTheServerHasClosedAreReplaced) {
  PostgresOptions options = options_;
  options.pool_size = 1;
  PostgresStore store(options);
  for (int i = 0; i < 3; ++i) {
    (*session_)("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cow_cache'");
    while (session_->value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cow_cache'") != "0")
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const Tid last = direct_->last_tid();
    EXPECT_EQ(propose(store, last, {{put(1, "x"), {}}}).kind, Kind::committed);  // which is not simply tried again
  }
  EXPECT_EQ(store.statistics().connections, 4u);
  EXPECT_EQ(store.statistics().tokens_asked, 0u) << "it was noticed before anything was sent";
}

TEST_F(PostgresFailure, AConnectionIsNotUsedAfterTheFarewellThoughItsEndHasNotCome) {
  std::atomic<bool> armed{false};
  const PostgresProxy proxy(PostgresServer::shared().port(),
                            [&](std::string_view) { return armed.exchange(false) ? Fault::farewell : Fault::none; });
  PostgresOptions options = through(proxy);
  options.pool_size = 1;
  PostgresStore store(options);
  for (std::uint64_t connections = 2; connections < 5; ++connections) {
    armed = true;
    const Tid last = store.last_tid();
    EXPECT_EQ(propose(store, last, {{put(1, "x"), {}}}).kind, Kind::committed);
    EXPECT_EQ(store.statistics().connections, connections);
  }
  EXPECT_EQ(store.statistics().tokens_asked, 0u);
}

TEST_F(PostgresFailure, AServerIsRestartedUnderLoad) {
  commit(*direct_, 1, {put(1, "0")});
  std::atomic<bool> stop{false};
  std::atomic<int> done{0}, loads{0};
  std::jthread reader([&] {
    while (!stop) {
      ASSERT_TRUE(direct_->load(Oid{1}, kInfinity));
      ++loads;
    }
  });
  std::jthread writer([&] {
    while (!stop) {
      const Tid snapshot = direct_->last_tid();
      const std::optional<Revision> found = direct_->load(Oid{1}, snapshot);
      const std::string next = std::to_string(std::stoi(found->record) + 1);
      const Outcome outcome = propose(*direct_, snapshot, {{put(1, next), found->begin}});
      done += outcome.kind == Kind::committed;
      if (outcome.kind == Kind::failed) {
        EXPECT_THROW(std::rethrow_exception(outcome.error), StoreConnectionError);
      }
    }
  });
  const auto wait_for = [&](std::atomic<int>& counter, int more) {
    const int wanted = counter + more;
    while (counter < wanted) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  for (const int signal : {SIGINT, SIGQUIT}) {
    wait_for(done, 20);
    PostgresServer::shared().stop(signal);
    PostgresServer::shared().start();
    wait_for(done, 20);
    wait_for(loads, 20);
  }
  stop = true;
  writer.join();
  reader.join();
  EXPECT_EQ(direct_->load(Oid{1}, kInfinity)->record, std::to_string(done));
}

// What is acknowledged is there, and what is there was acknowledged or is unknown; nobody has to open a database anew.
TEST_F(PostgresFailure, DatabasesGoOnAfterAServerIsRestarted) {
  PostgresStore here_store(options_), there_store(options_);
  Database here(here_store), there(there_store);
  const Oid oid = here.transact([](Transaction& txn) { return txn.create(Counter{}).oid(); });
  std::atomic<bool> stop{false};
  std::atomic<int> done{0}, unknown{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, &database = i % 2 == 0 ? here : there] {
      while (!stop) {
        try {
          database.transact([&](Transaction& txn) { ++txn.write(Ref<Counter>(oid)).value; });
          ++done;
        } catch (const OutcomeUnknownError&) {
          ++unknown;
        } catch (const CommittedUnseenError&) {
          ++done;
        } catch (const StoreConnectionError&) {    // not committed
        } catch (const ConflictError&) {           // too many others
        } catch (const DanglingReferenceError&) {  // of a snapshot from before it was made
        }
      }
    });
  }
  for (const int signal : {SIGINT, SIGQUIT}) {
    for (const int wanted = done + 20; done < wanted;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    PostgresServer::shared().stop(signal);
    PostgresServer::shared().start();
    for (const int wanted = done + 20; done < wanted;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  stop = true;
  threads.clear();
  for (Database* database : {&here, &there}) {
    ASSERT_TRUE(database->sync(std::max(here.last_tid(), there.last_tid()), std::chrono::minutes(1)));
    const int value = database->begin().read(Ref<Counter>(oid)).value;
    EXPECT_GE(value, done);
    EXPECT_LE(value, done + unknown);
    EXPECT_EQ(database->peer_status().jumps, 0u);
  }
}

TEST_F(PostgresFailure, OneConnectionIsEnoughWhereThereAreNoMore) {
  PostgresStore store(options_);
  commit(store, 1, {put(1, "here")});
  std::vector<std::unique_ptr<PostgresSession>> all;
  try {
    for (;;) all.push_back(std::make_unique<PostgresSession>(options_.connection));
  } catch (const std::runtime_error&) {  // there are no more
  }
  EXPECT_THROW(PostgresStore another(options_), StoreConnectionError);
  std::vector<std::jthread> threads;
  std::atomic<int> found{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 25; ++k) found += store.load(Oid{1}, kInfinity).has_value();
    });
  }
  threads.clear();
  EXPECT_EQ(found, 100);
  EXPECT_EQ(store.statistics().connections, 1u);
  EXPECT_EQ(store.wait_beyond(Tid{1}, std::chrono::milliseconds(30)), Tid{1}) << "it asks where it cannot listen";
}

TEST_F(PostgresFailure, AServerThatHasLostCommitsIsRefused) {
  for (std::uint64_t tid = 1; tid <= 5; ++tid) commit(*direct_, tid, {put(1, record_of(1, tid))});
  EXPECT_EQ(direct_->last_tid(), Tid{5});
  (*session_)(
      "UPDATE tidgen SET tid = 3; DELETE FROM txn WHERE tid > 3; DELETE FROM obj WHERE tid > 3; UPDATE cur SET tid = "
      "3");
  try {
    direct_->last_tid();
    FAIL() << "not noticed";
  } catch (const StoreBehindError& error) {
    EXPECT_EQ(error.seen, Tid{5});
    EXPECT_EQ(error.last, Tid{3});
  }
  const Outcome outcome = propose(*direct_, Tid{5}, {{put(1, "on sand"), Tid{5}}});
  ASSERT_EQ(outcome.kind, Kind::failed);
  EXPECT_THROW(std::rethrow_exception(outcome.error), StoreBehindError);
  EXPECT_EQ(direct_->wait_beyond(Tid{5}, std::chrono::hours(1)), Tid{3});
}

// A replica that had not got the last commits takes over, and others commit as many again before this process looks.
TEST_F(PostgresFailure, AServerWithAnotherHistoryIsRefused) {
  const CommitToken token = fresh_token();
  ASSERT_EQ(propose(*direct_, Tid{0}, {{put(1, "first"), {}}}).kind, Kind::committed);
  ASSERT_EQ(propose(*direct_, Tid{1}, {{put(1, "lost"), Tid{1}}}, token).tid, Tid{2});
  PostgresStore reader(options_);
  EXPECT_EQ(reader.last_tid(), Tid{2});  // has seen it, and not made it
  Database database(reader);
  (*session_)("UPDATE txn SET token = decode(md5('of another'), 'hex') WHERE tid = 2");
  PostgresStore other(options_);
  for (std::uint64_t tid = 2; tid < 4; ++tid)
    ASSERT_EQ(propose(other, Tid{tid}, {{put(1, "instead"), Tid{tid}}}).kind, Kind::committed);
  for (PostgresStore* store : {direct_.get(), &reader}) {
    try {
      store->last_tid();
      FAIL() << "not noticed";
    } catch (const StoreBehindError& error) {
      EXPECT_EQ(error.seen, Tid{2});
      EXPECT_EQ(error.last, Tid{4});
    }
  }
  // A connection to a server that has taken over is a new one: nothing is committed by it.
  const std::string old =
      session_->value("SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'cow_cache'");
  const std::string among_old = " FROM pg_stat_activity WHERE pid IN (" + old + ")";
  (*session_)("SELECT pg_terminate_backend(pid)" + among_old);
  while (session_->value("SELECT count(*)" + among_old) != "0") std::this_thread::yield();
  const Proposal proposal{Tid{4}, {}, {}, nullptr, fresh_token()};
  EXPECT_THROW(direct_->propose({&proposal, 1}), StoreBehindError);
  for (;;) {
    try {
      (void)database.begin();
    } catch (const TidGapError&) {  // nor does a database go on with what it has cached
      break;
    }
  }
}

TEST_F(PostgresFailure, AGapInTheHistoryIsAnErrorAtOnce) {
  for (std::uint64_t tid = 1; tid <= 9; ++tid) commit(*direct_, tid, {put(1, record_of(1, tid))});
  const auto read = [&](std::uint64_t from, HistoryOrder order, std::size_t most) {
    return direct_->transactions(Tid{from}, kInfinity, order, most).size();
  };
  (*session_)("DELETE FROM txn WHERE tid = 5");
  EXPECT_EQ(read(1, HistoryOrder::oldest_first, 4), 4u);
  EXPECT_THROW(read(1, HistoryOrder::oldest_first, 5), StoreCorruptError);
  EXPECT_THROW(read(5, HistoryOrder::oldest_first, 5), StoreCorruptError) << "the first one of a page is missing";
  EXPECT_EQ(read(6, HistoryOrder::oldest_first, 5), 4u);
  EXPECT_EQ(read(1, HistoryOrder::newest_first, 4), 4u);
  EXPECT_THROW(read(1, HistoryOrder::newest_first, 5), StoreCorruptError);
  (*session_)("DELETE FROM txn WHERE tid = 9");
  EXPECT_THROW(read(6, HistoryOrder::oldest_first, 5), StoreCorruptError) << "the last one is missing";
  EXPECT_THROW(read(9, HistoryOrder::oldest_first, 5), StoreCorruptError);
  EXPECT_THROW(read(6, HistoryOrder::newest_first, 2), StoreCorruptError);
}

TEST_F(PostgresFailure, ClocksThatJump) {
  for (std::uint64_t tid = 1; tid <= 6; ++tid) commit(*direct_, tid, {put(1, record_of(1, tid))});
  const PackRequest all{.before = kInfinity, .is_garbage = {}, .progress = {}};
  PostgresStore peer(options_);
  // The clock is put back by a day after the lease was written: the lease ends a day too late, but for the next pack.
  direct_->hold(Tid{3});
  (*session_)("UPDATE lease SET until = until + 86400000000");
  EXPECT_EQ(peer.pack(all).oldest, Tid{3});
  EXPECT_EQ(
      session_->value(
          "SELECT count(*) FROM lease WHERE until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + lasts"),
      "0");
  // It jumps ahead: the lease is over, and its holder is told so.
  (*session_)("UPDATE lease SET until = until - 86400000000");
  EXPECT_EQ(peer.pack(all).oldest, Tid{6});
  EXPECT_THROW(direct_->load(Oid{1}, Tid{3}), SnapshotTooOldError);
  EXPECT_THROW(direct_->hold(Tid{3}), SnapshotTooOldError);
  EXPECT_EQ(direct_->oldest_tid(), Tid{6});
  // The last commit is from the future.
  (*session_)("UPDATE tidgen SET at = at + 86400000000");
  ASSERT_EQ(propose(*direct_, Tid{6}, {{put(1, "later"), Tid{6}}}).kind, Kind::committed);
  ASSERT_EQ(propose(*direct_, Tid{7}, {{put(1, "later"), Tid{7}}}).kind, Kind::committed);
  const std::vector<TransactionInfo> found = direct_->transactions(Tid{6}, kInfinity, HistoryOrder::oldest_first, 10);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_LE(found[0].time, found[1].time);
  EXPECT_LE(found[1].time, found[2].time);
}

}  // namespace
}  // namespace cow::testing
