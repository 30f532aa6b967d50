// A reference that outlives its transaction dangles. A build with AddressSanitizer catches its use, from the moment at
// which the memory behind it was reclaimed.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "persistence/memory_store.hpp"

namespace cow {
namespace {

struct Note {
  std::int64_t number = 0;
  std::string text;
  MSGPACK_DEFINE_MAP(number, text);
};

class PoisonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!detail::kAddressSanitizer) GTEST_SKIP() << "only AddressSanitizer can see this";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    note_ = db_.transact([](Transaction& txn) {
      return txn.create(Note{7, "a text that lives on the heap, not in the string"});
    });
  }

  MemoryStore store_;
  Database db_{store_};
  Ref<Note> note_;
};

TEST_F(PoisonTest, WhileTheTransactionRunsNothingIsPoisoned) {
  Transaction txn = db_.begin();
  const Note& seen = txn.read(note_);
  db_.transact([&](Transaction& other) { other.write(note_).number = 8; });
  db_.cache().evict_all();
  EXPECT_EQ(seen.number, 7);
  EXPECT_EQ(seen.text.size(), 48u);
}

TEST_F(PoisonTest, AReferenceUsedAfterTheEndDiesOnceItsStateWasReclaimed) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        const Note& seen = txn.read(note_);
        txn.commit();
        db_.cache().evict_all();
        volatile std::int64_t number = seen.number;
        (void)number;
      },
      "use-after-poison");
}

TEST_F(PoisonTest, SoDoesAReferenceToTheCloneOfAnAbortedTransaction) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        Note& mine = txn.write(note_);
        txn.abort();
        mine.number = 1;
      },
      "use-after-poison");
}

TEST_F(PoisonTest, AndOneToARevisionThatWasSupersededAndPruned) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        const Note& seen = txn.read(note_);
        txn.abort();
        for (int i = 0; i < 10; ++i) db_.transact([&](Transaction& other) { other.write(note_).number++; });
        db_.cache().reclaimer().reclaim_all();
        volatile std::int64_t number = seen.number;
        (void)number;
      },
      "use-after-poison");
}

}  // namespace
}  // namespace cow
