// Memory: memory-64 and cold-loads, what sharing saves, on WordNet in RocksDB; statistics, whether the figures are true;
// object-bytes, what an object costs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/baselines/private_cache.hpp"
#include "bench/support/accounting.hpp"
#include "bench/support/generated_store.hpp"
#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/process_memory.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/workloads/wordnet/wordnet.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "own_process.hpp"
#include "persistence/rocksdb_store.hpp"

namespace cow::bench {
namespace {

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
  std::vector<Session<Db>> open;
  open.reserve(static_cast<std::size_t>(sessions));
  auto one_more = [&] {
    open.push_back(open_session(database));
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
      auto session = open_session(database);
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

// ---- object-bytes

template <std::size_t kBytes>
struct Bytes {
  static constexpr std::string_view cow_type_name = "claims.Bytes";
  std::array<char, kBytes> bytes{};
  MSGPACK_DEFINE(bytes);
};

/// What the process grows by for each of a million objects of so many bytes, read in transactions that have ended.
template <std::size_t kBytes>
Measured measure_bytes_of_object() {
  constexpr std::uint64_t kObjects = 1'000'000, kBatch = 50;
  std::string record;
  cow::detail::encode_record(Bytes<kBytes>{}, record);
  GeneratedStore store([&](Oid) { return record; });
  const Uses empty;
  Database database(store, kAmple);
  for (std::uint64_t from = 0; from < kObjects; from += kBatch) {
    Transaction txn = database.begin();
    for (std::uint64_t i = from; i < from + kBatch; ++i)
      keep(txn.read(Ref<Bytes<kBytes>>(Oid{kRootOid.value + 1 + i})));
  }
  const Uses full;
  const Statistics statistics = database.statistics();
  auto each = [](auto bytes) { return static_cast<double>(bytes) / static_cast<double>(kObjects); };
  const double used = each(full.process - empty.process), said = each(statistics.total_bytes());
  std::string detail =
      fmt::format("{} B: {:.1f} B, of which slot {:.1f}, oid table {:.1f}, eviction queue {:.1f}", kBytes, used,
                  each(statistics.slot_bytes()), each(statistics.table_bytes), each(statistics.replacement_bytes));
  if (std::abs(said - used) > 0.03 * used) {
    throw std::runtime_error(fmt::format("the database says that it takes {:.1f} B an object, but {}", said, detail));
  }
  return {used, std::move(detail)};
}

/// What an object of one size took, and what it may take.
struct BytesOfObject {
  Measured (*measure)();
  double before;   ///< with headers of 48 bytes and slots in steps of 64
  double at_most;  ///< for the smallest and the largest a step of 16 bytes less
};

Measured measure_object_bytes() {
  Measured worst{.value = -std::numeric_limits<double>::infinity(), .detail = {}};
  for (const auto& [measure, before, at_most] :
       {BytesOfObject{measure_bytes_of_object<16>, 91, 75}, BytesOfObject{measure_bytes_of_object<64>, 156, 156},
        BytesOfObject{measure_bytes_of_object<200>, 284, 268}}) {
    // In a process of its own: the next size would take free slots of this one's for nothing.
    const Measured one = measure_alone(measure);
    worst.value = std::max(worst.value, one.value - at_most);
    worst.detail +=
        fmt::format("{}{} (may be {:g}, was {:g})", worst.detail.empty() ? "" : "; ", one.detail, at_most, before);
  }
  return worst;
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
      {"object-bytes",
       "memory of a warm object of 16, 64 and 200 B, oid table and eviction queue included, beyond what it may be: as "
       "before for 64 B, and a step of size classes less for the others; the worst of the three",
       at_most, 0, "B", measure_object_bytes},
  };
}

}  // namespace cow::bench
