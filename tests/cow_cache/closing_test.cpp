// Closing a database and evicting everything: nothing stays alive, whatever others do, and destructors of values may read.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {

using cow::detail::kDeadMark;
using cow::detail::kTypeMask;
using cow::detail::state_at;
using cow::detail::StateHeader;
using cow::detail::StateMemory;

namespace {

struct Item {
  static constexpr std::string_view cow_type_name = "test.Item";
  std::int64_t value = 0;
  char room[60] = {};  // a slot of 128 bytes
  Item() = default;
  explicit Item(std::int64_t of) : value(of) {}
  Item(const Item&) = default;
  ~Item() {
    if (on_destroy) on_destroy(value);
  }
  MSGPACK_DEFINE(value);

  static inline std::function<void(std::int64_t)> on_destroy;
};

template <int kBytes>
struct Sized {
  static constexpr std::string_view cow_type_name = "test.Sized";
  char room[kBytes] = {};
  MSGPACK_DEFINE();
};
template <int... kSteps>
void create_sizes(Transaction& txn, std::integer_sequence<int, kSteps...>) {
  (txn.create(Sized<64 * kSteps + 160>{}), ...);
}

class Closing : public ::testing::Test {
 protected:
  ~Closing() override { Item::on_destroy = nullptr; }

  void open() {
    db_.reset();  // one database per store at a time
    db_ = std::make_unique<Database>(store_, CacheOptions{.cache_bytes = std::size_t{1} << 30});
  }
  std::vector<Ref<Item>> create(int count) {
    std::vector<Ref<Item>> items;
    db_->transact([&](Transaction& txn) {
      for (int i = 0; i < count; ++i) items.push_back(txn.create(Item(i)));
    });
    return items;
  }
  static std::uint64_t cache_bits(const Item& value) {
    auto* address = const_cast<std::byte*>(reinterpret_cast<const std::byte*>(&value));
    return state_at(address)->key.load() & ~(kTypeMask | kMaxOid.value | kDeadMark);
  }
  /// States, alive or dead, of a cache. REQUIRES: nobody uses the state memory.
  static std::size_t states_of(std::uint64_t bits) {
    std::size_t count = 0;
    StateMemory& memory = StateMemory::instance();
    memory.sweep(0, memory.slot_count(), [&](StateHeader& state) {
      count += (state.key.load() & ~(kTypeMask | kMaxOid.value | kDeadMark)) == bits;
      return true;
    });
    return count;
  }

  MemoryStore store_;
  std::unique_ptr<Database> db_;
};

// As values are destroyed, somebody gets memory of many new sizes: it may lie anywhere.
TEST_F(Closing, LeavesNoStateWhateverMemoryIsAddedMeanwhile) {
  constexpr int kItems = 32'768 + 2 * 16'384 - 50;  // small chunks, then large ones, the last one almost full
  MemoryStore other_store;
  Database other(other_store);
  other.transact([](Transaction& txn) { (void)txn.create(Sized<16>{}); });
  open();
  std::vector<Ref<Item>> items = create(kItems);
  std::uint64_t bits = cache_bits(db_->begin().read(items[0]));
  {
    Transaction txn = other.begin();
    bool first = true;
    Item::on_destroy = [&](std::int64_t) {
      if (std::exchange(first, false)) create_sizes(txn, std::make_integer_sequence<int, 60>());
    };
    db_.reset();
    Item::on_destroy = nullptr;
    EXPECT_FALSE(first);
  }
  EXPECT_EQ(states_of(bits), 0U);

  open();  // the tag is used again
  db_->transact([&](Transaction& txn) {
    for (const Ref<Item>& item : items) txn.write(Ref<Item>(item.oid())).value += kItems;
  });
  Transaction txn = db_->begin();
  for (int i = 0; i < kItems; ++i) ASSERT_EQ(txn.read(items[static_cast<std::size_t>(i)]).value, i + kItems);
}

TEST_F(Closing, DropsOldRevisionsAndWhatWasLoaded) {
  open();
  std::vector<Ref<Item>> items = create(1000);
  std::uint64_t bits = cache_bits(db_->begin().read(items[0]));
  std::vector<Transaction> snapshots;
  for (int round = 0; round < 4; ++round) {
    snapshots.push_back(db_->begin());
    db_->transact([&](Transaction& txn) {
      for (const Ref<Item>& item : items) ++txn.write(item).value;
    });
    if (round == 1) db_->evict_all();
    for (Transaction& txn : snapshots) {
      for (const Ref<Item>& item : items) (void)txn.read(Ref<Item>(item.oid()));
    }
  }
  snapshots.clear();
  db_->evict_all();
  EXPECT_EQ(db_->statistics().cache_bytes, 0U);
  EXPECT_EQ(db_->statistics().limbo_bytes, 0U);
  for (const Ref<Item>& item : items) (void)db_->begin().read(Ref<Item>(item.oid()));
  db_.reset();
  EXPECT_EQ(states_of(bits), 0U);
}

TEST_F(Closing, EvictingEverythingMeetsWhatIsLoadedAndCommittedMeanwhile) {
  open();
  std::vector<Ref<Item>> items = create(2000);
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; !stop; i += 7) {
        Ref<Item> item(items[i % items.size()].oid());
        if (t == 0) {
          (void)db_->begin().read(item);
        } else {
          db_->transact([&](Transaction& txn) { ++txn.write(item).value; });
        }
      }
    });
  }
  for (int i = 0; i < 100; ++i) db_->evict_all();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  db_->evict_all();
  EXPECT_EQ(db_->statistics().cache_bytes, 0U);
  EXPECT_EQ(db_->statistics().limbo_bytes, 0U);
}

TEST_F(Closing, DestructorsMayRead) {
  open();
  std::vector<Ref<Item>> items = create(100);
  int read = 0;
  bool reads = true;
  Item::on_destroy = [&](std::int64_t value) {
    if (value == 0 || value >= 100 || !reads) return;
    ++read;
    // The one before it, so that it ends.
    EXPECT_EQ(db_->begin().read(Ref<Item>(items[static_cast<std::size_t>(value - 1)].oid())).value, value - 1);
  };
  db_->evict_all();
  EXPECT_GT(read, 0);
  read = 0;
  for (const Ref<Item>& item : items) (void)db_->begin().read(item);
  std::uint64_t bits = cache_bits(db_->begin().read(items[0]));
  // Not unique_ptr::reset: the pointer is null before the destructor runs.
  db_->~BasicDatabase();
  reads = false;
  EXPECT_GT(read, 0);
  EXPECT_EQ(states_of(bits), 0U);
  ::operator delete (static_cast<void*>(db_.release()), std::align_val_t{alignof(Database)});
}

TEST_F(Closing, DestructorsMayReadAndEvictUnderPressure) {
  db_.reset();
  db_ = std::make_unique<Database>(store_, CacheOptions{.cache_bytes = 64 << 10, .limbo_bytes = 4 << 10});
  std::vector<Ref<Item>> items = create(2000);
  int calls = 0;
  Item::on_destroy = [&](std::int64_t value) {
    if (++calls % 16 != 0) return;
    if (calls % 1024 == 0) db_->evict_all();
    (void)db_->begin().read(Ref<Item>(items[static_cast<std::size_t>(value * 31 % 2000)].oid()));
  };
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < items.size(); ++i)
      EXPECT_EQ(db_->begin().read(Ref<Item>(items[i].oid())).value, static_cast<std::int64_t>(i));
  }
  EXPECT_GT(calls, 1024);
  Item::on_destroy = nullptr;
}

using ClosingDeath = Closing;

TEST_F(ClosingDeath, DestructorsThatLoadForEverEndTheProgram) {
  open();
  Ref<Item> item = create(1)[0];
  Database* db = db_.get();
  EXPECT_DEATH(
      {
        Item::on_destroy = [&](std::int64_t) { (void)db->begin().read(Ref<Item>(item.oid())); };
        db->~BasicDatabase();
      },
      "destructors of values load");
}

TEST_F(ClosingDeath, ADestructorThatLeavesATransactionOpenEndsTheProgram) {
  open();
  (void)create(1);
  Database* db = db_.get();
  EXPECT_DEATH(
      {
        auto* open = new std::vector<Transaction>;
        Item::on_destroy = [&](std::int64_t) { open->push_back(db->begin()); };
        db->~BasicDatabase();
      },
      "left a transaction open");
}

}  // namespace
}  // namespace cow
