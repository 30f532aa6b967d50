// What is peculiar to the caches that the shared one is compared with.
#include <barrier>
#include <future>
#include <memory>

#include "tests/support/cache_testing.hpp"

namespace cow::testing {
namespace {

using namespace std::chrono_literals;

using PrivateDatabase = BasicDatabase<bench::PrivateCache>;
using BlockingDatabase = BasicDatabase<bench::BlockingCache>;

// The contract refuses what says that it is capable of more than it is, or does not say.
struct SaysThatItKnowsReads : bench::LockedCache {
  using LockedCache::LockedCache;
  static constexpr bool kCanBeSerializable = true;
};
struct SaysThatItNeverWaits : bench::LockedCache {
  using LockedCache::LockedCache;
  static constexpr bool kReadsWithoutWaiting = true;
};
struct SaysNoValue : bench::LockedCache {
  using LockedCache::LockedCache;
  static constexpr int kReadsWithoutWaiting = 0;
};
struct PublishesAndMayThrow : bench::LockedCache {
  using LockedCache::LockedCache;
  void publish(detail::WriteSet&, Tid) {}
};
static_assert(detail::ObjectCache<detail::SharedCache> && detail::ObjectCache<bench::PrivateCache>);
static_assert(detail::ObjectCache<bench::LockedCache> && detail::ObjectCache<bench::BlockingCache>);
static_assert(!detail::ObjectCache<SaysThatItKnowsReads> && !detail::ObjectCache<SaysThatItNeverWaits>);
static_assert(!detail::ObjectCache<SaysNoValue> && !detail::ObjectCache<PublishesAndMayThrow>);

template <class Session>
std::vector<Ref<Label>> add_labels(Session& session, int count) {
  return session.transact([&](auto& txn) {
    std::vector<Ref<Label>> labels;
    for (int i = 0; i < count; ++i) labels.push_back(txn.create(Label{owner_name(i)}));
    return labels;
  });
}

TEST(PrivateCacheTest, SessionHasOneTransactionAtATime) {
  MemoryStore store;
  PrivateDatabase database(store);
  auto session = open_session(database);
  auto first = session.begin();
  EXPECT_THROW(session.begin(), bench::SessionBusyError);
  first.abort();
  EXPECT_NO_THROW(session.begin());
}

TEST(PrivateCacheTest, SessionThatWasAwayForTooLongForgetsEverything) {
  MemoryStore store;
  PrivateDatabase database(store);
  auto writer = open_session(database), sleeper = open_session(database);
  std::vector<Ref<Label>> labels = add_labels(writer, 2);
  auto read = [&](auto& txn) { return txn.read(labels[0]).text; };
  EXPECT_EQ(sleeper.transact(read), owner_name(0));
  writer.transact([&](auto& txn) { txn.write(labels[0]).text = "changed"; });
  add_labels(writer, (1 << 17) + 1);  // more than the log of invalidations remembers
  EXPECT_EQ(sleeper.transact(read), "changed");
}

TEST(PrivateCacheTest, EvictsTheLeastRecentlyTouched) {
  constexpr int kLabels = 1000;
  MemoryStore store;
  auto labels = [&] {
    PrivateDatabase database(store);
    auto session = open_session(database);
    return add_labels(session, kLabels);
  }();
  // Room for 300: each has a slot of 128 bytes and its text.
  std::size_t each = 128 + store.load(labels[0].oid(), kInfinity)->record.size();
  PrivateDatabase database(store, {.cache_bytes = 300 * each});
  auto session = open_session(database);
  auto read = [&](int from, int to) {
    std::uint64_t before = database.statistics().loads;
    session.transact([&](auto& txn) {
      for (int i = from; i < to; ++i) txn.read(labels[static_cast<std::size_t>(i)]);
    });
    return static_cast<int>(database.statistics().loads - before);
  };
  EXPECT_EQ(read(0, kLabels), kLabels);
  EXPECT_LE(database.statistics().cache_bytes, 300 * each);
  int resident = kLabels - static_cast<int>(database.statistics().evictions);
  ASSERT_GT(resident, 200);
  EXPECT_EQ(read(kLabels - resident, kLabels), 0) << "the last ones must have stayed";
  // A hot set that every transaction touches survives a scan in small steps.
  EXPECT_EQ(read(kLabels - 50, kLabels), 0);
  for (int from = 0; from < 600; from += 20) {
    read(from, from + 20);
    EXPECT_EQ(read(kLabels - 50, kLabels), 0) << "after " << from;
  }
}

/// What many transactions of no session at a time have loaded, the next ones find, the last one's first.
TEST(PrivateCacheTest, TransactionsOfNoSessionAreLentTheWarmestObjects) {
  MemoryStore store;
  PrivateDatabase database(store);
  auto writer = open_session(database);
  const Ref<Label> label = add_labels(writer, 1)[0];
  auto loads = [&] { return database.statistics().loads; };
  const std::uint64_t before = loads();
  {
    auto first = database.begin(), second = database.begin();
    EXPECT_EQ(first.read(label).text, owner_name(0));
    EXPECT_EQ(loads() - before, 1u);
    EXPECT_EQ(database.statistics().active_transactions, 2u);
    first.abort();
    database.transact([&](auto& txn) { EXPECT_EQ(txn.read(label).text, owner_name(0)); });
    EXPECT_EQ(loads() - before, 1u) << "lent again";
    EXPECT_EQ(second.read(label).text, owner_name(0));
    EXPECT_EQ(loads() - before, 2u) << "in use, so others were lent";
  }
  writer.transact([&](auto& txn) { txn.write(label).text = "changed"; });
  database.transact([&](auto& txn) { EXPECT_EQ(txn.read(label).text, "changed"); });
  EXPECT_EQ(loads() - before, 3u);
  EXPECT_EQ(database.statistics().active_transactions, 0u);
}

TEST(PrivateCacheTest, ClosedSessionGivesItsMemoryBack) {
  MemoryStore store;
  PrivateDatabase database(store);
  {
    auto session = open_session(database);
    add_labels(session, 100);
    EXPECT_GT(database.statistics().cache_bytes, 100u * 64);
  }
  EXPECT_EQ(database.statistics().cache_bytes, 0u);
  EXPECT_EQ(database.statistics().active_transactions, 0u);
}

TEST(TwoLevelTest, SecondSessionLoadsFromTheByteCache) {
  MemoryStore store;
  auto labels = [&] {
    bench::TwoLevelDatabase database(store);
    auto session = open_session(database);
    return add_labels(session, 100);
  }();
  bench::TwoLevelDatabase database(store, {}, 1 << 20);
  for (int i = 0; i < 3; ++i) {
    open_session(database).transact([&](auto& txn) {
      for (const Ref<Label>& label : labels) txn.read(label);
    });
  }
  EXPECT_EQ(database.statistics().loads, 100u);
  open_session(database).transact([&](auto& txn) { txn.write(labels[0]).text = "new"; });
  EXPECT_EQ(open_session(database).transact([&](auto& txn) { return txn.read(labels[0]).text; }), "new");
  EXPECT_EQ(database.statistics().loads, 100u) << "a commit leaves its records in the byte cache";
}

TEST(TwoLevelTest, ByteCacheKeepsItsBudget) {
  MemoryStore store;
  bench::TwoLevelDatabase database(store, {}, 16 << 10);
  auto writer = open_session(database);
  std::vector<Ref<Label>> labels = add_labels(writer, 2000);
  open_session(database).transact([&](auto& txn) {
    for (int i = 0; i < 2000; ++i) EXPECT_EQ(txn.read(labels[static_cast<std::size_t>(i)]).text, owner_name(i));
  });
  EXPECT_GT(database.statistics().loads, 1000u);
  EXPECT_GT(database.statistics().evictions, 3000u);
}

class BlockingCacheTest : public ::testing::Test {
 protected:
  MemoryStore store_;
  BlockingDatabase database_{store_};
  bench::Session<BlockingDatabase> session_ = open_session(database_);
  Ref<Label> label_ = add_labels(session_, 1)[0];
};

TEST_F(BlockingCacheTest, WriterWaitsForReadersAndReadersForTheWriter) {
  std::promise<void> writes_now;
  auto reader = database_.begin();
  const Label& seen = reader.read(label_);
  auto writer = std::async(std::launch::async, [&] {
    auto txn = database_.begin();
    txn.read(label_);
    writes_now.set_value();
    txn.write(label_).text = "changed";
    txn.commit();
  });
  writes_now.get_future().wait();
  EXPECT_EQ(writer.wait_for(50ms), std::future_status::timeout);
  EXPECT_EQ(seen.text, owner_name(0));
  EXPECT_EQ(reader.read(label_).text, owner_name(0));
  auto late = std::async(std::launch::async, [&] { return database_.begin().read(label_).text; });
  EXPECT_EQ(late.wait_for(50ms), std::future_status::timeout) << "a reader that comes later waits for the writer";
  reader.commit();
  EXPECT_EQ(late.get(), "changed");
  writer.get();
}

TEST_F(BlockingCacheTest, TwoReadersThatBothWantToWriteDoNotDeadlock) {
  Ref<Label> other = add_labels(session_, 1)[0];
  std::barrier both_have_read(2);
  std::atomic<int> conflicts{0};
  run_threads(2, [&](int index) {
    auto txn = database_.begin();
    const Ref<Label>& mine = index == 0 ? label_ : other;
    txn.read(mine);
    both_have_read.arrive_and_wait();
    try {
      txn.write(mine).text = "changed";
      txn.commit();
    } catch (const ConflictError& error) {
      ++conflicts;
      EXPECT_EQ(error.conflicts.at(0).oid, mine.oid());
      EXPECT_THROW(txn.read(mine), TransactionEndedError);
    }
  });
  EXPECT_EQ(conflicts, 1) << "one of them, although they change different objects";
  EXPECT_EQ(database_.statistics().active_transactions, 0u);
}

TEST_F(BlockingCacheTest, WriterMayEndInAnotherThread) {
  auto txn = std::make_unique<BlockingDatabase::Transaction>(database_.begin());
  txn->write(label_).text = "changed";
  run_threads(1, [&](int) {
    txn->commit();
    txn.reset();
  });
  EXPECT_EQ(database_.begin().read(label_).text, "changed");
}

}  // namespace
}  // namespace cow::testing
