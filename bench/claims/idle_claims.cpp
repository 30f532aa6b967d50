// What transactions leave behind when they end, and what those that sleep cost the others' commits: limbo-idle, revisions,
// commit-hot.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/support/generated_items.hpp"
#include "bench/support/paired.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {
namespace {

using namespace std::chrono_literals;

// ---- limbo-idle

constexpr std::uint64_t kChanged = 100'000;

/// Limbo before the end of a transaction, and 100 ms after it; what the end takes.
struct Idle {
  std::string_view name;
  double before = 0, after = 0, seconds = 0;
};

double limbo_of(Database& database) { return static_cast<double>(database.statistics().limbo_bytes); }

/// Nobody is active, and nobody calls the library: reading the figure frees nothing.
template <class End>
Idle measure_end(std::string_view name, Database& database, End&& end) {
  Idle idle{.name = name, .before = limbo_of(database)};
  idle.seconds = seconds_of(end);
  std::this_thread::sleep_for(100ms);
  idle.after = limbo_of(database);
  return idle;
}

Idle change_many(std::string_view name, std::size_t cache_bytes) {
  ItemStore store;
  Database database(store, {.cache_bytes = cache_bytes});
  Transaction txn = database.begin();
  for (std::uint64_t i = 0; i < kChanged; ++i) ++txn.write(item(i)).value;
  return measure_end(name, database, [&] { txn.commit(); });
}

enum class Sleep { awake, parked };

/// A transaction that has read as much, and sleeps while others change all of it.
Idle hold_many(std::string_view name, Sleep sleep) {
  ItemStore store;
  Database database(store, {.cache_bytes = std::size_t{256} << 20});
  Transaction sleeper = database.begin();
  for (std::uint64_t i = 0; i < kChanged; ++i) (void)sleeper.read(item(i));
  if (sleep == Sleep::parked) sleeper.will_sleep();
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t i = 0; i < kChanged; i += 100) {
      database.transact([&](Transaction& txn) {
        for (std::uint64_t k = i; k < i + 100; ++k) ++txn.write(item(k)).value;
      });
    }
  }
  database.evict_all();  // what the sleeper's snapshot sees goes into limbo as well
  return measure_end(name, database, [&] { sleeper.abort(); });
}

/// A transaction that reads more than the cache has room for: it holds what is evicted meanwhile.
Idle read_many(std::string_view name) {
  ItemStore store;
  Database database(store, {.cache_bytes = std::size_t{16} << 20});
  Transaction txn = database.begin();
  for (std::uint64_t i = 0; i < 2 * kChanged; ++i) (void)txn.read(item(i));
  return measure_end(name, database, [&] { txn.abort(); });
}

Measured measure_limbo_idle() {
  std::vector<Idle> all{change_many("changed, 256 MiB of cache", std::size_t{256} << 20),
                        change_many("changed, 32 MiB of cache", std::size_t{32} << 20),
                        hold_many("a sleeper", Sleep::awake), hold_many("a parked sleeper", Sleep::parked),
                        read_many("a reader, 16 MiB of cache")};
  double worst = 0;
  std::string detail;
  for (const Idle& idle : all) {
    worst = std::max(worst, idle.after);
    detail += fmt::format("{}{}: {:.1f} MiB, its end takes {:.1f} ms, then {:.3f} MiB", detail.empty() ? "" : "; ",
                          idle.name, mebibytes(idle.before), idle.seconds * 1e3, mebibytes(idle.after));
  }
  return {mebibytes(worst), detail};
}

// ---- revisions

Measured measure_revisions() {
  constexpr std::uint64_t kObjects = 10'000;
  ItemStore store;
  Database database(store, {.cache_bytes = std::size_t{256} << 20});
  {
    Transaction txn = database.begin();
    for (std::uint64_t i = 0; i < kObjects; ++i) (void)txn.read(item(i));
  }
  double before = static_cast<double>(database.statistics().cache_bytes);
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    database.transact([&](Transaction& txn) { ++txn.write(item(i)).value; });
  }
  double after = static_cast<double>(database.statistics().cache_bytes);
  return {after / before, fmt::format("{:.2f} / {:.2f} MiB, {} objects, a transaction for each", mebibytes(after),
                                      mebibytes(before), kObjects)};
}

// ---- commit-hot

struct Hot {
  static constexpr std::string_view cow_type_name = "claims.Hot";
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
};

/// A database in which one object is changed, after so many transactions have gone to sleep, each at a snapshot of its own.
class HotObject {
 public:
  explicit HotObject(int sleepers) {
    for (int i = 0; i < sleepers; ++i) {
      commit();
      asleep_.push_back(database_.begin());
      asleep_.back().will_sleep();
    }
  }
  void commit() {
    Transaction txn = database_.begin();
    ++txn.write(hot_).value;
    txn.commit();
  }

 private:
  MemoryStore store_;
  Database database_{store_};
  Ref<Hot> hot_ = database_.transact([](Transaction& txn) { return txn.create(Hot{}); });
  std::vector<Transaction> asleep_;
};

Measured measure_commit_hot() {
  constexpr int kSleepers = 10'000, kCommits = 20'000;  // the chain is walked some times in each repetition
  HotObject crowded(kSleepers), alone(0);
  auto commits = [](HotObject& hot) {
    return seconds_of([&] {
      for (int i = 0; i < kCommits; ++i) hot.commit();
    });
  };
  Paired paired = measure_paired(
      repetitions(21), [&] { return commits(crowded); }, [&] { return commits(alone); });
  return {paired.ratio, fmt::format("{:.2f} / {:.2f} us, begin included", paired.first * 1e6 / kCommits,
                                    paired.second * 1e6 / kCommits)};
}

}  // namespace

std::vector<Claim> idle_claims() {
  using enum Claim::Comparison;
  return {
      {"limbo-idle",
       "limbo 100 ms after the end of a transaction that changed 100,000 objects, of a sleeper that held as many, "
       "nobody "
       "active",
       at_most, 1, "MiB", measure_limbo_idle},
      {"revisions", "bytes of the cache after one update of each object against before", at_most, 1.1, "x",
       measure_revisions},
      {"commit-hot", "commit of one object with 10,000 sleepers at snapshots of their own against none", at_most, 2,
       "x", measure_commit_hot},
  };
}

}  // namespace cow::bench
