// Attempts: which conflicts end a call of `transact`, in any of its forms, and how long it pauses after the others.
//
// Thread safety: belongs to one call, which may go on in another thread.
//
// The loop itself stands in each form, because a coroutine waits by a co_await, and coroutines and fibers keep their transaction. The
// loop of threads is below.
#pragma once

#include <chrono>
#include <thread>
#include <type_traits>

#include "cow_cache/errors.hpp"
#include "cow_cache/retry_policy.hpp"
#include "transact_frame.hpp"

namespace cow::detail {

class Attempts {
 public:
  explicit Attempts(const RetryPolicy& policy) noexcept : policy_(policy) {}

  /// An attempt inside of `frame` has met a conflict. Throws what ends the call: NestedTransactionError, if every further
  /// attempt would meet it too; `error` itself, if this was the last attempt. REQUIRES: the caller is the handler of `error`.
  void met(const ConflictError& error, const TransactFrame& frame) {
    frame.require_others(error);
    if (conflicts_ + 1 >= policy_.most_attempts) throw;
    ++conflicts_;
  }

  /// How long to wait now. REQUIRES: a conflict was met.
  std::chrono::microseconds pause() const { return policy_.pause_after(conflicts_); }

 private:
  const RetryPolicy policy_;
  int conflicts_ = 0;
};

/// One attempt that waits in place. Returns what the body returns.
template <class Body, class Transaction, class Commit>
auto run_and_commit(Body& body, Transaction& transaction, Commit&& commit) {
  if constexpr (std::is_void_v<std::invoke_result_t<Body&, Transaction&>>) {
    body(transaction);
    commit();
  } else {
    auto result = body(transaction);
    commit();
    return result;
  }
}

/// A call of `transact` by a thread: `begin()` gives each attempt its transaction.
template <class Begin, class Body>
auto transact_in_thread(Begin&& begin, Body& body, const RetryPolicy& policy) {
  for (Attempts attempts(policy);;) {
    ThreadTransactFrame frame;
    try {
      auto transaction = begin();
      transaction.enter(frame);
      return run_and_commit(body, transaction, [&] { transaction.commit(); });
    } catch (const ConflictError& error) {
      attempts.met(error, frame);
    }
    std::this_thread::sleep_for(attempts.pause());
  }
}

}  // namespace cow::detail
