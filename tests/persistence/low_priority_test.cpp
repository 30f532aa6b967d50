// Where a pack works: in a thread of its own that stands behind others, but for what others wait for.
#include <gtest/gtest.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "persistence/detail/low_priority_thread.hpp"
#include "persistence/detail/store_env.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::detail {
namespace {

/// Of the calling thread.
int niceness() { return ::getpriority(PRIO_PROCESS, 0); }

TEST(LowPriorityThread, StandsBehindItsCaller) {
  const int mine = niceness();
  int its = 0;
  {
    LowPriorityThread thread("store", "test");
    thread.run([&] { its = niceness(); });
    thread.run([&] { thread.call_back([&] { EXPECT_EQ(niceness(), mine); }); });
  }
  EXPECT_EQ(its, std::min(mine + 9, 19));
  EXPECT_EQ(niceness(), mine);
}

TEST(LowPriorityThread, WhatIsThrownArrivesWhereItIsWaitedFor) {
  LowPriorityThread thread("store", "test");
  EXPECT_THROW(thread.run([] { throw std::out_of_range("of the job"); }), std::out_of_range);
  bool caught = false;
  thread.run([&] {
    try {
      thread.call_back([] { throw std::domain_error("of the caller"); });
    } catch (const std::domain_error&) {
      caught = true;
    }
  });
  EXPECT_TRUE(caught);
  EXPECT_THROW(thread.run([&] { thread.call_back([] { throw std::domain_error("of the caller"); }); }),
               std::domain_error);
  thread.run([&] { thread.call_back([&] { caught = false; }); });  // nothing of it is left
  EXPECT_FALSE(caught);
}

TEST(LowPriorityThread, DoesAllInOrderBeforeItEnds) {
  std::vector<int> order;
  {
    LowPriorityThread thread("store", "test");
    for (int i = 0; i < 100; ++i) {
      thread.post([&, i] { order.push_back(2 * i); });
      if (i % 10 == 0) thread.run([&, i] { thread.call_back([&, i] { order.push_back(2 * i + 1); }); });
    }
  }
  ASSERT_EQ(order.size(), 110u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

/// Says in which threads compactions call it.
class Observer final : public rocksdb::CompactionFilter {
 public:
  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice&, std::string*, bool*) const override {
    threads.push_back(std::this_thread::get_id());  // one compaction at a time
    return false;
  }
  const char* Name() const override { return "Observer"; }

  mutable std::vector<std::thread::id> threads;
};

// RocksDB decides where a compaction is executed: this holds for its version.
TEST(StoreEnv, WhatAThreadHasCompactedIsCompactedByTheOther) {
  const testing::ScratchDirectory directory;
  Observer observer;
  rocksdb::Options options;
  options.create_if_missing = true;
  options.env = store_env();
  options.compaction_filter = &observer;
  rocksdb::DB* opened = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, (directory.path() / "db").string(), &opened).ok());
  const std::unique_ptr<rocksdb::DB> db(opened);
  for (const char* const key : {"a", "b"}) {
    ASSERT_TRUE(db->Put({}, key, "value").ok());
    ASSERT_TRUE(db->Flush({}).ok());
  }
  rocksdb::CompactRangeOptions all;
  all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  // The first one moves them to the last level, wherever RocksDB does that.
  ASSERT_TRUE(db->CompactRange(all, nullptr, nullptr).ok());
  LowPriorityThread thread("store", "test");
  std::thread::id its;
  thread.run([&] { its = std::this_thread::get_id(); });
  for (const bool in_thread : {true, false}) {
    observer.threads.clear();
    std::unique_ptr<CompactsInThread> compacts;
    if (in_thread) compacts = std::make_unique<CompactsInThread>(thread);
    ASSERT_TRUE(db->CompactRange(all, nullptr, nullptr).ok());
    ASSERT_EQ(observer.threads.size(), 2u);
    for (const std::thread::id& each : observer.threads) EXPECT_EQ(each == its, in_thread);
  }
}

}  // namespace
}  // namespace cow::detail
