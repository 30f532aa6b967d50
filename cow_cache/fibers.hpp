// Fibers: blocking style without blocking threads, as gevent's greenlets. Needs the library of Boost.Fiber (meson:
// cow_cache_fibers_dep).
//
//   cow::FiberThreads fibers(2);
//   fibers.spawn([&] {
//     cow::fiber_transact(async, executor, [&](cow::AsyncTransaction& txn) {
//       const Account& seen = cow::fiber_read(txn, alice);       // a hit goes on, a miss suspends this fiber only
//       boost::this_fiber::sleep_for(100ms);                     // so does this
//     });
//   });
//
// Thread safety: `FiberThreads::spawn` may be called from any thread that is not one of its own. A fiber stays on its
// thread, so fibers of one thread never run at once.
//
// Invariants:
//  1. An operation with the token `use_fiber` suspends the calling fiber; its thread runs other fibers meanwhile. The
//     operation itself runs on its executor, which another thread runs.
//  2. The destructor of FiberThreads returns when all fibers have ended.
//  3. A fiber that needs more than its stack ends the program, and overwrites nothing (fiber_stacks.hpp).
//  4. Nothing of this library is thread_local across a suspension: compilers keep the address of such variables over a
//     switch of fibers.
//  5. REQUIRES: no fiber suspends inside of a catch block. Boost.Context keeps one stack of caught exceptions for a thread, so a
//     `throw;` after it may throw another fiber's.
#pragma once

#include "version.hpp"

#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/context/stack_context.hpp>
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/condition_variable.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/fss.hpp>
#include <boost/fiber/future/promise.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "async.hpp"
#include "async/detail/fiber_stacks.hpp"
#include "detail/cache/build_scope.hpp"
#include "detail/commit/attempts.hpp"
#include "retry_policy.hpp"

namespace cow {

/// A completion token for operations that complete with `void(std::exception_ptr)` or `void(std::exception_ptr, T)`: it
/// suspends the fiber, and returns the T or throws.
struct UseFiber {};
inline constexpr UseFiber use_fiber;

/// Threads that run fibers.
class FiberThreads {
 public:
  /// `stack_bytes`: of each fiber; what it does not use is never touched, and a fiber that needs more ends the program
  /// (fiber_stacks.hpp says what that costs, and how many fibers there can be). Throws std::invalid_argument for no threads or
  /// stacks on which nothing could run.
  explicit FiberThreads(std::size_t threads, std::size_t stack_bytes = std::size_t{64} << 10) {
    if (threads == 0) throw std::invalid_argument("fibers of no threads");
    stack_bytes = detail::FiberStacks::round_up(stack_bytes);
    for (std::size_t i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>(stack_bytes));
  }

  /// Runs `body()` as a fiber, once there is a stack for it: where there is no memory for one, when another fiber has ended.
  /// REQUIRES: it does not throw.
  void spawn(std::function<void()> body) {
    std::size_t chosen = next_.fetch_add(1, std::memory_order_relaxed) % workers_.size();  // any order will do
    workers_[chosen]->bodies.push(std::move(body));
  }

 private:
  struct Worker {
    explicit Worker(std::size_t stack_bytes) : stacks(stack_bytes), thread([this] { run(); }) {}
    ~Worker() {
      bodies.close();
      thread.join();
    }

    void run() {
      std::size_t living = 0;  // fibers of one thread never run at once: no lock
      boost::fibers::mutex mutex;
      boost::fibers::condition_variable ended;
      std::function<void()> body;
      while (bodies.pop(body) == boost::fibers::channel_op_status::success) {
        std::optional<boost::context::stack_context> stack;
        while (!(stack = stacks.take())) {
          // The next fiber that ends gives its stack back; so may others of the process, which nobody here hears of.
          std::unique_lock lock(mutex);
          ended.wait_for(lock, std::chrono::milliseconds(1));
        }
        ++living;
        boost::fibers::fiber(std::allocator_arg, detail::TakenFiberStack(stacks, *stack),
                             [&living, &ended, body = std::move(body)] {
                               body();
                               --living;
                               ended.notify_one();
                             })
            .detach();
      }
      std::unique_lock lock(mutex);
      ended.wait(lock, [&] { return living == 0; });
    }

    detail::FiberStacks stacks;  // outlives the thread, in whose scheduler the last fibers are destroyed
    boost::fibers::buffered_channel<std::function<void()>> bodies{1024};
    std::thread thread;
  };

  std::atomic<std::size_t> next_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// async_read for fibers: a hit neither suspends nor allocates.
template <class T, class Database>
const T& fiber_read(BasicAsyncTransaction<Database>& txn, const Ref<T>& reference) {
  if constexpr (BasicAsyncTransaction<Database>::Transaction::kReadsWithoutWaiting) {
    if (const T* value = txn->try_read(reference)) return *value;
    return *async_read(txn, reference, use_fiber);
  } else {
    return txn->read(reference);
  }
}

}  // namespace cow

template <class... Results>
class boost::asio::async_result<cow::UseFiber, void(std::exception_ptr, Results...)> {
  static_assert(sizeof...(Results) <= 1, "a fiber gets one value");

 public:
  template <class Initiation, class... Arguments>
  static auto initiate(Initiation&& initiation, cow::UseFiber, Arguments&&... arguments) {
    cow::detail::BuildScope::refuse_suspension();
    // An outcome, not an exception of the promise's: that would keep a reference to it in this thread while the fiber, perhaps in
    // another one, handles it.
    using Outcome = std::pair<std::exception_ptr, std::tuple<std::decay_t<Results>...>>;
    boost::fibers::promise<Outcome> promise;
    auto future = promise.get_future();
    std::forward<Initiation>(initiation)(
        [promise = std::move(promise)](std::exception_ptr error, auto... results) mutable {
          promise.set_value(Outcome(std::move(error), std::forward_as_tuple(std::move(results)...)));
        },
        std::forward<Arguments>(arguments)...);
    Outcome outcome = future.get();
    if (outcome.first) std::rethrow_exception(std::move(outcome.first));
    if constexpr (sizeof...(Results) == 1) return std::get<0>(std::move(outcome.second));
  }
};

namespace cow {
namespace detail {

/// The frame of a fiber's `fiber_transact`, for as long as it lives. It may go on in another thread: not thread_local.
class FiberTransactFrame : public TransactFrame {
 public:
  FiberTransactFrame() : TransactFrame(innermost().get()) { innermost().reset(this); }
  ~FiberTransactFrame() { innermost().reset(outer()); }

 private:
  static boost::fibers::fiber_specific_ptr<TransactFrame>& innermost() {
    static auto* const frames = new boost::fibers::fiber_specific_ptr<TransactFrame>([](TransactFrame*) {});
    return *frames;
  }
};

/// Refused by the compiler, in words, unless it can be the body of a transaction.
template <class Body, class Transaction>
consteval void require_fiber_body() {
  static_assert(
      std::is_invocable_v<Body&, Transaction&>,
      "cow: the body of `fiber_transact` takes its transaction by reference: [&](cow::AsyncTransaction& txn) { ... }");
  static_assert(!MakesTask<Body&, Transaction&>,
                "cow: the body of `fiber_transact` is a coroutine, which would not be awaited before the commit: use "
                "`co_await cow::async_transact(...)`, or a function that is none");
}

}  // namespace detail

/// async_transact for fibers: returns what `body(AsyncTransaction&)` returns. `executor`: of a loop that another thread
/// runs.
template <class Database, class Body>
auto fiber_transact(BasicAsyncDatabase<Database>& database, const AnyExecutor& executor, Body&& body,
                    const Cancellation& cancellation = Cancellation(), const RetryPolicy& retry = RetryPolicy()) {
  detail::require_fiber_body<Body, BasicAsyncTransaction<Database>>();
  cancellation.throw_if_requested();
  auto permit = database.admission().try_acquire();
  if (!permit) permit = spawn(executor, database.admission().acquire(executor, cancellation), use_fiber);
  BasicAsyncTransaction<Database> txn(database, executor, cancellation, *std::move(permit));
  auto commit = [&] {
    if (txn->writes() > 0) {
      async_commit(txn, use_fiber);
    } else {
      txn->commit();
    }
  };
  detail::FiberTransactFrame frame;
  for (detail::Attempts attempts(retry);;) {
    txn->enter(frame);
    const Tid snapshot = txn->snapshot();
    try {
      return detail::run_and_commit(body, txn, commit);
    } catch (const ConflictError& error) {
      attempts.met(error, frame);
    } catch (const SnapshotTooOldError& error) {
      attempts.met(error, snapshot);
    }
    txn->abort();
    spawn(executor, sleep_for(executor, attempts.pause(), cancellation), use_fiber);
    txn.restart();
  }
}

}  // namespace cow
