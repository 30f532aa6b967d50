// Pools of threads for what blocks: the store, commits, application code in blocking style.
//
// The execution models `thread_pool` (one pool in front of which requests queue, as in ZServer and waitress) and `pools`
// (several, so that slow requests do not starve quick ones) are these classes and `async_run`.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. Jobs begin in the order of their arrival. More than `most_waiting` never wait: OverloadedError.
//  2. The destructor runs what waits, and joins. A job that nobody wants any more is not begun (pooled_job.hpp).
#pragma once

#include "detail/coroutines.hpp"

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "cancellation.hpp"
#include "cow_cache/errors.hpp"
#include "detail/by_name.hpp"
#include "detail/pooled_job.hpp"
#include "spawn.hpp"
#include "task.hpp"

namespace cow {

struct PoolLimits {
  std::size_t threads = 4;
  std::size_t most_waiting = std::numeric_limits<std::size_t>::max();
};

class WorkerPool {
 public:
  /// Throws std::invalid_argument if no job could ever run: no threads, or none may wait for one.
  explicit WorkerPool(std::string name, PoolLimits limits = {})
      : name_(std::move(name)), limits_(checked(limits)), threads_(limits.threads) {}
  ~WorkerPool() { threads_.join(); }

  /// Runs `job()` on one of the threads. Throws OverloadedError, std::bad_alloc; then it has never been here. REQUIRES: the
  /// job does not throw.
  template <class Job>
  void post(Job job) {
    if (waiting_.fetch_add(1, std::memory_order_relaxed) >= limits_.most_waiting) {
      std::size_t others = waiting_.fetch_sub(1, std::memory_order_relaxed) - 1;
      throw OverloadedError(name_, limits_.threads, others);
    }
    try {
      boost::asio::post(threads_, [this, job = std::move(job)]() mutable {
        waiting_.fetch_sub(1, std::memory_order_relaxed);  // a mere count: the pool's queue orders the rest
        job();
      });
    } catch (...) {
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      throw;
    }
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t threads() const noexcept { return limits_.threads; }
  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }

 private:
  PoolLimits checked(PoolLimits limits) const {
    if (limits.threads == 0) throw std::invalid_argument("pool '" + name_ + "' of no threads");
    if (limits.most_waiting == 0) throw std::invalid_argument("pool '" + name_ + "' in which no job may wait");
    return limits;
  }

  const std::string name_;
  const PoolLimits limits_;
  std::atomic<std::size_t> waiting_{0};
  boost::asio::thread_pool threads_;
};

/// Pools by name, each with limits of its own.
class WorkerPools {
 public:
  /// REQUIRES: nobody uses the pools yet; the name is new.
  WorkerPool& add(std::string name, PoolLimits limits) { return pools_.try_emplace(name, name, limits).first->second; }

  /// Throws std::out_of_range.
  WorkerPool& at(std::string_view name) {
    auto found = pools_.find(name);
    if (found == pools_.end()) throw std::out_of_range("no pool '" + std::string(name) + "'");
    return found->second;
  }

 private:
  std::map<std::string, WorkerPool, std::less<>> pools_;
};

namespace detail {

/// `function()` on a pool's thread.
template <class Function>
class FunctionJob : public PooledJob {
  using Result = std::invoke_result_t<Function&>;
  using Kept = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

 public:
  FunctionJob(const AnyExecutor& executor, Cancellation cancellation, Function&& function)
      : PooledJob(executor, std::move(cancellation)), function_(std::in_place, std::move(function)) {}

  void run() noexcept {
    if (!begin()) return;
    try {
      cancellation().throw_if_requested();
      if constexpr (std::is_void_v<Result>) {
        (*function_)();
      } else {
        result_.emplace((*function_)());
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    end();
  }

  /// On the executor again. What the function has captured goes here, not with the last thread that knows of the job.
  Result take() {
    function_.reset();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if constexpr (!std::is_void_v<Result>) return *std::move(result_);
  }
  void drop() noexcept { function_.reset(); }

 private:
  std::optional<Function> function_;
  std::optional<Kept> result_;
  std::exception_ptr error_;
};

template <class Function>
Task<std::invoke_result_t<Function&>> run_on_pool(WorkerPool& pool, AnyExecutor executor, Function function,
                                                  Cancellation cancellation) {
  auto job = std::make_shared<FunctionJob<Function>>(executor, std::move(cancellation), std::move(function));
  JobOfTask of_this_task(job);
  co_await on_pool(pool, job);
  co_return job->take();
}

}  // namespace detail

/// `co_await async_run(pool, executor, function)`: blocking code on a pool's thread; the caller goes on, on its executor,
/// with what it returns. Throws what `function` throws, OverloadedError, and as soon as it is cancelled while no thread is free
/// yet, CancelledError or DeadlineExceededError. For other completion styles: `spawn(executor, as_task(async_run(...)), token)`.
/// With GCC 12 a function that has captured what must be destroyed needs a name (by_name.hpp).
template <class Function>
auto async_run(WorkerPool& pool, AnyExecutor executor, Function&& function,
               Cancellation cancellation = Cancellation()) {
  return detail::made_with<Function>(detail::run_on_pool<std::decay_t<Function>>(
      pool, std::move(executor), std::forward<Function>(function), std::move(cancellation)));
}

}  // namespace cow
