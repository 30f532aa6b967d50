// Loading many objects at once: load_ahead, on a store that counts and that does things meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow::testing {
namespace {

/// Counts, and calls `meanwhile` when it has the answers and has not yet returned them.
class WatchedBatchStore final : public UnreliableStore, public BatchStore {
 public:
  explicit WatchedBatchStore(MemoryStore& inner) : UnreliableStore(inner), memory_(inner) {}

  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override {
    ++batches;
    objects += static_cast<int>(oids.size());
    std::vector<std::optional<Revision>> found = memory_.load_many(oids, at);
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    return found;
  }

  std::atomic<int> batches = 0, objects = 0;
  std::function<void()> meanwhile;

 private:
  MemoryStore& memory_;
};

class BatchLoader : public ::testing::Test {
 protected:
  std::vector<Ref<Label>> make_labels(int count) {
    Transaction txn = db_.begin();
    std::vector<Ref<Label>> labels;
    for (int i = 0; i < count; ++i) labels.push_back(txn.create(Label{std::to_string(i)}));
    txn.commit();
    cold();
    return labels;
  }
  void cold() {
    db_.evict_all();
    store_.loads = store_.batches = store_.objects = 0;
  }
  static std::span<const Ref<Label>> all(const std::vector<Ref<Label>>& labels) { return labels; }

  MemoryStore memory_;
  WatchedBatchStore store_{memory_};
  Database db_{store_};
};

TEST_F(BatchLoader, AsksTheStoreOnceForMany) {
  const std::vector<Ref<Label>> labels = make_labels(150);
  Transaction txn = db_.begin();
  EXPECT_TRUE(txn.load_ahead(all(labels)));
  EXPECT_EQ(store_.batches, 3);  // of 64 at most
  EXPECT_EQ(store_.objects, 150);
  for (int i = 0; i < 150; ++i) {
    const Label* label = txn.try_read(labels[i]);
    ASSERT_NE(label, nullptr) << i;
    EXPECT_EQ(label->text, std::to_string(i));
  }
  EXPECT_EQ(store_.loads, 0);
  EXPECT_TRUE(txn.load_ahead(all(labels)));
  EXPECT_EQ(store_.batches, 3) << "all of them are resident";
  txn.abort();
  EXPECT_THROW(txn.load_ahead(all(labels)), TransactionEndedError);
  db_.evict_all();
  const Statistics left = db_.statistics();
  EXPECT_EQ(left.cache_bytes, 0u);
  EXPECT_EQ(left.limbo_bytes, 0u);
  EXPECT_EQ(left.ticket_bytes, 0u);
}

TEST_F(BatchLoader, OfAStoreThatLoadsOneByOneDoesNothing) {
  MemoryStore memory;
  ForwardingStore store(memory);
  Database db(store);
  Transaction txn = db.begin();
  const std::vector<Ref<Label>> labels{txn.create(Label{"one"})};
  EXPECT_FALSE(txn.load_ahead(all(labels)));
}

TEST_F(BatchLoader, LeavesOutWhatIsOfNoUse) {
  std::vector<Ref<Label>> labels = make_labels(5);
  Transaction change = db_.begin();
  change.erase(labels[1]);
  const Ref<Account> account = change.create(Account{1, "ada", {}});
  const Ref<Label> aborted = [&] {
    Transaction other = db_.begin();
    return other.create(Label{"never"});
  }();
  change.commit();
  cold();
  const std::vector<Ref<Label>> wanted{
      labels[0], {}, labels[1], labels[0], Ref<Label>(account.oid()), aborted, Ref<Label>(labels[2].oid()), labels[2]};
  Transaction txn = db_.begin();
  EXPECT_TRUE(txn.load_ahead(all(wanted)));
  EXPECT_EQ(store_.batches, 1);
  EXPECT_EQ(store_.objects, 5) << "each once, and nothing of the null reference";
  EXPECT_EQ(txn.read(labels[0]).text, "0");
  EXPECT_EQ(txn.read(labels[2]).text, "2");
  EXPECT_THROW(txn.read(labels[1]), DanglingReferenceError);
  EXPECT_EQ(store_.loads, 0) << "the tombstone was loaded, too";
  EXPECT_THROW(txn.read(Ref<Label>(account.oid())), TypeMismatchError);
  EXPECT_EQ(txn.read(account).owner, "ada");
  EXPECT_THROW(txn.read(aborted), DanglingReferenceError);
}

TEST_F(BatchLoader, WhatIsCommittedMeanwhileIsNotOverwritten) {
  const std::vector<Ref<Label>> labels = make_labels(20);
  Transaction writer = db_.begin();
  for (int i = 0; i < 20; i += 2) writer.write(labels[i]).text = "changed";
  for (const Ref<Label>& label : labels) EXPECT_NE(db_.begin().read(label).text, "changed");
  db_.evict_all();
  Transaction ahead = db_.begin();
  store_.meanwhile = [&] { writer.commit(); };
  ahead.load_ahead(all(labels));
  Transaction after = db_.begin();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(after.read(labels[i]).text, i % 2 == 0 ? "changed" : std::to_string(i));
    EXPECT_EQ(ahead.read(labels[i]).text, std::to_string(i)) << "its snapshot is older";
  }
}

TEST_F(BatchLoader, AStoreThatFailsLeavesNoTicket) {
  const std::vector<Ref<Label>> labels = make_labels(10);
  Transaction txn = db_.begin();
  std::atomic<bool> waits{false};
  std::jthread other;
  store_.meanwhile = [&] {
    other = std::jthread([&] {
      Transaction reader = db_.begin();
      waits = true;
      EXPECT_EQ(reader.read(labels[4]).text, "4");  // waits for the ticket, which fails nobody
    });
    while (!waits) std::this_thread::yield();
    throw StoreError("the device is gone");
  };
  EXPECT_THROW(txn.load_ahead(all(labels)), StoreError);
  other.join();
  EXPECT_EQ(txn.read(labels[5]).text, "5");
  EXPECT_EQ(db_.statistics().ticket_bytes, 0u);
  txn.load_ahead(all(labels));
  for (const Ref<Label>& label : labels) EXPECT_NE(txn.try_read(label), nullptr);
}

TEST_F(BatchLoader, UnderABudgetThatKeepsNothing) {
  MemoryStore memory;
  Database db(memory, CacheOptions{.cache_bytes = 1, .limbo_bytes = 1});
  Transaction make = db.begin();
  std::vector<Ref<Label>> labels;
  for (int i = 0; i < 200; ++i) labels.push_back(make.create(Label{owner_name(i)}));
  make.commit();
  Transaction txn = db.begin();
  for (int round = 0; round < 3; ++round) {
    txn.load_ahead(all(labels));
    for (int i = 0; i < 200; ++i) EXPECT_EQ(txn.read(labels[i]).text, owner_name(i));
  }
}

// Threads that load the same objects ahead while others write them: each transaction sees its snapshot.
TEST_F(BatchLoader, BesideWritersAndEachOther) {
  const std::vector<Ref<Label>> labels = make_labels(100);
  Transaction start = db_.begin();
  for (const Ref<Label>& label : labels) start.write(label).text = "0";
  start.commit();
  std::atomic<bool> stop{false};
  run_threads(4, [&](int index) {
    std::mt19937_64 random(index);
    if (index == 0) {
      for (int i = 1; i <= 300; ++i) {
        Transaction txn = db_.begin();
        for (const Ref<Label>& label : labels) txn.write(label).text = std::to_string(i);
        txn.commit();
        db_.evict_all();
      }
      stop = true;
      return;
    }
    while (!stop) {
      Transaction txn = db_.begin();
      const std::size_t first = random() % 60;
      txn.load_ahead(all(labels).subspan(first, 40));
      const std::string text = txn.read(labels[first]).text;
      for (std::size_t i = first; i < first + 40; ++i) ASSERT_EQ(txn.read(labels[i]).text, text);
    }
  });
  EXPECT_EQ(db_.statistics().ticket_bytes, 0u);
}

}  // namespace
}  // namespace cow::testing
