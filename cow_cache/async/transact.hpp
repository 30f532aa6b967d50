// async_transact: a coroutine as a transaction, again when it meets a conflict.
//
// Thread safety: see async_database.hpp.
#pragma once

#include "detail/coroutines.hpp"

#include <type_traits>
#include <utility>

#include "commit.hpp"
#include "cow_cache/detail/commit/attempts.hpp"
#include "cow_cache/retry_policy.hpp"
#include "detail/by_name.hpp"
#include "sleep.hpp"

namespace cow {

namespace detail {

template <class Database, class Body>
auto transact_on_loop(BasicAsyncDatabase<Database>& database, AnyExecutor executor, Body body,
                      Cancellation cancellation, RetryPolicy retry)
    -> Task<TaskResult<Body&, BasicAsyncTransaction<Database>&>> {
  using Result = TaskResult<Body&, BasicAsyncTransaction<Database>&>;
  auto txn = co_await async_begin(database, executor, cancellation);
  TransactFrame*& innermost = co_await InnermostFrame();
  TransactFrame frame(innermost);
  innermost = &frame;  // for what the body awaits
  for (Attempts attempts(retry);;) {
    txn->enter(frame);
    const Tid snapshot = txn->snapshot();
    try {
      if constexpr (std::is_void_v<Result>) {
        co_await returned(body(txn));
        co_await async_commit(txn);
        co_return;
      } else {
        Result result = co_await returned(body(txn));
        co_await async_commit(txn);
        co_return result;
      }
    } catch (const ConflictError& error) {
      attempts.met(error, frame);
    } catch (const SnapshotTooOldError& error) {
      attempts.met(error, snapshot);
    }
    txn->abort();  // holds nothing while it pauses
    co_await sleep_for(executor, attempts.pause(), cancellation);
    txn.restart();
  }
}

}  // namespace detail

/// Awaits `body(AsyncTransaction&)`, a Task, and commits; again from the start, a bounded number of times and after a
/// pause without a thread, when somebody else committed first, or a pack went beyond its snapshot while it began. Gives what the
/// body gives. It is admitted once: those who try again do not queue again. Throws the last ConflictError or SnapshotTooOldError,
/// OverloadedError, CancelledError, DeadlineExceededError, or what the body throws; the transaction is aborted then, and all it
/// held is free. The body may
/// await further transactions, as in Database::transact; a task that is spawned is not inside of anything. Each of them wants a place
/// of its own (AsyncOptions::most_in_flight) while the outer one keeps its: allow for more than there are outer ones, or give
/// them deadlines. With GCC 12 a
/// body that has captured what must be destroyed needs a name where the result is awaited (by_name.hpp).
template <class Database, class Body>
auto async_transact(BasicAsyncDatabase<Database>& database, AnyExecutor executor, Body&& body,
                    Cancellation cancellation = Cancellation(), RetryPolicy retry = RetryPolicy()) {
  using Given = BasicAsyncTransaction<Database>&;
  static_assert(std::is_invocable_v<std::decay_t<Body>&, Given>,
                "cow: the body of `async_transact` takes its transaction by reference: "
                "[](cow::AsyncTransaction& txn) -> cow::Task<> { ... co_return; }");
  if constexpr (MakesTask<std::decay_t<Body>&, Given>) {
    return detail::made_with<Body>(detail::transact_on_loop<Database, std::decay_t<Body>>(
        database, std::move(executor), std::forward<Body>(body), std::move(cancellation), retry));
  } else {
    static_assert(
        !std::is_invocable_v<std::decay_t<Body>&, Given>,
        "cow: the body of `async_transact` is no coroutine: give it the result cow::Task<>, or cow::Task<T>, and a "
        "co_return or co_await: [](cow::AsyncTransaction& txn) -> cow::Task<> { ... co_return; }");
    return Task<>();
  }
}

}  // namespace cow
