// A store that processes share, in a PostgreSQL server of the measurement's own: peer-warm, peer-staleness, peer-staleness-poll,
// peer-commit, peer-idle.
#include "claim.hpp"

#ifdef COW_BENCH_HAS_POSTGRES

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/support/crowd.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/postgres_server.hpp"
#include "bench/support/postgres_session.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/workloads/chase.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/detail/postgres/statements.hpp"
#include "persistence/postgres_store.hpp"
#include "persistence/rocksdb_store.hpp"

namespace cow::bench {
namespace {

/// Throws NotMeasurable if there can be none.
std::unique_ptr<PostgresServer> start_server(const std::string& settings = kDurableSettings) {
  if (!postgres_programs()) throw NotMeasurable("PostgreSQL is not installed (scripts/setup --postgres)");
  return std::make_unique<PostgresServer>(settings);
}

PostgresOptions store_at(const PostgresServer& server) {
  return {.connection = server.connection(), .create_if_missing = true};
}

struct SharedCounter {
  static constexpr std::string_view cow_type_name = "claims.SharedCounter";
  std::int64_t value = 0;
  std::string text;
  MSGPACK_DEFINE(value, text);
};

/// The text of a hundred bytes that makes a record as large as those that others measure with.
SharedCounter some_counter() { return {.value = 0, .text = std::string(100, 'x')}; }

std::vector<Ref<SharedCounter>> create_counters(Database& database, std::size_t count) {
  constexpr std::size_t kBatch = 1'000;
  std::vector<Ref<SharedCounter>> counters;
  while (counters.size() < count) {
    std::vector<Oid> made;
    database.transact([&](Transaction& txn) {
      made.clear();
      for (std::size_t i = counters.size(); i < std::min(count, counters.size() + kBatch); ++i)
        made.push_back(txn.create(some_counter()).oid());
    });
    for (const Oid oid : made) counters.emplace_back(oid);
  }
  return counters;
}

double percentile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  return values.at(static_cast<std::size_t>(static_cast<double>(values.size() - 1) * share));
}

// ---- peer-warm

/// A PostgresStore that counts what threads ask of it while they say that they must not. What the database's own thread asks in
/// between to learn of others is no transaction's.
class WatchedPeer final : public Store,
                          public HistoryStore,
                          public PackableStore,
                          public BatchStore,
                          public SharedStore {
 public:
  explicit WatchedPeer(PostgresOptions options) : store_(std::move(options)) {}

  std::optional<Revision> load(Oid oid, Tid at) override { return counted().load(oid, at); }
  Tid last_tid() override { return counted().last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return counted().allocate_oids(count); }
  void commit(std::span<const TransactionWrite> group) override { counted().commit(group); }
  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    return counted().transactions(from, to, order, most);
  }
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override {
    return counted().revisions(oid, newest, most);
  }
  Tid tid_at(CommitTime time) override { return counted().tid_at(time); }
  Tid oldest_tid() noexcept override { return counted().oldest_tid(); }
  PackResult pack(const PackRequest& request) override { return counted().pack(request); }
  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override {
    return counted().load_many(oids, at);
  }
  std::vector<Outcome> propose(std::span<const Proposal> group) override { return counted().propose(group); }
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override { return counted().wait_beyond(seen, longest); }
  void hold(Tid oldest) override { counted().hold(oldest); }

  std::uint64_t calls() const noexcept { return calls_; }
  PostgresStatistics statistics() const noexcept { return store_.statistics(); }

  static inline thread_local bool is_watched = false;

 private:
  PostgresStore& counted() noexcept {
    if (is_watched) ++calls_;
    return store_;
  }

  PostgresStore store_;
  std::atomic<std::uint64_t> calls_{0};
};

/// A chain in a store, and transactions that read its first nodes, from memory once they were read before.
class WarmChain {
 public:
  using Node = chase::Node<Database::Pointers>;

  explicit WarmChain(Store& store)
      : database_(store), session_(open_session(database_)), start_(chase::build<Database>(session_, kNodes)) {
    (void)seconds(kNodes, 1);
  }

  double seconds(std::size_t reads, int transactions) {
    return seconds_of([&] {
      for (int i = 0; i < transactions; ++i) {
        Transaction txn = database_.begin();
        keep(chase::follow(txn, &start_, reads));
      }
    });
  }

  static constexpr std::size_t kNodes = 1'000;

 private:
  Database database_;
  Session<Database> session_;
  Node::Ref<Node> start_;
};

// The worse of short and longer transactions. A question is worth a thousand times the time.
Measured measure_warm() {
  const auto server = start_server();
  const ScratchDirectory directory;
  WatchedPeer peer_store(store_at(*server));
  RocksDbStore local_store(directory.path() / "store", {.create_if_missing = true});
  WarmChain peer(peer_store), local(local_store);
  const PostgresStatistics before = peer_store.statistics();
  const double start = seconds_now();
  Measured worst;
  std::uint64_t transactions = 0;
  for (const std::size_t reads : {1, 10, 100}) {
    const int batch = static_cast<int>(3'000'000 / (reads + 20));
    const auto watched = [&] {
      WatchedPeer::is_watched = true;
      const double seconds = peer.seconds(reads, batch);
      WatchedPeer::is_watched = false;
      transactions += static_cast<std::uint64_t>(batch);
      return seconds;
    };
    const Paired paired = measure_paired(repetitions(31), watched, [&] { return local.seconds(reads, batch); });
    worst.value = std::max(worst.value, paired.ratio);
    worst.detail += fmt::format("{} read{}: {:.1f} / {:.1f} ns = {:.3f}x; ", reads, reads == 1 ? "" : "s",
                                paired.first * 1e9 / batch, paired.second * 1e9 / batch, paired.ratio);
  }
  const double asked = static_cast<double>(peer_store.calls()) / static_cast<double>(transactions);
  worst.value += 1'000 * asked;
  worst.detail += fmt::format(
      "{} transactions have asked the store {} times; beside them the process made {:.1f} round trips a "
      "second to learn of others",
      transactions, peer_store.calls(),
      static_cast<double>(peer_store.statistics().round_trips - before.round_trips) / (seconds_now() - start));
  return worst;
}

// ---- peer-staleness

/// Seconds from when a commit on one database has returned until a transaction on the other sees it, commit after commit. The other one
/// has just committed something itself.
std::vector<double> measure_lags(const PostgresOptions& options, int commits) {
  PostgresStore here_store(options), there_store(options);
  Database here(here_store);
  const Oid counter = create_counters(here, 1).front().oid();
  Database there(there_store);
  const Oid own = create_counters(there, 1).front().oid();
  std::mt19937_64 random(4);
  std::vector<double> lags;
  // At random times within an interval, or the commits would come in step with the polls.
  std::uniform_int_distribution<int> pause_us(0, static_cast<int>(options.poll_interval.count()) * 1'000);
  for (int i = 1; i <= commits; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(pause_us(random)));
    there.transact([&](Transaction& txn) { txn.write(Ref<SharedCounter>(own)).value = i; });
    here.transact([&](Transaction& txn) { txn.write(Ref<SharedCounter>(counter)).value = i; });
    const double committed = seconds_now();
    for (;;) {
      Transaction txn = there.begin();
      if (txn.read(Ref<SharedCounter>(counter)).value == i) break;
      if (seconds_now() - committed > 60) throw std::runtime_error(fmt::format("commit {} is not seen in a minute", i));
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    lags.push_back(seconds_now() - committed);
  }
  return lags;
}

std::string lag_detail(const std::vector<double>& lags) {
  return fmt::format("{} commits, ms: median {:.2f}, p95 {:.2f}, p99 {:.2f}, most {:.2f}", lags.size(),
                     median(lags) * 1e3, percentile(lags, 0.95) * 1e3, percentile(lags, 0.99) * 1e3,
                     percentile(lags, 1) * 1e3);
}

Measured measure_staleness() {
  const auto server = start_server();
  const std::vector<double> lags = measure_lags(store_at(*server), repetitions(400));
  return {percentile(lags, 0.99) * 1e3, lag_detail(lags)};
}

Measured measure_staleness_poll() {
  const auto server = start_server();
  PostgresOptions options = store_at(*server);
  options.notify = false;
  const std::vector<double> lags = measure_lags(options, repetitions(300));
  const double interval = std::chrono::duration<double>(options.poll_interval).count();
  return {percentile(lags, 0.99) / interval,
          fmt::format("asked every {:.0f} ms; {}", interval * 1e3, lag_detail(lags))};
}

// ---- peer-commit

constexpr int kThreads = 16;
constexpr std::size_t kOwnCounters = 1'000;  // of each thread: nobody is in another's way

struct Committed {
  double seconds = 0;
  std::uint64_t commits = 0, groups = 0;

  double per_second() const { return static_cast<double>(commits) / seconds; }
  double group_size() const { return static_cast<double>(commits) / static_cast<double>(groups); }
};

Committed commit_for(Database& database, const PostgresStore& store, const std::vector<Ref<SharedCounter>>& counters,
                     double seconds) {
  std::atomic<int> next{0};
  const PostgresStatistics before = store.statistics();
  Committed done;
  done.seconds = seconds_of([&] {
    Crowd crowd(kThreads, [&, first = std::optional<std::size_t>()](std::mt19937_64& dice) mutable {
      if (!first) first = static_cast<std::size_t>(next++) * kOwnCounters;
      const Oid oid = counters[*first + dice() % kOwnCounters].oid();
      database.transact([&](Transaction& txn) { ++txn.write(Ref<SharedCounter>(oid)).value; });
    });
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    done.commits = crowd.stop();
  });
  done.groups = store.statistics().groups - before.groups;
  return done;
}

/// The statement that commits a group, with nothing around it: pgbench gives its values, and looks at no answer.
class BareStatement {
 public:
  BareStatement(const PostgresServer& server, std::string schema)
      : server_(server), schema_(std::move(schema)), session_(server.connection(), schema_) {
    first_oid_ =
        std::stoll(session_.value("SELECT max(oid) FROM cur")) - kThreads * static_cast<std::int64_t>(kOwnCounters) + 1;
    record_ = session_.value("SELECT encode(state, 'hex') FROM obj ORDER BY oid DESC, tid DESC LIMIT 1");
  }

  /// How many are run in a second by one client, each for `group` transactions of one object.
  double per_second(int group, double seconds) {
    const std::filesystem::path script = server_.directory() / "group.sql";
    std::ofstream(script) << script_for(group);
    OrdinaryProcess::give(script);
    const std::string last = session_.value("SELECT tid FROM tidgen");
    const auto whole_seconds = std::max(1, static_cast<int>(std::lround(seconds)));
    const std::filesystem::path output = server_.directory() / "pgbench.log";
    const double taken = seconds_of([&] {
      OrdinaryProcess pgbench(
          {*postgres_programs() / "pgbench", "--no-vacuum", "--protocol=prepared", "--client=1",
           "--host=" + server_.directory().string(), "--port=" + std::to_string(server_.port()), "--username=cow",
           "--time=" + std::to_string(whole_seconds), "--file=" + script.string(), "postgres"},
          output);
      if (pgbench.wait() != 0) throw std::runtime_error("pgbench failed: " + text_of(output));
    });
    // What pgbench says is believed if the server has as many.
    const std::string text = text_of(output);
    constexpr std::string_view kSays = "tps = ";
    const std::size_t at = text.rfind(kSays);
    if (at == std::string::npos) throw std::runtime_error("pgbench has not said how fast it was: " + text);
    const double said = std::stod(text.substr(at + kSays.size()));
    const double groups = (std::stod(session_.value("SELECT tid FROM tidgen")) - std::stod(last)) / group;
    if (said > 1.1 * groups / whole_seconds || said < 0.9 * groups / taken)
      throw std::runtime_error(
          fmt::format("pgbench says {:.0f} a second, the server has {:.0f} in {:.1f} s", said, groups, taken));
    return said;
  }

 private:
  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  /// With the greatest snapshot everywhere: pgbench does not know which revisions are the newest, but they are looked at all the same.
  std::string script_for(int group) const {
    std::string script, oids, places, states, snapshots, tokens, notes;
    const auto add = [](std::string& list, const std::string& value) { list += (list.empty() ? "" : ", ") + value; };
    script += "\\set token random(1, 4611686018427387904)\n";
    const auto own = static_cast<std::int64_t>(kOwnCounters);
    for (int i = 0; i < group; ++i) {
      const std::int64_t from = first_oid_ + i * own;
      script += fmt::format("\\set oid{} random({}, {})\n", i, from, from + own - 1);
      add(oids, fmt::format(":oid{}", i));
      add(places, std::to_string(i + 1));
      add(states, fmt::format("'\\x{}'", record_));
      add(snapshots, kGreatest);
      add(tokens, fmt::format("int8send(:token) || int8send({})", i));
      add(notes, "NULL");
    }
    const auto integers = [](const std::string& list) { return "ARRAY[" + list + "]::bigint[]"; };
    const auto bytes = [](const std::string& list) { return "ARRAY[" + list + "]::bytea[]"; };
    const std::vector<std::string> values{std::to_string(group) + "::bigint",
                                          std::string(kGreatest) + "::bigint",
                                          "0::bigint",
                                          integers(oids),
                                          integers(places),
                                          bytes(states),
                                          integers(snapshots),
                                          integers(""),
                                          integers(""),
                                          integers(places),
                                          bytes(tokens),
                                          bytes(notes),
                                          "'" + cow::detail::postgres::channel_of(schema_) + "'"};
    PostgresOptions options;
    options.schema = schema_;
    std::string statement = cow::detail::postgres::Statements(options).propose.text;
    for (std::size_t number = values.size(); number > 0; --number) {
      const std::string name = "$" + std::to_string(number);
      for (std::size_t at = 0; (at = statement.find(name, at)) != std::string::npos; at += values[number - 1].size())
        statement.replace(at, name.size(), values[number - 1]);
    }
    return script + statement + ";\n";
  }

  static constexpr const char* kGreatest = "9223372036854775807";

  const PostgresServer& server_;
  std::string schema_;
  PostgresSession session_;
  std::int64_t first_oid_ = 0;
  std::string record_;
};

// In turn; the statement is run for groups as large as those of the round just before. The comparison has tables of its own, filled alike.
Measured measure_commit() {
  constexpr double kSeconds = 1;
  const auto server = start_server();
  PostgresOptions options = store_at(*server);
  PostgresStore store(options);
  Database database(store);
  const std::vector<Ref<SharedCounter>> counters = create_counters(database, kThreads * kOwnCounters);
  options.schema = "bare";
  {
    PostgresStore other_store(options);
    Database other(other_store);
    (void)create_counters(other, counters.size());
  }
  BareStatement bare(*server, options.schema);
  (void)commit_for(database, store, counters, kSeconds / 2);
  std::vector<double> ours, theirs, sizes;
  for (int round = 0; round < repetitions(3); ++round) {
    const Committed done = commit_for(database, store, counters, kSeconds);
    ours.push_back(done.per_second());
    sizes.push_back(done.group_size());
    const int group = std::clamp(static_cast<int>(std::lround(done.group_size())), 1, kThreads);
    theirs.push_back(bare.per_second(group, kSeconds) * done.group_size());
  }
  return {median_ratio(ours, theirs),
          fmt::format(
              "commits a second: {:.0f}, {:.0f} by the bare statement; {:.1f} in a group, {} threads; {} groups of the "
              "store were committed in two steps",
              median(ours), median(theirs), median(sizes), kThreads, store.statistics().careful)};
}

// ---- peer-idle

/// Names of what sessions other than this one hold on the server: transactions, snapshots, locks. The virtual transaction is in each.
std::set<std::string> held(PostgresSession& session) {
  std::set<std::string> names;
  for (const char* question :
       {"SELECT 'transaction', pid, xact_start FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL OR state <> 'idle')",
        "SELECT 'snapshot', pid, xact_start FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)",
        "SELECT 'lock', l.pid, l.virtualtransaction, l.locktype, l.relation, l.mode FROM pg_locks AS l JOIN "
        "pg_stat_activity AS a "
        "USING (pid) WHERE a.backend_type = 'client backend' AND l.pid <> pg_backend_pid()"}) {
    for (const std::vector<std::string>& row : session(question)) {
      std::string name;
      for (const std::string& column : row) name += column + ' ';
      names.insert(name);
    }
  }
  return names;
}

/// Those that are still there after a while: a question that is just being answered is not held.
std::set<std::string> held_for_a_while(PostgresSession& session) {
  const std::set<std::string> before = held(session);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  std::set<std::string> both;
  std::ranges::set_intersection(before, held(session), std::inserter(both, both.end()));
  return both;
}

Measured measure_idle() {
  constexpr int kSleepers = 1'000, kReads = 20;
  constexpr std::size_t kCounters = 2'000;
  const auto server = start_server();
  PostgresStore here_store(store_at(*server)), there_store(store_at(*server));
  Database here(here_store), there(there_store);
  const std::vector<Ref<SharedCounter>> counters =
      create_counters(there, kCounters + 1);  // the last one is what sleepers change
  const auto add_to_all = [&] {
    return there.transact([&](Transaction& txn) {
      for (std::size_t i = 0; i < kCounters; ++i) ++txn.write(Ref<SharedCounter>(counters[i].oid())).value;
    });
  };
  // Sleepers of ten snapshots; one in two is serializable, one in ten has changed something.
  struct Sleeper {
    Transaction txn;
    std::int64_t value;
  };
  std::vector<Sleeper> sleepers;
  std::mt19937_64 random(5);
  for (int i = 0; i < kSleepers; ++i) {
    if (i % (kSleepers / 10) == 0) add_to_all();
    if (!here.sync(there.last_tid(), std::chrono::minutes(1))) throw std::runtime_error("a peer does not follow");
    Transaction txn = here.begin(i % 2 == 0 ? Isolation::snapshot : Isolation::serializable);
    std::int64_t value = 0;
    for (int k = 0; k < kReads; ++k) value = txn.read(Ref<SharedCounter>(counters[random() % kCounters].oid())).value;
    if (i % 10 == 0) ++txn.write(Ref<SharedCounter>(counters.back().oid())).value;
    sleepers.push_back({std::move(txn), value});
  }
  add_to_all();
  PostgresSession session(server->connection());
  {
    // What is looked for must be seen where it is.
    PostgresSession holder(server->connection(), store_at(*server).schema);
    holder("BEGIN ISOLATION LEVEL REPEATABLE READ");
    holder("SELECT tid FROM tidgen FOR UPDATE");
    const std::set<std::string> seen = held_for_a_while(session);
    for (const char* kind : {"transaction", "snapshot", "lock"}) {
      if (std::ranges::none_of(seen, [&](const std::string& name) { return name.starts_with(kind); }))
        throw std::runtime_error(fmt::format("a {} that a session holds is not seen", kind));
    }
    holder("ROLLBACK");
  }
  std::size_t most = 0;
  std::string what;
  const int times = repetitions(10);
  for (int i = 0; i < times; ++i) {
    const std::set<std::string> now = held_for_a_while(session);
    if (now.size() > most) {
      most = now.size();
      what = "; such as " + *now.begin();
    }
  }
  // They have slept, and nothing else: each goes on in its snapshot, in which all counters are equal.
  for (Sleeper& sleeper : sleepers) {
    if (sleeper.txn.read(Ref<SharedCounter>(counters[random() % kCounters].oid())).value != sleeper.value)
      throw std::runtime_error("a sleeper has woken in another snapshot");
  }
  return {static_cast<double>(most),
          fmt::format(
              "{} transactions that have read {} objects, asked {} times in {:.1f} s; the process has {} connections{}",
              kSleepers, kReads, times, times * 0.1, here_store.statistics().connections, what)};
}

}  // namespace
}  // namespace cow::bench

#else

namespace cow::bench {
namespace {

[[noreturn]] Measured no_library() {
  throw NotMeasurable("built without libpq (scripts/setup --postgres, Meson's option postgres)");
}

Measured measure_warm() { no_library(); }
Measured measure_staleness() { no_library(); }
Measured measure_staleness_poll() { no_library(); }
Measured measure_commit() { no_library(); }
Measured measure_idle() { no_library(); }

}  // namespace
}  // namespace cow::bench

#endif

namespace cow::bench {

std::vector<Claim> peer_store_claims() {
  using enum Claim::Comparison;
  return {
      {"peer-warm",
       "a warm read-only transaction of 1 to 100 reads on PostgresStore, which asks the server nothing, against one on "
       "RocksDbStore; "
       "the worst, and 1,000 more for each question",
       at_most, 1.05, "x", measure_warm},
      {"peer-staleness",
       "from a commit until another database over the same PostgreSQL sees it, with notifications: p99", at_most, 20,
       "ms", measure_staleness},
      {"peer-staleness-poll", "the same without notifications against the interval at which the store is asked",
       at_most, 1.5, "x", measure_staleness_poll},
      {"peer-commit",
       "commits of one object by 16 threads of a process against pgbench with the bare statement for groups as large",
       at_least, 0.8, "x", measure_commit},
      {"peer-idle",
       "transactions, snapshots and locks that 1,000 sleeping transactions of a process hold on the server", at_most, 0,
       "", measure_idle},
  };
}

}  // namespace cow::bench
