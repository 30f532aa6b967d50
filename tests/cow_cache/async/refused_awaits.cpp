// What GCC before 13 would destroy twice. Each case is compiled alone, with -DCASE_name, and must be refused with a message that
// says what to write instead; without any case the file compiles (tests/check_refusals).
#include <utility>  // which Asio forgets

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>

#include "cow_cache/async.hpp"
#include "cow_cache/cow_cache.hpp"

struct Account {
  std::string owner;
  MSGPACK_DEFINE(owner);
};

struct Point {  // nothing to destroy
  int x = 0, y = 0;
  MSGPACK_DEFINE(x, y);
};

cow::Task<> uses(cow::AsyncTransaction& txn, cow::AnyExecutor executor, std::string text) {
  cow::AsyncDatabase& database = txn.database();
  auto call = [text](const cow::Cancellation&) -> cow::Task<> { co_return; };
  auto body = [text](cow::AsyncTransaction&) -> cow::Task<> { co_return; };
#if defined(CASE_outside)  // 2 times: destroys an unnamed closure in a co_await twice
  co_await cow::outside(txn, [text](const cow::Cancellation&) -> cow::Task<> { co_return; });
  int got = co_await cow::outside(
      txn, [text](const cow::Cancellation&) -> cow::Task<int> { co_return 1; }, cow::Snapshot::fresh);
  (void)got;
#elif defined(CASE_moved)            // 1 times: destroys an unnamed closure in a co_await twice
  co_await cow::outside(txn, std::move(call));
#elif defined(CASE_transact)         // 1 times: destroys an unnamed closure in a co_await twice
  co_await cow::async_transact(database, executor, [text](cow::AsyncTransaction&) -> cow::Task<> { co_return; });
#elif defined(CASE_run)              // 2 times: destroys an unnamed closure in a co_await twice
  co_await cow::async_run(database.loads(), executor, [text] {});
  co_await cow::as_task(cow::async_run(database.loads(), executor, [text] {}));
#elif defined(CASE_periodic)         // 1 times: destroys an unnamed closure in a co_await twice
  co_await cow::periodic(executor, std::chrono::seconds(1), cow::Cancellation(),
                         [text]() -> cow::Task<> { co_return; });
#elif defined(CASE_spawn)            // 1 times: destroys an unnamed closure in a co_await twice
  co_await cow::spawn(
      executor, cow::async_transact(database, executor, [text](cow::AsyncTransaction&) -> cow::Task<> { co_return; }),
      cow::use_await);
#elif defined(CASE_read)             // 1 times: destroys an unnamed aggregate in a co_await twice
  (void)co_await cow::async_read(txn, txn->create(Account{text}));
#elif defined(CASE_read_with_token)  // 1 times: destroys an unnamed aggregate in a co_await twice
  (void)co_await cow::async_read(txn, txn->create(Account{text}), cow::use_await);
#elif defined(CASE_write)            // 1 times: destroys an unnamed aggregate in a co_await twice
  (void)co_await cow::async_write(txn, txn->create(Account{text}));
#endif
  co_await cow::outside(txn, call);
  co_await cow::async_transact(database, executor, body);
  (void)co_await cow::async_read(txn, txn->create(Point{1, 2}));
  (void)co_await cow::async_write(txn, txn->create(Point{1, 2}));
}

boost::asio::awaitable<void> uses_from_asio(cow::AsyncDatabase& database, cow::AnyExecutor executor, std::string text) {
#if defined(CASE_spawn_from_asio)  // 1 times: destroys an unnamed closure in a co_await twice
  co_await cow::spawn(
      executor, cow::async_transact(database, executor, [text](cow::AsyncTransaction&) -> cow::Task<> { co_return; }),
      boost::asio::use_awaitable);
#endif
  auto body = [text](cow::AsyncTransaction&) -> cow::Task<> { co_return; };
  co_await cow::spawn(executor, cow::async_transact(database, executor, body), boost::asio::use_awaitable);
}
