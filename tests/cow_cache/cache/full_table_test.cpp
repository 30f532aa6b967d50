// A stripe of the oid table that is full: what does not fit is read and committed all the same, and nobody waits for ever.
#define COW_CACHE_TABLE_BITS 9  // 320 objects in a stripe

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <latch>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

struct Item {
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
};

class FullTable : public ::testing::Test {
 protected:
  static constexpr std::size_t kRoom = (5 << COW_CACHE_TABLE_BITS) / 8;

  FullTable() {
    // Oids of one stripe, twice as many as fit.
    for (std::int64_t value = 0; in_stripe_.size() < 2 * kRoom; ++value) {
      db_.transact([&](Transaction& txn) {
        Oid oid = txn.create(Item{value}).oid();
        if (detail::OidTable::stripe_of(oid) == 0) in_stripe_.push_back({oid, value});
      });
    }
    db_.evict_all();
  }
  struct Entry {
    Oid oid;
    std::int64_t value;
  };
  void expect_values(Transaction& txn) {
    for (const Entry& entry : in_stripe_) ASSERT_EQ(txn.read(Ref<Item>(entry.oid)).value, entry.value);
  }

  MemoryStore memory_;
  testing::UnreliableStore store_{memory_};
  Database db_{store_};
  std::vector<Entry> in_stripe_;
};

TEST_F(FullTable, WhatDoesNotFitIsReadAllTheSame) {
  Transaction txn = db_.begin();
  expect_values(txn);
  expect_values(txn);
  Transaction other = db_.begin();
  expect_values(other);
}

TEST_F(FullTable, NobodyWaitsForEverForALoadThatFindsNoRoom) {
  {
    Transaction txn = db_.begin();
    for (std::size_t i = 0; i < kRoom; ++i) (void)txn.read(Ref<Item>(in_stripe_[i].oid));
  }
  store_.load_delay = std::chrono::milliseconds(5);
  const Entry& last = in_stripe_.back();
  std::latch start(4);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      EXPECT_EQ(db_.begin().read(Ref<Item>(last.oid)).value, last.value);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(FullTable, CommitsOfWhatDoesNotFitArePublished) {
  Transaction before = db_.begin();
  expect_values(before);
  db_.transact([&](Transaction& txn) {
    for (Entry& entry : in_stripe_) txn.write(Ref<Item>(entry.oid)).value = -entry.value;
  });
  expect_values(before);
  for (Entry& entry : in_stripe_) entry.value = -entry.value;
  Transaction after = db_.begin();
  expect_values(after);
  expect_values(after);
}

}  // namespace
}  // namespace cow
