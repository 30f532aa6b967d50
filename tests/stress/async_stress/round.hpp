// A round: a world is made, all clients run, all is closed, and what must hold then is checked.
//
// Thread safety: one round at a time in a process, in one thread.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <latch>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/stress/async_stress/blocking_clients.hpp"
#include "tests/stress/async_stress/coroutine_clients.hpp"
#include "tests/stress/async_stress/loops.hpp"
#include "tests/stress/async_stress/plan.hpp"
#include "tests/stress/async_stress/watch.hpp"
#include "tests/stress/async_stress/world.hpp"

namespace cow::testing {

class StressRound {
 public:
  StressRound(const StressPlan& plan, StressCounts& counts)
      : bytes_before_(state_bytes()), plan_(plan), world_(std::in_place, plan, counts) {}
  ~StressRound() { faults.stop(); }

  void run() {
    world_->clients.emplace_back("the test itself", plan_.seed);
    start_clients();
    {
      Watchdog watchdog(world_->clients, [this] { return name(); });
      std::optional<Stopper> stopper(std::in_place, world_->clients, plan_.seed);
      go_.count_down();
      wait_for_clients();
      main().at("waits for the loops");
      loops_->finish();
      stopper.reset();
      close_async();
      main().at("closes the database");
      check_database();
      world_->database.reset();
      main().done();
    }
    world_.reset();
    EXPECT_EQ(Living<StressAccount>::count.load(), 0) << "values are left; " << name();
    EXPECT_EQ(state_bytes(), bytes_before_) << "states are left; " << name();
  }

 private:
  /// Of states, alive or dead. (AddressSanitizer's quarantine holds free slots.)
  static std::size_t state_bytes() {
    std::size_t bytes = 0;
    detail::StateMemory& memory = detail::StateMemory::instance();
    memory.sweep(0, memory.slot_count(), [&](detail::StateHeader& state) {
      // Relaxed: all threads have been joined.
      if (state.key.load(std::memory_order_relaxed) != 0) bytes += detail::size_classes::bytes_of(state.size_class());
      return true;
    });
    return bytes;
  }

  std::string name() const {
    std::ostringstream text;
    text << "COW_CACHE_SEED=" << plan_.seed << ": " << plan_;
    return text.str();
  }
  Client& main() { return world_->clients.front(); }

  Client& add_client(const char* kind) {
    std::size_t number = world_->clients.size();
    return world_->clients.emplace_back(kind, plan_.seed * 1'000'003 + number);
  }

  /// All wait for `go_`, so that the list of clients is complete when they, and the watchdog, begin.
  void start_clients() {
    for (std::size_t i = 0; i < plan_.coroutines; ++i) {
      Client& client = add_client("coroutine");
      start_coroutine(client, loops_->any(client.dice));
    }
    for (std::size_t i = 0; i < plan_.strand_clients; ++i) {
      start_coroutine(add_client("coroutine on a strand"),
                      i % 4 == 0 ? loops_->strand_of_pool() : loops_->own_strand());
    }
    for (std::size_t i = 0; i < plan_.asio_clients; ++i) start_asio_coroutine(add_client("coroutine of Asio"));
    for (std::size_t i = 0; i < plan_.threads; ++i) {
      start_thread(add_client("thread"), [this](Client& client) { run_thread_client(*world_, client); });
    }
    for (std::size_t i = 0; i < plan_.future_threads; ++i) {
      start_thread(add_client("thread with futures"),
                   [this](Client& client) { run_future_client(*world_, *loops_, client); });
    }
#if defined(COW_STRESS_WITH_FIBERS)
    for (std::size_t i = 0; i < plan_.fibers; ++i) {
      Client& client = add_client("fiber");
      fibers_->spawn([this, &client, executor = loops_->any(client.dice)] {
        run_fiber_client(*world_, client, executor);
        client.done();
      });
    }
#endif
    Client& ticker = add_client("ticker");
    AnyExecutor executor = loops_->own_strand();
    starts_.emplace_back([this, &ticker, executor] {
      spawn(executor, run_ticker(*world_, ticker, executor, stop_ticker_.get_token()),
            [this, &ticker](std::exception_ptr error) {
              if (error) world_->judge(error, Cancellation(), ticker);
              ticker.done();
            });
    });
    for (auto& start : starts_) start();
    starts_.clear();  // they hold strands, which go before their loops
  }

  void start_coroutine(Client& client, const AnyExecutor& executor) {
    ++coroutines_left_;
    starts_.emplace_back([this, &client, executor] {
      spawn(executor, run_coroutine_client(*world_, *loops_, client, executor), ended(client));
    });
  }
  void start_asio_coroutine(Client& client) {
    ++coroutines_left_;
    AnyExecutor executor = loops_->own_strand();
    starts_.emplace_back([this, &client, executor] {
      boost::asio::co_spawn(executor, run_asio_client(*world_, client, executor), ended(client));
    });
  }
  /// The handler of a client's task: it has failed if anything was thrown.
  std::function<void(std::exception_ptr)> ended(Client& client) {
    return [this, &client](std::exception_ptr error) {
      if (error) world_->fail(client.description() + ": its task has ended with an exception");
      client.done();
      --coroutines_left_;
      coroutines_left_.notify_all();
    };
  }
  template <class Run>
  void start_thread(Client& client, Run run) {
    threads_.emplace_back([this, &client, run] {
      go_.wait();
      run(client);
      client.done();
    });
  }

  void wait_for_clients() {
    main().at("waits for threads");
    for (std::jthread& thread : threads_) thread.join();
    main().at("waits for fibers");
#if defined(COW_STRESS_WITH_FIBERS)
    fibers_.reset();
#endif
    main().at("waits for coroutines");
    for (std::size_t left; (left = coroutines_left_.load()) > 0;) coroutines_left_.wait(left);
    main().at("waits for the ticker");
    stop_ticker_.request_stop();
  }

  /// All tasks have ended: nothing of them is left but what the pools have been given.
  void close_async() {
    EXPECT_EQ(Frame::count.load(), 0) << "frames of coroutines are left; " << name();
    EXPECT_EQ(world_->async->admission().running(), 0u) << name();
    EXPECT_EQ(world_->async->admission().waiting(), 0u) << name();
    EXPECT_EQ(world_->handlers_thrown.load(), world_->handlers_caught.load()) << name();
    if (plan_.loops_go_first) loops_.reset();
    // What was given up stays in their queues until its turn comes.
    main().at("waits for the pools");
    while (world_->async->loads().waiting() + world_->async->commits().waiting() + world_->calls->waiting() > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    main().at("joins the pools");
    world_->async.reset();
    world_->calls.reset();
    loops_.reset();
  }

  /// No thread is left. What is there is what was acknowledged, in the cache and in the store.
  void check_database() {
    faults.stop();
    Statistics statistics = world_->database->statistics();
    EXPECT_EQ(statistics.active_transactions, 0u) << name();
    EXPECT_EQ(statistics.ticket_bytes, 0u) << name();
    check_accounts("in the cache");
    world_->database->evict_all();
    statistics = world_->database->statistics();
    EXPECT_EQ(statistics.cache_bytes, 0u) << name();
    EXPECT_EQ(statistics.limbo_bytes, 0u) << name();
    world_->database.reset();
    world_->database = std::make_unique<Database>(world_->store, world_->plan.cache);
    check_accounts("in the store");
    EXPECT_EQ(world_->wrong(), "") << name();
  }

  void check_accounts(const char* where) {
    Transaction txn = world_->database->begin();
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < world_->accounts.size(); ++i) {
      const StressAccount& account = txn.read(Ref<StressAccount>(world_->accounts[i].oid()));
      sum += account.amount.balance;
      EXPECT_TRUE(account.intact()) << where;
      EXPECT_EQ(account.amount.text(), world_->expected(i).text())
          << "account " << i << " " << where << " is not what was acknowledged; " << name();
    }
    EXPECT_EQ(sum, world_->sum()) << where << "; " << name();
  }

  const std::size_t bytes_before_;
  const StressPlan plan_;
  std::optional<StressWorld> world_;
  std::optional<Loops> loops_{std::in_place, world_->handlers_caught};
#if defined(COW_STRESS_WITH_FIBERS)
  std::optional<FiberThreads> fibers_{std::in_place, std::size_t{2}, std::size_t{512} << 10};
#endif
  std::latch go_{1};
  std::vector<std::function<void()>> starts_;
  std::atomic<std::size_t> coroutines_left_{0};
  std::stop_source stop_ticker_;
  std::vector<std::jthread> threads_;
};

}  // namespace cow::testing
