// Kills a process that commits (SIGKILL), reopens its store, and measures from the kill on: the time to the first correct
// answer, and the time until the hit ratio is back at 95% of what it was. Then it checks the whole bank: every write that
// was acknowledged is there, at most one more of each client, and nothing is half there.
//
// A kill leaves the operating system's page cache as it was: this is the crash of a process, not of a machine.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/support/paired.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/scratch_directory.hpp"
#include "persistence/rocksdb_store.hpp"
#include "recovery_watch.hpp"
#include "recovery_workload.hpp"

namespace cow::bench {
namespace {

using namespace recovery;

constexpr double kBackAt = 0.95;         // of the earlier hit ratio
constexpr double kLongestWarmUp_s = 60;  // after that something is wrong

std::uint64_t log_bytes_in(const std::filesystem::path& path) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file() && entry.path().extension() == ".log") bytes += entry.file_size();
  }
  return bytes;
}

struct Recovery {
  double open_s = 0, first_answer_s = 0, warm_s = 0;  ///< since the kill
  std::vector<std::uint64_t> recovered, at_end;       ///< writes of each client: found, and after the warm-up
  Tid at;                                             ///< the last commit that was found
  double ratio_before = 0;
  nlohmann::json ratios = nlohmann::json::array();  ///< pairs of seconds and hit ratio
  std::uint64_t loads = 0;
  std::size_t cache_bytes = 0, limbo_bytes = 0;
};

/// Serves the clients until the hit ratio is back.
template <class Database>
void warm_up(Database& database, const Bank& bank, double killed, Recovery& recovery) {
  std::vector<std::unique_ptr<Client<Database>>> clients;
  for (std::uint32_t i = 0; i < bank.clients; ++i) {
    clients.push_back(std::make_unique<Client<Database>>(database, bank, i, recovery.recovered[i]));
  }
  std::atomic<bool> stop{false};
  std::vector<std::exception_ptr> failures(bank.clients);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < bank.clients; ++i) {
      threads.emplace_back([&, i] {
        try {
          while (!stop) (void)clients[i]->step();
        } catch (...) {
          failures[i] = std::current_exception();
          stop = true;
        }
      });
    }
    HitRatio hit_ratio;
    const std::uint64_t loads_before = database.statistics().loads;
    while (!stop) {
      std::this_thread::sleep_for(std::chrono::microseconds(500));
      std::uint64_t reads = 0;
      for (const auto& client : clients) reads += client->reads();
      const double now = seconds_now() - killed;
      if (hit_ratio.add(reads, database.statistics().loads - loads_before)) {
        recovery.ratios.push_back({now, hit_ratio.last()});
        if (hit_ratio.last() >= kBackAt * recovery.ratio_before) {
          recovery.warm_s = now;
          stop = true;
        }
      }
      if (now > kLongestWarmUp_s) stop = true;
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  if (recovery.warm_s == 0) throw std::runtime_error("the hit ratio did not come back");
  for (const auto& client : clients) recovery.at_end.push_back(client->written());
}

/// Reopens, answers, warms up.
template <class Database>
Recovery recover(RocksDbStore& store, const RecoveryOptions& options, Bank& bank, double killed, double ratio_before) {
  Recovery recovery;
  recovery.ratio_before = ratio_before;
  recovery.open_s = seconds_now() - killed;
  Database database(store, cache_options<Database>(options));
  {
    // The answer: how far each client came. The check of the whole bank shows that it was correct.
    auto session = open_session(database);
    auto txn = session.begin();
    bank.open(txn);
    for (std::uint32_t i = 0; i < bank.clients; ++i) recovery.recovered.push_back(txn.read(bank.ledger(i)).write);
    recovery.at = txn.snapshot();
  }
  recovery.first_answer_s = seconds_now() - killed;
  warm_up(database, bank, killed, recovery);
  const Statistics statistics = database.statistics();
  recovery.loads = statistics.loads;
  recovery.cache_bytes = statistics.cache_bytes;
  recovery.limbo_bytes = statistics.limbo_bytes;
  return recovery;
}

/// Throws WrongAnswerError unless the store holds exactly so many writes of each client at that tid.
void verify(RocksDbStore& store, const Bank& bank, Model& model, const std::vector<std::uint64_t>& writes, Tid at) {
  for (std::uint32_t client = 0; client < bank.clients; ++client) {
    model.advance(client, writes[client]);
    const Oid oid = bank.ledger(client).oid();
    const std::optional<Revision> revision = store.load(oid, at);
    if (!revision) throw WrongAnswerError(fmt::format("the ledger of client {} is lost", client));
    check_count("writes in a ledger", writes[client],
                cow::detail::decode_record<Ledger>(revision->record, oid, at).write);
  }
  for (std::uint32_t number = 0; number < bank.accounts; ++number) {
    const Oid oid = bank.account(number).oid();
    const std::optional<Revision> revision = store.load(oid, at);
    if (!revision) throw WrongAnswerError(fmt::format("account {} is lost", number));
    model.check(number, cow::detail::decode_record<Account>(revision->record, oid, at));
  }
}

std::uint64_t sum(const std::vector<std::uint64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

/// The median over the second half: the first may still be warming up.
double settled(const std::vector<double>& ratios) {
  if (ratios.size() < 4) throw std::runtime_error("killed before there was a hit ratio: more --seconds, please");
  return median({ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2), ratios.end()});
}

}  // namespace

void probe_recovery(const RecoveryOptions& asked) {
  RecoveryOptions options = asked;
  std::optional<ScratchDirectory> scratch;
  if (options.path.empty()) options.path = scratch.emplace().path() / "store";
  if (std::filesystem::exists(options.path)) throw std::runtime_error(options.path.string() + " exists");
  if (options.accounts < 2 * options.clients) throw std::runtime_error("each client needs two accounts");
  Bank bank(options);
  Testimony testimony;
  double killed = 0;
  {
    Progress progress("serving, to be killed");
    Victim victim(options);
    victim.wait_until_started();
    for (double start = seconds_now(), now = 0; now < options.seconds; now = seconds_now() - start) {
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(0.1, options.seconds - now)));
      progress(static_cast<std::uint64_t>(now * 1e3), static_cast<std::uint64_t>(options.seconds * 1e3));
    }
    killed = seconds_now();
    testimony = victim.kill();
  }
  const double ratio_before = settled(testimony.hit_ratios);
  const std::uint64_t log_bytes = log_bytes_in(options.path);
  RocksDbStore store(options.path, {.durable = !options.unsynced});
  Recovery recovery;
  with_database(options.cache, [&]<class Database>(std::type_identity<Database>) {
    recovery = recover<Database>(store, options, bank, killed, ratio_before);
  });

  for (std::uint32_t client = 0; client < options.clients; ++client) {
    const std::uint64_t acknowledged = testimony.acknowledged[client], found = recovery.recovered[client];
    if (found < acknowledged) {
      throw WrongAnswerError(
          fmt::format("client {}: write {} was acknowledged, the store has {}", client, acknowledged, found));
    }
    if (found > acknowledged + 1) {
      throw WrongAnswerError(
          fmt::format("client {}: the store has {} writes, {} were acknowledged", client, found, acknowledged));
    }
  }
  Model model(bank);
  verify(store, bank, model, recovery.recovered, recovery.at);
  verify(store, bank, model, recovery.at_end, store.last_tid());  // and what was written since
  (void)store.verify();                                           // and every link of the history

  nlohmann::json row = probe_row(options, options.cache, "recovery", {{"accounts", options.accounts}});
  row["parameters"] = {{"accounts", options.accounts}, {"clients", options.clients},   {"cached", options.cached},
                       {"seconds", options.seconds},   {"unsynced", options.unsynced}, {"store", "rocksdb"}};
  row["duration_s"] = options.seconds;
  row["operations"] = sum(testimony.acknowledged);
  row["store_loads"] = recovery.loads;
  row["cache_bytes"] = recovery.cache_bytes;
  row["limbo_bytes"] = recovery.limbo_bytes;
  row["figures"] = {{"open_s", recovery.open_s},
                    {"first_answer_s", recovery.first_answer_s},
                    {"warm_s", recovery.warm_s},
                    {"hit_ratio_before", ratio_before},
                    {"acknowledged", sum(testimony.acknowledged)},
                    {"recovered", sum(recovery.recovered)},
                    {"log_bytes", log_bytes}};
  row["hit_ratio_over_time"] = recovery.ratios;
  fmt::print(
      "{:<10} killed after {} acknowledged commits, {} found, none lost, none half there; log {:.1f} MiB\n"
      "           opened after {:.1f} ms, first answer after {:.1f} ms, hit ratio back at 95% of {:.3f} after {:.1f} "
      "ms\n",
      options.cache, sum(testimony.acknowledged), sum(recovery.recovered), static_cast<double>(log_bytes) / (1 << 20),
      recovery.open_s * 1e3, recovery.first_answer_s * 1e3, ratio_before, recovery.warm_s * 1e3);
  append_rows(options.output, {row});
}

}  // namespace cow::bench
