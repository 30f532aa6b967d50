// A transaction sees its own writes and erasures, by whichever reference and whichever states of the object its log holds.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <tuple>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

struct Account {
  std::int64_t balance = 0;
  MSGPACK_DEFINE_MAP(balance);
};

/// Does something in the middle of each load of an old revision.
class MeddlingStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    std::optional<Revision> revision = inner_.load(oid, at);
    if (at != kInfinity && meddle) meddle();
    return revision;
  }
  std::function<void()> meddle;
};

/// How a transaction comes to log several states of one object.
enum class Copies { one, of_current, of_old, private_ones };
/// In which layout its log is, when it diverts the object.
enum class Layout { small_set, large_set, bitmap };
enum class Change { write, erase };

class OwnWrites : public ::testing::TestWithParam<std::tuple<Copies, Layout, Change, int>> {
 protected:
  static constexpr int kCopies = 4;

  OwnWrites() {
    db_.transact([&](Transaction& txn) {
      account_ = txn.create(Account{100}).oid();
      for (int i = 0; i < 2000; ++i) neighbours_.push_back(txn.create(Account{i}));
    });
  }

  /// Brings the log into the layout; it changes its table on the way.
  void read_neighbours(Transaction& txn, Layout layout) {
    // The bitmap takes what lies close together. For a hash set every sixteenth is far enough from the next.
    std::size_t step = layout == Layout::bitmap ? 1 : 16, most = layout == Layout::small_set ? 8 : 2000;
    for (std::size_t i = 0; i < neighbours_.size() && i < most * step; i += step) (void)txn.read(neighbours_[i]);
  }

  /// References that lead to different states of the account, all of which the transaction has read.
  std::vector<Ref<Account>> read_copies(Transaction& txn, Copies copies) {
    if (copies == Copies::private_ones) store_.meddle = [this] { db_.evict_all(); };
    std::vector<Ref<Account>> references;
    for (int i = 0; i < kCopies; ++i) {
      if (copies != Copies::one) db_.evict_all();
      EXPECT_EQ(txn.read(references.emplace_back(account_)).balance, 100);
    }
    store_.meddle = nullptr;
    return references;
  }

  void expect_own(Transaction& txn, const std::vector<Ref<Account>>& references, Change change) {
    std::vector<Ref<Account>> all = references;
    all.push_back(Ref<Account>(account_));
    for (const Ref<Account>& reference : all) {
      if (change == Change::erase) {
        EXPECT_THROW(txn.read(reference), DanglingReferenceError);
        EXPECT_THROW(txn.try_read(reference), DanglingReferenceError);
        EXPECT_THROW(txn.write(reference), DanglingReferenceError);
      } else {
        EXPECT_EQ(txn.read(reference).balance, 111);
        const Account* resident = txn.try_read(reference);
        ASSERT_NE(resident, nullptr);
        EXPECT_EQ(resident->balance, 111);
        EXPECT_EQ(&txn.write(reference), resident);
      }
    }
  }

  MemoryStore memory_;
  MeddlingStore store_{memory_};
  Database db_{store_};
  Oid account_;
  std::vector<Ref<Account>> neighbours_;
};

TEST_P(OwnWrites, WinWhateverTheLogHolds) {
  auto [copies, layout, change, by] = GetParam();
  bool is_old = copies == Copies::of_old || copies == Copies::private_ones;
  Transaction txn = db_.begin();
  if (is_old) db_.transact([&](Transaction& other) { other.write(Ref<Account>(account_)).balance = 500; });
  if (layout != Layout::small_set) read_neighbours(txn, layout);
  std::vector<Ref<Account>> references = read_copies(txn, copies);
  if (layout == Layout::small_set) read_neighbours(txn, layout);

  const Ref<Account>& divert_by = references[static_cast<std::size_t>(by)];
  if (change == Change::write) {
    txn.write(divert_by).balance += 11;
  } else {
    txn.erase(divert_by);
  }
  expect_own(txn, references, change);
  db_.evict_all();
  expect_own(txn, references, change);
  // The log changes its table, and with it the marks go.
  for (Layout next : {Layout::bitmap, Layout::large_set}) {
    read_neighbours(txn, next);
    expect_own(txn, references, change);
  }
  cow::detail::cache_of(db_).reclaimer().reclaim_all();
  expect_own(txn, references, change);

  if (is_old) {
    EXPECT_THROW(txn.commit(), ConflictError);
    EXPECT_EQ(db_.begin().read(Ref<Account>(account_)).balance, 500);
    return;
  }
  if (change == Change::write) ++txn.write(references.back()).balance;
  txn.commit();
  Transaction after = db_.begin();
  if (change == Change::write) {
    EXPECT_EQ(after.read(Ref<Account>(account_)).balance, 112);
  } else {
    EXPECT_THROW(after.read(Ref<Account>(account_)), DanglingReferenceError);
  }
}

INSTANTIATE_TEST_SUITE_P(All, OwnWrites,
                         ::testing::Combine(::testing::Values(Copies::one, Copies::of_current, Copies::of_old,
                                                              Copies::private_ones),
                                            ::testing::Values(Layout::small_set, Layout::large_set, Layout::bitmap),
                                            ::testing::Values(Change::write, Change::erase), ::testing::Range(0, 4)));

// What was erased was logged too, and is not taken for the object.
TEST(OwnErasure, OfACreatedObjectIsSeenByEveryReference) {
  MemoryStore store;
  Database db(store);
  Transaction txn = db.begin();
  Ref<Account> created = txn.create(Account{1});
  const Account& value = txn.read(created);
  txn.erase(created);
  EXPECT_EQ(value.balance, 1) << "promised to last";
  EXPECT_THROW(txn.read(created), DanglingReferenceError);
  EXPECT_THROW(txn.read(Ref<Account>(created.oid())), DanglingReferenceError);
}

// Memory pressure instead of evict_all, and one sleeper whose object comes and goes.
TEST(OwnWritesUnderPressure, AreSeenByASleeper) {
  MemoryStore store;
  Database db(store, {.cache_bytes = 256 << 10});
  Ref<Account> first;
  std::vector<Ref<Account>> crowd;
  db.transact([&](Transaction& txn) {
    first = txn.create(Account{100});
    for (int i = 0; i < 10'000; ++i) crowd.push_back(txn.create(Account{i}));
  });
  Transaction sleeper = db.begin();
  (void)sleeper.read(first);
  sleeper.will_sleep();
  std::uint64_t evictions = db.statistics().evictions;
  for (int round = 0; round < 4; ++round) {
    for (const Ref<Account>& other : crowd) (void)db.begin().read(Ref<Account>(other.oid()));
  }
  ASSERT_GT(db.statistics().evictions, evictions);
  Ref<Account> second(first.oid());
  (void)sleeper.read(second);
  sleeper.write(first).balance += 11;
  EXPECT_EQ(sleeper.read(second).balance, 111);
  EXPECT_EQ(sleeper.read(Ref<Account>(first.oid())).balance, 111);
}

}  // namespace
}  // namespace cow
