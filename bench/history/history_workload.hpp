// List appends by threads of one process, recorded for the history checker.
//
// Thread safety: `run` starts and joins its threads; each records its own transactions, so that recording orders nothing.
//
// With several databases over one store each transaction is one of any of them, and begins when that has learned of all commits that have
// returned by then, and of all that was seen by transactions that have ended, of whichever database: so the same is asked of all together
// as of one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "client.hpp"
#include "history_checker.hpp"

namespace cow::bench::history {

struct WorkloadOptions {
  Isolation level = Isolation::snapshot;
  std::uint64_t seed = 1;
  unsigned threads = 4;
  std::size_t transactions = 10'000;  ///< of all threads
  unsigned open = 4;                  ///< transactions at a time, of each thread
  std::uint32_t lists = 8;            ///< in use at a time
  std::size_t longest = 16;           ///< a list of as many values is left behind
};

/// One transaction that reads all lists.
inline HistoryTransaction read_all(Database& database, Board& board, Tid at_least) {
  HistoryTransaction all;
  all.begin = now();
  Transaction txn = database.begin_at_least(at_least);
  for (std::uint32_t key = 0; key < board.lists(); ++key) {
    const Oid oid{board.list(key).oid.load(std::memory_order_acquire)};
    if (!oid) continue;
    try {
      all.operations.push_back({key, 0, txn.read(Ref<AppendList>(oid)).values});
    } catch (const DanglingReferenceError&) {
      all.operations.push_back({key, 0, {}});
    }
  }
  txn.commit();
  all.end = now();
  return all;
}

class HistoryWorkload {
 public:
  HistoryWorkload(Database& database, const WorkloadOptions& options)
      : HistoryWorkload(std::vector<Database*>{&database}, options) {}
  HistoryWorkload(std::vector<Database*> databases, const WorkloadOptions& options)
      : databases_(std::move(databases)),
        options_(options),
        board_({.transactions = options.transactions, .lists = options.lists, .longest = options.longest}) {}

  /// Runs everything and returns the history, which ends with a transaction that reads all lists. Throws what a thread met
  /// and should not have.
  std::vector<HistoryTransaction> run() {
    std::vector<std::vector<HistoryTransaction>> parts(options_.threads);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < options_.threads; ++t) {
      threads.emplace_back([&, t] {
        try {
          Host host(*this, parts[t]);
          Client(host, {.seed = options_.seed * 1000 + t, .number = t + 1, .open = options_.open}).run();
        } catch (...) {
          std::scoped_lock lock(mutex_);
          failure_ = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    std::vector<HistoryTransaction> history;
    for (auto& part : parts) std::ranges::move(part, std::back_inserter(history));
    history.push_back(read_all(*databases_.front(), board_, is_one() ? Tid{} : board_.last()));
    return history;
  }

 private:
  /// Of one thread.
  class Host final : public ClientHost {
   public:
    Host(HistoryWorkload& workload, std::vector<HistoryTransaction>& records)
        : workload_(workload), records_(records) {}

    Board& board() override { return workload_.board_; }
    Transaction begin(std::mt19937_64& random, HistoryTransaction& record) override {
      record.begin = now();
      Database& database = any_database(random);
      const Isolation level = workload_.options_.level;
      return workload_.is_one() ? database.begin(level) : database.begin_at_least(board().last(), level);
    }
    Database& any_database(std::mt19937_64& random) override {
      const std::vector<Database*>& all = workload_.databases_;
      return all.size() == 1 ? *all.front() : *all[random() % all.size()];
    }
    void ended(OpenTransaction& open) override { records_.push_back(std::move(open.record)); }

   private:
    HistoryWorkload& workload_;
    std::vector<HistoryTransaction>& records_;
  };

  bool is_one() const { return databases_.size() == 1; }

  const std::vector<Database*> databases_;
  const WorkloadOptions options_;
  Board board_;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace cow::bench::history
