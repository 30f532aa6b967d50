// The documents' snippets for fibers (see snippets.cpp), which sanitizers cannot follow.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cow_cache/cow_cache.hpp>
#include <cow_cache/fibers.hpp>
#include <cstdint>
#include <cstdio>
#include <persistence/memory_store.hpp>
#include <string>
#include <thread>

using namespace std::chrono_literals;

//@ README.md 1

int main() {
  cow::MemoryStore store;
  cow::Database db(store);
  auto alice = db.transact([](cow::Transaction& txn) { return txn.create(Account{"Alice", 100, {}}); });
  boost::asio::io_context loop;
  auto working = boost::asio::make_work_guard(loop);
  std::jthread thread([&] { loop.run(); });
  cow::AnyExecutor executor = loop.get_executor();
  cow::AsyncDatabase async(db);
  {
    //@ cow_cache/fibers.hpp 1
  }
  working.reset();
  std::puts("all snippets ran");
}
