// outside: a slow call in the middle of a transaction, without holding a thread, and without a cache held hostage.
//
// Thread safety: see async_database.hpp, invariant 1.
#pragma once

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "async_database.hpp"
#include "sleep.hpp"
#include "task.hpp"

namespace cow {

/// On which snapshot a transaction goes on after a call outside.
enum class Snapshot {
  same,   ///< the transaction sleeps: it keeps its snapshot, and the states that it has read
  fresh,  ///< it ends before the call and begins anew after it (collective.futures); what it read before is dangling
};

/// `co_await outside(txn, call)` awaits `call(const Cancellation&)`, a Task, and gives its result. The call is to heed the
/// cancellation: it is not interrupted from here. Throws what it throws; CancelledError, DeadlineExceededError after it;
/// std::logic_error if there are writes, which a fresh snapshot would lose.
template <class Database, class Call>
auto outside(BasicAsyncTransaction<Database>& txn, Call call, Snapshot snapshot = Snapshot::same)
    -> Task<TaskResult<Call&, const Cancellation&>> {
  using Result = TaskResult<Call&, const Cancellation&>;
  txn.cancellation().throw_if_requested();
  if (snapshot == Snapshot::same) {
    txn.will_sleep();
  } else {
    if (txn->writes() > 0) throw std::logic_error("outside: a fresh snapshot would lose what the transaction wrote");
    txn->abort();
  }
  if constexpr (std::is_void_v<Result>) {
    co_await call(txn.cancellation());
    txn.cancellation().throw_if_requested();
    if (snapshot == Snapshot::fresh) txn.restart();
  } else {
    Result result = co_await call(txn.cancellation());
    txn.cancellation().throw_if_requested();
    if (snapshot == Snapshot::fresh) txn.restart();
    co_return result;
  }
}

/// Sleeps inside a transaction.
template <class Database>
Task<> async_sleep(BasicAsyncTransaction<Database>& txn, Cancellation::Clock::duration duration) {
  txn.will_sleep();
  return sleep_for(txn.executor(), duration, txn.cancellation());
}

}  // namespace cow
