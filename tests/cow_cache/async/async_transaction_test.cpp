// Transactions of coroutines: commits, conflicts, cancellation, deadlines, bounds, calls outside, periodic calls.
#include <boost/asio/detached.hpp>

#include "tests/support/async_testing.hpp"

namespace cow::testing {
namespace {

class AsyncTransact : public AsyncTest {
 public:
  auto add(std::size_t account, std::int64_t amount, const Cancellation& cancellation = Cancellation(),
           const RetryPolicy& retry = {}) {
    return async_transact(
        async, executor(),
        [this, account, amount](AsyncTransaction& txn) -> Task<std::int64_t> {
          Account* mine = co_await async_write(txn, accounts[account]);
          co_return mine->balance += amount;
        },
        cancellation, retry);
  }
  std::int64_t balance(std::size_t account) { return database.begin().read(accounts[account]).balance; }
};

/// Two in flight, three waiting.
class AsyncBounds : public AsyncTest {
 public:
  AsyncBounds() : AsyncTest({.most_in_flight = 2, .most_waiting = 3}) {}
};

TEST_F(AsyncTransact, CommitsOffTheLoop) {
  store.shut_commits(true);
  bool done = false, other_work = false;
  spawn(executor(), add(1, 10), [&](std::exception_ptr error, std::int64_t now) {
    EXPECT_FALSE(error);
    EXPECT_EQ(now, 11);
    done = true;
  });
  run_until([&] { return store.commits_waiting() == 1; });
  asio::post(loop, [&] { other_work = true; });
  run_until([&] { return other_work; });
  EXPECT_FALSE(done);
  store.shut_commits(false);
  run_loop();
  EXPECT_TRUE(done);
  EXPECT_EQ(balance(1), 11);
  expect_all_free();
}

TEST_F(AsyncTransact, ConflictsAreTriedAgain) {
  constexpr int kAdders = 200;
  int done = 0;
  for (int i = 0; i < kAdders; ++i) {
    spawn(executor(), add(2, 1, Cancellation(), kPatient), [&](std::exception_ptr error, std::int64_t) {
      EXPECT_FALSE(error);
      ++done;
    });
  }
  run_loop();
  EXPECT_EQ(done, kAdders);
  EXPECT_EQ(balance(2), 2 + kAdders);
  EXPECT_GT(database.statistics().conflicts, 0u);
  expect_all_free();
}

TEST_F(AsyncTransact, ConflictsEndAfterTheLastAttempt) {
  int attempts = 0;
  auto loser = [&](AsyncTransaction& txn) -> Task<> {
    ++attempts;
    txn->write(accounts[3]).balance = 0;
    database.transact([&](Transaction& other) { ++other.write(accounts[3]).balance; });
    co_return;
  };
  EXPECT_THROW(run(async_transact(async, executor(), loser, Cancellation(), {.most_attempts = 3})), ConflictError);
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(balance(3), 6);
  expect_all_free();
}

// The store cannot be packed, so the body throws what another one would.
TEST_F(AsyncTransact, ASnapshotOfItsOwnThatIsTooOldIsTriedAgain) {
  int attempts = 0;
  std::uint64_t before = 0;
  auto late = [&](AsyncTransaction& txn) -> Task<> {
    const Tid asked{txn->snapshot().value - before};
    if (++attempts < 3) throw SnapshotTooOldError(accounts[3].oid(), asked, kInfinity);
    co_return;
  };
  run(async_transact(async, executor(), late));
  EXPECT_EQ(attempts, 3);
  attempts = 0;
  before = 1;
  EXPECT_THROW(run(async_transact(async, executor(), late)), SnapshotTooOldError) << "that was no snapshot of its own";
  EXPECT_EQ(attempts, 1);
  expect_all_free();
}

TEST_F(AsyncTransact, ANestedCommitOfWhatTheOuterOneHasChangedIsRefused) {
  int attempts = 0;
  auto body = [&](AsyncTransaction& txn) -> Task<> {
    ++attempts;
    (co_await async_write(txn, accounts[4]))->balance = 0;
    co_await async_sleep(txn, 1ms);  // it goes on from the loop, not from its caller
    co_await add(4, 10);
  };
  EXPECT_THROW(run(async_transact(async, executor(), body)), NestedTransactionError);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(balance(4), 4);
  expect_all_free();
}

TEST_F(AsyncTransact, AnOuterChangeOfWhatANestedOneHasCommittedIsRefused) {
  int attempts = 0;
  auto deeper = [&]() -> Task<> { (void)co_await add(4, 10); };
  auto body = [&](AsyncTransaction& txn) -> Task<> {
    ++attempts;
    co_await deeper();
    (co_await async_write(txn, accounts[4]))->balance = 0;
  };
  EXPECT_THROW(run(async_transact(async, executor(), body)), NestedTransactionError);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(balance(4), 14);
  expect_all_free();
}

// On the same thread, one begun while the other is in the middle: not nested, whichever begins first.
TEST_F(AsyncTransact, CoroutinesBesideEachOtherAreNotNested) {
  int done = 0;
  auto slow = [&](AsyncTransaction& txn) -> Task<> {
    (co_await async_write(txn, accounts[4]))->balance += 1;
    (void)co_await add(5, 1);  // apart from the outer one
    co_await async_sleep(txn, 5ms);
  };
  for (int i = 0; i < 4; ++i) {
    spawn(executor(), async_transact(async, executor(), slow, Cancellation(), kPatient), [&](std::exception_ptr error) {
      EXPECT_FALSE(error);
      ++done;
    });
  }
  run_loop();
  EXPECT_EQ(done, 4);
  EXPECT_EQ(balance(4), 8);
  expect_all_free();
}

TEST_F(AsyncTransact, WhatTheBodyThrowsAborts) {
  auto body = [&](AsyncTransaction& txn) -> Task<int> {
    (co_await async_write(txn, accounts[4]))->balance = 1000;
    throw std::runtime_error("changed my mind");
  };
  EXPECT_THROW(run(async_transact(async, executor(), body)), std::runtime_error);
  EXPECT_EQ(balance(4), 4);
  expect_all_free();
}

TEST_F(AsyncTransact, RootsAreReadWithoutBlocking) {
  run(async_transact(async, executor(), [&](AsyncTransaction& txn) -> Task<> {
    auto root = co_await async_root(txn);
    root.emplace("label", Label{"written by a coroutine"});
  }));
  database.evict_all();
  std::thread::id here = std::this_thread::get_id();
  EXPECT_TRUE(store.visitors().contains(here));  // the set-up came from this thread; what follows must not
  int loads = store.loads;
  auto text = run(async_transact(async, executor(), [&](AsyncTransaction& txn) -> Task<std::string> {
    auto root = co_await async_root(txn);
    Ref<Label> label = root.get<Label>("label");
    co_return (co_await async_read(txn, label)).text;
  }));
  EXPECT_EQ(text, "written by a coroutine");
  EXPECT_EQ(store.loads, loads + 2);
}

// ---- giving up

TEST_F(AsyncTransact, CancelledWhileItSleeps) {
  std::stop_source source;
  bool cancelled = false;
  auto body = [&](AsyncTransaction& txn) -> Task<> {
    (co_await async_write(txn, accounts[5]))->balance = 1000;
    asio::post(loop, [&] { source.request_stop(); });
    co_await async_sleep(txn, 1h);
    ADD_FAILURE() << "slept on";
  };
  spawn(executor(), async_transact(async, executor(), body, Cancellation(source.get_token())),
        [&](std::exception_ptr error) {
          expect_all_free();  // before the handler runs, not some time later
          EXPECT_THROW(std::rethrow_exception(error), CancelledError);
          cancelled = true;
        });
  run_loop();
  EXPECT_TRUE(cancelled);
  EXPECT_EQ(balance(5), 5);
}

TEST_F(AsyncTransact, CancelledFromAnotherThreadAtAnyTime) {
  for (int round = 0; round < 50; ++round) {
    std::stop_source source;
    std::atomic<int> ended = 0;
    for (int i = 0; i < 20; ++i) {
      auto body = [&](AsyncTransaction& txn) -> Task<> {
        for (int k = 0;; ++k) {
          (void)co_await async_read(txn, accounts[static_cast<std::size_t>(k) % accounts.size()]);
          co_await async_sleep(txn, 10us);
        }
      };
      spawn(executor(), async_transact(async, executor(), body, Cancellation(source.get_token())),
            [&](std::exception_ptr error) {
              EXPECT_THROW(std::rethrow_exception(error), CancelledError);
              ++ended;
            });
    }
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
      source.request_stop();
    });
    run_loop();
    canceller.join();
    EXPECT_EQ(ended, 20);
    expect_all_free();
  }
}

TEST_F(AsyncTransact, DeadlinesEndSleepsAndReads) {
  Cancellation soon(Cancellation::Clock::now() + 20ms);
  auto sleeper = [&](AsyncTransaction& txn) -> Task<> { co_await async_sleep(txn, 1h); };
  EXPECT_THROW(run(async_transact(async, executor(), sleeper, soon)), DeadlineExceededError);
  expect_all_free();
  // It has passed by now: nothing begins.
  EXPECT_THROW(run(async_transact(async, executor(), sleeper, soon)), DeadlineExceededError);

  Cancellation later(Cancellation::Clock::now() + 20ms);
  auto late_reader = [&](AsyncTransaction& txn) -> Task<> {
    (void)co_await async_read(txn, accounts[0]);
    database.evict_all();
    std::this_thread::sleep_until(later.deadline);
    EXPECT_EQ((co_await async_read(txn, accounts[0])).balance, 0) << "what it has read stays a hit";
    (void)co_await async_read(txn, accounts[1]);
    ADD_FAILURE() << "loaded after its deadline";
  };
  EXPECT_THROW(run(async_transact(async, executor(), late_reader, later)), DeadlineExceededError);
  expect_all_free();
}

TEST_F(AsyncTransact, NothingIsCommittedAfterACancellation) {
  std::stop_source source;
  auto body = [&](AsyncTransaction& txn) -> Task<> {
    (co_await async_write(txn, accounts[6]))->balance = 1000;
    source.request_stop();
  };
  EXPECT_THROW(run(async_transact(async, executor(), body, Cancellation(source.get_token()))), CancelledError);
  EXPECT_EQ(balance(6), 6);
  expect_all_free();
}

// ---- bounds

TEST_F(AsyncBounds, BeyondTheQueueIsRefusedTheRestIsServedInOrder) {
  std::vector<int> order;
  int refused = 0;
  for (int i = 0; i < 8; ++i) {
    auto body = [&, i](AsyncTransaction& txn) -> Task<> {
      EXPECT_LE(async.admission().running(), 2u);
      order.push_back(i);
      co_await async_sleep(txn, 1ms);
    };
    spawn(executor(), async_transact(async, executor(), body), [&](std::exception_ptr error) {
      if (!error) return;
      EXPECT_THROW(std::rethrow_exception(error), OverloadedError);
      ++refused;
    });
  }
  run_loop();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(refused, 3);
  expect_all_free();
}

TEST_F(AsyncBounds, WhoGivesUpWaitingLeavesTheQueue) {
  auto sleeper = [&](AsyncTransaction& txn) -> Task<> { co_await async_sleep(txn, 30ms); };
  for (int i = 0; i < 2; ++i) spawn(executor(), async_transact(async, executor(), sleeper), asio::detached);
  std::stop_source source;
  int late = 0, cancelled = 0, served = 0;
  Cancellation soon(Cancellation::Clock::now() + 5ms);
  spawn(executor(), async_transact(async, executor(), sleeper, soon), [&](std::exception_ptr error) {
    EXPECT_THROW(std::rethrow_exception(error), DeadlineExceededError);
    ++late;
  });
  spawn(executor(), async_transact(async, executor(), sleeper, Cancellation(source.get_token())),
        [&](std::exception_ptr error) {
          EXPECT_THROW(std::rethrow_exception(error), CancelledError);
          ++cancelled;
        });
  spawn(executor(), async_transact(async, executor(), sleeper), [&](std::exception_ptr error) {
    EXPECT_FALSE(error);
    ++served;
  });
  run_until([&] { return async.admission().waiting() == 3 || late > 0; });
  source.request_stop();
  run_loop();
  EXPECT_EQ(late, 1);
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(served, 1);
  expect_all_free();
}

TEST(WorkerPoolBounds, RefusesWhatDoesNotFit) {
  std::promise<void> begun, go, ran;  // before the pools: their threads use them to the end
  std::shared_future<void> gate = go.get_future().share();
  WorkerPools pools;
  pools.add("slow", {.threads = 1, .most_waiting = 1});
  pools.add("quick", {.threads = 1});
  pools.at("slow").post([&] {
    begun.set_value();
    gate.wait();
  });
  begun.get_future().wait();
  pools.at("slow").post([] {});
  EXPECT_THROW(pools.at("slow").post([] {}), OverloadedError);
  pools.at("quick").post([&] { ran.set_value(); });  // nobody starves it
  ran.get_future().wait();
  go.set_value();
  EXPECT_THROW(pools.at("none"), std::out_of_range);
}

// ---- outside

TEST_F(AsyncTransact, OutsideOnTheSameSnapshot) {
  auto seen = run(async_transact(async, executor(), [&](AsyncTransaction& txn) -> Task<std::int64_t> {
    const Account& account = co_await async_read(txn, accounts[7]);
    int answer = co_await outside(txn, [&](const Cancellation& cancellation) -> Task<int> {
      co_await sleep_for(executor(), 1ms, cancellation);
      database.transact([&](Transaction& other) { other.write(accounts[7]).balance = 700; });
      database.evict_all();
      co_return 42;
    });
    EXPECT_EQ(answer, 42);
    EXPECT_EQ((co_await async_read(txn, accounts[7])).balance, 7);
    co_return account.balance;  // still there
  }));
  EXPECT_EQ(seen, 7);
}

TEST_F(AsyncTransact, OutsideOnAFreshSnapshot) {
  auto change = [&](const Cancellation&) -> Task<> {
    EXPECT_EQ(database.statistics().active_transactions, 0u) << "it holds nothing meanwhile";
    database.transact([&](Transaction& other) { other.write(accounts[8]).balance = 800; });
    co_return;
  };
  run(async_transact(async, executor(), [&](AsyncTransaction& txn) -> Task<> {
    EXPECT_EQ((co_await async_read(txn, accounts[8])).balance, 8);
    co_await outside(txn, change, Snapshot::fresh);
    EXPECT_EQ((co_await async_read(txn, accounts[8])).balance, 800);
    ++txn->write(accounts[8]).balance;  // no conflict
    EXPECT_THROW(co_await outside(txn, change, Snapshot::fresh), std::logic_error);
  }));
  EXPECT_EQ(balance(8), 801);
}

TEST_F(AsyncTransact, BlockingCodeOnAPool) {
  WorkerPool pool("blocking", {.threads = 1});
  std::thread::id here = std::this_thread::get_id();
  run([&]() -> Task<> {
    auto there = co_await async_run(pool, executor(), [] { return std::this_thread::get_id(); });
    EXPECT_NE(there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_THROW(co_await async_run(pool, executor(), [] { throw std::runtime_error("no"); }), std::runtime_error);
  }());
}

TEST_F(AsyncTransact, PeriodicUntilCancelled) {
  std::stop_source source;
  int calls = 0;
  run(periodic(executor(), 1ms, Cancellation(source.get_token()), [&]() -> Task<> {
    (void)co_await add(9, 1);
    if (++calls == 3) source.request_stop();
  }));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(balance(9), 12);
}

// ---- crowds

TEST_F(AsyncTransact, TenThousandAsleep) {
  constexpr int kSleepers = 10'000;
  int asleep = 0, done = 0;
  std::uint64_t most = 0;
  for (int i = 0; i < kSleepers; ++i) {
    auto body = [&, i](AsyncTransaction& txn) -> Task<> {
      const Account& account = co_await async_read(txn, accounts[static_cast<std::size_t>(i) % accounts.size()]);
      std::int64_t before = account.balance;
      ++asleep;
      // All of them sleep at once: the last one to fall asleep wakes nobody before it has seen that.
      co_await async_sleep(txn, 300ms);
      if (done == 0) most = std::max(most, database.statistics().active_transactions);
      EXPECT_EQ(account.balance, before);
    };
    spawn(executor(), async_transact(async, executor(), body), [&](std::exception_ptr error) {
      EXPECT_FALSE(error);
      ++done;
    });
  }
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::size_t i = 0; !stop; ++i) {
      database.transact([&](Transaction& txn) { ++txn.write(accounts[i % accounts.size()]).balance; });
    }
  });
  run_loop();
  stop = true;
  writer.join();
  EXPECT_EQ(done, kSleepers);
  EXPECT_GT(most, static_cast<std::uint64_t>(kSleepers) / 2);  // a slow machine wakes the first before the last sleeps
  expect_all_free();
}

TEST_F(AsyncTransact, StopsUnderLoad) {
  std::stop_source source;
  Cancellation cancellation(source.get_token());
  int ended = 0;
  constexpr int kClients = 100;
  for (int i = 0; i < kClients; ++i) {
    spawn(
        executor(),
        [](AsyncTransact& test, int number, Cancellation until, int& count) -> Task<> {
          try {
            for (auto account = static_cast<std::size_t>(number);; ++account) {
              (void)co_await test.add(account % 20, 1, until, kPatient);
              co_await sleep_for(test.executor(), 10us, until);
            }
          } catch (const CancelledError&) {
            ++count;
          }
        }(*this, i, cancellation, ended),
        asio::detached);
  }
  std::thread stopper([&] {
    std::this_thread::sleep_for(200ms);
    source.request_stop();
  });
  run_loop();  // returns: nothing is left to do
  stopper.join();
  EXPECT_EQ(ended, kClients);
  EXPECT_GT(database.statistics().commits, 1u);
  expect_all_free();
}

}  // namespace
}  // namespace cow::testing
