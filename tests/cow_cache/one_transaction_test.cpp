// What one transaction holds follows the distinct objects that it reads, not its reads, under a budget too small for them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

struct Blob {
  static constexpr std::string_view cow_type_name = "test.Blob";
  std::string text;
  MSGPACK_DEFINE(text);
};
struct Shelf {
  static constexpr std::string_view cow_type_name = "test.Shelf";
  std::vector<Ref<Blob>> blobs;
  MSGPACK_DEFINE(blobs);
};

class OneTransaction : public ::testing::Test {
 protected:
  void fill(std::size_t count, std::size_t bytes) {
    {
      Database ample(store_);
      ample.transact([&](Transaction& txn) {
        Shelf shelf;
        for (std::size_t i = 0; i < count; ++i) shelf.blobs.push_back(txn.create(Blob{std::string(bytes, text_of(i))}));
        blobs_ = shelf.blobs;
        shelf_ = txn.create(shelf);
      });
      ample.evict_all();
      Transaction txn = ample.begin();
      for (const Ref<Blob>& blob : blobs_) (void)txn.read(Ref<Blob>(blob.oid()));
      distinct_ = ample.statistics().cache_bytes;
    }
    store_.loads = 0;
    db_.emplace(store_, CacheOptions{.cache_bytes = 64 << 10, .limbo_bytes = 16 << 10});
  }
  static char text_of(std::size_t i) { return static_cast<char>('a' + i % 26); }

  /// What transactions and cache hold beyond one state for each object.
  std::size_t beyond() {
    Statistics statistics = db_->statistics();
    std::size_t held = statistics.cache_bytes + statistics.limbo_bytes;
    return held - std::min(held, distinct_);
  }
  void expect_value(const Blob& blob, std::size_t i) { ASSERT_EQ(blob.text[0], text_of(i)); }

  MemoryStore memory_;
  testing::UnreliableStore store_{memory_};
  std::optional<Database> db_;
  Ref<Shelf> shelf_;
  std::vector<Ref<Blob>> blobs_;
  std::size_t distinct_ = 0;
};

TEST_F(OneTransaction, ReadsByOid) {
  fill(100, 2000);
  Transaction txn = db_->begin();
  std::vector<const Blob*> first;
  for (const Ref<Blob>& blob : blobs_) first.push_back(&txn.read(Ref<Blob>(blob.oid())));
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = 0; i < blobs_.size(); ++i) expect_value(txn.read(Ref<Blob>(blobs_[i].oid())), i);
  }
  EXPECT_LT(beyond(), distinct_ + (64 << 10));
  EXPECT_LT(store_.loads, 3 * static_cast<int>(blobs_.size()));
  for (std::size_t i = 0; i < first.size(); ++i) expect_value(*first[i], i);  // promised to last
}

TEST_F(OneTransaction, ReadsByReferencesWhoseHintsGoStale) {
  fill(100, 2000);
  Transaction txn = db_->begin();
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = 0; i < blobs_.size(); ++i) expect_value(txn.read(blobs_[i]), i);
  }
  EXPECT_LT(beyond(), distinct_ + (64 << 10));
}

// Others load the objects anew and repair the hints that this one follows.
TEST_F(OneTransaction, ReadsWhatOthersLoadAgainAndAgain) {
  fill(100, 2000);
  Transaction txn = db_->begin();
  const Shelf& shelf = txn.read(shelf_);
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = 0; i < shelf.blobs.size(); ++i) {
      (void)db_->begin().read(shelf.blobs[i]);
      expect_value(txn.read(shelf.blobs[i]), i);
    }
  }
  EXPECT_LT(beyond(), 2 * distinct_ + (64 << 10));
}

// Thousands of small objects, which a bitmap logs.
TEST_F(OneTransaction, ReadsManySmallObjectsThatOthersLoadAgain) {
  fill(20'000, 8);
  Transaction txn = db_->begin();
  const Shelf& shelf = txn.read(shelf_);
  for (int round = 0; round < 6; ++round) {
    for (std::size_t i = 0; i < shelf.blobs.size(); ++i) {
      (void)db_->begin().read(shelf.blobs[i]);
      expect_value(txn.read(shelf.blobs[i]), i);
    }
  }
  EXPECT_LT(beyond(), 2 * distinct_ + (std::size_t{2} << 20));
}

TEST_F(OneTransaction, ReadsOldRevisions) {
  fill(100, 2000);
  Transaction txn = db_->begin();
  db_->transact([&](Transaction& other) {
    for (const Ref<Blob>& blob : blobs_) other.write(blob).text[0] = '!';
  });
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = 0; i < blobs_.size(); ++i) expect_value(txn.read(Ref<Blob>(blobs_[i].oid())), i);
  }
  EXPECT_LT(beyond(), 2 * distinct_ + (64 << 10));
}

// What it holds does not hide what it has done.
TEST_F(OneTransaction, WritesAndSleepsInBetween) {
  fill(100, 2000);
  Transaction txn = db_->begin();
  for (int round = 0; round < 50; ++round) {
    for (std::size_t i = 0; i < blobs_.size(); ++i) {
      Ref<Blob> blob(blobs_[i].oid());
      if (i % 10 == static_cast<std::size_t>(round % 10) && round < 30) {
        if (round < 10) {
          txn.write(blob).text = "written";
        } else if (round < 20 && i % 3 == 0) {
          txn.erase(blob);
        }
      }
      bool erased = i % 3 == 0 && (round > 10 + static_cast<int>(i % 10) || round == 10 + static_cast<int>(i % 10));
      if (erased) {
        EXPECT_THROW(txn.read(blob), DanglingReferenceError);
        if (round == 10 + static_cast<int>(i % 10)) continue;
      } else if (round > static_cast<int>(i % 10)) {
        EXPECT_EQ(txn.read(blob).text, "written");
      } else if (round < static_cast<int>(i % 10)) {
        expect_value(txn.read(blob), i);
      }
    }
    if (round % 5 == 0) {
      txn.will_sleep();
      db_->evict_all();
    }
  }
  EXPECT_LT(beyond(), 2 * distinct_ + (64 << 10));
  txn.commit();
  EXPECT_EQ(db_->begin().read(Ref<Blob>(blobs_[1].oid())).text, "written");
  EXPECT_THROW(db_->begin().read(Ref<Blob>(blobs_[0].oid())), DanglingReferenceError);
}

TEST_F(OneTransaction, CountsItsIndexAndGivesItBack) {
  fill(2000, 8);
  std::size_t after_first = 0;
  for (int repetition = 0; repetition < 10; ++repetition) {
    std::size_t before = db_->statistics().transaction_bytes;
    {
      Transaction txn = db_->begin();
      for (int round = 0; round < 3; ++round) {
        for (const Ref<Blob>& blob : blobs_) (void)txn.read(Ref<Blob>(blob.oid()));
      }
      Transaction moved = std::move(txn);
      for (std::size_t i = 0; i < blobs_.size(); ++i) expect_value(moved.read(Ref<Blob>(blobs_[i].oid())), i);
      EXPECT_GE(db_->statistics().transaction_bytes, before + 2 * 2000 * sizeof(detail::StateHandle));
    }
    // Its log's table may stay, for the next transactions. Many that read next to nothing let go of it.
    for (std::uint32_t i = 0; i < 20 * detail::ReadLog::kPatience; ++i) (void)db_->begin().read(shelf_);
    std::size_t after = db_->statistics().transaction_bytes;
    if (repetition == 0) after_first = after;
    EXPECT_LT(after, after_first + (4 << 10)) << "what was counted stays";
  }
}

}  // namespace
}  // namespace cow
