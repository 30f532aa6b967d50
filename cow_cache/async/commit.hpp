// async_commit: a commit without blocking the loop.
//
// Thread safety: see [one-user], async_database.hpp.
//
// Invariants:
//  1. A transaction that wrote nothing commits inline: no suspension, no allocation.
//  2. A commit that has begun is not cancelled: its outcome is known when it completes.
#pragma once

#include "detail/coroutines.hpp"

#include <coroutine>
#include <utility>

#include "async_database.hpp"
#include "spawn.hpp"
#include "task.hpp"
#include "worker_pool.hpp"

namespace cow {
namespace detail {

template <class AsyncTransaction>
Task<> commit_on_pool(AsyncTransaction& txn) {
  co_await async_run(
      txn.database().commits(), txn.executor(), [&txn] { txn->commit(); }, txn.cancellation());
}

template <class AsyncTransaction>
class [[nodiscard]] CommitAwait {
 public:
  explicit CommitAwait(AsyncTransaction& txn) noexcept : txn_(txn) {}

  bool await_ready() {
    if (txn_->writes() > 0) return false;
    txn_->commit();
    return true;
  }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> coroutine) {
    waits_ = true;
    on_pool_ = commit_on_pool(txn_);
    return on_pool_.await_suspend(coroutine);
  }
  void await_resume() const {
    if (waits_) on_pool_.await_resume();
  }

 private:
  AsyncTransaction& txn_;
  bool waits_ = false;
  Task<> on_pool_;
};

}  // namespace detail

/// `co_await async_commit(txn)`: like Transaction::commit, and throws like it; besides, CancelledError and
/// DeadlineExceededError as long as no thread has begun with it. The transaction has ended then, or is to be dropped.
template <class Database>
auto async_commit(BasicAsyncTransaction<Database>& txn) {
  return detail::CommitAwait<BasicAsyncTransaction<Database>>(txn);
}

/// The same with a completion token, `void(std::exception_ptr)`.
template <class Database, class Token>
auto async_commit(BasicAsyncTransaction<Database>& txn, Token&& token) {
  return spawn(txn.executor(), as_task(async_commit(txn)), std::forward<Token>(token));
}

}  // namespace cow
