// AsyncDatabase: a database for event loops. AsyncTransaction: a transaction of a coroutine (or fiber, or callback).
//
// Thread safety: an AsyncDatabase may be used from any thread. An AsyncTransaction is used by one thread at a time, like
// the transaction in it; its executor is serial (an io_context that one thread runs, or a strand).
//
// Invariants:
//  1. [one-user] REQUIRES of every asynchronous operation on a transaction: until it completes, nobody else uses the transaction. It
//     is suspended: a pool's thread reads, logs and commits in its place.
//  2. What ends an AsyncTransaction (a commit, its destructor) frees all it held: its snapshot and log, and its place
//     among those in flight, in that order.
//  3. The loop's thread never waits for the store: misses go to the pool for loads, commits to the pool for commits. They
//     are apart, so that loads do not queue behind a slow device's synchronous writes.
//  4. REQUIRES: the AsyncDatabase outlives its transactions and operations.
#pragma once

#include "detail/coroutines.hpp"

#include <cstddef>
#include <utility>

#include "cancellation.hpp"
#include "cow_cache/database.hpp"
#include "cow_cache/detail/refused.hpp"
#include "detail/admission.hpp"
#include "worker_pool.hpp"

namespace cow {

struct AsyncOptions {
  std::size_t load_threads = 4;    ///< reads of the store at a time
  std::size_t commit_threads = 8;  ///< commits at a time: the most that a group of the committer can hold
  std::size_t most_in_flight = std::size_t{1} << 16;  ///< transactions at a time
  std::size_t most_waiting = std::size_t{1} << 16;    ///< beginners that may queue for that; then OverloadedError
};

template <class Database>
class BasicAsyncDatabase {
 public:
  explicit BasicAsyncDatabase(Database& database, const AsyncOptions& options = {})
      : database_(database),
        admission_("database", options.most_in_flight, options.most_waiting),
        loads_("loads", {.threads = options.load_threads}),
        commits_("commits", {.threads = options.commit_threads}) {}
  // NOLINTNEXTLINE(google-explicit-constructor): it converts nothing
  BasicAsyncDatabase COW_CACHE_REFUSED(
      "cow: a database must outlive its AsyncDatabase: give it a name, `cow::Database db(store); cow::AsyncDatabase "
      "async(db);`",
      Database&&, const AsyncOptions& = {});

  Database& database() noexcept { return database_; }
  detail::Admission& admission() noexcept { return admission_; }
  WorkerPool& loads() noexcept { return loads_; }
  WorkerPool& commits() noexcept { return commits_; }

 private:
  Database& database_;
  detail::Admission admission_;
  WorkerPool loads_, commits_;
};

template <class Database>
class BasicAsyncTransaction {
 public:
  using Transaction = typename Database::Transaction;

  /// Begins it now. Most callers want `async_begin` or `async_transact`, which wait to be admitted.
  BasicAsyncTransaction(BasicAsyncDatabase<Database>& database, AnyExecutor executor, Cancellation cancellation,
                        detail::Admission::Permit permit)
      : database_(&database),
        executor_(std::move(executor)),
        cancellation_(std::move(cancellation)),
        permit_(std::move(permit)),
        transaction_(database.database().begin()) {}

  /// For what never waits: `create`, `write` of what was read, `erase`, `snapshot`, ... A `read` of what was not read yet
  /// blocks the thread.
  Transaction& operator*() noexcept { return transaction_; }
  Transaction* operator->() noexcept { return &transaction_; }

  BasicAsyncDatabase<Database>& database() const noexcept { return *database_; }
  const AnyExecutor& executor() const noexcept { return executor_; }
  const Cancellation& cancellation() const noexcept { return cancellation_; }

  /// Ends it, and begins again at the present frontier.
  void restart() {
    detail::TransactFrame* frame = transaction_.frame();
    transaction_.abort();
    transaction_ = database_->database().begin();
    if (frame != nullptr) transaction_.enter(*frame);
  }

  /// Tells the cache that this transaction will sleep. The one place for it: whatever waits for long calls this first.
  /// A transaction that can be parked is taken out of the way of the reclaimer until it is used again.
  void will_sleep() { transaction_.will_sleep(); }

 private:
  BasicAsyncDatabase<Database>* database_;
  AnyExecutor executor_;
  Cancellation cancellation_;
  // In this order: invariant 2.
  detail::Admission::Permit permit_;
  Transaction transaction_;
};

using AsyncDatabase = BasicAsyncDatabase<Database>;
using AsyncTransaction = BasicAsyncTransaction<Database>;

/// `co_await async_begin(database, executor)`: a transaction, once it is admitted. Throws OverloadedError when too many
/// wait already, CancelledError, DeadlineExceededError.
template <class Database>
Task<BasicAsyncTransaction<Database>> async_begin(BasicAsyncDatabase<Database>& database, AnyExecutor executor,
                                                  Cancellation cancellation = Cancellation()) {
  detail::Admission::Permit permit = co_await database.admission().acquire(executor, cancellation);
  co_return BasicAsyncTransaction<Database>(database, executor, cancellation, std::move(permit));
}

}  // namespace cow
