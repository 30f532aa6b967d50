// The prototype of a check of whole chunks (bench/probes/chunk_reader.hpp) reads what the cache reads: what was written to falls back to
// the states themselves, own writes win, hints that are stale lead nowhere.
#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "bench/probes/chunk_reader.hpp"
#include "bench/support/in_memory_systems.hpp"

namespace cow::bench {

namespace {

struct Cell {
  static constexpr std::string_view cow_type_name = "test.Cell";
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
};

StateHeader& state_of(const Cell& value) {
  return *state_at(const_cast<std::byte*>(reinterpret_cast<const std::byte*>(&value)));
}

TEST(ChunkHeader, IsWholeWhereAllItsLiveStatesAreVisible) {
  ChunkHeader header;
  for (std::uint64_t begin : {7, 3}) header.admit(Tid{begin});
  EXPECT_FALSE(header.is_whole_at(6));
  EXPECT_TRUE(header.is_whole_at(7));
  header.supersede(Tid{9});
  header.supersede(Tid{12});
  EXPECT_TRUE(header.is_whole_at(8));
  EXPECT_FALSE(header.is_whole_at(9));
  EXPECT_FALSE(header.is_whole_at(100));
  header.drop();
  EXPECT_FALSE(header.is_whole_at(100));  // one is left
  header.drop();
  EXPECT_TRUE(header.is_whole_at(100));
  header.open();
  EXPECT_FALSE(header.is_whole_at(100));
}

/// Some hundred numbers in a shared cache, and the prototype beside it.
template <class Features>
class ChunkReader : public ::testing::Test {
 protected:
  static constexpr std::int64_t kNumbers =
      2'000;  // several pages, and more than a log's hash set takes before it is a bitmap

  using Headers = ChunkHeaders<Features::kShift>;
  using Log = ChunkLog<Features::kShift>;

  ChunkReader() {
    system_.database.transact([&](Transaction& txn) {
      for (std::int64_t i = 0; i < kNumbers; ++i) numbers_.push_back(txn.create(Cell{i}));
    });
    sleeper_ = system_.database.begin();
    loaded_ = system_.database.last_tid();
    look_around();
  }
  ~ChunkReader() override {
    Log::forget();
    BitmapLog::forget();
  }

  /// The states as they are now. Hints are right.
  void look_around() {
    headers_.reset();
    residents_.reset();
    Transaction txn = system_.database.begin();
    for (const Ref<Cell>& number : numbers_) (void)txn.read(number);
    residents_.emplace(system_.database, txn.read(numbers_.front()));
    headers_.emplace(*residents_, loaded_);
  }
  void change(std::size_t which, std::int64_t value) {
    system_.database.transact([&](Transaction& txn) { txn.write(numbers_[which]).value = value; });
  }
  void expect_all_of(auto& txn, std::size_t but = kNumbers) {
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      if (i == but) continue;
      EXPECT_EQ(txn.read(numbers_[i]).value, static_cast<std::int64_t>(i));
    }
  }

  InMemory<SharedCache> system_;
  std::vector<Ref<Cell>> numbers_;
  Transaction sleeper_ = system_.database.begin();  // sees every state that is superseded, so that it stays
  Tid loaded_{};
  std::optional<Residents> residents_;
  std::optional<Headers> headers_;
};

using Kinds = ::testing::Types<ByChunk, ByPage>;
TYPED_TEST_SUITE(ChunkReader, Kinds);

TYPED_TEST(ChunkReader, LogsChunksInPlaceOfStates) {
  for (int i = 0; i < 2; ++i) {  // the second transaction has the first one's table, empty
    ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
    EXPECT_EQ(txn.chunks().size(), 0u);
    this->expect_all_of(txn);
    this->expect_all_of(txn);
    EXPECT_EQ(txn.states().size(), 0u);
    EXPECT_GE(txn.chunks().size(), 1u);
    EXPECT_LT(txn.chunks().size(), this->kNumbers / 20);
  }
}

TYPED_TEST(ChunkReader, AChunkThatWasWrittenToIsReadStateByState) {
  this->change(5, -5);
  this->look_around();
  ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
  EXPECT_EQ(txn.read(this->numbers_[5]).value, -5);
  this->expect_all_of(txn, 5);
  this->expect_all_of(txn, 5);
  // The states beside it and the new one were logged one by one, and others by chunks if there are any.
  EXPECT_GE(txn.states().size(), 2u);
  EXPECT_EQ(txn.states().size() == this->numbers_.size(), txn.chunks().size() == 0);
}

TYPED_TEST(ChunkReader, AHintToWhatWasSupersededIsNotFollowed) {
  StateHeader& old = *this->numbers_[5].hint();
  this->change(5, -5);
  this->look_around();
  this->numbers_[5].set_hint(old);
  ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
  EXPECT_EQ(txn.read(this->numbers_[5]).value, -5);
  EXPECT_NE(this->numbers_[5].hint(), &old);
}

TYPED_TEST(ChunkReader, AStaleHintIntoALoggedChunkLeadsNowhere) {
  ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
  EXPECT_EQ(txn.read(this->numbers_[6]).value, 6);
  this->numbers_[5].set_hint(*this->numbers_[6].hint());
  EXPECT_EQ(txn.read(this->numbers_[5]).value, 5);
  EXPECT_NE(this->numbers_[5].hint(), this->numbers_[6].hint());
}

TYPED_TEST(ChunkReader, OwnWritesWin) {
  for (bool written_to : {false, true}) {
    if (written_to) {
      this->change(7, 7);
      this->look_around();
    }
    ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
    (void)txn.read(this->numbers_[5]);
    txn.write(this->numbers_[5]).value = -5;
    txn.write(this->numbers_[9]).value = -9;  // not read before
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(txn.read(this->numbers_[5]).value, -5);
      EXPECT_EQ(txn.read(this->numbers_[9]).value, -9);
      EXPECT_EQ(txn.read(this->numbers_[6]).value, 6);
    }
    EXPECT_EQ(&txn.write(this->numbers_[5]), &txn.read(this->numbers_[5]));
  }
  // They end with their transaction.
  ChunkTransaction<TypeParam> next(*this->residents_, *this->headers_);
  this->expect_all_of(next);
}

TYPED_TEST(ChunkReader, WithoutHeadersItIsTheCachesOwnWay) {
  typename TestFixture::Headers none;
  ChunkTransaction<TypeParam> txn(*this->residents_, none);
  this->expect_all_of(txn);
  this->expect_all_of(txn);
  EXPECT_EQ(txn.chunks().size(), 0u);
  EXPECT_EQ(txn.states().size(), this->numbers_.size());
}

TYPED_TEST(ChunkReader, WhatIsNotResidentIsAnError) {
  ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
  EXPECT_THROW((void)txn.read(Ref<Cell>(Oid{1'000'000})), std::logic_error);
}

TYPED_TEST(ChunkReader, VisitsAreNotedOfChunks) {
  StateHeader& state = state_of(this->sleeper_.read(this->numbers_[5]));
  (void)state.take_visited();
  ChunkTransaction<TypeParam> txn(*this->residents_, *this->headers_);
  EXPECT_EQ(txn.read(this->numbers_[5]).value, 5);
  EXPECT_FALSE(state.visited());  // which is what replacement loses
}

}  // namespace

}  // namespace cow::bench
