// A thousand coroutines on one thread, each asleep inside its transaction, on one cache.
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <iostream>

#include <cow_cache/async.hpp>
#include <persistence/memory_store.hpp>

using namespace std::chrono_literals;

struct Counter {
  static constexpr std::string_view cow_type_name = "example.Counter";
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

int main() {
  cow::MemoryStore store;
  cow::Database db(store);
  auto counter = db.transact([](cow::Transaction& txn) { return txn.root().emplace("counter", Counter{}); });

  boost::asio::io_context loop;
  cow::AsyncDatabase async(db);
  int read = 0;
  auto visit = [&](cow::AsyncTransaction& txn) -> cow::Task<> {
    const Counter& seen = co_await cow::async_read(txn, counter);  // a hit: no suspension
    co_await cow::async_sleep(txn, 50ms);                          // an external call: holds no thread
    read += seen.value == 0;                                       // still this transaction's snapshot
  };
  auto count = [&](cow::AsyncTransaction& txn) -> cow::Task<> { ++(co_await cow::async_write(txn, counter))->value; };
  for (int i = 0; i < 1000; ++i)
    cow::spawn(loop.get_executor(), async_transact(async, loop.get_executor(), visit), boost::asio::detached);
  cow::spawn(loop.get_executor(), async_transact(async, loop.get_executor(), count), boost::asio::detached);
  loop.run();
  std::cout << read << " saw 0, now it is " << db.begin().read(counter).value << "\n";
}
