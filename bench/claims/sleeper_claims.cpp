// What sleepers and crowds cost: sleeper-limbo, sleepers-limbo, sleeper-throughput, oversubscribed, open-transactions,
// budget. All on a store that makes its records up, so that nothing but the cache takes memory or time.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/crowd.hpp"
#include "bench/support/generated_items.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/process_memory.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"

namespace cow::bench {
namespace {

/// A database of short items in which all hot ones stay.
struct HotDatabase {
  ItemStore store;
  Database database{store, {.cache_bytes = 256 << 20}};
};

void sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// ---- limbo

struct Limbo {
  double most = 0, late_most = 0;  ///< bytes: over the whole run, and over its second half
  double logged = 0;               ///< bytes of the states that sleepers have logged
  std::uint64_t commits = 0, evictions = 0;
};

/// `sleepers` transactions read `objects` each and go on sleeping, while one thread writes and one reads, both at full
/// speed, over four times as many objects as the budget holds.
Limbo measure_limbo(int sleepers, int objects, double seconds, std::size_t limbo_bytes) {
  constexpr std::uint64_t kItems = 200'000;
  ItemStore store;
  Database database(store, {.cache_bytes = 24 << 20, .limbo_bytes = limbo_bytes});
  std::vector<Transaction> sleeping;
  std::mt19937_64 random(1);
  double bytes_each = 0;
  {
    Transaction txn = database.begin();
    for (std::uint64_t i = 0; i < 1000; ++i) (void)txn.read(item(i));
    bytes_each = static_cast<double>(database.statistics().cache_bytes) / 1000;
  }
  for (int i = 0; i < sleepers; ++i) {
    sleeping.push_back(database.begin());
    for (int k = 0; k < objects; ++k) (void)sleeping.back().read(item(random() % kItems));
  }
  Limbo limbo{.logged = bytes_each * sleepers * objects};
  Statistics before = database.statistics();
  Crowd writer(1, [&](std::mt19937_64& dice) {
    Transaction txn = database.begin();
    for (int i = 0; i < 20; ++i) ++txn.write(item(dice() % kItems)).value;
    txn.commit();
  });
  Crowd reader(1, [&](std::mt19937_64& dice) {
    Transaction txn = database.begin();
    for (int i = 0; i < 20; ++i) (void)txn.read(item(dice() % kItems));
  });
  double start = seconds_now();
  for (double now = 0; now < seconds; now = seconds_now() - start) {
    auto bytes = static_cast<double>(database.statistics().limbo_bytes);
    limbo.most = std::max(limbo.most, bytes);
    if (now > seconds / 2) limbo.late_most = std::max(limbo.late_most, bytes);
    sleep(0.005);
  }
  limbo.commits = writer.stop();
  reader.stop();
  limbo.evictions = database.statistics().evictions - before.evictions;
  return limbo;
}

template <int kSleepers, int kObjects>
Measured measure_sleepers() {
  Limbo hybrid = measure_limbo(kSleepers, kObjects, 10 * effort, CacheOptions{}.limbo_bytes);
  Limbo epochs = measure_limbo(kSleepers, kObjects, 2 * effort, std::numeric_limits<std::size_t>::max() / 4);
  return {
      mebibytes(hybrid.most - hybrid.logged),
      fmt::format("limbo at most {:.2f} MiB, in the second half {:.2f}; logged {:.2f} MiB; {} commits of 20 objects, "
                  "{} evictions in {:g} s; epochs only: {:.0f} MiB after {:g} s",
                  mebibytes(hybrid.most), mebibytes(hybrid.late_most), mebibytes(hybrid.logged), hybrid.commits,
                  hybrid.evictions, 10 * effort, mebibytes(epochs.most), 2 * effort)};
}

// ---- throughput

constexpr std::uint64_t kHotItems = 20'000;

/// One transaction in twenty writes.
void mixed_step(Database& database, std::mt19937_64& dice) {
  Transaction txn = database.begin();
  for (int i = 0; i < 20; ++i) (void)txn.read(item(dice() % kHotItems));
  if (dice() % 20 != 0) return;
  ++txn.write(item(dice() % kHotItems)).value;
  try {
    txn.commit();
  } catch (const ConflictError&) {  // rare, and an end like any other
  }
}

double steps_per_second(Database& database, int threads, double seconds) {
  Crowd crowd(threads, [&](std::mt19937_64& dice) { mixed_step(database, dice); });
  double start = seconds_now();
  sleep(seconds);
  std::uint64_t steps = crowd.stop();
  return static_cast<double>(steps) / (seconds_now() - start);
}

Measured measure_sleeper_throughput() {
  // Many short pairs rather than few long ones: what disturbs the machine spoils a pair. A deep scan comes every few
  // milliseconds, so that a short one has many.
  constexpr double kSeconds = 0.2;
  HotDatabase hot;
  Paired paired = measure_paired(
      repetitions(40),
      [&] {
        Transaction sleeper = hot.database.begin();
        for (std::uint64_t i = 0; i < 1000; ++i) (void)sleeper.read(item(i));
        return steps_per_second(hot.database, 2, kSeconds);
      },
      [&] { return steps_per_second(hot.database, 2, kSeconds); });
  return {paired.ratio, fmt::format("{:.0f} / {:.0f} thousand transactions/s of 20 reads, 5% with a write, 2 threads",
                                    paired.first / 1e3, paired.second / 1e3)};
}

Measured measure_oversubscribed() {
  HotDatabase hot;
  Paired paired = measure_paired(
      repetitions(25), [&] { return steps_per_second(hot.database, 64, 0.4); },
      [&] { return steps_per_second(hot.database, 2, 0.4); });
  return {paired.ratio, fmt::format("{:.0f} / {:.0f} thousand transactions/s of 20 reads, 5% with a write, on {} cores",
                                    paired.first / 1e3, paired.second / 1e3, std::thread::hardware_concurrency())};
}

// ---- memory

Measured measure_open_transactions() {
  constexpr int kTransactions = 10'000, kObjects = 100;
  HotDatabase hot;
  std::mt19937_64 random(1);
  {
    Transaction txn = hot.database.begin();
    for (std::uint64_t i = 0; i < kHotItems; ++i) (void)txn.read(item(i));  // the cache is there already
  }
  std::vector<Transaction> open;
  open.reserve(kTransactions);
  double before = static_cast<double>(process_memory().anonymous);
  for (int i = 0; i < kTransactions; ++i) {
    open.push_back(hot.database.begin());
    for (int k = 0; k < kObjects; ++k) (void)open.back().read(item(random() % kHotItems));
  }
  double after = static_cast<double>(process_memory().anonymous);
  return {(after - before) / kTransactions, fmt::format("{} transactions, {} reads each", kTransactions, kObjects)};
}

Measured measure_budget() {
  constexpr std::size_t kBudget = std::size_t{64} << 20;
  ItemStore store(ItemStore::kLongText);
  double before = static_cast<double>(process_memory().anonymous);
  Database database(store, {.cache_bytes = kBudget});
  auto read_batch = [&, number = std::uint64_t{0}](std::uint64_t objects) mutable {
    for (std::uint64_t end = number + objects; number < end;) {
      Transaction txn = database.begin();
      for (int i = 0; i < 100; ++i) (void)txn.read(item(number++));
    }
    return number;
  };
  std::uint64_t first = read_batch(1000);
  std::uint64_t item_bytes = database.statistics().cache_bytes / first;
  double most = 0;
  std::uint64_t number = first;
  Statistics last;
  while (number * item_bytes < 50 * kBudget) {
    number = read_batch(100'000);
    last = database.statistics();
    most = std::max(most, static_cast<double>(process_memory().anonymous) - before);
  }
  auto part = [](std::uint64_t bytes) { return mebibytes(static_cast<double>(bytes)); };
  return {
      mebibytes(most - 1.1 * kBudget),
      fmt::format("budget {} MiB; {:.1f} million objects of {} B read once; resident at most {:.1f} MiB; at the end: "
                  "slots {:.1f}, heap members {:.1f}, table {:.1f}, limbo {:.1f}, transactions {:.1f}, free slots "
                  "{:.1f} MiB",
                  kBudget >> 20, static_cast<double>(number) / 1e6, item_bytes, mebibytes(most),
                  part(last.slot_bytes()), part(last.heap_bytes), part(last.table_bytes), part(last.limbo_bytes),
                  part(last.transaction_bytes), part(last.free_slot_bytes))};
}

}  // namespace

std::vector<Claim> sleeper_claims() {
  using enum Claim::Comparison;
  return {
      {"sleeper-limbo", "limbo beyond what one sleeper has logged (1,000 objects), writes and evictions at full speed",
       at_most, 1, "MiB", measure_sleepers<1, 1000>},
      {"sleepers-limbo", "the same with 1,000 sleepers of 100 objects each", at_most, 4, "MiB",
       measure_sleepers<1000, 100>},
      {"sleeper-throughput", "throughput with one sleeper against without", at_least, 0.95, "x",
       measure_sleeper_throughput},
      {"oversubscribed", "throughput of 64 runnable threads against 2, read-mostly", at_least, 0.95, "x",
       measure_oversubscribed},
      {"open-transactions", "memory of an open transaction that has read 100 objects, beyond the cache", at_most, 1824,
       "B", measure_open_transactions},
      {"budget", "resident memory beyond 1.1 x the budget over a run through 50 x the budget", at_most, 16, "MiB",
       measure_budget},
  };
}

}  // namespace cow::bench
