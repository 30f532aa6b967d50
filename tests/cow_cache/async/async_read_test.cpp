// Reads without blocking: hits inline, misses off the loop, one load for all, any completion token.
#include "tests/support/async_testing.hpp"  // first: Boost 1.74's awaitable.hpp forgets <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>

#include "tests/support/counted_new.hpp"

namespace cow::testing {
namespace {

class AsyncRead : public AsyncTest {
 public:
  void evict_all() { database.evict_all(); }
};

TEST_F(AsyncRead, HitsAreInlineAndAllocateNothing) {
  std::size_t allocated = 1;
  std::int64_t sum = 0;
  bool interrupted = false;
  run([&]() -> Task<> {
    AsyncTransaction txn = co_await async_begin(async, executor());
    for (const Ref<Account>& account : accounts) sum += (co_await async_read(txn, account)).balance;  // logs them
    asio::post(loop, [&] { interrupted = true; });
    std::size_t before = allocations();
    for (int round = 0; round < 100; ++round) {
      for (const Ref<Account>& account : accounts) sum += (co_await async_read(txn, account)).balance;
    }
    co_await async_commit(txn);  // wrote nothing
    allocated = allocations() - before;
    EXPECT_FALSE(interrupted) << "a hit gave the loop away";
  }());
  EXPECT_EQ(allocated, 0u);
  EXPECT_EQ(sum, 101 * 99 * 100 / 2);
  expect_all_free();
}

TEST_F(AsyncRead, FirstReadsOfResidentObjectsAllocateNothingEither) {
  run([&]() -> Task<> {
    AsyncTransaction warm = co_await async_begin(async, executor());
    for (const Ref<Account>& account : accounts) (void)co_await async_read(warm, account);
    AsyncTransaction txn = co_await async_begin(async, executor());
    std::size_t before = allocations();
    for (int i = 0; i < 10; ++i) (void)co_await async_read(txn, accounts[static_cast<std::size_t>(i)]);
    EXPECT_EQ(allocations(), before);
  }());
}

TEST_F(AsyncRead, MissesRunOffTheLoop) {
  evict_all();
  store.shut_loads(true);
  bool read = false, other_work = false;
  spawn(
      executor(),
      [](AsyncRead& test, bool& done) -> Task<> {
        AsyncTransaction txn = co_await async_begin(test.async, test.executor());
        EXPECT_EQ((co_await async_read(txn, test.accounts[7])).balance, 7);
        done = true;
      }(*this, read),
      asio::detached);
  run_until([&] { return store.loads_waiting() == 1; });
  asio::post(loop, [&] { other_work = true; });
  run_until([&] { return other_work; });
  EXPECT_FALSE(read);
  store.shut_loads(false);
  run_loop();
  EXPECT_TRUE(read);
  expect_all_free();
}

TEST_F(AsyncRead, OneLoadHoweverManyWait) {
  constexpr int kWaiting = 1000;
  evict_all();
  int loads_before = store.loads;
  store.shut_loads(true);
  int read = 0;
  for (int i = 0; i < kWaiting; ++i) {
    spawn(
        executor(),
        [](AsyncRead& test, int& done) -> Task<> {
          AsyncTransaction txn = co_await async_begin(test.async, test.executor());
          EXPECT_EQ((co_await async_read(txn, test.accounts[3])).owner, owner_name(3));
          ++done;
        }(*this, read),
        asio::detached);
  }
  // All of them have asked, and none but the loading one holds a thread: another object's load finds one.
  run_until([&] { return store.loads_waiting() == 1 && async.loads().waiting() == 0; });
  EXPECT_EQ(async.admission().running(), static_cast<std::size_t>(kWaiting));
  auto other = std::async(std::launch::async, [&] { return database.begin().read(accounts[4]).balance; });
  run_until([&] { return store.loads_waiting() == 2; });
  EXPECT_EQ(read, 0);
  store.shut_loads(false);
  run_loop();
  EXPECT_EQ(other.get(), 4);
  EXPECT_EQ(read, kWaiting);
  EXPECT_EQ(store.loads - loads_before, 2);
  expect_all_free();
}

TEST_F(AsyncRead, WaitersOfALoadThatFailsLoadThemselves) {
  evict_all();
  Ref<Account> nothing(Oid{1 << 20});
  int dangling = 0;
  for (int i = 0; i < 20; ++i) {
    spawn(
        executor(),
        [](AsyncRead& test, Ref<Account> reference, int& count) -> Task<> {
          AsyncTransaction txn = co_await async_begin(test.async, test.executor());
          try {
            (void)co_await async_read(txn, reference);
          } catch (const DanglingReferenceError&) {
            ++count;
          }
          EXPECT_EQ((co_await async_read(txn, test.accounts[0])).balance, 0) << "the transaction goes on";
        }(*this, nothing, dangling),
        asio::detached);
  }
  run_loop();
  EXPECT_EQ(dangling, 20);
  expect_all_free();
}

TEST_F(AsyncRead, SeesItsSnapshotAcrossSuspensions) {
  run([&]() -> Task<> {
    AsyncTransaction txn = co_await async_begin(async, executor());
    database.transact([&](Transaction& other) { other.write(accounts[5]).balance = 500; });
    evict_all();
    EXPECT_EQ((co_await async_read(txn, accounts[5])).balance, 5);
    AsyncTransaction later = co_await async_begin(async, executor());
    EXPECT_EQ((co_await async_read(later, accounts[5])).balance, 500);
  }());
}

TEST_F(AsyncRead, AnyCompletionToken) {
  evict_all();
  // Futures, from a thread beside the loop.
  auto work = asio::make_work_guard(loop);
  std::thread thread([&] { loop.run(); });
  {
    AsyncTransaction txn(async, executor(), Cancellation(), {});
    EXPECT_EQ(async_read(txn, accounts[1], asio::use_future).get()->balance, 1);
    EXPECT_THROW(async_read(txn, Ref<Account>(), asio::use_future).get(), NullReferenceError);
    txn->write(accounts[1]).balance = 10;
    async_commit(txn, asio::use_future).get();
  }
  // Callbacks.
  std::promise<std::int64_t> called;
  AsyncTransaction txn(async, executor(), Cancellation(), {});
  async_read(txn, accounts[1], [&](std::exception_ptr error, const Account* account) {
    EXPECT_FALSE(error);
    called.set_value(account->balance);
  });
  EXPECT_EQ(called.get_future().get(), 10);
  // Asio's own coroutines.
  auto balance = asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<std::int64_t> {
        const Account* account = co_await async_read(txn, accounts[2], asio::use_awaitable);
        co_await async_commit(txn, asio::use_awaitable);
        co_return account->balance;
      },
      asio::use_future);
  EXPECT_EQ(balance.get(), 2);
  work.reset();
  thread.join();
}

TEST_F(AsyncRead, PrefetchMakesHits) {
  evict_all();
  run([&]() -> Task<> {
    AsyncTransaction txn = co_await async_begin(async, executor());
    std::vector<Ref<Account>> wanted = accounts;
    wanted.push_back(Ref<Account>());
    wanted.push_back(Ref<Account>(Oid{1 << 20}));  // passed over
    co_await async_prefetch(txn, std::span<const Ref<Account>>(wanted));
    int loads = store.loads;
    for (const Ref<Account>& account : accounts) EXPECT_NE(txn->try_read(account), nullptr);
    EXPECT_EQ(store.loads, loads);
  }());
  EXPECT_FALSE(store.visitors().contains(std::this_thread::get_id()) && database.statistics().active_transactions > 0);
  expect_all_free();
}

TEST_F(AsyncRead, ManyLoopsUnderPressureOfMemory) {
  // Strands on two threads, a budget far below what they read, evictions all the time: loads, waiters and retries race.
  MemoryStore of_small;
  Database small(of_small, {.cache_bytes = 64 << 10, .limbo_bytes = 4 << 10});
  AsyncDatabase async_small(small, {.load_threads = 3});
  std::vector<Ref<Account>> many = small.transact([](Transaction& txn) {
    std::vector<Ref<Account>> made;
    for (int i = 0; i < 2000; ++i) made.push_back(Ref<Account>(txn.create(Account{i, owner_name(i), {}}).oid()));
    return made;
  });
  std::atomic<int> read = 0;
  asio::thread_pool threads(2);
  for (int i = 0; i < 50; ++i) {
    AnyExecutor strand = asio::make_strand(threads.get_executor());
    spawn(
        strand,
        [](AsyncDatabase& db, AnyExecutor on, std::vector<Ref<Account>>& all, int seed,
           std::atomic<int>& count) -> Task<> {
          std::minstd_rand dice(static_cast<unsigned>(seed % 5 + 1));  // ten of them read the same in the same order
          for (int round = 0; round < 10; ++round) {
            AsyncTransaction txn = co_await async_begin(db, on);
            for (int k = 0; k < 20; ++k) {
              std::size_t number = dice() % all.size();
              const Account& account = co_await async_read(txn, all[number]);
              EXPECT_EQ(account.owner, owner_name(account.balance));
              EXPECT_EQ(static_cast<std::size_t>(account.balance), number);
              ++count;
            }
          }
        }(async_small, strand, many, i, read),
        asio::detached);
  }
  threads.join();
  EXPECT_EQ(read, 50 * 10 * 20);
  EXPECT_EQ(small.statistics().active_transactions, 0u);
}

}  // namespace
}  // namespace cow::testing
