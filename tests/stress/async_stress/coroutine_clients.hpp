// Clients that are coroutines: of this library, and of Asio.
//
// Thread safety: a client runs on its executor; its transactions at times on another one, while it waits for them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "cow_cache/async.hpp"
#include "tests/stress/async_stress/loops.hpp"
#include "tests/stress/async_stress/sessions.hpp"
#include "tests/stress/async_stress/world.hpp"

namespace cow::testing {

/// The body of a client's transaction: it has captured what must be destroyed, once.
inline auto make_body(StressWorld& world, Client& me, Changes& changes) {
  return [&world, &me, &changes, name = std::string("the transaction of a client of this test"),
          frame = std::make_shared<Frame>()](AsyncTransaction& txn) -> Task<std::string> {
    Frame own;
    std::string receipt = co_await run_session(world, me, txn, changes, name);
    co_return receipt;
  };
}

class CoroutineClient {
 public:
  CoroutineClient(StressWorld& world, Loops& loops, Client& me, AnyExecutor executor)
      : world_(world), loops_(loops), me_(me), executor_(std::move(executor)) {}

  Task<> run() {
    Frame frame;
    for (std::size_t i = 0; i < world_.plan.transactions; ++i) {
      Cancellation cancellation = me_.draw_cancellation(world_.plan.deadline_one_in, world_.plan.stop_one_in);
      me_.at("begin");
      changes_ = {};
      try {
        std::size_t way = me_.dice.below(8);
        if (way == 0) {
          co_await by_hand(cancellation);
        } else if (way == 1) {
          co_await on_another_loop(cancellation);
        } else if (way == 2) {
          co_await as_an_operation(cancellation);
        } else {
          auto body = make_body(world_, me_, changes_);
          auto task = async_transact(*world_.async, executor_, std::move(body), cancellation, world_.plan.retry);
          std::string receipt = co_await task;
          committed(receipt);
        }
      } catch (...) {
        world_.judge(std::current_exception(), cancellation, me_);
      }
    }
    me_.at("end");
  }

 private:
  void committed(const std::string& receipt) {
    world_.acknowledge(changes_);
    world_.check(receipt == "the transaction of a client of this test", "a body's result is another one");
  }

  Task<> by_hand(Cancellation cancellation) {
    Frame frame;
    auto txn = co_await async_begin(*world_.async, executor_, cancellation);
    std::string receipt = co_await run_session(world_, me_, txn, changes_, "the transaction of a client of this test");
    if (me_.dice.one_in(4)) co_return;  // its destructor aborts it
    co_await async_commit(txn);
    committed(receipt);
  }

  /// Its handler wakes this client, from the other loop, and throws at times.
  Task<> on_another_loop(Cancellation cancellation) {
    Frame frame;
    AnyExecutor other = loops_.any(me_.dice);
    Sleeper sleeper(executor_);
    std::exception_ptr error;
    std::string receipt;
    auto handler = [&world = world_, &error, &receipt, wake = sleeper.waker()](std::exception_ptr of,
                                                                               std::string said) {
      bool throws = faults.strikes(Fault::handler);
      world.handlers_called.fetch_add(1, std::memory_order_relaxed);
      if (throws) world.handlers_thrown.fetch_add(1, std::memory_order_relaxed);
      error = of;
      receipt = std::move(said);
      wake();  // from here on the client may be gone
      if (throws) throw ThrownOnPurpose(Fault::handler);
    };
    spawn(other,
          async_transact(*world_.async, other, make_body(world_, me_, changes_), cancellation, world_.plan.retry),
          std::move(handler));
    co_await sleeper.until(Cancellation::Clock::time_point::max());
    if (error) std::rethrow_exception(error);
    committed(receipt);
  }

  Task<> as_an_operation(Cancellation cancellation) {
    Frame frame;
    auto body = make_body(world_, me_, changes_);
    auto operation =
        spawn(executor_, async_transact(*world_.async, executor_, body, cancellation, world_.plan.retry), use_await);
    auto [error, receipt] = co_await operation;
    if (error) std::rethrow_exception(error);
    committed(receipt);
  }

  StressWorld& world_;
  Loops& loops_;
  Client& me_;
  const AnyExecutor executor_;
  Changes changes_;
};

inline Task<> run_coroutine_client(StressWorld& world, Loops& loops, Client& me, AnyExecutor executor) {
  Frame frame;
  CoroutineClient client(world, loops, me, std::move(executor));
  co_await client.run();
}

inline boost::asio::awaitable<void> run_asio_client(StressWorld& world, Client& me, AnyExecutor executor) {
  Frame frame;
  Changes changes;
  for (std::size_t i = 0; i < world.plan.transactions; ++i) {
    Cancellation cancellation = me.draw_cancellation(world.plan.deadline_one_in, world.plan.stop_one_in);
    me.at("begin");
    changes = {};
    auto body = make_body(world, me, changes);
    try {
      co_await spawn(executor, async_transact(*world.async, executor, body, cancellation, world.plan.retry),
                     boost::asio::use_awaitable);
      world.acknowledge(changes);
    } catch (...) {
      world.judge(std::current_exception(), cancellation, me);
    }
  }
  me.at("end");
}

/// Looks at the accounts at fixed times, until it is stopped.
inline Task<> run_ticker(StressWorld& world, Client& me, AnyExecutor executor, std::stop_token stop) {
  Frame frame;
  auto shared = std::make_shared<std::string>("of the ticker");
  auto tick = [&world, &me, executor, shared]() -> Task<> {
    Frame frame;
    me.at("begin of a tick");
    faults.may_throw(Fault::body);
    Cancellation soon(Cancellation::Clock::now() + std::chrono::milliseconds(20));
    auto body = [&world, &me, shared](AsyncTransaction& txn) -> Task<> {
      Frame frame;
      Session session(world, me, txn);
      co_await session.look(3);
    };
    try {
      co_await async_transact(*world.async, executor, body, soon);
    } catch (const std::exception&) {
      world.judge(std::current_exception(), soon, me);
    }
    me.at("wait for a tick");
  };
  while (!stop.stop_requested()) {
    me.at("wait for a tick");
    try {
      co_await periodic(executor, std::chrono::microseconds(700), Cancellation(stop), tick);
    } catch (const ThrownOnPurpose& error) {
      world.check(error.fault == Fault::body, "a tick has thrown something else");
    }
  }
  me.at("end");
}

}  // namespace cow::testing
