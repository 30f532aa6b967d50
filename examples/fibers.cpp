// Fibers: blocking style, and yet a thousand of them sleep on one thread, on one cache.
#include <boost/asio/io_context.hpp>
#include <iostream>
#include <optional>

#include <cow_cache/fibers.hpp>
#include <persistence/memory_store.hpp>

struct Counter {
  static constexpr std::string_view cow_type_name = "example.Counter";
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

int main() {
  cow::MemoryStore store;
  cow::Database db(store);
  auto counter = db.transact([](cow::Transaction& txn) { return txn.root().emplace("counter", Counter{}); });

  boost::asio::io_context loop;  // for what fibers wait for: loads, commits
  auto working = boost::asio::make_work_guard(loop);
  std::jthread thread([&] { loop.run(); });
  cow::AsyncDatabase async(db);
  std::optional<cow::FiberThreads> fibers(1);
  for (int i = 0; i < 1000; ++i) {
    fibers->spawn([&] {
      cow::fiber_transact(async, loop.get_executor(), [&](cow::AsyncTransaction& txn) {
        (void)cow::fiber_read(txn, counter);  // a hit goes on, a miss suspends this fiber only
        boost::this_fiber::sleep_for(std::chrono::milliseconds(50));
      });
    });
  }
  fibers->spawn([&] {
    cow::fiber_transact(async, loop.get_executor(), [&](cow::AsyncTransaction& txn) {
      (void)cow::fiber_read(txn, counter);  // so that the write finds it, and blocks nobody
      ++txn->write(counter).value;
    });
  });
  fibers.reset();  // waits for them
  working.reset();
  std::cout << "counted to " << db.begin().read(counter).value << "\n";
}
