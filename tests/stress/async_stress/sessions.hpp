// What a transaction of a coroutine does: random steps, each of which suspends where it can.
//
// Thread safety: each coroutine runs on its transaction's executor.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/async.hpp"
#include "tests/stress/async_stress/sight.hpp"
#include "tests/stress/async_stress/world.hpp"

namespace cow::testing {

/// A local variable of each coroutine: none may be left in the end.
struct FrameTag {};
using Frame = Living<FrameTag>;

/// Coroutines of one transaction. They end before it does.
class Session {
 public:
  Session(StressWorld& world, Client& me, AsyncTransaction& txn)
      : world_(world), me_(me), txn_(txn), sight_(world, *txn) {}

  /// Some steps. A step that fails for a reason that there is may leave the transaction to go on.
  Task<> run() {
    Frame frame;
    for (std::size_t steps = 1 + me_.dice.below(4); steps > 0; --steps) {
      try {
        co_await step();
      } catch (const CancelledError&) {
        throw;
      } catch (const std::exception&) {
        if (me_.dice.one_in(2)) throw;
        world_.judge(std::current_exception(), txn_.cancellation(), me_);
      }
      sight_.verify(*txn_);
    }
  }

  Task<> look(std::size_t count) {
    Frame frame;
    for (; count > 0; --count) {
      std::size_t index = world_.any_account(me_);
      me_.at("read");
      if (me_.dice.one_in(4)) {
        auto operation = async_read(txn_, world_.accounts[index], use_await);
        auto [error, account] = co_await operation;
        if (error) std::rethrow_exception(error);
        sight_.saw(*txn_, index, *account);
      } else {
        Ref<StressAccount> reference = world_.reference(me_, index);
        const StressAccount& account = co_await async_read(txn_, reference);
        sight_.saw(*txn_, index, account);
      }
      sight_.verify(*txn_);
    }
  }

  Task<> transfer() {
    Frame frame;
    std::size_t from = world_.any_account(me_), to = world_.any_account(me_);
    if (from == to) to = (to + 1) % world_.accounts.size();
    Ref<StressAccount> payers = world_.reference(me_, from), receivers = world_.reference(me_, to);
    me_.at("write");
    StressAccount* payer = co_await async_write(txn_, payers);
    sight_.diverted(from);
    Amount before = payer->amount;
    me_.at("write of a second one");
    StressAccount* receiver = co_await async_write(txn_, receivers);
    sight_.diverted(to);
    world_.check(payer->amount == before, "a private version has changed over a suspension");
    sight_.transfer(from, *payer, to, *receiver, static_cast<std::int64_t>(me_.dice.below(100)));
  }

  /// What it has changed, once it is committed.
  Changes changes() const {
    return {.list = sight_.changes(), .must_not_commit = txn_->writes() > 0 && txn_.cancellation().requested()};
  }

 private:
  /// Whether a transaction had to give up before a step that always looks.
  class GivenUpBefore {
   public:
    explicit GivenUpBefore(const AsyncTransaction& txn) : requested_(txn.cancellation().requested()) {}
    explicit operator bool() const noexcept { return requested_; }
    bool operator!() const noexcept { return !requested_; }

   private:
    bool requested_;
  };

  Task<> step() {
    switch (me_.dice.below(16)) {
      case 0:
      case 1:
      case 2:
        return look(1 + me_.dice.below(4));
      case 3:
      case 4:
      case 5:
      case 6:
        return transfer();
      case 7:
        return sleep();
      case 8:
        return call();
      case 9:
        return call_on_pool();
      case 10:
        return call_afresh();
      case 11:
      case 12:
        return prefetch();
      case 13:
        return nested();
      case 14:
        return own_object();
      default:
        return me_.dice.one_in(3) ? add_up() : throw_sometimes();
    }
  }

  Task<> throw_sometimes() {
    Frame frame;
    faults.may_throw(Fault::body);
    co_return;
  }

  /// At times for an hour: then only a stop or a deadline wakes it, and if none does the watchdog reports it.
  std::chrono::microseconds time_to_sleep() {
    const Cancellation& cancellation = txn_.cancellation();
    bool will_be_woken =
        cancellation.stop.stop_possible() || cancellation.deadline != Cancellation::Clock::time_point::max();
    if (will_be_woken && me_.dice.one_in(3)) return std::chrono::hours(1);
    return me_.dice.time(1, 2000);
  }

  Task<> sleep() {
    Frame frame;
    GivenUpBefore before(txn_);
    me_.at("sleep");
    co_await async_sleep(txn_, time_to_sleep());
    world_.check(!before, "a sleep ended well though it was given up before");
  }

  /// A call that is copied.
  Task<> call() {
    Frame frame;
    auto shared = std::make_shared<std::string>("shared by a call and its caller");
    auto call = [this, shared, text = *shared + "!"](const Cancellation& cancellation) -> Task<std::string> {
      Frame frame;
      co_await sleep_for(txn_.executor(), time_to_sleep(), cancellation);
      faults.may_throw(Fault::call);
      co_return *shared + text;
    };
    GivenUpBefore before(txn_);
    me_.at("call outside");
    std::string said = co_await outside(txn_, call);
    world_.check(!before, "a call ended well though it was given up before");
    world_.check(said == *shared + *shared + "!", "a call has returned something else");
  }

  /// A call that is moved into its task, and blocks a thread of a pool.
  Task<> call_on_pool() {
    Frame frame;
    auto shared = std::make_shared<std::string>("shared by a thread and its caller");
    auto blocking = [shared, text = *shared + "!", time = me_.dice.time(1, 200)] {
      std::this_thread::sleep_for(time);
      faults.may_throw(Fault::call);
      return *shared + text;
    };
    auto task = outside(txn_, [this, blocking](const Cancellation& cancellation) -> Task<std::string> {
      Frame frame;
      co_return co_await async_run(*world_.calls, txn_.executor(), blocking, cancellation);
    });
    me_.at("call outside on a pool");
    std::string said = co_await task;
    world_.check(said == *shared + *shared + "!", "a pool's thread has returned something else");
  }

  /// On a fresh snapshot, whatever has come of the call.
  Task<> call_afresh() {
    Frame frame;
    if (txn_->writes() > 0) co_return;
    auto text = std::make_shared<std::string>("kept by a call");
    auto call = [this, text](const Cancellation& cancellation) -> Task<> {
      Frame frame;
      co_await sleep_for(txn_.executor(), me_.dice.time(1, 1000), cancellation);
      faults.may_throw(Fault::call);
    };
    me_.at("call outside, for a fresh snapshot");
    std::exception_ptr error;
    try {
      co_await outside(txn_, call, Snapshot::fresh);
    } catch (...) {
      error = std::current_exception();
    }
    sight_.forget(*txn_);
    if (error) std::rethrow_exception(error);
  }

  Task<> prefetch() {
    Frame frame;
    std::vector<std::size_t> indices;
    std::vector<Ref<StressAccount>> references;
    for (std::size_t count = 1 + me_.dice.below(20); count > 0; --count) {
      indices.push_back(world_.any_account(me_));
      references.push_back(world_.reference(me_, indices.back()));
    }
    GivenUpBefore before(txn_);
    me_.at("prefetch");
    co_await async_prefetch(txn_, std::span<const Ref<StressAccount>>(references));
    world_.check(!before, "a prefetch ended well though it was given up before");
    me_.at("read of what was prefetched");
    for (std::size_t i = 0; i < indices.size(); i += 4) {
      const StressAccount& account = co_await async_read(txn_, references[i]);
      sight_.saw(*txn_, indices[i], account);
    }
  }

  Task<> add_up() {
    Frame frame;
    std::int64_t sum = 0;
    me_.at("sum");
    for (std::size_t index = 0; index < world_.accounts.size(); ++index) {
      Ref<StressAccount> reference(world_.accounts[index].oid());
      const StressAccount& account = co_await async_read(txn_, reference);
      sight_.saw(*txn_, index, account);
      sum += account.amount.balance;
      if (index % 16 == 0) me_.at("sum");
    }
    world_.check(sum == world_.sum(), [&] { return "the sum of a snapshot is " + std::to_string(sum); });
  }

  /// A transaction inside of this one, which commits for itself. It must not wait for its place for long: all places may be
  /// held by transactions that wait for another one, as this one does.
  Task<> nested() {
    Frame frame;
    Changes changes;
    auto body = [this, &changes](AsyncTransaction& inner) -> Task<> {
      Frame frame;
      Session session(world_, me_, inner);
      co_await session.look(1);
      co_await session.transfer();
      changes = session.changes();
      me_.at("nested commit");
    };
    Cancellation limited = txn_.cancellation();
    limited.deadline = std::min(limited.deadline, Cancellation::Clock::now() + std::chrono::milliseconds(5));
    me_.at("nested begin");
    try {
      co_await async_transact(*world_.async, txn_.executor(), body, limited, world_.plan.retry);
      world_.acknowledge(changes);
    } catch (const std::exception&) {
      world_.judge(std::current_exception(), limited, me_);
    }
  }

  /// An object of its own: it reads what it has made.
  Task<> own_object() {
    Frame frame;
    StressAccount made(static_cast<std::int64_t>(me_.dice.below(1000)));
    Amount amount = made.amount;
    Ref<StressAccount> own = txn_->create(std::move(made));
    me_.at("own object");
    const StressAccount& seen = co_await async_read(txn_, own);
    world_.check(seen.intact() && seen.amount == amount, "an own object is another one");
    if (me_.dice.one_in(2)) txn_->erase(own);
  }

  StressWorld& world_;
  Client& me_;
  AsyncTransaction& txn_;
  Sight sight_;
};

/// The body of a transaction. Returns `name`.
inline Task<std::string> run_session(StressWorld& world, Client& me, AsyncTransaction& txn, Changes& changes,
                                     const std::string& name) {
  Frame frame;
  Session session(world, me, txn);
  co_await session.run();
  changes = session.changes();
  me.at("commit");
  co_return name;
}

}  // namespace cow::testing
