// Use from destructors of thread_local and static objects: after the library's own thread_local objects have gone.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {
namespace {

struct Lines {
  std::vector<std::string> lines;
  MSGPACK_DEFINE_MAP(lines);
};
const std::string kLine = "a line of text that is too long to be stored in place";

/// Does everything: loads, decodes, writes, commits, evicts, frees.
void use(Database& db, const Ref<Lines>& lines, std::size_t at_least) {
  db.evict_all();
  db.transact([&](Transaction& txn) { txn.write(lines).lines.push_back(kLine); });
  db.evict_all();
  Transaction txn = db.begin();
  const Lines& read = txn.read(Ref<Lines>(lines.oid()));
  if (read.lines.size() < at_least || read.lines.front() != kLine || read.lines.back() != kLine) {
    std::fputs("wrong lines\n", stderr);
    std::abort();
  }
}

/// Runs a function at the end of its thread. Made before the thread first uses the library, it is destroyed after the
/// library's own objects of the thread.
struct AtEnd {
  std::function<void()> run;
  ~AtEnd() {
    if (run) run();
  }
};

TEST(ThreadEnd, ThreadsUseTheDatabaseInTheirLastDestructors) {
  MemoryStore store;
  Database db(store);
  Ref<Lines> lines = db.transact([](Transaction& txn) { return txn.create(Lines{std::vector(1000, kLine)}); });
  std::size_t slots = 0;
  for (int i = 0; i < 300; ++i) {
    std::thread([&] {
      static thread_local AtEnd at_end;
      at_end.run = [&] {
        for (int k = 0; k < 2; ++k) use(db, lines, 1000);
      };
      use(db, lines, 1000);
    }).join();
    if (i == 10) slots = db.statistics().transaction_bytes;
  }
  EXPECT_EQ(db.begin().read(lines).lines.size(), 1000U + 300 * 3);
  EXPECT_LE(db.statistics().transaction_bytes, slots) << "slots of transactions were lost with their threads";
}

TEST(ThreadEnd, ATransactionOfAThreadEndsAfterTheLibrarysObjects) {
  MemoryStore store;
  Database db(store);
  Ref<Lines> lines = db.transact([](Transaction& txn) { return txn.create(Lines{std::vector(1000, kLine)}); });
  std::size_t slots = 0;
  for (int i = 0; i < 300; ++i) {
    std::thread([&] {
      static thread_local std::vector<Transaction> open;
      open.push_back(db.begin());
      open.back().write(lines).lines.clear();
    }).join();
    if (i == 10) slots = db.statistics().transaction_bytes;
  }
  EXPECT_EQ(db.statistics().active_transactions, 0U);
  EXPECT_LE(db.statistics().transaction_bytes, slots);
}

/// A service with static storage duration that writes as it is destroyed.
struct Service {
  MemoryStore store;
  Database db{store};
  Ref<Lines> lines = db.transact([](Transaction& txn) { return txn.create(Lines{std::vector(1000, kLine)}); });
  ~Service() {
    use(db, lines, 1000);
    std::fputs("served to the end\n", stderr);
  }
};

TEST(ThreadEndDeath, AStaticObjectUsesTheDatabaseInItsDestructor) {
  EXPECT_EXIT(
      {
        static Service service;
        use(service.db, service.lines, 1000);
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "served to the end");
}

}  // namespace
}  // namespace cow
