// How a traversal reads: through a transaction of a coroutine, of a fiber, or of a thread that blocks.
//
// Thread safety: as the transaction.
#pragma once

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "bench/workloads/wordnet/model.hpp"
#include "cow_cache/async.hpp"
#include "cow_cache/fibers.hpp"

namespace cow::bench::publisher {

/// What is there already, to be awaited.
template <class T>
struct Ready {
  T* value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  T& await_resume() const noexcept { return *value; }
};

/// What sources have in common: where everything begins.
template <class Database>
class SourceBase {
 public:
  using Pointers = typename Database::Pointers;
  using CatalogRef = Ref<wordnet::Catalog<Pointers>>;

  explicit SourceBase(const CatalogRef& catalog) : catalog_(catalog) {}
  const CatalogRef& catalog() const noexcept { return catalog_; }

 private:
  const CatalogRef catalog_;
};

template <class Database>
class CoroutineSource : public SourceBase<Database> {
 public:
  CoroutineSource(BasicAsyncTransaction<Database>& txn, const typename SourceBase<Database>::CatalogRef& catalog)
      : SourceBase<Database>(catalog), txn_(txn) {}

  template <class T>
  auto read(const Ref<T>& reference) {
    return async_read(txn_, reference);
  }
  template <class T>
  auto write(const Ref<T>& reference) {
    return async_write(txn_, reference);
  }
  Task<> wait(std::chrono::milliseconds duration) { return async_sleep(txn_, duration); }

 private:
  BasicAsyncTransaction<Database>& txn_;
};

template <class Database>
class FiberSource : public SourceBase<Database> {
 public:
  FiberSource(BasicAsyncTransaction<Database>& txn, const typename SourceBase<Database>::CatalogRef& catalog)
      : SourceBase<Database>(catalog), txn_(txn) {}

  template <class T>
  Ready<const T> read(const Ref<T>& reference) {
    return {&fiber_read(txn_, reference)};
  }
  template <class T>
  Task<T*> write(const Ref<T>& reference) {
    co_return &txn_->write(reference);  // it was read
  }
  Task<> wait(std::chrono::milliseconds duration) {
    txn_.will_sleep();
    spawn(txn_.executor(), sleep_for(txn_.executor(), duration, txn_.cancellation()), use_fiber);
    co_return;
  }

 private:
  BasicAsyncTransaction<Database>& txn_;
};

template <class Database>
class BlockingSource : public SourceBase<Database> {
 public:
  BlockingSource(typename Database::Transaction& txn, const typename SourceBase<Database>::CatalogRef& catalog,
                 const Cancellation& cancellation)
      : SourceBase<Database>(catalog), txn_(txn), cancellation_(cancellation) {}

  template <class T>
  Ready<const T> read(const Ref<T>& reference) {
    return {&txn_.read(reference)};
  }
  template <class T>
  Task<T*> write(const Ref<T>& reference) {
    co_return &txn_.write(reference);
  }
  /// Holds its thread, but can be cancelled.
  Task<> wait(std::chrono::milliseconds duration) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    auto end = std::min(Cancellation::Clock::now() + duration, cancellation_.deadline);
    never.wait_until(lock, cancellation_.stop, end, [] { return false; });
    cancellation_.throw_if_requested();
    co_return;
  }

 private:
  typename Database::Transaction& txn_;
  const Cancellation& cancellation_;
};

/// Runs a task of a source that never suspends.
template <class T>
T run_inline(Task<T> task) {
  std::optional<T> result;
  std::exception_ptr error;
  auto run = [](Task<T>& running, std::optional<T>& value, std::exception_ptr& failure) -> cow::detail::Spawned {
    try {
      value.emplace(co_await running);
    } catch (...) {
      failure = std::current_exception();
    }
  };
  run(task, result, error).start();
  if (error) std::rethrow_exception(error);
  return *std::move(result);
}

}  // namespace cow::bench::publisher
