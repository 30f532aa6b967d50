// The execution models: how a request's transaction gets a thread.
//
//   coroutines   the loop that has read the request runs its transaction; whoever waits holds no thread
//   fibers       as gevent: blocking style on fibers, one thread of them beside each loop
//   thread_pool  as ZServer and waitress: one pool, in front of which requests queue
//   pools        two pools: requests that write or call outside do not starve quick ones
//   processes    as gunicorn: several processes, each a thread_pool with caches of its own (main.cpp forks them)
//
// Thread safety: `handle` may be called from any loop.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "answer.hpp"
#include "cow_cache/async.hpp"
#include "sources.hpp"
#include "traversal.hpp"

namespace cow::bench::publisher {

enum class Model { coroutines, fibers, thread_pool, pools };

struct ModelOptions {
  Model model = Model::coroutines;
  std::size_t threads = 2;              ///< of pools, and of fibers
  std::size_t most_in_flight = 20'000;  ///< transactions; pools have as many as they have threads
  std::size_t most_waiting = 20'000;    ///< requests that queue for that; then 503
  RetryPolicy retry{.most_attempts = 6};
};

template <class Database>
class Models {
 public:
  using CatalogRef = typename SourceBase<Database>::CatalogRef;

  /// Throws UnknownRootError if the database holds no WordNet.
  Models(Database& database, const ModelOptions& options)
      : options_(options),
        async_(database, {.most_in_flight = options.most_in_flight, .most_waiting = options.most_waiting}) {
    auto txn = database.begin();
    catalog_ = txn.root().template get<wordnet::Catalog<typename Database::Pointers>>(wordnet::kCatalogName);
    (void)txn.read(catalog_);
    std::size_t quick = options.threads, slow = options.threads;
    if (options.model == Model::thread_pool) add_pool("requests", options.threads);
    if (options.model == Model::pools) {
      add_pool("quick", quick);
      add_pool("slow", slow);
    }
    if (options.model == Model::fibers) fibers_ = std::make_unique<FiberThreads>(options.threads);
  }

  /// Runs a request's transaction. Throws what async_transact throws.
  Task<Answer> handle(AnyExecutor executor, const Query& query, Cancellation cancellation) {
    switch (options_.model) {
      case Model::coroutines:
        return in_coroutine(std::move(executor), query, std::move(cancellation));
      case Model::fibers:
        return in_fiber(std::move(executor), query, std::move(cancellation));
      case Model::thread_pool:
        return in_pool(pools_.at("requests"), std::move(executor), query, std::move(cancellation));
      case Model::pools:
        break;
    }
    bool slow = query.new_gloss || query.external_call.count() > 0;
    return in_pool(pools_.at(slow ? "slow" : "quick"), std::move(executor), query, std::move(cancellation));
  }

  BasicAsyncDatabase<Database>& async() noexcept { return async_; }

 private:
  using AsyncTransaction = BasicAsyncTransaction<Database>;

  void add_pool(std::string name, std::size_t threads) {
    pools_.add(std::move(name), {.threads = threads, .most_waiting = options_.most_waiting});
  }

  Task<Answer> in_coroutine(AnyExecutor executor, const Query& query, Cancellation cancellation) {
    auto body = [this, &query](AsyncTransaction& txn) -> Task<Answer> {
      CoroutineSource<Database> source(txn, catalog_);
      Traversal<CoroutineSource<Database>> traversal(source, query);
      co_return co_await traversal.run();
    };
    return async_transact(async_, std::move(executor), body, std::move(cancellation), options_.retry);
  }

  Task<Answer> in_pool(WorkerPool& pool, AnyExecutor executor, const Query& query, Cancellation cancellation) {
    auto work = [this, &query, &cancellation] {
      return async_.database().transact(
          [&](typename Database::Transaction& txn) {
            BlockingSource<Database> source(txn, catalog_, cancellation);
            Traversal<BlockingSource<Database>> traversal(source, query);
            return run_inline(traversal.run());
          },
          options_.retry);
    };
    co_return co_await async_run(pool, executor, work, cancellation);
  }

  Task<Answer> in_fiber(AnyExecutor executor, const Query& query, Cancellation cancellation) {
    Answer answer;
    std::exception_ptr error;
    Sleeper ended(executor);
    fibers_->spawn([&, wake = ended.waker()] {
      try {
        answer = fiber_transact(
            async_, executor,
            [&](AsyncTransaction& txn) {
              FiberSource<Database> source(txn, catalog_);
              Traversal<FiberSource<Database>> traversal(source, query);
              return run_inline(traversal.run());
            },
            cancellation, options_.retry);
      } catch (...) {
        error = std::current_exception();
      }
      wake();
    });
    co_await ended.until(Cancellation::Clock::time_point::max());
    if (error) std::rethrow_exception(error);
    co_return answer;
  }

  const ModelOptions options_;
  BasicAsyncDatabase<Database> async_;
  CatalogRef catalog_;
  WorkerPools pools_;
  std::unique_ptr<FiberThreads> fibers_;
};

}  // namespace cow::bench::publisher
