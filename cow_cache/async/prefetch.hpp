// async_prefetch: many objects at once, so that the reads that follow are hits.
//
// Thread safety: see [one-user], async_database.hpp.
//
// Invariants:
//  1. The pool's threads load with references and transactions of their own. So a task that is cancelled goes on at once,
//     whatever the store is at, and they stop before they ask it again.
#pragma once

#include "detail/coroutines.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <ranges>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "async_database.hpp"
#include "detail/alarm.hpp"
#include "spawn.hpp"
#include "task.hpp"

namespace cow {
namespace detail {

/// The loading of objects by as many of the pool's threads as there are; shared by them and the task.
template <class T, class Database>
class LoadAll {
 public:
  LoadAll(BasicAsyncTransaction<Database>& txn, std::vector<Ref<T>> missing)
      : database_(txn.database()),
        cancellation_(txn.cancellation()),
        missing_(std::move(missing)),
        step_(step_of(database_, missing_.size())),
        alarm_(std::make_shared<Alarm>(txn.executor())) {}

  void load_some() noexcept {
    try {
      // Transactions of their own, for one is used by one thread at a time. They read at the present frontier: what is
      // current there is what this transaction sees, unless it has changed meanwhile.
      auto own = database_.database().begin();
      // Relaxed: each thread takes another one, in whatever order.
      for (std::size_t at = next_.fetch_add(step_, std::memory_order_relaxed); at < missing_.size() && is_wanted();
           at = next_.fetch_add(step_, std::memory_order_relaxed)) {
        std::span<const Ref<T>> part(missing_);
        part = part.subspan(at, std::min(step_, part.size() - at));
        if constexpr (decltype(own)::kLoadsInBatches) {
          if (step_ > 1) quietly([&] { own.load_ahead(part); });
        }
        // What it has not loaded, because others are at it or the store has failed, is waited for, or tried, one by one.
        for (const Ref<T>& reference : part) {
          if (!is_wanted()) break;
          quietly([&] { (void)own.read(reference); });
        }
      }
    } catch (...) {  // no memory: then it is not prefetched
    }
    end(1);
  }

  /// Acq_rel: the job that sees zero has seen what the others did before.
  void end(std::size_t jobs) noexcept {
    if (running_.fetch_sub(jobs, std::memory_order_acq_rel) == jobs) alarm_->wake();
  }

  Alarm& alarm() noexcept { return *alarm_; }
  void drop() noexcept { wanted_.store(false, std::memory_order_relaxed); }

  /// Posts the jobs. Throws what posting throws, if none could be; otherwise those that were do the work.
  static void post(const std::shared_ptr<LoadAll>& all) {
    WorkerPool& pool = all->database_.loads();
    std::size_t jobs = std::min(pool.threads(), all->missing_.size());
    all->running_.store(jobs, std::memory_order_relaxed);  // the pool's queue orders it before the threads' use
    for (std::size_t posted = 0; posted < jobs; ++posted) {
      try {
        pool.post([all] { all->load_some(); });
      } catch (...) {
        if (posted == 0) throw;
        return all->end(jobs - posted);
      }
    }
  }

 private:
  /// The read that needs an object will throw what is the matter with it.
  template <class Load>
  static void quietly(Load&& load) {
    try {
      load();
    } catch (const std::bad_alloc&) {
      throw;
    } catch (...) {
    }
  }

  /// As many at a time as a store loads at once, where it does; but each of the pool's threads gets some.
  static std::size_t step_of(BasicAsyncDatabase<Database>& database, std::size_t count) {
    if constexpr (Database::Transaction::kLoadsInBatches) {
      if (database.database().capabilities().batch == nullptr) return 1;
      const std::size_t threads = database.loads().threads();
      return std::clamp<std::size_t>((count + threads - 1) / threads, 1, SharedCache::BatchLoader::kMost);
    }
    return 1;
  }

  // Relaxed: it may be noticed late, for what is wanted no longer does no harm.
  bool is_wanted() const noexcept { return wanted_.load(std::memory_order_relaxed) && !cancellation_.requested(); }

  BasicAsyncDatabase<Database>& database_;
  const Cancellation cancellation_;
  const std::vector<Ref<T>> missing_;
  const std::size_t step_;  // objects that a thread takes at a time
  const std::shared_ptr<Alarm> alarm_;
  std::atomic<std::size_t> next_{0}, running_{0};
  std::atomic<bool> wanted_{true};
};

template <class T, class Database>
Task<> load_all(BasicAsyncTransaction<Database>& txn, std::vector<Ref<T>> missing) {
  auto all = std::make_shared<LoadAll<T, Database>>(txn, std::move(missing));
  JobOfTask of_this_task(all);
  all->alarm().set(txn.cancellation().deadline);
  LoadAll<T, Database>::post(all);
  std::stop_callback wake(txn.cancellation().stop, [&all]() noexcept { all->alarm().wake(); });
  co_await all->alarm().over();
  txn.cancellation().throw_if_requested();
}

}  // namespace detail

/// `co_await async_prefetch(txn, references)`: afterwards what exists is resident, if the budget has room for all of it.
/// What was resident before is held by the transaction from then on. Objects that cannot be read are passed over. The
/// references live until it completes. Throws CancelledError, DeadlineExceededError as soon as it is cancelled: what the store
/// is at goes on without it, and nothing further is loaded. Does nothing with caches that cannot tell a hit from a miss
/// beforehand.
template <class T, class Database>
Task<> async_prefetch(BasicAsyncTransaction<Database>& txn, std::span<const Ref<T>> references) {
  if constexpr (BasicAsyncTransaction<Database>::Transaction::kReadsWithoutWaiting) {
    txn.cancellation().throw_if_requested();
    std::vector<Ref<T>> missing;
    for (const Ref<T>& reference : references) {
      try {
        if (reference && txn->try_read(reference) == nullptr) missing.push_back(reference);
      } catch (const DanglingReferenceError&) {
      } catch (const TypeMismatchError&) {
      }
    }
    if (!missing.empty()) co_await detail::load_all(txn, std::move(missing));
  }
  co_return;
}

/// The same for what is in a vector or an array.
template <class Database, std::ranges::contiguous_range References>
Task<> async_prefetch(BasicAsyncTransaction<Database>& txn, const References& references) {
  return async_prefetch(txn, std::span<const std::ranges::range_value_t<References>>(references));
}

/// The same with a completion token, `void(std::exception_ptr)`.
template <class T, class Database, class Token>
auto async_prefetch(BasicAsyncTransaction<Database>& txn, std::span<const Ref<T>> references, Token&& token) {
  return spawn(txn.executor(), async_prefetch(txn, references), std::forward<Token>(token));
}

}  // namespace cow
