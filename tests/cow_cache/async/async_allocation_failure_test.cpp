// Every allocation of an asynchronous transaction may fail: to post, to wait, to wake and to resume. It throws where the task
// waits for it, or it was not needed. No task is stranded, and nothing stays in a queue.
#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <span>
#include <thread>

#include "cow_cache/async.hpp"
#include "tests/cow_cache/allocation_failure_testing.hpp"

namespace cow::testing {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// A coroutine that stands ready: to begin it takes no memory. (`spawn` does, and may throw for it.)
class Ready {
 public:
  struct promise_type {
    Ready get_return_object() { return Ready(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };

  Ready(Ready&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Ready() {
    if (handle_) handle_.destroy();
  }
  void begin() { handle_.resume(); }
  bool has_ended() const { return handle_.done(); }

 private:
  explicit Ready(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

/// A loop with some tasks, and a database for them.
struct Tasks {
  Tasks(World& world, const AsyncOptions& options) : world(world), async(world.db(), options) {}

  AnyExecutor executor() { return loop.get_executor(); }

  /// One transaction; true: it has committed.
  template <class Body>
  Task<bool> attempt(Body body, Cancellation cancellation = Cancellation()) {
    try {
      AsyncTransaction txn = co_await async_begin(async, executor(), cancellation);
      co_await body(txn);
      co_await async_commit(txn);
      co_return true;
    } catch (const std::bad_alloc&) {
    } catch (const ConflictError&) {
    } catch (const CancelledError&) {
    }
    co_return false;
  }

  World& world;
  asio::io_context loop;
  AsyncDatabase async;
  std::stop_source source;
  std::vector<Ready> ready;
};

/// Sweeps over `count` tasks that run at once. `body(Tasks&, number)` is one of them, a Task; it may throw std::bad_alloc.
template <class Body>
void sweep(int count, Body body, const AsyncOptions& options = {.load_threads = 2, .commit_threads = 2}) {
  std::shared_ptr<Tasks> tasks;
  Sweep::over({.items = 6,
               .prepare =
                   [&](World& world) {
                     world.db().evict_all();
                     tasks = std::make_shared<Tasks>(world, options);
                     for (int i = 0; i < count; ++i) {
                       tasks->ready.push_back([](Body& body, Tasks& all, int number) -> Ready {
                         try {
                           co_await body(all, number);
                         } catch (const std::bad_alloc&) {
                         }
                       }(body, *tasks, i));
                     }
                   },
               .run =
                   [&](World&) {
                     for (Ready& task : tasks->ready) task.begin();
                     tasks->loop.poll();
                     tasks->source.request_stop();  // of those who listen to it, wherever they are
                     tasks->loop.restart();
                     tasks->loop.run();
                     for (Ready& task : tasks->ready) require(task.has_ended(), "a task is stranded");
                     require(tasks->async.admission().running() == 0, "a place is lost");
                     require(tasks->async.admission().waiting() == 0, "a waiter stays in the queue");
                     // What was given up may be in the pools' queues yet; they run it before they end.
                     for (WorkerPool* pool : {&tasks->async.loads(), &tasks->async.commits()}) {
                       while (pool->waiting() > 0 && pool->waiting() < 1000) std::this_thread::yield();
                       require(pool->waiting() == 0, "the count of a queue is wrong");
                     }
                     tasks.reset();
                   }});
}

std::size_t own(int number, int step = 0) { return static_cast<std::size_t>(2 * number + step); }

TEST(AsyncAllocationFailure, MissesOfObjectsOfItsOwnAndOfOthers) {
  sweep(3, [](Tasks& all, int number) -> Task<> {
    for (std::size_t i : {own(number), std::size_t{0}, std::size_t{5}, own(number, 1)}) {
      auto body = [&](AsyncTransaction& txn) -> Task<> {
        Ref<Item> reference = all.world.plain(i);
        const Item& item = co_await async_read(txn, reference);
        require(item.value == all.world.values[i], "a value is wrong");
      };
      (void)co_await all.attempt(std::move(body));
    }
  });
}

TEST(AsyncAllocationFailure, Commits) {
  sweep(3, [](Tasks& all, int number) -> Task<> {
    for (std::int64_t round = 1; round <= 2; ++round) {
      auto body = [&](AsyncTransaction& txn) -> Task<> {
        Ref<Item> reference = all.world.plain(own(number));
        (co_await async_write(txn, reference))->value = 100 * round;
      };
      if (co_await all.attempt(std::move(body))) all.world.values[own(number)] = 100 * round;
    }
  });
}

TEST(AsyncAllocationFailure, WaitingToBeAdmitted) {
  sweep(4,
        [](Tasks& all, int number) -> Task<> {
          auto body = [&](AsyncTransaction& txn) -> Task<> {
            Ref<Item> reference = all.world.plain(own(0));
            (void)co_await async_read(txn, reference);
          };
          Cancellation cancellation(number == 2 ? all.source.get_token() : std::stop_token());
          (void)co_await all.attempt(std::move(body), cancellation);
        },
        {.load_threads = 1, .commit_threads = 1, .most_in_flight = 1});
}

TEST(AsyncAllocationFailure, GivingUp) {
  sweep(3, [](Tasks& all, int) -> Task<> {
    auto body = [&](AsyncTransaction& txn) -> Task<> {
      Ref<Item> reference = all.world.plain(0);
      (void)co_await async_read(txn, reference);
      co_await async_sleep(txn, 1h);
    };
    (void)co_await all.attempt(std::move(body), Cancellation(all.source.get_token()));
  });
}

TEST(AsyncAllocationFailure, Deadlines) {
  sweep(2, [](Tasks& all, int) -> Task<> {
    auto body = [&](AsyncTransaction& txn) -> Task<> {
      Ref<Item> reference = all.world.plain(0);
      (void)co_await async_read(txn, reference);
      co_await async_sleep(txn, 1h);
    };
    Cancellation soon(Cancellation::Clock::now() + 200us);
    (void)co_await all.attempt(std::move(body), soon);
  });
}

TEST(AsyncAllocationFailure, Prefetch) {
  sweep(2, [](Tasks& all, int) -> Task<> {
    std::array<Ref<Item>, 6> references;
    for (std::size_t i = 0; i < references.size(); ++i) references[i] = all.world.plain(i);
    auto body = [&](AsyncTransaction& txn) -> Task<> {
      co_await async_prefetch(txn, std::span<const Ref<Item>>(references));
    };
    (void)co_await all.attempt(std::move(body));
  });
}

TEST(AsyncAllocationFailure, Spawning) {
  auto returns_nothing = []() -> Task<> { co_return; };
  auto returns = []() -> Task<int> { co_return 7; };
  sweep(1, [&](Tasks& all, int) -> Task<> {
    int begun = 0, handled = 0;
    auto spawn_one = [&](auto&& task, auto handler) {
      try {
        spawn(all.executor(), task(), std::move(handler));
        ++begun;
      } catch (const std::bad_alloc&) {
      }
    };
    spawn_one(returns_nothing, [&](std::exception_ptr) { ++handled; });
    spawn_one(returns, [&](std::exception_ptr error, int value) { handled += error || value == 7; });
    failing_memory::spare();  // to queue a handler takes memory that nobody could be told the lack of
    co_await sleep_for(all.executor(), 1ms);
    require(handled == begun, "a handler was not called, or for nothing");
  });
}

TEST(AsyncAllocationFailure, FunctionsOnAPool) {
  sweep(2, [](Tasks& all, int) -> Task<> {
    int ran = 0;
    bool returned = false;
    auto function = [&ran] { return ++ran; };
    try {
      int result = co_await async_run(all.async.commits(), all.executor(), std::move(function));
      returned = true;
      require(result == 1, "a result is wrong");
    } catch (const std::bad_alloc&) {
    }
    require(ran == (returned ? 1 : 0), "it says that it has not run");
  });
}

}  // namespace
}  // namespace cow::testing
