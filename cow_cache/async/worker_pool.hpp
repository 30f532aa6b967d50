// Pools of threads for what blocks: the store, commits, application code in blocking style.
//
// The execution models `thread_pool` (one pool in front of which requests queue, as in ZServer and waitress) and `pools`
// (several, so that slow requests do not starve quick ones) are these classes and `async_run`.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. Jobs begin in the order of their arrival. More than `most_waiting` never wait: OverloadedError.
//  2. The destructor runs what waits, and joins. A job that nobody wants any more is not begun (async_run).
#pragma once

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <coroutine>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "../errors.hpp"
#include "by_name.hpp"
#include "cancellation.hpp"
#include "spawn.hpp"
#include "task.hpp"

namespace cow {

struct PoolLimits {
  std::size_t threads = 4;
  std::size_t most_waiting = std::numeric_limits<std::size_t>::max();
};

class WorkerPool {
 public:
  explicit WorkerPool(std::string name, PoolLimits limits = {})
      : name_(std::move(name)), limits_(limits), threads_(limits.threads) {}
  ~WorkerPool() { threads_.join(); }

  /// Runs `job()` on one of the threads. Throws OverloadedError. REQUIRES: the job does not throw.
  template <class Job>
  void post(Job job) {
    if (waiting_.fetch_add(1, std::memory_order_relaxed) >= limits_.most_waiting) {
      std::size_t others = waiting_.fetch_sub(1, std::memory_order_relaxed) - 1;
      throw OverloadedError(name_, limits_.threads, others);
    }
    boost::asio::post(threads_, [this, job = std::move(job)]() mutable {
      waiting_.fetch_sub(1, std::memory_order_relaxed);  // a mere count: the pool's queue orders the rest
      job();
    });
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t threads() const noexcept { return limits_.threads; }
  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }

 private:
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

/// Awaits `function()` on a pool's thread, and resumes on `executor`.
template <class Function>
class RunOnPool {
  using Result = std::invoke_result_t<Function&>;
  using Kept = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

 public:
  RunOnPool(WorkerPool& pool, AnyExecutor executor, Function function, Cancellation cancellation)
      : pool_(pool),
        executor_(std::move(executor)),
        function_(std::move(function)),
        cancellation_(std::move(cancellation)) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    pool_.post([this] { run(); });
  }
  Result await_resume() {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<Result>) return *std::move(result_);
  }

 private:
  void run() noexcept {
    try {
      cancellation_.throw_if_requested();  // it has waited for a thread
      if constexpr (std::is_void_v<Result>) {
        function_();
      } else {
        result_.emplace(function_());
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    resume_later(executor_, coroutine_);
  }

  WorkerPool& pool_;
  AnyExecutor executor_;
  Function function_;
  Cancellation cancellation_;
  std::coroutine_handle<> coroutine_;
  std::optional<Kept> result_;
  std::exception_ptr error_;
};

}  // namespace detail

/// `co_await async_run(pool, executor, function)`: blocking code on a pool's thread; the caller goes on, on its executor,
/// with what it returns. Throws what `function` throws, OverloadedError, and CancelledError if it was cancelled before a
/// thread was free. For other completion styles: `spawn(executor, as_task(async_run(...)), token)`. With GCC 12 a function
/// that has captured what must be destroyed needs a name (by_name.hpp).
template <class Function>
auto async_run(WorkerPool& pool, AnyExecutor executor, Function&& function,
               Cancellation cancellation = Cancellation()) {
  return detail::MadeWith<Function, detail::RunOnPool<std::decay_t<Function>>>(
      pool, std::move(executor), std::forward<Function>(function), std::move(cancellation));
}

}  // namespace cow
