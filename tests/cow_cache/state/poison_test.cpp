// A reference that outlives its transaction dangles. A build with AddressSanitizer catches its use, from the moment at
// which the memory behind it was reclaimed, and for some megabytes of other states after that.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>

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
  db_.evict_all();
  EXPECT_EQ(seen.number, 7);
  EXPECT_EQ(seen.text.size(), 48u);
}

TEST_F(PoisonTest, AReferenceUsedAfterTheEndDiesOnceItsStateWasReclaimed) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        const Note& seen = txn.read(note_);
        txn.commit();
        db_.evict_all();
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
        cow::detail::cache_of(db_).reclaimer().reclaim_all();
        volatile std::int64_t number = seen.number;
        (void)number;
      },
      "use-after-poison");
}

// The slots of the states that were reclaimed would be those of the next ones.
TEST_F(PoisonTest, AndOneWhoseSlotWouldBeUsedAgainByNow) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        const Note& seen = txn.read(note_);
        txn.commit();
        db_.evict_all();
        for (int i = 0; i < 1'000; ++i) {
          db_.transact([&](Transaction& other) { other.create(Note{i, "another"}); });
        }
        volatile std::int64_t number = seen.number;
        (void)number;
      },
      "use-after-poison");
}

TEST_F(PoisonTest, AndAClonesWhoseSlotWouldBeTheNextClones) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        Note& mine = txn.write(note_);
        txn.abort();
        Transaction next = db_.begin();
        next.write(note_).number = 2;
        mine.number = 1;
      },
      "use-after-poison");
}

TEST_F(PoisonTest, AndOneThatIsUsedWhileOtherThreadsChangeTheObject) {
  EXPECT_DEATH(
      {
        Transaction txn = db_.begin();
        const Note& seen = txn.read(note_);
        txn.abort();
        std::thread([&] {
          for (int i = 0; i < 1'000; ++i) db_.transact([&](Transaction& other) { other.write(note_).number++; });
        }).join();
        cow::detail::cache_of(db_).reclaimer().reclaim_all();
        volatile std::int64_t number = seen.number;
        (void)number;
      },
      "use-after-poison");
}

// It holds slots back, not more and more of them.
TEST_F(PoisonTest, TheQuarantineHasABound) {
  const std::size_t before = detail::StateMemory::instance().usage().resident;
  for (int i = 0; i < 100'000; ++i) {
    Transaction txn = db_.begin();
    txn.write(note_).number++;
    txn.abort();
  }
  EXPECT_LE(detail::StateMemory::instance().usage().resident, before + 3 * detail::Quarantine::kBytes);
}

}  // namespace
}  // namespace cow
