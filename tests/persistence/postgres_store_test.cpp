// PostgresStore as a program meets it: how it is opened, how many round trips it makes, what it leaves on the server, several stores of
// several processes at once, and a pooler between.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/postgres_session.hpp"
#include "tests/support/store_kinds.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

using Kind = Outcome::Kind;

class PostgresStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
    options_ = in_fresh_schema();
  }
  static Outcome propose(PostgresStore& store, Tid snapshot, const std::vector<ProposedWrite>& writes,
                         const std::vector<ProposedRead>& reads = {}) {
    const Proposal proposal{snapshot, writes, reads, nullptr, {}};
    return store.propose({&proposal, 1}).front();
  }

  PostgresOptions options_;
};

TEST_F(PostgresStoreTest, IsMadeOnlyIfThatIsWanted) {
  options_.create_if_missing = false;
  EXPECT_THROW(PostgresStore{options_}, StoreMissingError);
  options_.create_if_missing = true;
  {
    PostgresStore store(options_);
    commit(store, 1, {put(1, "here")});
  }
  options_.create_if_missing = false;
  EXPECT_EQ(PostgresStore(options_).load(Oid{1}, kInfinity)->record, "here");
}

TEST_F(PostgresStoreTest, ManyMakeItAtOnce) {
  std::vector<std::jthread> threads;
  std::atomic<int> made{0};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      PostgresStore store(options_);
      made += store.last_tid() == Tid{0};
    });
  }
  threads.clear();
  EXPECT_EQ(made, 6);
}

TEST_F(PostgresStoreTest, OneOfANewerVersionIsRefused) {
  { const PostgresStore store(options_); }
  PostgresSession session(options_.connection, options_.schema);
  session("UPDATE settings SET value = 2 WHERE name = 'schema_version'");
  try {
    PostgresStore store(options_);
    FAIL() << "opened";
  } catch (const StoreFormatError& error) {
    EXPECT_NE(std::string(error.what()).find("version 2"), std::string::npos) << error.what();
  }
  session("DELETE FROM settings");
  EXPECT_THROW(PostgresStore{options_}, StoreFormatError);
}

TEST_F(PostgresStoreTest, NamesOfSchemas) {
  PostgresOptions odd = options_;
  odd.schema = "Our \"objects\" 'n all; DROP";
  {
    PostgresStore store(odd);
    EXPECT_EQ(propose(store, Tid{0}, {{put(1, "x"), {}}}).kind, Kind::committed);
    EXPECT_EQ(store.wait_beyond(Tid{1}, std::chrono::milliseconds(1)), Tid{1});
  }
  odd.schema = std::string(58, 'n');
  EXPECT_NO_THROW(PostgresStore{odd});
  odd.schema = std::string(59, 'n');
  EXPECT_THROW(PostgresStore{odd}, std::invalid_argument);
  odd.schema = "";
  EXPECT_THROW(PostgresStore{odd}, std::invalid_argument);
}

TEST_F(PostgresStoreTest, ByAnAddressAndByAService) {
  const ScratchDirectory scratch;
  PostgresServer& server = PostgresServer::shared();
  options_.connection = "postgres://cow@127.0.0.1:" + std::to_string(server.port()) + "/postgres";
  commit(*std::make_unique<PostgresStore>(options_), 1, {put(1, "here")});
  const std::filesystem::path file = scratch.path() / "services";
  std::ofstream(file) << "[cows]\nhost=127.0.0.1\nport=" << server.port() << "\nuser=cow\ndbname=postgres\n";
  ::setenv("PGSERVICEFILE", file.c_str(), 1);
  options_.connection = "service=cows";
  EXPECT_EQ(PostgresStore(options_).load(Oid{1}, kInfinity)->record, "here");
  ::unsetenv("PGSERVICEFILE");
  options_.connection = "host=127.0.0.1 user=cow port=" + std::to_string(free_port());
  EXPECT_THROW(PostgresStore{options_}, StoreConnectionError);
  options_.connection = "nonsense=1";
  EXPECT_THROW(PostgresStore{options_}, StoreConnectionError);
}

TEST_F(PostgresStoreTest, SilenceIsAnAnswer) {
  PostgresStore store(options_);
  commit(store, 1, {put(1, "x")});
  (void)store.wait_beyond(Tid{0}, std::chrono::milliseconds(0));  // listens from now on
  const std::uint64_t before = store.statistics().round_trips;
  EXPECT_EQ(store.wait_beyond(Tid{1}, std::chrono::milliseconds(30)), Tid{1});
  EXPECT_EQ(store.statistics().round_trips - before, 1u) << "it asks once, and then listens";
}

// Large records, notifications and the look at an idle connection, too.
TEST_F(PostgresStoreTest, ThroughTls) {
  PostgresServer& server = PostgresServer::shared();
  const std::filesystem::path key = server.directory() / "data/server.key",
                              certificate = server.directory() / "data/server.crt";
  OrdinaryProcess make({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cow",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate},
                       server.directory() / "openssl.log");
  ASSERT_EQ(make.wait(), 0);
  PostgresSession session(server.connection());
  session("ALTER SYSTEM SET ssl = on");
  session("SELECT pg_reload_conf()");
  const std::string checked = server.tcp_connection(server.port()) + " sslmode=verify-full sslrootcert=";
  const auto encrypted = [&] {
    return session.value(
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = "
        "'cow_cache'");
  };
  options_.connection = checked + certificate.string();
  std::unique_ptr<PostgresStore> store;
  while (store == nullptr) {
    try {
      store = std::make_unique<PostgresStore>(options_);
    } catch (const StoreConnectionError&) {  // the server has not read its settings yet
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  EXPECT_GE(std::stoi(encrypted()), 1);
  const std::string large = record_of(1, 1) + std::string(5'000'000, 'x') + record_of(1, 2);
  commit(*store, 1, {put(1, large)});
  EXPECT_EQ(store->load(Oid{1}, kInfinity)->record, large);
  PostgresStore other(options_);
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    commit(other, 2, {put(2, large)});
  });
  EXPECT_EQ(store->wait_beyond(Tid{1}, std::chrono::hours(1)), Tid{2});
  EXPECT_EQ(store->load(Oid{2}, kInfinity)->record, large);
  options_.connection = checked + (server.directory() / "none").string();
  EXPECT_THROW(PostgresStore{options_}, StoreConnectionError) << "nobody vouches for the server";
  session("ALTER SYSTEM RESET ssl");
  session("SELECT pg_reload_conf()");
}

TEST(PostgresServerTest, IsThereWhereNothingMayBeSkipped) {
  if (variable("COW_CACHE_NEEDS_POSTGRES") == nullptr) GTEST_SKIP() << "COW_CACHE_NEEDS_POSTGRES is not set";
  EXPECT_TRUE(has_postgres());
  EXPECT_TRUE(has_pooler());
}

TEST_F(PostgresStoreTest, OneRoundTripEach) {
  PostgresStore store(options_);
  const auto count = [&](auto work) {
    const std::uint64_t before = store.statistics().round_trips;
    work();
    return store.statistics().round_trips - before;
  };
  std::vector<ProposedWrite> hundred;
  std::vector<Oid> oids;
  for (std::uint64_t oid = 1; oid <= 100; ++oid) {
    hundred.push_back({put(oid, "x"), {}});
    oids.push_back(Oid{oid});
  }
  EXPECT_EQ(count([&] { EXPECT_EQ(propose(store, Tid{0}, hundred).tid, Tid{1}); }), 1u);
  EXPECT_EQ(count([&] {
              EXPECT_EQ(propose(store, Tid{1}, {{put(1, "y"), Tid{1}}}, {{Oid{2}, Tid{1}}}).tid, Tid{2});
            }),
            1u);
  EXPECT_EQ(store.statistics().careful, 0u);
  EXPECT_EQ(count([&] { EXPECT_EQ(store.load(Oid{1}, Tid{2})->record, "y"); }), 1u);
  EXPECT_EQ(count([&] { EXPECT_EQ(store.load_many(oids, Tid{1}).back()->record, "x"); }), 1u);
  EXPECT_EQ(count([&] { EXPECT_EQ(store.last_tid(), Tid{2}); }), 1u);
  EXPECT_EQ(count([&] { EXPECT_EQ(store.transactions(Tid{1}, kInfinity, HistoryOrder::oldest_first, 10).size(), 2u); }),
            1u);
  // With absent reads the tid row is locked in a statement of its own.
  EXPECT_EQ(count([&] {
              EXPECT_EQ(propose(store, Tid{2}, {{put(1, "z"), Tid{2}}}, {{Oid{999}, Tid{}}}).tid, Tid{3});
            }),
            2u);
  EXPECT_EQ(store.statistics().careful, 1u);
  // What excludes itself within a group is no reason for another one.
  const std::vector<ProposedWrite> one{{put(1, "a"), Tid{3}}}, other{{put(1, "b"), Tid{3}}};
  const std::vector<Proposal> group{{Tid{3}, one, {}, nullptr, {}}, {Tid{3}, other, {}, nullptr, {}}};
  std::vector<Outcome> outcomes;
  EXPECT_EQ(count([&] { outcomes = store.propose(group); }), 1u);
  EXPECT_EQ(outcomes[0].tid, Tid{4});
  ASSERT_EQ(outcomes[1].kind, Kind::conflict);
  EXPECT_EQ(outcomes[1].conflicts[0].current, Tid{4});
  // A refusal costs round trips, and no connection.
  EXPECT_EQ(propose(store, Tid{1}, {{put(1, "late"), Tid{1}}}).kind, Kind::conflict);
  EXPECT_EQ(store.statistics().connections, 1u);
}

// Snapshots of different ages in one group: each write is compared with its own.
TEST_F(PostgresStoreTest, AGroupOfSeveralSnapshots) {
  PostgresStore store(options_);
  for (std::uint64_t tid = 1; tid <= 3; ++tid) commit(store, tid, {put(tid, "x")});
  const std::vector<ProposedWrite> one{{put(1, "old snapshot"), Tid{1}}}, three{{put(3, "new snapshot"), Tid{3}}};
  std::vector<Proposal> group{{Tid{1}, one, {}, nullptr, {}}, {Tid{3}, three, {}, nullptr, {}}};
  const std::vector<Outcome> outcomes = store.propose(group);
  EXPECT_EQ(outcomes[0].tid, Tid{4});
  EXPECT_EQ(outcomes[1].tid, Tid{5});
  EXPECT_EQ(store.statistics().careful, 0u);
  // One reads with an old snapshot what another one writes with a new one.
  commit(store, 6, {put(2, "newer")});
  const std::vector<ProposedRead> read_two{{Oid{2}, Tid{2}}};
  const std::vector<ProposedWrite> write_one{{put(1, "reader"), Tid{4}}}, write_two{{put(2, "writer"), Tid{6}}};
  group = {{Tid{5}, write_one, read_two, nullptr, {}}, {Tid{6}, write_two, {}, nullptr, {}}};
  const std::vector<Outcome> mixed = store.propose(group);
  EXPECT_EQ(mixed[0].kind, Kind::conflict);
  EXPECT_EQ(mixed[1].tid, Tid{7});
}

TEST_F(PostgresStoreTest, TidsThatDoNotFitAreRefused) {
  PostgresStore store(options_);
  const std::vector<ObjectWrite> objects{put(1, "x")};
  const TransactionWrite transaction{Tid{std::uint64_t{1} << 63}, objects};
  EXPECT_THROW(store.commit({&transaction, 1}), std::invalid_argument);
  EXPECT_EQ(store.last_tid(), Tid{0});
}

// Two processes' stores, each used by threads: updates of shared counters, oids, and what each sees of the other.
TEST_F(PostgresStoreTest, StoresOfTwoProcesses) {
  PostgresStore first(options_);
  options_.isolation = PostgresIsolation::serializable;
  PostgresStore second(options_);
  commit(first, 1, {put(1, "0"), put(2, "0")});
  std::vector<std::jthread> threads;
  std::atomic<std::uint64_t> conflicts{0};
  for (PostgresStore* store : {&first, &second}) {
    threads.emplace_back([&, store] {
      for (int done = 0; done < 100;) {
        const Tid snapshot = store->last_tid();
        const std::uint64_t oid = 1 + static_cast<unsigned>(done) % 2;
        const std::optional<Revision> found = store->load(Oid{oid}, snapshot);
        const std::string next = std::to_string(std::stoi(found->record) + 1);
        const Outcome outcome = propose(*store, snapshot, {{put(oid, next), found->begin}}, {{Oid{3 - oid}, Tid{1}}});
        done += outcome.kind == Kind::committed;
        conflicts += outcome.kind == Kind::conflict;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(std::stoi(first.load(Oid{1}, kInfinity)->record) + std::stoi(second.load(Oid{2}, kInfinity)->record), 200);
  EXPECT_EQ(second.last_tid(), Tid{201});
  EXPECT_NE(first.allocate_oids(10).first, second.allocate_oids(10).first);
}

TEST_F(PostgresStoreTest, PeersHoldPacksBackUntilTheyEnd) {
  PostgresStore store(options_);
  for (std::uint64_t tid = 1; tid <= 9; ++tid) commit(store, tid, {put(1, record_of(1, tid))});
  const PackRequest all{.before = kInfinity, .is_garbage = {}, .progress = {}};
  {
    PostgresStore peer(options_), other(options_);
    peer.hold(Tid{4});
    other.hold(Tid{6});
    EXPECT_EQ(store.pack(all).oldest, Tid{4});
    EXPECT_EQ(peer.load(Oid{1}, Tid{4})->record, record_of(1, 4));
    EXPECT_THROW(other.load(Oid{1}, Tid{3}), SnapshotTooOldError);
    EXPECT_EQ(peer.oldest_tid(), Tid{4});
  }
  EXPECT_EQ(store.pack(all).oldest, Tid{9}) << "who ends takes its lease along";
  PostgresOptions brief = options_;
  brief.lease_time = std::chrono::milliseconds(1);
  PostgresStore dead(brief);
  commit(store, 10, {put(1, "x")});
  dead.hold(Tid{9});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(store.pack(all).oldest, Tid{10}) << "nobody renews a lease for ever";
  EXPECT_EQ(store.transactions(Tid{1}, kInfinity, HistoryOrder::oldest_first, 100).size(), 1u);
}

TEST_F(PostgresStoreTest, EveryWaiterHearsOfWhatOthersCommit) {
  for (const bool notify : {true, false}) {
    PostgresOptions options = in_fresh_schema();
    options.notify = notify;
    PostgresStore store(options), other(options);
    std::vector<std::jthread> threads;
    std::atomic<int> heard{0};
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] { heard += store.wait_beyond(Tid{0}, std::chrono::hours(1)) == Tid{1}; });
    EXPECT_EQ(propose(other, Tid{0}, {{put(1, "x"), {}}}).kind, Kind::committed);
    threads.clear();
    EXPECT_EQ(heard, 4);
  }
}

// Transactions that sleep hold nothing on the server: it has idle connections, and no transaction, snapshot or lock.
TEST_F(PostgresStoreTest, NothingIsHeldBetweenTwoCalls) {
  PostgresStore store(options_), other(options_);
  for (std::uint64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(propose(store, Tid{i}, {{put(1, "x"), {}}}, {{Oid{99}, Tid{}}}).kind, Kind::committed);
    EXPECT_EQ(propose(other, Tid{0}, {{put(1, "x"), {}}}).kind, Kind::conflict);
  }
  store.hold(Tid{3});
  store.load(Oid{1}, Tid{3});
  store.wait_beyond(Tid{10}, std::chrono::milliseconds(5));
  other.pack({.before = kInfinity, .is_garbage = {}, .progress = {}});
  EXPECT_THROW(store.load(Oid{1}, Tid{1}), SnapshotTooOldError);
  PostgresSession session(options_.connection);
  const std::string ours = "FROM pg_stat_activity WHERE application_name = 'cow_cache'";
  // The server tells of the end of a transaction after it has answered.
  const auto busy = [&] { return session.value("SELECT count(*) " + ours + " AND state <> 'idle'"); };
  for (int i = 0; i < 1000 && busy() != "0"; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(std::stoi(session.value("SELECT count(*) " + ours)), 3);
  EXPECT_EQ(busy(), "0");
  EXPECT_EQ(session.value("SELECT count(*) " + ours + " AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)"),
            "0");
  EXPECT_EQ(session.value("SELECT count(*) FROM pg_locks WHERE pid IN (SELECT pid " + ours + ")"), "0");
}

TEST_F(PostgresStoreTest, ThroughAPoolerThatGivesConnectionsPerTransaction) {
  if (!has_pooler()) GTEST_SKIP() << "pgbouncer is not installed";
  const Pooler& pooler = Pooler::shared();
  options_.connection = pooler.connection();
  options_.pooler = PostgresPooler::transaction;
  std::vector<std::unique_ptr<PostgresStore>> stores;
  for (int i = 0; i < 3; ++i) stores.push_back(std::make_unique<PostgresStore>(options_));
  commit(*stores[0], 1, {put(1, "0")});
  std::vector<std::jthread> threads;
  for (int i = 0; i < 6; ++i) {  // more than the pooler has connections
    threads.emplace_back([&, i] {
      PostgresStore& store = *stores[static_cast<std::size_t>(i) / 2];
      if (i % 2 == 1) {  // one thread of a process proposes, others load
        for (int k = 0; k < 200; ++k) ASSERT_TRUE(store.load_many(std::vector<Oid>{Oid{1}, Oid{2}}, kInfinity)[0]);
        return;
      }
      for (int done = 0; done < 40;) {
        const Tid snapshot = store.last_tid();
        const std::optional<Revision> found = store.load(Oid{1}, snapshot);
        const std::string next = std::to_string(std::stoi(found->record) + 1);
        std::vector<ProposedRead> reads;
        if (done % 3 == 0) reads.push_back({Oid{99}, Tid{}});
        done += propose(store, snapshot, {{put(1, next), found->begin}}, reads).kind == Kind::committed;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(stores[1]->load(Oid{1}, kInfinity)->record, "120");
  stores[0]->hold(Tid{100});
  EXPECT_EQ(stores[1]->pack({.before = kInfinity, .is_garbage = {}, .progress = {}}).oldest, Tid{100});
  EXPECT_EQ(stores[2]->wait_beyond(Tid{1}, std::chrono::hours(1)), Tid{121});
  // Nothing of a session's was left behind: server connections are anybody's.
  PostgresSession session(PostgresServer::shared().connection());
  EXPECT_EQ(session.value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"), "0");
  PostgresSession pooled(pooler.connection());
  EXPECT_EQ(pooled.value("SELECT count(*) FROM pg_prepared_statements"), "0");
  EXPECT_EQ(pooled.value("SELECT count(*) FROM pg_listening_channels()"), "0");
}

}  // namespace
}  // namespace cow::testing
