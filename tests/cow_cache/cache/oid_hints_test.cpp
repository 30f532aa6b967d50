// Hints for oids: what the table says of one object and of those that share its cell; and that reads by an oid alone see what reads
// by reference see, whatever has become of the state that the table names.
#include "cow_cache/detail/cache/oid_hints.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {

using cow::detail::OidHints;
using cow::detail::StateHeader;

namespace {

constexpr std::uint64_t kCells = OidHints::kBytes / sizeof(std::uint64_t);

TEST(OidHints, NamesWhatWasNotedLast) {
  OidHints hints;
  StateHeader first, second;
  const Oid oid{7};
  EXPECT_EQ(hints.find(oid), nullptr);
  hints.note(oid, first);
  EXPECT_EQ(hints.find(oid), &first);
  hints.note(oid, second);
  EXPECT_EQ(hints.find(oid), &second);
  EXPECT_EQ(hints.find(Oid{8}), nullptr);
  EXPECT_EQ(hints.find(Oid{7 + kCells}), nullptr) << "of another object in the same cell";
}

TEST(OidHints, NamesNothingInAnEmptyCell) {
  OidHints hints;
  for (std::uint64_t oid : {std::uint64_t{1}, kCells - 1, kCells, kCells << 15, kMaxOid.value})
    EXPECT_EQ(hints.find(Oid{oid}), nullptr) << oid;
}

TEST(OidHints, WhatIsReadMoreOftenGetsThePlace) {
  OidHints hints;
  StateHeader hot, cold;
  hints.note(Oid{3}, cold);
  hints.note(Oid{3 + kCells}, hot);
  EXPECT_EQ(hints.find(Oid{3}), &cold) << "at the first meeting";
  for (int i = 0; i < 100; ++i) hints.note(Oid{3 + kCells}, hot);
  EXPECT_EQ(hints.find(Oid{3 + kCells}), &hot);
}

struct Page {
  std::int64_t number = 0;
  MSGPACK_DEFINE_MAP(number);
};
struct Leaf {  // as large
  std::int64_t number = 0;
  MSGPACK_DEFINE_MAP(number);
};

class ReadsByOid : public ::testing::Test {
 protected:
  static std::int64_t read(Transaction& txn, Oid oid) { return txn.read(Ref<Page>(oid)).number; }
  Oid make(std::int64_t number) {
    return db_.transact([&](Transaction& txn) { return txn.create(Page{number}); }).oid();
  }
  void set(Oid oid, std::int64_t number) {
    db_.transact([&](Transaction& txn) { txn.write(Ref<Page>(oid)).number = number; });
  }

  MemoryStore store_;
  Database db_{store_};
};

TEST_F(ReadsByOid, SeeTheRevisionOfTheirSnapshot) {
  const Oid oid = make(0);
  std::vector<Transaction> all;
  for (std::int64_t number = 1; number < 20; ++number) {
    all.push_back(db_.begin());
    EXPECT_EQ(read(all.back(), oid), number - 1);
    set(oid, number);
    if (number % 5 == 0) db_.evict_all();
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(read(all[i], oid), static_cast<std::int64_t>(i));
  }
}

TEST_F(ReadsByOid, AreTheSameStateAsReadsByReference) {
  const Oid oid = make(1);
  Transaction txn = db_.begin();
  const Ref<Page> reference(oid);
  const Page& page = txn.read(reference);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(&txn.read(Ref<Page>(oid)), &page);
  db_.evict_all();
  EXPECT_EQ(&txn.read(reference), &page) << "evicted, and kept for the transaction";
  EXPECT_EQ(&txn.read(Ref<Page>(oid)), &page) << "the table knows it still";
}

TEST_F(ReadsByOid, SeeWhatTheTransactionHasWritten) {
  const Oid oid = make(1), other = make(2);
  for (int warm = 0; warm < 2; ++warm) {
    Transaction txn = db_.begin();
    EXPECT_EQ(read(txn, oid), 1);
    txn.write(Ref<Page>(oid)).number = 10;
    EXPECT_EQ(read(txn, oid), 10);
    EXPECT_EQ(read(txn, other), 2);
    txn.erase(Ref<Page>(other));
    EXPECT_THROW(read(txn, other), DanglingReferenceError);
  }
}

TEST_F(ReadsByOid, FindMisuse) {
  const Oid oid = make(1);
  Transaction txn = db_.begin();
  EXPECT_EQ(read(txn, oid), 1);  // the table knows it
  EXPECT_THROW(txn.read(Ref<Leaf>(oid)), TypeMismatchError);
  EXPECT_THROW(txn.read(Ref<Page>()), NullReferenceError);
  EXPECT_THROW(read(txn, Oid{oid.value + 1000}), DanglingReferenceError);
  txn.commit();
  EXPECT_THROW(read(txn, oid), TransactionEndedError);
  set(oid, 2);
  db_.transact([&](Transaction& eraser) { eraser.erase(Ref<Page>(oid)); });
  Transaction later = db_.begin();
  for (int i = 0; i < 2; ++i) EXPECT_THROW(read(later, oid), DanglingReferenceError);
}

TEST_F(ReadsByOid, OfAnEndedTransactionAskNoDatabase) {
  std::optional<Transaction> txn;
  Oid oid{};
  {
    MemoryStore store;
    Database db(store);
    oid = db.transact([](Transaction& maker) { return maker.create(Page{1}); }).oid();
    txn = db.begin();
    EXPECT_EQ(read(*txn, oid), 1);
    txn->commit();
  }
  EXPECT_THROW(read(*txn, oid), TransactionEndedError);
}

TEST_F(ReadsByOid, OfTwoDatabasesAreNotMixedUp) {
  MemoryStore store;
  Database db(store);
  const Oid here = make(1), there = db.transact([](Transaction&txn) { return txn.create(Page{2}); }).oid();
  ASSERT_EQ(here, there);
  for (int i = 0; i < 3; ++i) {
    Transaction one = db_.begin(), two = db.begin();
    EXPECT_EQ(read(one, here), 1);
    EXPECT_EQ(read(two, there), 2);
  }
}

TEST_F(ReadsByOid, SeeWholeCommitsWhileOthersWriteAndEvict) {
  const Oid left = make(0), right = make(0);
  std::atomic<bool> ends = false;
  std::thread writer([&] {
    for (std::int64_t number = 1; number <= 3000; ++number) {
      db_.transact([&](Transaction& txn) {
        txn.write(Ref<Page>(left)).number = number;
        txn.write(Ref<Page>(right)).number = number;
      });
      if (number % 64 == 0) db_.evict_all();
    }
    ends = true;
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      std::int64_t last = 0;
      while (!ends) {
        Transaction txn = db_.begin();
        const std::int64_t number = read(txn, left);
        EXPECT_EQ(read(txn, right), number);
        EXPECT_EQ(read(txn, left), number);
        EXPECT_GE(number, last);
        last = number;
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace cow
