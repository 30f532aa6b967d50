// Clients in blocking style: threads, threads that wait for futures, and fibers.
//
// Thread safety: a client belongs to its thread, or fiber.
#pragma once

#include <boost/asio/use_future.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "cow_cache/async.hpp"
#include "tests/stress/async_stress/coroutine_clients.hpp"
#include "tests/stress/async_stress/sight.hpp"
#include "tests/stress/async_stress/world.hpp"
#if defined(COW_STRESS_WITH_FIBERS)
#include "cow_cache/fibers.hpp"
#endif

namespace cow::testing {

/// How a thread does what a session needs.
class ThreadStyle {
 public:
  explicit ThreadStyle(Transaction& txn) : txn_(txn) {}
  Transaction& transaction() { return txn_; }
  const StressAccount& read(const Ref<StressAccount>& reference) { return txn_.read(reference); }
  StressAccount& write(const Ref<StressAccount>& reference) { return txn_.write(reference); }
  void sleep(std::chrono::microseconds time) {
    txn_.will_sleep();
    std::this_thread::sleep_for(time);
  }
  void call(StressWorld&, std::chrono::microseconds time) { sleep(time); }

 private:
  Transaction& txn_;
};

/// Random steps of a transaction, in blocking style. Gives what it has changed.
template <class Style>
Changes run_blocking_session(StressWorld& world, Client& me, Style style) {
  Frame frame;
  Sight sight(world, style.transaction());
  auto look = [&](std::size_t index) {
    Ref<StressAccount> reference = world.reference(me, index);
    const StressAccount& account = style.read(reference);
    sight.saw(style.transaction(), index, account);
    return account.amount.balance;
  };
  for (std::size_t steps = 1 + me.dice.below(4); steps > 0; --steps) {
    switch (me.dice.below(8)) {
      case 0:
      case 1:
      case 2:
        me.at("read");
        for (std::size_t count = 1 + me.dice.below(4); count > 0; --count) (void)look(world.any_account(me));
        break;
      case 3:
      case 4: {
        std::size_t from = world.any_account(me), to = world.any_account(me);
        if (from == to) to = (to + 1) % world.accounts.size();
        me.at("write");
        StressAccount& payer = style.write(world.accounts[from]);
        sight.diverted(from);
        StressAccount& receiver = style.write(world.accounts[to]);
        sight.diverted(to);
        sight.transfer(from, payer, to, receiver, static_cast<std::int64_t>(me.dice.below(100)));
        break;
      }
      case 5:
        me.at("sleep");
        style.sleep(me.dice.time(1, 2000));
        break;
      case 6:
        me.at("call outside");
        style.call(world, me.dice.time(1, 500));
        break;
      default: {
        me.at("sum");
        faults.may_throw(Fault::body);
        std::int64_t sum = 0;
        for (std::size_t index = 0; index < world.accounts.size(); ++index) sum += look(index);
        world.check(sum == world.sum(), [&] { return "the sum of a snapshot is " + std::to_string(sum); });
      }
    }
    sight.verify(style.transaction());
  }
  me.at("commit");
  return {.list = sight.changes()};
}

inline void run_thread_client(StressWorld& world, Client& me) {
  for (std::size_t i = 0; i < 4 * world.plan.transactions; ++i) {
    me.at("begin");
    try {
      if (me.dice.one_in(8)) world.database->evict_all();
      world.acknowledge(world.database->transact(
          [&](Transaction& txn) { return run_blocking_session(world, me, ThreadStyle(txn)); }, world.plan.retry));
    } catch (...) {
      world.judge(std::current_exception(), Cancellation(), me);
    }
  }
  me.at("end");
}

/// A thread that waits for a coroutine of a loop.
inline void run_future_client(StressWorld& world, Loops& loops, Client& me) {
  Changes changes;
  for (std::size_t i = 0; i < 2 * world.plan.transactions; ++i) {
    Cancellation cancellation = me.draw_cancellation(world.plan.deadline_one_in, world.plan.stop_one_in);
    me.at("begin");
    changes = {};
    AnyExecutor executor = loops.any(me.dice);
    try {
      spawn(executor,
            async_transact(*world.async, executor, make_body(world, me, changes), cancellation, world.plan.retry),
            boost::asio::use_future)
          .get();
      world.acknowledge(changes);
    } catch (...) {
      world.judge(std::current_exception(), cancellation, me);
    }
  }
  me.at("end");
}

#if defined(COW_STRESS_WITH_FIBERS)
class FiberStyle {
 public:
  explicit FiberStyle(AsyncTransaction& txn) : txn_(txn) {}
  Transaction& transaction() { return *txn_; }
  const StressAccount& read(const Ref<StressAccount>& reference) { return fiber_read(txn_, reference); }
  StressAccount& write(const Ref<StressAccount>& reference) {
    (void)fiber_read(txn_, reference);
    return txn_->write(reference);
  }
  void sleep(std::chrono::microseconds time) {
    txn_.will_sleep();
    boost::this_fiber::sleep_for(time);
  }
  /// On a thread of a pool, or as a coroutine's sleep.
  void call(StressWorld& world, std::chrono::microseconds time) {
    txn_.will_sleep();
    if (time.count() % 2 == 0) {
      spawn(txn_.executor(), sleep_for(txn_.executor(), time, txn_.cancellation()), use_fiber);
    } else {
      auto text = std::make_shared<std::string>("of a fiber");
      auto blocking = [text, time] {
        std::this_thread::sleep_for(time);
        faults.may_throw(Fault::call);
        return *text;
      };
      std::string said =
          spawn(txn_.executor(), async_run(*world.calls, txn_.executor(), blocking, txn_.cancellation()), use_fiber);
      world.check(said == *text, "a call of a fiber has returned something else");
    }
  }

 private:
  AsyncTransaction& txn_;
};

inline void run_fiber_client(StressWorld& world, Client& me, const AnyExecutor& executor) {
  Frame frame;
  for (std::size_t i = 0; i < world.plan.transactions; ++i) {
    Cancellation cancellation = me.draw_cancellation(world.plan.deadline_one_in, world.plan.stop_one_in);
    me.at("begin");
    try {
      world.acknowledge(fiber_transact(
          *world.async, executor,
          [&](AsyncTransaction& txn) { return run_blocking_session(world, me, FiberStyle(txn)); }, cancellation,
          world.plan.retry));
    } catch (...) {
      world.judge(std::current_exception(), cancellation, me);
    }
  }
  me.at("end");
}
#endif

}  // namespace cow::testing
