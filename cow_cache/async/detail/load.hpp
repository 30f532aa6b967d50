// A miss: the object is read by a thread of the pool for loads, in place of the transaction's own.
//
// Thread safety: see [one-user], async_database.hpp.
//
// Invariants:
//  1. A job that meets another's load of the same object leaves a continuation at its ticket (load_ticket.hpp) and gives the
//     thread back: waiting holds no thread, and a ticket is held by a running thread only, so nobody waits for a job that
//     queues behind him.
//  2. A transaction that is cancelled while its job waits, for a thread or at a ticket, goes on at once. The job stays in the
//     queue, or at the ticket, and does nothing when its turn comes.
//  3. A load that fails is the failure of all tasks that wait for it, each with an exception of its own.
#pragma once

#include <exception>
#include <memory>
#include <utility>

#include "cow_cache/async/async_database.hpp"
#include "cow_cache/async/task.hpp"
#include "cow_cache/detail/cache/load_ticket.hpp"
#include "pooled_job.hpp"

namespace cow::detail {

/// One attempt to read an object: the value, or null when another's load of it has ended.
template <class T, class AsyncTransaction>
class LoadJob final : public PooledJob,
                      private LoadWaiter,
                      public std::enable_shared_from_this<LoadJob<T, AsyncTransaction>> {
 public:
  LoadJob(AsyncTransaction& txn, const Ref<T>& reference, bool loads_alone)
      : PooledJob(txn.executor(), txn.cancellation()),
        LoadWaiter{.resume = &other_load_ended, .alone = loads_alone},
        txn_(txn),
        reference_(reference) {}

  void run() noexcept {
    if (!begin()) return;
    try {
      cancellation().throw_if_requested();
      itself_ = this->shared_from_this();  // while the ticket may know of it
      const T* value = txn_->read_or_subscribe(reference_, *this);
      // Subscribed: `other_load_ended` may have run by now, and the task be looking at what is here.
      if (value == nullptr) return wait_for_another();
      value_ = value;
    } catch (...) {
      error_ = std::current_exception();
    }
    itself_.reset();  // the pool has another one
    end();
  }

  const T* value() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return value_;
  }
  /// Of the load that it has waited for; null: that has not failed.
  const LoadFailure* other_failure() const noexcept { return failure.get(); }
  void drop() const noexcept {}

 private:
  static void other_load_ended(LoadWaiter& waiter) noexcept {
    auto itself = std::move(static_cast<LoadJob&>(waiter).itself_);
    itself->end();
  }

  AsyncTransaction& txn_;
  const Ref<T>& reference_;
  const T* value_ = nullptr;
  std::exception_ptr error_;
  std::shared_ptr<LoadJob> itself_;
};

template <class T, class AsyncTransaction>
Task<const T*> load(AsyncTransaction& txn, const Ref<T>& reference) {
  bool alone = false;
  for (;;) {
    auto job = std::make_shared<LoadJob<T, AsyncTransaction>>(txn, reference, alone);
    JobOfTask of_this_task(job);
    co_await on_pool(txn.database().loads(), job);
    if (const T* value = job->value()) {
      txn.cancellation().throw_if_requested();
      co_return value;
    }
    // Somebody else has loaded it. Under a tight budget it may have gone again: then this one loads.
    if (const T* value = txn->try_read(reference)) co_return value;
    if (const LoadFailure* failure = job->other_failure()) alone = txn->must_load_alone(reference, *failure);
  }
}

}  // namespace cow::detail
