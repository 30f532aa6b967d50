// Threads on one cache: blocking style, nothing to configure, no connection to check out.
#include <iostream>
#include <thread>
#include <vector>

#include <cow_cache/cow_cache.hpp>
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
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 100; ++n) {
          db.transact([&](cow::Transaction& txn) { ++txn.write(counter).value; });  // conflicts: again
        }
      });
    }
  }
  std::cout << "counted to " << db.begin().read(counter).value << "\n";
}
