// One of several processes over one PostgreSQL, whose clients record a history, and which may be killed at any moment.
//
// The program that starts such processes is executed once more for each of them: its `main` calls run_as_peer before anything else.
//
// Thread safety: run_as_peer is called before the program has threads; it starts and joins those of the clients.
#pragma once

#include <signal.h>
#include <sys/prctl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "board.hpp"
#include "client.hpp"
#include "cow_cache/cow_cache.hpp"
#include "journal.hpp"
#include "persistence/detail/postgres/errors.hpp"
#include "persistence/postgres_store.hpp"

namespace cow::bench::history {

/// What a process is told on its command line.
struct PeerOrders {
  std::filesystem::path directory;  ///< with the board and the journals
  std::string connection, schema;
  std::uint64_t seed = 1, transactions = 0;  ///< of all processes
  std::uint32_t place = 0;                   ///< 0 to 3: processes differ in their options
  std::uint32_t life = 0;                    ///< no other process, dead ones included, has this number
  std::uint32_t threads = 3, lists = 24;
  Isolation level = Isolation::snapshot;
  std::string sabotage = {};  ///< for tests: what the store is to do wrong

  static constexpr std::string_view kWord = "--history-peer";

  std::vector<std::string> words() const {
    return {std::string(kWord),
            directory.string(),
            connection,
            schema,
            std::to_string(seed),
            std::to_string(transactions),
            std::to_string(place),
            std::to_string(life),
            std::to_string(threads),
            std::to_string(lists),
            level == Isolation::snapshot ? "snapshot" : "serializable",
            sabotage};
  }
  static PeerOrders of(char** words) {
    const auto number = [&](int at) { return std::strtoull(words[at], nullptr, 10); };
    const auto small = [&](int at) { return static_cast<std::uint32_t>(number(at)); };
    return {.directory = words[1],
            .connection = words[2],
            .schema = words[3],
            .seed = number(4),
            .transactions = number(5),
            .place = small(6),
            .life = small(7),
            .threads = small(8),
            .lists = small(9),
            .level = std::string_view(words[10]) == "snapshot" ? Isolation::snapshot : Isolation::serializable,
            .sabotage = words[11]};
  }

  BoardSize board_size() const { return {.transactions = transactions, .lists = lists}; }
  std::filesystem::path board() const { return directory / "board"; }
  std::filesystem::path journal(std::uint32_t client) const {
    return directory / ("journal." + std::to_string(client));
  }
  std::uint32_t first_client() const { return life * threads + 1; }

  PostgresOptions store() const {
    PostgresOptions options;
    options.connection = connection;
    options.schema = schema;
    options.pool_size = 4;
    options.retry_for = std::chrono::milliseconds(1'000);
    if (place == 1) options.pooler = PostgresPooler::transaction;
    if (place == 2) options.isolation = PostgresIsolation::serializable;
    return options;
  }
  CacheOptions cache() const {
    static constexpr std::array<std::size_t, 4> kBudgets{1, 64 << 10, 256 << 10, 64 << 20};
    CacheOptions options{.cache_bytes = kBudgets[(place + seed) % kBudgets.size()], .limbo_bytes = 16 << 10};
    options.peers.poll_every = std::chrono::milliseconds(20);
    return options;
  }
};

/// For tests: a store that does something wrong in front of the right one.
using Saboteur = std::function<std::unique_ptr<Store>(PostgresStore&, const PeerOrders&)>;

namespace peer_process {

/// The server could not be reached, or has refused for the sake of others for as long as the store tries.
inline bool is_passing(const StoreError& error) {
  if (dynamic_cast<const StoreConnectionError*>(&error) != nullptr) return true;
  const auto* by_server = dynamic_cast<const cow::detail::postgres::ServerError*>(&error);
  return by_server != nullptr && by_server->is_passing();
}

/// Again and again, while that is so.
template <class Make>
auto once_it_can(Make make) {
  for (;;) {
    try {
      return make();
    } catch (const StoreError& error) {
      if (!is_passing(error)) throw;
    }
  }
}

class Host final : public ClientHost {
 public:
  Host(Database& database, Board& board, const PeerOrders& orders, std::uint32_t client)
      : database_(database), board_(board), orders_(orders), client_(client), journal_(orders.journal(client)) {}

  Board& board() override { return board_; }
  Database& any_database(std::mt19937_64& /*random*/) override { return database_; }
  bool expects_failures() const override { return true; }
  bool is_refusal(const StoreError& error) const override { return is_passing(error); }

  /// Every second one asks for all that was acknowledged or seen anywhere. The others take what this process knows: real time does not
  /// order them after anything.
  Transaction begin(std::mt19937_64& random, HistoryTransaction& record) override {
    began_ = record.begin = now();
    if (random() % 2 == 0) return database_.begin_at_least(board_.last(), orders_.level);
    record.begin = INT64_MIN;
    return database_.begin(orders_.level);
  }
  void began(OpenTransaction& open) override { open.began = began_; }

  void before_commit(OpenTransaction& open) override {
    open.txn.note("", std::to_string(open.id));
    open.asked = now();
    journal_.asks(recorded(open));
  }

  void ended(OpenTransaction& open) override {
    open.asked != 0 ? journal_.is_answered(recorded(open)) : journal_.has_ended(recorded(open));
  }

 private:
  Recorded recorded(OpenTransaction& open) {
    return {.what = open.record,
            .id = open.id,
            .snapshot = open.snapshot,
            .tid = open.tid,
            .began = open.began,
            .asked = open.asked,
            .is_unseen = open.is_unseen,
            .client = client_};
  }

  Database& database_;
  Board& board_;
  const PeerOrders& orders_;
  const std::uint32_t client_;
  Journal journal_;
  std::int64_t began_ = 0;
};

inline int run(const PeerOrders& orders, const Saboteur& saboteur) {
  Board board(orders.board_size(), orders.board());
  const auto store = once_it_can([&] { return std::make_unique<PostgresStore>(orders.store()); });
  const std::unique_ptr<Store> sabotaged = saboteur && !orders.sabotage.empty() ? saboteur(*store, orders) : nullptr;
  Store& used = sabotaged ? *sabotaged : *store;
  const auto database = once_it_can([&] { return std::make_unique<Database>(used, orders.cache()); });
  std::mutex mutex;
  std::exception_ptr failure;
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < orders.threads; ++i) {
      threads.emplace_back([&, client = orders.first_client() + i] {
        try {
          Host host(*database, board, orders, client);
          Client(host, {.seed = orders.seed * 1'000'003 + client, .number = client, .open = 3}).run();
        } catch (...) {
          const std::scoped_lock lock(mutex);
          if (!failure) failure = std::current_exception();
        }
      });
    }
  }
  if (failure) std::rethrow_exception(failure);
  return 0;
}

}  // namespace peer_process

/// The exit code, if the program was started as one of the processes.
inline std::optional<int> run_as_peer(int argc, char** argv, const Saboteur& saboteur = {}) {
  constexpr int kWords = 13;
  if (argc != kWords || argv[1] != PeerOrders::kWord) return std::nullopt;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    return peer_process::run(PeerOrders::of(argv + 1), saboteur);
  } catch (const std::exception& error) {
    std::cerr << "process " << argv[7] << " of a history: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace cow::bench::history
