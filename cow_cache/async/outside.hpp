// outside: a slow call in the middle of a transaction, without holding a thread, and without a cache held hostage.
//
// Thread safety: see [one-user], async_database.hpp.
#pragma once

#include "detail/coroutines.hpp"

#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

#include "async_database.hpp"
#include "detail/by_name.hpp"
#include "sleep.hpp"
#include "task.hpp"

namespace cow {

/// On which snapshot a transaction goes on after a call outside.
enum class Snapshot {
  same,   ///< the transaction sleeps: it keeps its snapshot, and the states that it has read
  fresh,  ///< it ends before the call and begins anew after it (collective.futures); what it read before is dangling
};

namespace detail {

template <class Database, class Call>
auto call_outside(BasicAsyncTransaction<Database>& txn, Call call, Snapshot snapshot)
    -> Task<TaskResult<Call&, const Cancellation&>> {
  using Result = TaskResult<Call&, const Cancellation&>;
  txn.cancellation().throw_if_requested();
  if (snapshot == Snapshot::same) {
    txn.will_sleep();
  } else {
    if (txn->writes() > 0) throw std::logic_error("outside: a fresh snapshot would lose what the transaction wrote");
    txn->abort();
  }
  std::conditional_t<std::is_void_v<Result>, std::monostate, std::optional<Result>> result;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<Result>) {
      co_await returned(call(txn.cancellation()));
    } else {
      result.emplace(co_await returned(call(txn.cancellation())));
    }
  } catch (...) {
    error = std::current_exception();
  }
  if (snapshot == Snapshot::fresh) txn.restart();  // whatever has come of the call, the body may go on
  if (error) std::rethrow_exception(error);
  txn.cancellation().throw_if_requested();
  if constexpr (!std::is_void_v<Result>) co_return *std::move(result);
}

}  // namespace detail

/// `co_await outside(txn, call)` awaits `call(const Cancellation&)`, a Task, and gives its result. The call is to heed the
/// cancellation: it is not interrupted from here. Throws what it throws; CancelledError, DeadlineExceededError after it;
/// std::logic_error if there are writes, which a fresh snapshot would lose. Whatever it throws, the transaction is active
/// again, on the snapshot that was asked for: a body that catches it may go on. (Not if a fresh one cannot be had: then it throws what
/// `begin` throws, and the transaction has ended.) With GCC 12 a call that has captured what
/// must be destroyed needs a name (by_name.hpp).
template <class Database, class Call>
auto outside(BasicAsyncTransaction<Database>& txn, Call&& call, Snapshot snapshot = Snapshot::same) {
  static_assert(MakesTask<std::decay_t<Call>&, const Cancellation&>,
                "cow: a call `outside` of a transaction is a coroutine that takes the cancellation: "
                "[](const cow::Cancellation& cancellation) -> cow::Task<T> { ... co_return result; }");
  if constexpr (MakesTask<std::decay_t<Call>&, const Cancellation&>) {
    return detail::made_with<Call>(
        detail::call_outside<Database, std::decay_t<Call>>(txn, std::forward<Call>(call), snapshot));
  } else {
    return Task<>();
  }
}

/// Sleeps inside a transaction: see sleep_for.
template <class Database, class Rep, class Period>
Task<> async_sleep(BasicAsyncTransaction<Database>& txn, std::chrono::duration<Rep, Period> duration) {
  txn.will_sleep();
  return sleep_for(txn.executor(), duration, txn.cancellation());
}

}  // namespace cow
