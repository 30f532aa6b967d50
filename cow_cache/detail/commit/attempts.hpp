// Attempts: which failures end a call of `transact`, in any of its forms, and how long it pauses after the others.
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
#include "cow_cache/types.hpp"
#include "transact_frame.hpp"

namespace cow::detail {

class Attempts {
 public:
  explicit Attempts(const RetryPolicy& policy) noexcept : policy_(policy) {}

  /// An attempt inside of `frame` has met a conflict. Throws what ends the call: NestedTransactionError, if every further
  /// attempt would meet it too; `error` itself, if this was the last attempt. REQUIRES: the caller is the handler of `error`.
  void met(const ConflictError& error, const TransactFrame& frame) {
    frame.require_others(error);
    count();
  }

  /// A pack went beyond the attempt's snapshot, which had not been announced when the pack looked for those in use: a further attempt has a
  /// later one. Throws `error` itself, if it is about another snapshot (the body has asked for the past), or if this was the last
  /// attempt. REQUIRES: as above.
  void met(const SnapshotTooOldError& error, Tid snapshot) {
    if (error.asked != snapshot) throw;
    count();
  }

  /// How long to wait now. REQUIRES: an attempt has failed.
  std::chrono::microseconds pause() const { return policy_.pause_after(failures_); }

 private:
  void count() {
    if (failures_ + 1 >= policy_.most_attempts) throw;
    ++failures_;
  }

  const RetryPolicy policy_;
  int failures_ = 0;
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
    Tid snapshot{};
    try {
      auto transaction = begin();
      snapshot = transaction.snapshot();
      transaction.enter(frame);
      return run_and_commit(body, transaction, [&] { transaction.commit(); });
    } catch (const ConflictError& error) {
      attempts.met(error, frame);
    } catch (const SnapshotTooOldError& error) {
      attempts.met(error, snapshot);
    }
    std::this_thread::sleep_for(attempts.pause());
  }
}

}  // namespace cow::detail
