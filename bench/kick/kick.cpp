// kick: what the project claims first, checked by counts in a few seconds. Few headers, so that it is built soon: what `scripts/reproduce
// --kick` builds and runs. It times nothing, so a busy machine changes nothing.
//
// Usage: kick [--as epochs|private]. With --as it checks what the other design would have to show, which fails: for tests.
// Exit codes: 0 all hold, 1 one does not, 2 bad usage.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/baselines/private_cache.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {
namespace {

constexpr std::uint32_t kObjects = 20'000;
constexpr int kSessions = 8;
constexpr double kMebibyte = 1 << 20;

struct Account {
  static constexpr std::string_view cow_type_name = "kick.Account";
  std::int64_t value = 0;
  std::string text;
  MSGPACK_DEFINE(value, text);
};

using Oids = std::vector<Oid>;

template <class Db>
Oids fill(Db& database, std::uint32_t objects, std::int64_t value) {
  Oids oids;
  database.transact([&](auto& txn) {
    oids.clear();
    for (std::uint32_t i = 0; i < objects; ++i) oids.push_back(txn.create(Account{value, std::string(100, 'x')}).oid());
  });
  return oids;
}

/// Prints what was seen of each check.
class Report {
 public:
  template <class... Values>
  void say(bool holds, const char* name, const char* format, Values... values) {
    std::printf("%-5s %-10s ", holds ? "ok" : "FAILS", name);
    std::printf(format, values...);  // NOLINT(cert-err33-c): what cannot be shown is not missed
    std::printf("\n");
    if (!holds) ++failed_;
  }
  int failed() const noexcept { return failed_; }

 private:
  int failed_ = 0;
};

// ---- sessions: memory and loads

struct Cold {
  std::uint64_t loads = 0, one_session = 0, all_sessions = 0;  ///< records; bytes of the cache
};

/// Sessions that start at once on the same objects; before them one alone, in a database of its own.
template <class Cache>
Cold start_cold(Store& store, const Oids& oids) {
  using Db = BasicDatabase<Cache>;
  auto read_all = [&](auto& session) {
    auto txn = session.begin();
    for (Oid oid : oids) (void)txn.read(Ref<Account>(oid));
  };
  Cold cold;
  {
    Db database(store);
    auto session = open_session(database);
    read_all(session);
    cold.one_session = database.statistics().cache_bytes;
  }
  Db database(store);
  std::vector<decltype(open_session(database))> sessions;
  for (int i = 0; i < kSessions; ++i) sessions.push_back(open_session(database));
  std::vector<std::thread> threads;
  for (auto& session : sessions) threads.emplace_back([&] { read_all(session); });
  for (std::thread& thread : threads) thread.join();
  cold.loads = database.statistics().loads;
  cold.all_sessions = database.statistics().cache_bytes;
  return cold;
}

template <class Ours>
void check_sessions(Report& report) {
  MemoryStore store;
  Oids oids;
  {
    Database database(store);
    oids = fill(database, kObjects, 1);
  }
  const Cold ours = start_cold<Ours>(store, oids), theirs = start_cold<PrivateCache>(store, oids);
  auto times = [](const Cold& cold) {
    return static_cast<double>(cold.all_sessions) / static_cast<double>(cold.one_session);
  };
  report.say(times(ours) < 1.01 && times(theirs) > kSessions - 0.1, "memory",
             "%d sessions read %u objects: %.2f x the memory of one session's cache; private caches %.2f x", kSessions,
             kObjects, times(ours), times(theirs));
  report.say(ours.loads == kObjects && theirs.loads == std::uint64_t{kObjects} * kSessions, "cold start",
             "the same sessions at once: %.2f loads an object; private caches %.2f",
             static_cast<double>(ours.loads) / kObjects, static_cast<double>(theirs.loads) / kObjects);
}

// ---- a sleeper: garbage and its snapshot

struct Slept {
  double limbo = 0, read = 0;  ///< bytes: garbage at most, and of the states that the sleeper has read
  std::uint64_t values = 0, wrong = 0;
};

/// One transaction reads some objects and sleeps, while others write all of them over and over; then it reads the same objects again, and
/// as many others, which were not in its log and come from the store.
Slept sleep_and_wake(std::size_t limbo_bytes) {
  constexpr std::uint32_t kRead = 1'000, kCommits = 20'000, kWrites = 20;
  MemoryStore store;
  Database database(store, {.limbo_bytes = limbo_bytes});
  const Oids oids = fill(database, kObjects, 0);
  std::mt19937_64 dice(1);
  auto write_some = [&](std::uint32_t commits, auto&& after_each) {
    for (std::uint32_t i = 0; i < commits; ++i) {
      Transaction txn = database.begin();
      for (std::uint32_t k = 0; k < kWrites; ++k) ++txn.write(Ref<Account>(oids[dice() % kObjects])).value;
      txn.commit();
      after_each();
    }
  };
  write_some(1'000, [] {});
  std::vector<std::int64_t> at_its_snapshot;  // the model
  {
    Transaction txn = database.begin();
    for (Oid oid : oids) at_its_snapshot.push_back(txn.read(Ref<Account>(oid)).value);
  }
  Slept slept;
  slept.read = static_cast<double>(database.statistics().cache_bytes) / kObjects * kRead;
  Transaction sleeper = database.begin();
  for (std::uint32_t i = 0; i < kRead; ++i) (void)sleeper.read(Ref<Account>(oids[i]));
  write_some(kCommits,
             [&] { slept.limbo = std::max(slept.limbo, static_cast<double>(database.statistics().limbo_bytes)); });
  for (std::uint32_t i = 0; i < 2 * kRead; ++i) {
    ++slept.values;
    if (sleeper.read(Ref<Account>(oids[i])).value != at_its_snapshot[i]) ++slept.wrong;
  }
  return slept;
}

void check_sleeper(Report& report, std::size_t limbo_bytes) {
  const Slept ours = sleep_and_wake(limbo_bytes);
  const Slept epochs = sleep_and_wake(std::numeric_limits<std::size_t>::max() / 4);
  report.say(ours.limbo < ours.read + kMebibyte && epochs.limbo > 20 * kMebibyte, "garbage",
             "400,000 writes behind one sleeper: %.2f MiB at most, of which it has read %.2f; epochs only %.1f MiB",
             ours.limbo / kMebibyte, ours.read / kMebibyte, epochs.limbo / kMebibyte);
  report.say(ours.wrong + epochs.wrong == 0, "snapshot", "the sleeper wakes: %llu of %llu values wrong",
             static_cast<unsigned long long>(ours.wrong + epochs.wrong),
             static_cast<unsigned long long>(ours.values + epochs.values));
}

// ---- threads: snapshots and conflicts

void check_bank(Report& report) {
  constexpr std::uint32_t kAccounts = 200;
  constexpr int kThreads = 4, kTransfers = 3'000;
  constexpr std::int64_t kEach = 100;
  MemoryStore store;
  Database database(store);
  const Oids oids = fill(database, kAccounts, kEach);
  auto sum = [&] {
    Transaction txn = database.begin();
    std::int64_t all = 0;
    for (Oid oid : oids) all += txn.read(Ref<Account>(oid)).value;
    return all;
  };
  std::vector<std::uint64_t> wrong(kThreads);
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      std::mt19937_64 dice(static_cast<std::uint64_t>(number));
      for (int i = 0; i < kTransfers; ++i) {
        const Ref<Account> from(oids[dice() % kAccounts]), to(oids[dice() % kAccounts]);
        database.transact(
            [&](Transaction& txn) {
              --txn.write(from).value;
              ++txn.write(to).value;
            },
            {.most_attempts = 1000});
        if (i % 10 == 0 && sum() != kAccounts * kEach) ++wrong[static_cast<std::size_t>(number)];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  bool second_fails = false;
  Transaction first = database.begin(), second = database.begin();
  ++first.write(Ref<Account>(oids[0])).value;
  ++second.write(Ref<Account>(oids[0])).value;
  first.commit();
  try {
    second.commit();
  } catch (const ConflictError&) {
    second_fails = true;
  }
  std::uint64_t all_wrong = 0;
  for (std::uint64_t one : wrong) all_wrong += one;
  report.say(all_wrong == 0 && sum() == kAccounts * kEach + 1 && second_fails, "threads",
             "%d threads, %d transfers: %llu of %d sums wrong; of two commits of one object the second %s", kThreads,
             kThreads * kTransfers, static_cast<unsigned long long>(all_wrong), kThreads * kTransfers / 10,
             second_fails ? "is refused" : "is NOT refused");
}

int run(std::string_view as) {
  Report report;
  if (as == "private") {
    check_sessions<PrivateCache>(report);
  } else {
    check_sessions<cow::detail::SharedCache>(report);
  }
  check_sleeper(report, as == "epochs" ? std::numeric_limits<std::size_t>::max() / 4 : CacheOptions{}.limbo_bytes);
  check_bank(report);
  return report.failed() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace cow::bench

int main(int argc, char** argv) {
  const std::string_view as = argc == 3 ? argv[2] : "";
  if (argc != 1 && !(argc == 3 && std::string_view(argv[1]) == "--as" && (as == "epochs" || as == "private"))) {
    std::fprintf(stderr, "usage: kick [--as epochs|private]\n");
    return 2;
  }
  try {
    return cow::bench::run(as);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kick: %s\n", error.what());
    return 1;
  }
}
