// Whose loop has work and until when, where exceptions of handlers go, what completes at once, and what a body may do after a
// call outside has thrown.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context_strand.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/support/async_testing.hpp"

namespace cow::testing {
namespace {

namespace execution = asio::execution;

/// What a WatchedExecutor has seen.
struct Watch {
  std::atomic<int> work{0};    ///< executors that track it
  std::atomic<int> queued{0};  ///< functions, by threads other than the loop's
  std::atomic<int> unheld{
      0};  ///< of these, those whose thread held no work of the loop any more after it had queued them
};

/// Queues for a loop, and waits, in a thread other than the loop's, until the loop has done what was queued. What has work of
/// the loop then is the thread that queued.
class WatchedExecutor {
 public:
  using TrackedLoop = std::decay_t<decltype(asio::prefer(std::declval<asio::io_context::executor_type>(),
                                                         execution::outstanding_work.tracked))>;

  WatchedExecutor(asio::io_context& loop, Watch& watch, bool tracked = false)
      : loop_(&loop), watch_(&watch), tracked_(tracked) {
    if (!tracked_) return;
    inner_.emplace(asio::prefer(loop.get_executor(), execution::outstanding_work.tracked));
    ++watch_->work;
  }
  WatchedExecutor& operator=(const WatchedExecutor&) = delete;
  WatchedExecutor(const WatchedExecutor& other) noexcept
      : inner_(other.inner_), loop_(other.loop_), watch_(other.watch_), tracked_(other.tracked_) {
    if (tracked_) ++watch_->work;
  }
  WatchedExecutor(WatchedExecutor&& other) noexcept
      : inner_(std::move(other.inner_)),
        loop_(other.loop_),
        watch_(other.watch_),
        tracked_(std::exchange(other.tracked_, false)) {}  // a work guard that was moved away is not destroyed
  ~WatchedExecutor() {
    if (tracked_) --watch_->work;
  }

  bool operator==(const WatchedExecutor& other) const noexcept {
    return loop_ == other.loop_ && tracked_ == other.tracked_;
  }
  bool operator!=(const WatchedExecutor& other) const noexcept { return !(*this == other); }

  asio::execution_context& query(execution::context_t) const noexcept { return *loop_; }
  static constexpr execution::blocking_t query(execution::blocking_t) noexcept { return execution::blocking.never; }
  execution::outstanding_work_t query(execution::outstanding_work_t) const noexcept {
    if (tracked_) return execution::outstanding_work.tracked;
    return execution::outstanding_work.untracked;
  }
  WatchedExecutor require(execution::blocking_t::never_t) const { return *this; }
  WatchedExecutor require(execution::outstanding_work_t::tracked_t) const { return {*loop_, *watch_, true}; }
  WatchedExecutor require(execution::outstanding_work_t::untracked_t) const { return {*loop_, *watch_, false}; }

  template <class Function>
  void execute(Function function) const {
    if (loop_->get_executor().running_in_this_thread()) {
      return asio::post(loop_->get_executor(), std::move(function));
    }
    // The loop may have ended its last task before this thread goes on.
    std::atomic<bool> done{false};
    asio::post(loop_->get_executor(), [function = std::move(function), &done]() mutable {
      std::move(function)();
      done = true;
    });
    ++watch_->queued;
    while (!done) std::this_thread::yield();
    if (watch_->work == 0) ++watch_->unheld;
  }

 private:
  std::optional<TrackedLoop> inner_;  // if this one tracks
  asio::io_context* loop_;
  Watch* watch_;
  bool tracked_;
};

class AsyncSpawn : public AsyncTest {
 public:
  /// What leaves `loop.run()`.
  static std::string thrown_by(asio::io_context& loop) {
    try {
      loop.run();
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return {};
  }

  asio::io_context other;
};

Task<int> one() { co_return 1; }
Task<> nothing() { co_return; }

/// Until a handler has been called, its own loop does not run dry, and a task's loop does not under the task.
TEST_F(AsyncSpawn, WorkOfTheHandlersLoop) {
  for (int round = 0; round < 2; ++round) {
    bool called = false;
    auto handler = asio::bind_executor(other.get_executor(), [&](std::exception_ptr, auto... results) {
      EXPECT_TRUE(other.get_executor().running_in_this_thread());
      EXPECT_TRUE(((results == 1) && ...));
      called = true;
    });
    if (round == 0) {
      spawn(executor(), nothing(), std::move(handler));
    } else {
      spawn(executor(), one(), std::move(handler));
    }
    EXPECT_EQ(other.poll(), 0u);
    EXPECT_FALSE(other.stopped()) << "it has run dry";
    run_loop();
    EXPECT_FALSE(called);
    other.run();
    EXPECT_TRUE(called);
    EXPECT_TRUE(other.stopped());
    other.restart();
  }
}

/// The same with an executor of Asio's older kind.
TEST_F(AsyncSpawn, WorkOfAnOldStrand) {
  asio::io_context::strand strand(other);
  bool called = false;
  spawn(executor(), nothing(), asio::bind_executor(strand, [&](std::exception_ptr) { called = true; }));
  EXPECT_EQ(other.poll(), 0u);
  EXPECT_FALSE(other.stopped());
  run_loop();
  other.run();
  EXPECT_TRUE(called);
}

/// A thread that queues something for a loop still has work of it afterwards: the loop may be destroyed when it has run.
TEST_F(AsyncSpawn, ThreadsThatQueueHoldTheLoop) {
  Watch watch;
  WatchedExecutor watched(loop, watch);
  std::atomic<bool> called{false};
  auto expect_held = [&](auto task) {
    auto work = asio::make_work_guard(loop);
    std::thread loops([&] { loop.run(); });
    spawn(watched, std::move(task), [&](std::exception_ptr error, auto...) {
      EXPECT_FALSE(error);
      called = true;
    });
    work.reset();
    loops.join();
    loop.restart();
    EXPECT_TRUE(called.exchange(false));
    EXPECT_GT(watch.queued, 0);
    EXPECT_EQ(watch.unheld, 0);
    EXPECT_EQ(watch.work, 0);
  };
  auto function = [] {};
  expect_held(as_task(async_run(async.loads(), watched, function)));
  auto read = [&](AsyncTransaction& txn) -> Task<> { (void)co_await async_read(txn, accounts[0]); };
  expect_held(async_transact(async, watched, read));
  auto write = [&](AsyncTransaction& txn) -> Task<> { (co_await async_write(txn, accounts[1]))->balance = 7; };
  expect_held(async_transact(async, watched, write));
  auto prefetch = [&](AsyncTransaction& txn) -> Task<> {
    co_await async_prefetch(txn, std::span<const Ref<Account>>(accounts));
  };
  expect_held(async_transact(async, watched, prefetch));
}

/// The thread that ends a task queues the handler for another loop.
TEST_F(AsyncSpawn, ThreadsThatCompleteHoldTheHandlersLoop) {
  Watch watch;
  WatchedExecutor watched(other, watch);
  bool called = false;
  spawn(executor(), one(), asio::bind_executor(watched, [&](std::exception_ptr, int) { called = true; }));
  EXPECT_GT(watch.work, 0);
  std::thread others([&] { other.run(); });
  run_loop();
  others.join();
  EXPECT_TRUE(called);
  EXPECT_EQ(watch.queued, 1);
  EXPECT_EQ(watch.unheld, 0);
}

/// Loops that are destroyed as soon as they have run: for ThreadSanitizer.
TEST_F(AsyncSpawn, ShortLoops) {
  for (const Ref<Account>& account : accounts) {
    asio::io_context brief;
    bool good = false;
    auto body = [&](AsyncTransaction& txn) -> Task<> { (co_await async_write(txn, account))->balance += 1; };
    spawn(brief.get_executor(), async_transact(async, brief.get_executor(), body),
          [&](std::exception_ptr error) { good = !error; });
    brief.run();
    EXPECT_TRUE(good);
  }
  expect_all_free();
}

/// One rule: what a handler throws leaves the run of the loop that it runs on, and that loop can go on.
TEST_F(AsyncSpawn, ExceptionsOfHandlers) {
  auto throwing = [](std::exception_ptr, auto...) { throw std::runtime_error("of the handler"); };
  auto strand = asio::make_strand(loop.get_executor());
  int others = 0;
  for (AnyExecutor on : {AnyExecutor(loop.get_executor()), AnyExecutor(strand)}) {
    spawn(on, nothing(), throwing);
    spawn(on, nothing(), [&](std::exception_ptr) { ++others; });
    EXPECT_EQ(thrown_by(loop), "of the handler");
    spawn(on, one(), throwing);
    loop.restart();
    EXPECT_EQ(thrown_by(loop), "of the handler");
    // At an end that it has waited for, and bound to a strand.
    spawn(on, sleep_for(on, 1us), asio::bind_executor(strand, throwing));
    loop.restart();
    EXPECT_EQ(thrown_by(loop), "of the handler");
    loop.restart();
    EXPECT_EQ(thrown_by(loop), "");
    loop.restart();
  }
  EXPECT_EQ(others, 2);

  // On another loop than the task's: there alone.
  spawn(executor(), one(), asio::bind_executor(other.get_executor(), throwing));
  EXPECT_EQ(thrown_by(loop), "");
  EXPECT_EQ(thrown_by(other), "of the handler");
  // A result that the handler cannot be given is the handler's exception.
  loop.restart();
  struct Unwilling {
    Unwilling() { throw std::runtime_error("of the result"); }
    explicit Unwilling(int) {}
  };
  auto failing = []() -> Task<Unwilling> {
    throw std::logic_error("no result");
    co_return Unwilling(1);
  };
  spawn(executor(), failing(), [](std::exception_ptr, Unwilling) {});
  EXPECT_EQ(thrown_by(loop), "of the result");
}

/// What completes at once needs no stack, on whichever executor.
TEST_F(AsyncSpawn, ManyDispatches) {
  auto strand = asio::make_strand(loop.get_executor());
  for (AnyExecutor on : {AnyExecutor(loop.get_executor()), AnyExecutor(strand)}) {
    int done = 0;
    run([](AnyExecutor on, int& done) -> Task<> {
      co_await asio::post(on, use_await);
      for (; done < 300'000; ++done) co_await asio::dispatch(on, use_await);
    }(on, done));
    EXPECT_EQ(done, 300'000);
  }
}

/// Completes in another thread before it returns.
struct CompleteElsewhere {
  void operator()(auto handler) const {
    std::thread([&] { std::move(handler)(std::this_thread::get_id()); }).join();
  }
};

/// An operation that completes elsewhere resumes the coroutine there, also before its initiation has returned.
TEST_F(AsyncSpawn, CompletionElsewhere) {
  run([]() -> Task<> {
    for (int i = 0; i < 3; ++i) {
      auto there = co_await asio::async_initiate<const UseAwait, void(std::thread::id)>(CompleteElsewhere(), use_await);
      EXPECT_EQ(there, std::this_thread::get_id());
    }
  }());

  // To another loop and back, inside of operations that themselves complete at once.
  std::thread::id here = std::this_thread::get_id();
  auto work = asio::make_work_guard(other);
  std::thread others([&] { other.run(); });
  run([](AnyExecutor loop, AnyExecutor other, std::thread::id here) -> Task<> {
    for (int i = 0; i < 1000; ++i) {
      co_await asio::dispatch(other, use_await);
      EXPECT_NE(std::this_thread::get_id(), here);
      co_await asio::dispatch(other, use_await);
      EXPECT_NE(std::this_thread::get_id(), here);
      co_await asio::dispatch(loop, use_await);
      EXPECT_EQ(std::this_thread::get_id(), here);
    }
  }(executor(), other.get_executor(), here));
  work.reset();
  others.join();
}

/// An initiation that throws, and one that throws after its operation has completed.
TEST_F(AsyncSpawn, InitiationThatThrows) {
  run([]() -> Task<> {
    for (bool completes : {false, true}) {
      auto initiate = [completes](auto handler) {
        if (completes) std::move(handler)(1);
        throw std::runtime_error("of the initiation");
      };
      bool caught = false;
      try {
        (void)co_await asio::async_initiate<const UseAwait, void(int)>(initiate, use_await);
      } catch (const std::runtime_error&) {
        caught = true;
      }
      EXPECT_TRUE(caught);
    }
  }());
}

/// Whatever a call outside throws, the body may go on, on the snapshot that it asked for.
TEST_F(AsyncSpawn, AfterACallThatThrew) {
  for (bool waits : {false, true}) {
    for (Snapshot snapshot : {Snapshot::same, Snapshot::fresh}) {
      const Ref<Account> changed = accounts[waits ? 1 : 2];
      const std::int64_t before = database.begin().read(changed).balance;
      run(async_transact(async, executor(), [&](AsyncTransaction& txn) -> Task<> {
        EXPECT_EQ((co_await async_read(txn, changed)).balance, before);
        auto call = [&](const Cancellation&) -> Task<int> {
          database.transact([&](Transaction& another) { another.write(changed).balance += 10; });
          if (waits) co_await sleep_for(executor(), 1us);
          throw std::runtime_error("does not answer");
          co_return 0;
        };
        bool caught = false;
        try {
          (void)co_await outside(txn, call, snapshot);
        } catch (const std::runtime_error&) {
          caught = true;
        }
        EXPECT_TRUE(caught);
        EXPECT_EQ((co_await async_read(txn, changed)).balance, snapshot == Snapshot::same ? before : before + 10);
        (co_await async_write(txn, accounts[9]))->balance += 1;
      }));
    }
  }
  EXPECT_EQ(database.begin().read(accounts[9]).balance, 9 + 4);
  expect_all_free();
}

TEST_F(AsyncSpawn, AfterACallThatWasCancelled) {
  std::stop_source source;
  auto body = [&](AsyncTransaction& txn) -> Task<> {
    auto call = [&](const Cancellation&) -> Task<> {
      source.request_stop();
      co_return;
    };
    EXPECT_THROW(co_await outside(txn, call, Snapshot::fresh), CancelledError);
    EXPECT_TRUE(txn->active());
    txn->write(accounts[3]).balance = 1000;
  };
  EXPECT_THROW(run(async_transact(async, executor(), body, Cancellation(source.get_token()))), CancelledError);
  EXPECT_EQ(database.begin().read(accounts[3]).balance, 3);
  expect_all_free();
}

/// A transaction that has begun anew is still the one that is nested in the outer one.
TEST_F(AsyncSpawn, NestedAfterAFreshSnapshot) {
  auto inner = [&](AsyncTransaction& txn) -> Task<> {
    auto call = [](const Cancellation&) -> Task<> { co_return; };
    co_await outside(txn, call, Snapshot::fresh);
    (co_await async_write(txn, accounts[4]))->balance += 1;
  };
  auto body = [&](AsyncTransaction& txn) -> Task<> {
    (co_await async_write(txn, accounts[4]))->balance = 0;
    co_await async_transact(async, executor(), inner);
  };
  EXPECT_THROW(run(async_transact(async, executor(), body, Cancellation(), {.most_attempts = 2})),
               NestedTransactionError);
  EXPECT_EQ(database.begin().read(accounts[4]).balance, 4);
}

}  // namespace
}  // namespace cow::testing
