// Memory: memory-64 and cold-loads, what sharing saves, on WordNet in RocksDB; statistics, whether the figures are true.
#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <thread>
#include <vector>

#include "bench/baselines/private_cache.hpp"
#include "bench/support/accounting.hpp"
#include "bench/support/process_memory.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/workloads/wordnet/wordnet.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/rocksdb_store.hpp"

namespace cow::bench {
namespace {

constexpr CacheOptions kAmple{.cache_bytes = std::size_t{4} << 30};

/// WordNet in a store of its own, imported once and removed at exit.
class WordNetStore {
 public:
  static RocksDbStore& instance() {
    static WordNetStore wordnet;
    return wordnet.store_;
  }

 private:
  WordNetStore() : store_(directory_.path() / "wordnet", {.durable = false, .create_if_missing = true}) {
    Database database(store_, kAmple);
    wordnet::Files files(wordnet::locate());
    wordnet::Importer<Database>(database, files).run();
  }

  ScratchDirectory directory_;
  RocksDbStore store_;
};

/// Growth of the process and of the cache while sessions read all of WordNet one after the other.
struct Growth {
  double bytes_per_session = 0;  ///< of the second and later ones
  double cache_bytes = 0;        ///< of one session
};

template <class Cache>
Growth measure_growth(int sessions) {
  using Db = BasicDatabase<Cache>;
  Db database(WordNetStore::instance(), kAmple);
  std::vector<typename Db::Session> open;
  open.reserve(static_cast<std::size_t>(sessions));
  auto one_more = [&] {
    open.push_back(database.open_session());
    wordnet::read_everything<Db>(open.back());
    return static_cast<double>(process_memory().anonymous);
  };
  double first = one_more();
  double cache_bytes = static_cast<double>(database.statistics().cache_bytes);
  double last = first;
  for (int i = 1; i < sessions; ++i) last = one_more();
  return {(last - first) / (sessions - 1), cache_bytes};
}

Measured measure_memory_64() {
  constexpr int kSessions = 64, kPrivateSessions = 4;
  Growth shared = measure_growth<cow::detail::SharedCache>(kSessions);
  Growth separate = measure_growth<PrivateCache>(kPrivateSessions);
  auto extra = [](const Growth& growth) {
    return growth.bytes_per_session * (kSessions - 1) / growth.cache_bytes * 100;
  };
  return {std::max(0.0, extra(shared)),
          fmt::format("{} further sessions add {:.2f} MB to a cache of {:.0f} MB; private caches: {:.0f} MB a session "
                      "(from {} of them), {:.1f} x the cache",
                      kSessions - 1, shared.bytes_per_session * (kSessions - 1) / 1e6, shared.cache_bytes / 1e6,
                      separate.bytes_per_session / 1e6, kPrivateSessions, extra(separate) / 100)};
}

Measured measure_cold_loads() {
  constexpr int kSessions = 8;
  RocksDbStore& store = WordNetStore::instance();
  Database database(store, kAmple);
  std::uint64_t before = database.statistics().loads;
  std::vector<std::uint64_t> objects(kSessions);
  std::barrier ready(kSessions);
  std::vector<std::thread> threads;
  for (int i = 0; i < kSessions; ++i) {
    threads.emplace_back([&, i] {
      auto session = database.open_session();
      ready.arrive_and_wait();
      objects[static_cast<std::size_t>(i)] = wordnet::read_everything<Database>(session).objects + 1;  // and the root
    });
  }
  for (std::thread& thread : threads) thread.join();
  double loads = static_cast<double>(database.statistics().loads - before);
  return {loads / static_cast<double>(objects[0]),
          fmt::format("{} sessions at once, {} objects each, {:.0f} loads", kSessions, objects[0], loads)};
}

Measured measure_statistics() {
  std::vector<Account> accounts = take_accounts(std::size_t{64} << 20);
  auto worst = std::max_element(accounts.begin(), accounts.end(),
                                [](const Account& a, const Account& b) { return a.deviation() < b.deviation(); });
  std::string detail;
  for (const Account& account : accounts) {
    detail += fmt::format("{}{} {}: {:.1f} / {:.1f} MiB", detail.empty() ? "" : "; ", account.shape, account.phase,
                          account.said / (1 << 20), account.used / (1 << 20));
  }
  return {worst->deviation(), detail + " (said / used)"};
}

}  // namespace

std::vector<Claim> memory_claims() {
  using enum Claim::Comparison;
  return {
      {"memory-64", "process memory that 63 further sessions add, each having read all of WordNet, in % of the cache",
       at_most, 5, "%", measure_memory_64},
      {"cold-loads", "loads per object when 8 sessions start cold on all of WordNet", at_most, 1, "",
       measure_cold_loads},
      {"statistics",
       "what a database says that it takes against the process's growth: objects loaded, changed, evicted", at_most, 10,
       "%", measure_statistics},
  };
}

}  // namespace cow::bench
