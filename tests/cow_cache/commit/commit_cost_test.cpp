// What a commit asks of the allocator.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/counted_new.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

struct Item {
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

/// From a time on it keeps nothing of what is committed, so that it allocates nothing. (The cache has it all.)
class QuietStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  void commit(std::span<const TransactionWrite> group) override {
    if (!is_quiet) inner_.commit(group);
  }

  bool is_quiet = false;
};

class CommitCostTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kCommits = 1000;

  template <class Work>
  static std::size_t allocations_of(Work&& work) {
    std::size_t before = testing::allocations();
    work();
    return testing::allocations() - before;
  }

  MemoryStore memory_;
  QuietStore store_{memory_};
  Database db_{store_};
};

TEST_F(CommitCostTest, OfOneObjectItsRecordIsAllocatedAndNothingElse) {
  Ref<Item> item = db_.transact([](Transaction& txn) { return txn.create(Item{}); });
  store_.is_quiet = true;
  std::size_t least = kCommits, all = 0;
  for (std::size_t i = 0; i < kCommits; ++i) {
    Transaction txn = db_.begin();
    ++txn.write(item).value;
    std::size_t allocations = allocations_of([&] { txn.commit(); });
    if (i < kCommits / 10) continue;  // tables of recent writes grow
    least = std::min(least, allocations);
    all += allocations;
  }
  EXPECT_LE(least, 1u);
  EXPECT_LE(all, kCommits * 11 / 10) << "batches of what is retired, now and then";
}

TEST_F(CommitCostTest, OfNothingNothingIsAllocated) {
  db_.begin().commit();
  EXPECT_EQ(allocations_of([&] {
              for (std::size_t i = 0; i < kCommits; ++i) db_.begin().commit();
            }),
            0u);
}

}  // namespace
}  // namespace cow
