// async_prefetch: many objects at once, so that the reads that follow are hits.
//
// Thread safety: see async_database.hpp, invariant 1.
#pragma once

#include <atomic>
#include <boost/asio/post.hpp>
#include <coroutine>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "async_database.hpp"
#include "spawn.hpp"
#include "task.hpp"

namespace cow {
namespace detail {

/// Awaits the loading of objects by as many of the pool's threads as there are.
template <class T, class Database>
class LoadAll {
 public:
  LoadAll(BasicAsyncTransaction<Database>& txn, std::vector<const Ref<T>*> missing) noexcept
      : txn_(txn), missing_(std::move(missing)) {}

  bool await_ready() const noexcept { return missing_.empty(); }
  void await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    WorkerPool& pool = txn_.database().loads();
    std::size_t jobs = std::min(pool.threads(), missing_.size());
    running_ = jobs;
    for (std::size_t posted = 0; posted < jobs; ++posted) {
      try {
        pool.post([this] { load_some(); });
      } catch (...) {
        if (posted == 0) throw;
        end(jobs - posted);  // those that were posted do the work
        return;
      }
    }
  }
  void await_resume() const noexcept {}

 private:
  void load_some() noexcept {
    try {
      // Transactions of their own, for one is used by one thread at a time. They read at the present frontier: what is
      // current there is what this transaction sees, unless it has changed meanwhile.
      auto lease = txn_.database().sessions().lend();
      auto own = lease.session().begin();
      for (std::size_t i = next_++; i < missing_.size(); i = next_++) {
        try {
          (void)own.read(*missing_[i]);
        } catch (const Error&) {  // whoever reads it in earnest will hear of it
        }
      }
    } catch (...) {  // no memory: then it is not prefetched
    }
    end(1);
  }

  void end(std::size_t jobs) noexcept {
    AnyExecutor executor = txn_.executor();
    std::coroutine_handle<> coroutine = coroutine_;
    // Acq_rel: the last one resumes what the others have finished with. After this, this object may be gone.
    if (running_.fetch_sub(jobs, std::memory_order_acq_rel) != jobs) return;
    resume_later(std::move(executor), coroutine);
  }

  BasicAsyncTransaction<Database>& txn_;
  const std::vector<const Ref<T>*> missing_;
  std::coroutine_handle<> coroutine_;
  std::atomic<std::size_t> next_{0}, running_{0};
};

}  // namespace detail

/// `co_await async_prefetch(txn, references)`: afterwards what exists is resident, if the budget has room for all of it.
/// What was resident before is held by the transaction from then on. Objects that cannot be read are passed over. The
/// references live until it completes. Does nothing with caches that cannot tell a hit from a miss beforehand.
template <class T, class Database>
Task<> async_prefetch(BasicAsyncTransaction<Database>& txn, std::span<const Ref<T>> references) {
  if constexpr (BasicAsyncTransaction<Database>::Transaction::kReadsWithoutWaiting) {
    txn.cancellation().throw_if_requested();
    std::vector<const Ref<T>*> missing;
    for (const Ref<T>& reference : references) {
      try {
        if (reference && txn->try_read(reference) == nullptr) missing.push_back(&reference);
      } catch (const DanglingReferenceError&) {
      } catch (const TypeMismatchError&) {
      }
    }
    co_await detail::LoadAll<T, Database>(txn, std::move(missing));
  }
  co_return;
}

/// The same with a completion token, `void(std::exception_ptr)`.
template <class T, class Database, class Token>
auto async_prefetch(BasicAsyncTransaction<Database>& txn, std::span<const Ref<T>> references, Token&& token) {
  return spawn(txn.executor(), async_prefetch(txn, references), std::forward<Token>(token));
}

}  // namespace cow
