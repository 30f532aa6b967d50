// The process that the recovery probe kills: fills a bank and serves its clients until the end comes.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "persistence/rocksdb_store.hpp"
#include "recovery_workload.hpp"

namespace cow::bench {
namespace {

using namespace recovery;

/// False: nobody listens any more.
bool tell(int pipe, const Message& message) {
  return ::write(pipe, &message, sizeof message) == static_cast<ssize_t>(sizeof message);
}

template <class Database>
void serve(const RecoveryOptions& options, int pipe) {
  RocksDbStore store(options.path, {.durable = !options.unsynced, .create_if_missing = true});
  Bank bank(options);
  {
    Database database(store, cache_options<Database>(options));
    bank.fill(database);
  }
  Database database(store, cache_options<Database>(options));  // the clients start cold, as they will again
  std::vector<std::unique_ptr<Client<Database>>> clients;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    clients.push_back(std::make_unique<Client<Database>>(database, bank, i, 0));
  }
  std::atomic<bool> listened_to{tell(pipe, {.kind = Message::Kind::started, .client = 0, .write = 0, .ratio = 0})};
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < options.clients; ++i) {
    threads.emplace_back([&, i] {
      Client<Database>& client = *clients[i];
      while (listened_to) {
        // Acknowledged once the commit has returned, as to any client.
        if (client.step() &&
            !tell(pipe, {.kind = Message::Kind::committed, .client = i, .write = client.written(), .ratio = 0})) {
          listened_to = false;
        }
      }
    });
  }
  HitRatio hit_ratio;
  while (listened_to) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::uint64_t reads = 0;
    for (const auto& client : clients) reads += client->reads();
    if (!hit_ratio.add(reads, database.statistics().loads)) continue;
    if (!tell(pipe, {.kind = Message::Kind::hit_ratio, .client = 0, .write = 0, .ratio = hit_ratio.last()})) {
      listened_to = false;
    }
  }
}

}  // namespace

void run_recovery_victim(const RecoveryOptions& options, int acknowledgements) {
  with_database(options.cache,
                [&]<class Database>(std::type_identity<Database>) { serve<Database>(options, acknowledgements); });
}

}  // namespace cow::bench
