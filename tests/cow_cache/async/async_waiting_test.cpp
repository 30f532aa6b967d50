// What waits: it is woken when it is cancelled, whatever it waits for; a load that fails is the failure of all who wait for it;
// what could never run or end is refused; nobody touches a loop that has gone.
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <future>
#include <latch>

#include "tests/support/async_testing.hpp"

namespace cow::testing {
namespace {

/// One thread for loads and one for commits, so that what comes second waits.
class AsyncWaiting : public AsyncTest {
 public:
  AsyncWaiting() : AsyncTest({.load_threads = 1, .commit_threads = 1}) { database.evict_all(); }
  ~AsyncWaiting() override {
    store.shut_loads(false);
    store.shut_commits(false);
  }

  /// How a task has ended: by an exception of this very type.
  template <class Exception>
  auto expect(int& count) {
    return [&count](std::exception_ptr error) {
      ++count;
      EXPECT_TRUE(error) << "it has succeeded";
      if (!error) return;
      EXPECT_THROW(std::rethrow_exception(error), Exception);
    };
  }
  auto reads(std::size_t account, Cancellation cancellation = Cancellation()) {
    return async_transact(
        async, executor(),
        [this, account](AsyncTransaction& txn) -> Task<> { (void)co_await async_read(txn, accounts[account]); },
        cancellation);
  }
  /// What is in the pool's queue has had its turn.
  void wait_for(WorkerPool& pool) {
    std::promise<void> ran;
    pool.post([&] { ran.set_value(); });
    ran.get_future().wait();
  }
  static Cancellation soon() { return Cancellation(Cancellation::Clock::now() + 20ms); }
};

// ---- cancelled while it waits

TEST_F(AsyncWaiting, ForAThreadToLoadWith) {
  store.shut_loads(true);
  int before = store.loads, late = 0, cancelled = 0;
  std::stop_source source;
  spawn(executor(), reads(0), asio::detached);
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  for (std::size_t i = 1; i < 8; ++i) spawn(executor(), reads(i, soon()), expect<DeadlineExceededError>(late));
  for (std::size_t i = 1; i < 8; ++i) {
    spawn(executor(), reads(i, Cancellation(source.get_token())), expect<CancelledError>(cancelled));
  }
  EXPECT_TRUE(gets_to([&] { return late == 7; }));
  EXPECT_EQ(cancelled, 0);
  source.request_stop();
  EXPECT_TRUE(gets_to([&] { return cancelled == 7; }));
  store.shut_loads(false);
  run_loop();
  wait_for(async.loads());
  EXPECT_EQ(store.loads, before + 1) << "the store was asked for what nobody wanted any more";
  expect_all_free();
}

TEST_F(AsyncWaiting, ForSomebodyElsesLoad) {
  store.shut_loads(true);
  int before = store.loads, late = 0, cancelled = 0;
  std::stop_source source;
  auto loader = std::async(std::launch::async, [&] { return database.begin().read(accounts[3]).balance; });
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  spawn(executor(), reads(3, soon()), expect<DeadlineExceededError>(late));
  spawn(executor(), reads(3, Cancellation(source.get_token())), expect<CancelledError>(cancelled));
  EXPECT_TRUE(gets_to([&] { return late == 1; }));
  source.request_stop();
  EXPECT_TRUE(gets_to([&] { return cancelled == 1; }));
  EXPECT_EQ(async.admission().running(), 0u);
  store.shut_loads(false);
  EXPECT_EQ(loader.get(), 3);  // it resumes nobody
  run_loop();
  EXPECT_EQ(store.loads, before + 1);
  expect_all_free();
}

TEST_F(AsyncWaiting, ForItsOwnLoadGivesUpAfterIt) {
  store.shut_loads(true);
  int before = store.loads, late = 0, cancelled = 0;
  std::stop_source source;
  Cancellation short_time = soon();
  spawn(executor(), reads(1, short_time), expect<DeadlineExceededError>(late));
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  std::this_thread::sleep_until(short_time.deadline + 1ms);
  loop.poll();
  loop.restart();
  EXPECT_EQ(late, 0) << "the pool's thread is using its transaction";
  store.shut_loads(false);
  run_loop();
  EXPECT_EQ(late, 1);

  store.shut_loads(true);
  spawn(executor(), reads(2, Cancellation(source.get_token())), expect<CancelledError>(cancelled));
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  source.request_stop();
  loop.poll();
  loop.restart();
  EXPECT_EQ(cancelled, 0);
  store.shut_loads(false);
  run_loop();
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(store.loads, before + 2);
  expect_all_free();
}

TEST_F(AsyncWaiting, ForATurnThatComesWhileItsLoopIsBusy) {
  store.shut_loads(true);
  int before = store.loads, cancelled = 0;
  std::stop_source source;
  spawn(executor(), reads(0), asio::detached);
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  spawn(executor(), reads(1, Cancellation(source.get_token())), expect<CancelledError>(cancelled));
  ASSERT_TRUE(gets_to([&] { return async.loads().waiting() == 1; }));
  source.request_stop();  // the loop does not run now
  store.shut_loads(false);
  wait_for(async.loads());
  EXPECT_EQ(store.loads, before + 1);
  run_loop();
  EXPECT_EQ(cancelled, 1);
  expect_all_free();
}

TEST_F(AsyncWaiting, ForAThreadToCommitWith) {
  int late = 0;
  auto adds = [this](std::size_t account, Cancellation cancellation) {
    return async_transact(
        async, executor(),
        [this, account](AsyncTransaction& txn) -> Task<> { ++(co_await async_write(txn, accounts[account]))->balance; },
        cancellation);
  };
  store.shut_commits(true);
  spawn(executor(), adds(1, Cancellation()), asio::detached);
  ASSERT_TRUE(gets_to([&] { return store.commits_waiting() == 1; }));
  spawn(executor(), adds(2, soon()), expect<DeadlineExceededError>(late));
  EXPECT_TRUE(gets_to([&] { return late == 1; }));
  store.shut_commits(false);
  run_loop();
  EXPECT_EQ(database.begin().read(accounts[1]).balance, 2);
  EXPECT_EQ(database.begin().read(accounts[2]).balance, 2) << "it has said that it gave up";
  expect_all_free();
}

TEST_F(AsyncWaiting, ForAThreadOfAPool) {
  std::promise<void> go;
  WorkerPool pool("slow", {.threads = 1});
  pool.post([gate = go.get_future().share()] { gate.wait(); });
  int late = 0, ran = 0;
  auto captured = std::make_shared<int>(7);
  auto function = [captured, &ran] { ran += *captured; };
  auto job = async_run(pool, executor(), std::move(function), soon());
  spawn(executor(), as_task(std::move(job)), expect<DeadlineExceededError>(late));
  EXPECT_TRUE(gets_to([&] { return late == 1; }));
  EXPECT_EQ(captured.use_count(), 1) << "the queue keeps what a job that was given up has captured";
  go.set_value();
  wait_for(pool);
  EXPECT_EQ(ran, 0);
}

TEST_F(AsyncWaiting, ForAPrefetch) {
  for (bool by_deadline : {false, true}) {
    database.evict_all();
    store.shut_loads(true);
    int before = store.loads, cancelled = 0;
    std::stop_source source;
    Cancellation cancellation = by_deadline ? soon() : Cancellation(source.get_token());
    auto body = [this](AsyncTransaction& txn) -> Task<> {
      co_await async_prefetch(txn, accounts);
      ADD_FAILURE() << "it goes on";
    };
    spawn(executor(), async_transact(async, executor(), body, cancellation), expect<CancelledError>(cancelled));
    ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1 || cancelled == 1; }));
    source.request_stop();
    EXPECT_TRUE(gets_to([&] { return cancelled == 1; }));
    store.shut_loads(false);
    wait_for(async.loads());
    EXPECT_LE(store.loads, before + 1) << "it has loaded on";
    run_loop();
    expect_all_free();
  }
}

// ---- loads that fail

TEST_F(AsyncWaiting, OneLoadThatFailsServesAllWhoWaitForIt) {
  constexpr int kWaiting = 1000;
  store.shut_loads(true);
  store.on_load = [] { throw StoreCorruptError("bad sector"); };
  int before = store.loads;
  // A thread of its own is at the store: the pool's one is free to meet its ticket.
  auto loader = std::async(std::launch::async, [&] { (void)database.begin().read(accounts[3]); });
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  std::vector<std::exception_ptr> errors;
  for (int i = 0; i < kWaiting; ++i) {
    spawn(executor(), reads(3), [&](std::exception_ptr error) { errors.push_back(error); });
  }
  ASSERT_TRUE(gets_to([&] {
    return async.admission().running() == static_cast<std::size_t>(kWaiting) && async.loads().waiting() == 0;
  }));
  wait_for(async.loads());  // the last one has subscribed
  store.shut_loads(false);
  EXPECT_THROW(loader.get(), StoreCorruptError);
  run_loop();
  EXPECT_EQ(store.loads, before + 1);
  ASSERT_EQ(errors.size(), static_cast<std::size_t>(kWaiting));
  std::set<const void*> objects;
  for (const std::exception_ptr& error : errors) {
    try {
      if (error) std::rethrow_exception(error);
      ADD_FAILURE() << "one has succeeded";
    } catch (const StoreCorruptError& own) {
      EXPECT_STREQ(own.what(), "bad sector");
      objects.insert(&own);
    }
  }
  EXPECT_EQ(objects.size(), errors.size()) << "two share an exception";
  store.on_load = nullptr;
  run(reads(3));  // the next one asks again
  expect_all_free();
}

/// Threads that read one object, all of them in the middle of it before the store answers.
class ThreadsThatWait : public AsyncWaiting {
 public:
  template <class Reads>
  void read_in_threads(int count, Reads&& reads) {
    store.shut_loads(true);
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back([&, i] { reads(i); });
    // Each has made a ticket by then, which the one that was first uses.
    auto all = static_cast<std::size_t>(count) * detail::LoadTicket::kBytes;
    EXPECT_TRUE(gets_to([&] { return store.loads_waiting() == 1 && database.statistics().ticket_bytes == all; }));
    std::this_thread::sleep_for(20ms);  // from there it is a few instructions to the wait
    store.shut_loads(false);
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(ThreadsThatWait, HaveExceptionsOfTheirOwn) {
  constexpr int kThreads = 8;
  store.on_load = [] { throw StoreError("gone"); };
  int before = store.loads;
  std::mutex mutex;
  std::vector<std::exception_ptr> errors;
  read_in_threads(kThreads, [&](int) {
    try {
      (void)database.begin().read(accounts[5]);
    } catch (StoreError& error) {
      std::scoped_lock lock(mutex);
      errors.push_back(std::current_exception());
    }
  });
  std::set<const void*> objects;
  for (const std::exception_ptr& error : errors) {
    try {
      std::rethrow_exception(error);
    } catch (const StoreError& own) {
      objects.insert(&own);
    }
  }
  EXPECT_EQ(errors.size(), static_cast<std::size_t>(kThreads));
  EXPECT_EQ(objects.size(), errors.size());
  EXPECT_LT(store.loads - before, kThreads / 2);
}

TEST_F(ThreadsThatWait, FindOutThatThereIsNoSuchObject) {
  Transaction creator = database.begin();
  Ref<Account> unborn(creator.create(Account{1, "unborn", {}}).oid());
  std::vector<Transaction> readers;
  for (int i = 0; i < 6; ++i) {
    readers.push_back(database.begin(Isolation::serializable));
    database.transact([&](Transaction& txn) { ++txn.write(accounts[9]).balance; });  // snapshots of their own
  }
  int before = store.loads;
  read_in_threads(6, [&](int i) {
    Transaction& reader = readers[static_cast<std::size_t>(i)];
    try {
      (void)reader.read(unborn);
      ADD_FAILURE() << "there is one";
    } catch (const DanglingReferenceError& error) {
      EXPECT_EQ(error.oid, unborn.oid());
      EXPECT_EQ(error.snapshot, reader.snapshot());
    }
  });
  EXPECT_LT(store.loads - before, 3);
  // Having found nothing is a read as any other: once there is something, none of them can commit.
  creator.commit();
  for (std::size_t i = 0; i < readers.size(); ++i) {
    readers[i].write(accounts[20 + i]).balance = 0;
    EXPECT_THROW(readers[i].commit(), ConflictError);
  }
}

TEST_F(ThreadsThatWait, OfOtherTypesAreNotConcerned) {
  Ref<Label> as_label(accounts[6].oid());
  std::atomic<int> labels = 0, values = 0;
  read_in_threads(6, [&](int i) {
    try {
      if (i % 2 == 0) {
        (void)database.begin().read(as_label);
      } else if (database.begin().read(accounts[6]).balance == 6) {
        ++values;
      }
    } catch (const TypeMismatchError& error) {
      EXPECT_EQ(error.oid, accounts[6].oid());
      ++labels;
    }
  });
  EXPECT_EQ(labels, 3);
  EXPECT_EQ(values, 3);
}

TEST_F(ThreadsThatWait, GoOnWhenOnlyTheLoaderHasFailed) {
  std::atomic<int> left = 1, failed = 0, read = 0;
  store.on_load = [&] {
    if (left-- > 0) throw std::bad_alloc();
  };
  read_in_threads(6, [&](int) {
    try {
      EXPECT_EQ(database.begin().read(accounts[7]).balance, 7);
      ++read;
    } catch (const std::bad_alloc&) {
      ++failed;
    }
  });
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(read, 5);
}

TEST_F(ThreadsThatWait, SeeWhatWasCommittedMeanwhileInsteadOfWhatTheLoaderMissed) {
  Transaction creator = database.begin();
  Ref<Account> born(creator.create(Account{11, "born", {}}).oid());
  store.shut_loads(true);
  auto loader =
      std::async(std::launch::async, [&] { EXPECT_THROW((void)database.begin().read(born), DanglingReferenceError); });
  ASSERT_TRUE(gets_to([&] { return store.loads_waiting() == 1; }));
  creator.commit();  // withdraws the ticket
  // The loader's answer was fixed by now only if the store had been asked; either answer is right for the loader, but not for
  // a transaction that began after the commit.
  Transaction later = database.begin();
  auto reader = std::async(std::launch::async, [&] { return later.read(born).balance; });
  store.shut_loads(false);
  EXPECT_EQ(reader.get(), 11);
  try {
    loader.get();
  } catch (...) {
  }
}

// ---- what never ends, or could never begin

TEST_F(AsyncWaiting, SleepsOfAnyLength) {
  std::stop_source source;
  Cancellation cancellation(source.get_token());
  int cancelled = 0, ended = 0;
  auto count = expect<CancelledError>(cancelled);
  spawn(executor(), sleep_for(executor(), Cancellation::Clock::duration::max(), cancellation), count);
  spawn(executor(), sleep_for(executor(), std::chrono::hours::max(), cancellation), count);
  spawn(executor(), sleep_for(executor(), std::chrono::duration<double>::max(), cancellation), count);
  spawn(executor(), sleep_until(executor(), Cancellation::Clock::time_point::max(), cancellation), count);
  spawn(executor(), sleep_for(executor(), 0s), [&](std::exception_ptr) { ++ended; });
  spawn(executor(), sleep_for(executor(), std::chrono::hours::min()), [&](std::exception_ptr) { ++ended; });
  spawn(executor(), sleep_until(executor(), Cancellation::Clock::time_point::min()),
        [&](std::exception_ptr) { ++ended; });
  spawn(executor(), sleep_for(executor(), std::chrono::duration<double, std::milli>(1.5)),
        [&](std::exception_ptr) { ++ended; });
  EXPECT_TRUE(gets_to([&] { return ended == 4; }));
  EXPECT_EQ(cancelled, 0);
  source.request_stop();
  EXPECT_TRUE(gets_to([&] { return cancelled == 4; }));
  run_loop();
}

TEST_F(AsyncWaiting, WhatCouldNeverRunIsRefused) {
  EXPECT_THROW(WorkerPool("none", {.threads = 0}), std::invalid_argument);
  EXPECT_THROW(WorkerPool("none", {.threads = 1, .most_waiting = 0}), std::invalid_argument);
  EXPECT_THROW(AsyncDatabase(database, {.load_threads = 0}), std::invalid_argument);
  EXPECT_THROW(AsyncDatabase(database, {.commit_threads = 0}), std::invalid_argument);
  EXPECT_THROW(AsyncDatabase(database, {.most_in_flight = 0}), std::invalid_argument);
  WorkerPools pools;
  EXPECT_THROW(pools.add("none", {.threads = 0}), std::invalid_argument);
  EXPECT_THROW(pools.at("none"), std::out_of_range);
  int calls = 0;
  for (auto period : {0ms, -1ms}) {
    auto body = [&]() -> Task<> {
      ++calls;
      throw std::runtime_error("called");
      co_return;
    };
    EXPECT_THROW(run(periodic(executor(), period, Cancellation(), body)), std::invalid_argument);
  }
  EXPECT_EQ(calls, 0);
}

TEST_F(AsyncWaiting, PeriodsOfAnyLength) {
  int calls = 0;
  auto body = [&]() -> Task<> {
    ++calls;
    co_return;
  };
  run(periodic(executor(), Cancellation::Clock::duration::max(), soon(), body));
  run(periodic(executor(), std::chrono::hours::max(), soon(), body));
  EXPECT_EQ(calls, 0);
}

TEST_F(AsyncWaiting, ATransactionSleepsAsLongAsItIsTold) {
  int given_up = 0;
  auto sleeps = [](AsyncTransaction& txn) -> Task<> { co_await async_sleep(txn, std::chrono::hours::max()); };
  spawn(executor(), async_transact(async, executor(), sleeps, soon()), expect<DeadlineExceededError>(given_up));
  run_loop();
  EXPECT_EQ(given_up, 1);
}

// ---- queues

struct ThrowsWhenMoved {
  ThrowsWhenMoved() = default;
  ThrowsWhenMoved(ThrowsWhenMoved&& other) : moves(other.moves - 1) {
    if (moves < 0) throw std::bad_alloc();
  }
  void operator()() const {}
  int moves = 0;
};

TEST_F(AsyncWaiting, WhatCouldNotBePostedDoesNotCount) {
  WorkerPool pool("pool", {.threads = 1, .most_waiting = 2});
  for (int moves = 0; moves < 3; ++moves) {
    ThrowsWhenMoved job;
    job.moves = moves;
    try {
      pool.post(std::move(job));
    } catch (const std::bad_alloc&) {
    }
  }
  wait_for(pool);
  EXPECT_EQ(pool.waiting(), 0u);
}

// ---- loops that end

TEST_F(AsyncWaiting, LoopsMayGoAsSoonAsTheirTasksAreDone) {
  for (int round = 0; round < 200; ++round) {
    auto account = static_cast<std::size_t>(round) % accounts.size();
    auto own = std::make_unique<asio::io_context>();
    AnyExecutor on = own->get_executor();
    bool done = false;
    std::stop_source source;
    auto body = [&](AsyncTransaction& txn) -> Task<> {
      co_await async_prefetch(txn, std::span<const Ref<Account>>(&accounts[account], 1));
      ++(co_await async_write(txn, accounts[account]))->balance;
    };
    spawn(on, async_transact(async, on, body, Cancellation(source.get_token())), [&](std::exception_ptr error) {
      EXPECT_FALSE(error);
      done = true;
    });
    own->run();
    own.reset();
    source.request_stop();
    EXPECT_TRUE(done);
    if (round % 50 == 0) database.evict_all();
  }
}

TEST(Sleepers, AreWokenTooLateWithoutHarm) {
  std::optional<Sleeper::Waker> waker;
  {
    asio::io_context loop;
    {
      Sleeper sleeper(loop.get_executor());
      waker = sleeper.waker();
    }
  }
  (*waker)();
  waker.reset();
}

TEST(Sleepers, AreWokenFromOtherThreadsOnAnyKindOfExecutor) {
  asio::thread_pool threads(2);
  std::atomic<int> woken = 0;
  constexpr int kRounds = 500;
  std::vector<std::thread> wakers;
  for (int i = 0; i < 2; ++i) {
    AnyExecutor strand = asio::make_strand(threads.get_executor());
    spawn(
        strand,
        [](AnyExecutor on, std::atomic<int>& count) -> Task<> {
          for (int round = 0; round < kRounds; ++round) {
            Sleeper sleeper(on);
            std::thread waker([wake = sleeper.waker()] { wake(); });
            co_await sleeper.until(round % 2 == 0 ? Cancellation::Clock::time_point::max()
                                                  : Cancellation::Clock::now() + std::chrono::microseconds(30));
            ++count;
            waker.join();
          }
        }(strand, woken),
        asio::detached);
  }
  threads.join();
  EXPECT_EQ(woken, 2 * kRounds);
}

}  // namespace
}  // namespace cow::testing
