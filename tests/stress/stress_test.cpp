// Threads that do everything at once, for some seconds: COW_CACHE_STRESS_SECONDS per case, 3 by default.
//
// The store keeps every revision, so it is the truth that each read is compared with: what a transaction sees must be
// what the store has at its snapshot. Values have members on the heap, so that AddressSanitizer sees a state freed too
// early.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow {
namespace {

using Random = std::mt19937_64;
using namespace std::chrono_literals;

std::chrono::duration<double> stress_time() { return testing::stress_time(3.0); }

/// A number that says itself twice more on the heap, so that torn, stale or freed memory cannot pass for a value.
struct Cell {
  std::int64_t number = 0;
  std::string text;
  std::vector<std::int64_t> trail;
  Ref<Cell> next;  // every state carries hints of its own, repaired by whoever follows them
  MSGPACK_DEFINE_MAP(number, text, trail, next);

  static std::string text_of(std::int64_t number) { return "the number of this revision is " + std::to_string(number); }
  void set(std::int64_t value) {
    number = value;
    text = text_of(value);
    trail.assign(5, value);
  }
  bool intact() const { return text == text_of(number) && trail == std::vector<std::int64_t>(5, number); }
};

/// Dawdles in some loads, before or after it has read: then others commit, evict and load in between.
class DawdlingStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    std::uint64_t dice = dice_.fetch_add(0x9E3779B97F4A7C15, std::memory_order_relaxed) >> 60;
    if (dice == 0) std::this_thread::sleep_for(50us);
    if (dice == 1) std::this_thread::yield();
    auto revision = inner_.load(oid, at);
    if (dice == 2) std::this_thread::sleep_for(50us);
    if (dice == 3) std::this_thread::yield();
    return revision;
  }

 private:
  std::atomic<std::uint64_t> dice_{0};
};

class StressTest : public ::testing::Test {
 protected:
  /// Opens the database with a budget of `cache_bytes`, and makes `count` cells in a ring, each with `number`.
  void open(std::size_t cache_bytes, int count, std::int64_t number) {
    db_.reset();  // one database per store at a time
    db_ = std::make_unique<Database>(store_, CacheOptions{.cache_bytes = cache_bytes, .limbo_bytes = 16 << 10});
    db_->transact([&](Transaction& txn) {
      Cell cell;
      cell.set(number);
      cells_.clear();
      for (int i = 0; i < count; ++i) cells_.push_back(txn.create(cell));
      for (int i = 0; i < count; ++i) txn.write(cells_[i]).next = cells_[(i + 1) % count];
    });
  }

  void start(int threads, std::function<void(Random&)> body) {
    for (int t = 0; t < threads; ++t) {
      threads_.emplace_back([this, body, seed = threads_.size() + 1] {
        Random random(seed);
        while (std::chrono::steady_clock::now() < deadline_ && wrong_.load() == 0) {
          try {
            body(random);
          } catch (const ConflictError&) {
            // Somebody was faster; that is what happens here.
          } catch (const std::exception& error) {
            fail(error.what());
          }
        }
      });
    }
  }

  /// Waits for the threads, closes the database and reports.
  void finish() {
    for (std::thread& thread : threads_) thread.join();
    EXPECT_EQ(wrong_.load(), 0) << "first: " << first_wrong_;
    EXPECT_GT(reads_.load(), 100u) << "the test did not get anywhere";
    Statistics statistics = db_->statistics();
    EXPECT_EQ(statistics.active_transactions, 0u);
    RecordProperty("reads", std::to_string(reads_.load()));
    RecordProperty("commits", std::to_string(statistics.commits));
    RecordProperty("evictions", std::to_string(statistics.evictions));
    db_->evict_all();
    EXPECT_EQ(db_->statistics().cache_bytes, 0u);
    EXPECT_EQ(db_->statistics().limbo_bytes, 0u);
  }

  void fail(const std::string& what) {
    if (wrong_.fetch_add(1) == 0) first_wrong_ = what;
  }
  void check(bool right, const std::string& what) {
    if (!right) fail(what);
  }

  /// A reference as a program has it: with the hint of others, or only an oid.
  Ref<Cell> any_cell(Random& random) {
    const Ref<Cell>& cell = cells_[random() % cells_.size()];
    return random() % 2 == 0 ? cell : Ref<Cell>(cell.oid());
  }

  void check_truth(const Transaction& txn, Oid oid, const Cell& seen) {
    ++reads_;
    auto revision = memory_.load(oid, txn.snapshot());
    if (!revision || revision->erased) return fail("read an object that does not exist");
    auto truth = detail::decode_record<Cell>(revision->record, oid, revision->begin);
    check(seen.intact(), "broken value");
    check(seen.number == truth.number,
          "oid " + std::to_string(oid.value) + " at tid " + std::to_string(txn.snapshot().value) + ": read " +
              std::to_string(seen.number) + ", the store has " + std::to_string(truth.number));
  }

  MemoryStore memory_;
  DawdlingStore store_{memory_};
  std::unique_ptr<Database> db_;
  std::vector<Ref<Cell>> cells_;
  std::vector<std::thread> threads_;
  const std::chrono::steady_clock::time_point deadline_ =
      std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(stress_time());
  std::atomic<std::uint64_t> reads_ = 0, wrong_ = 0;
  std::string first_wrong_;
};

TEST_F(StressTest, TheSumOfAllAccountsNeverChanges) {
  constexpr int kAccounts = 100;
  open(16 << 10, kAccounts, 1000);
  auto sum = [&](Transaction& txn) {
    std::int64_t sum = 0;
    const Ref<Cell>* next = &cells_[0];
    for (int i = 0; i < kAccounts; ++i) {  // along the references in the states themselves
      const Cell& account = txn.read(*next);
      check(account.intact(), "broken value");
      sum += account.number;
      next = &account.next;
      ++reads_;
    }
    check(sum == 1000 * kAccounts, "the sum is " + std::to_string(sum));
  };
  start(2, [&](Random& random) {  // transfers
    Transaction txn = db_->begin();
    Ref<Cell> from = any_cell(random), to = any_cell(random);
    std::int64_t amount = static_cast<std::int64_t>(random() % 100);
    txn.write(from).set(txn.read(from).number - amount);
    txn.write(to).set(txn.read(to).number + amount);
    if (random() % 8 == 0) sum(txn);  // own writes included
    if (random() % 8 != 0) txn.commit();
  });
  start(2, [&](Random& random) {
    Transaction txn = db_->begin();
    sum(txn);
    if (random() % 2 == 0) txn.will_sleep();
    if (random() % 4 == 0) std::this_thread::sleep_for(2ms);  // an old snapshot by now
    sum(txn);
  });
  finish();
}

TEST_F(StressTest, UpdatesAreNeverLost) {
  open(4 << 10, 6, 0);
  std::vector<std::atomic<std::int64_t>> acknowledged(cells_.size());
  start(4, [&](Random& random) {
    std::size_t i = random() % cells_.size();
    Ref<Cell> cell = random() % 2 == 0 ? cells_[i] : Ref<Cell>(cells_[i].oid());
    Transaction txn = db_->begin();
    Cell& mine = txn.write(cell);
    check(mine.intact(), "broken value");
    mine.set(mine.number + 1);
    ++reads_;
    txn.commit();
    ++acknowledged[i];
  });
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  {
    Transaction txn = db_->begin();
    for (std::size_t i = 0; i < cells_.size(); ++i) EXPECT_EQ(txn.read(cells_[i]).number, acknowledged[i].load());
  }
  finish();
}

// A reference within a state is repaired by everybody who follows it, at any moment: what a transaction clones is what it has read.
TEST_F(StressTest, AWriteClonesWhatItsTransactionHasReadWhoeverRepairsTheHint) {
  open(1 << 20, 2, 0);
  start(2, [&](Random& random) {
    db_->transact([&](Transaction& txn) {
      Cell& cell = txn.write(cells_[1]);
      cell.set(cell.number + 1);
    });
    Transaction txn = db_->begin();
    if (random() % 8 != 0) (void)txn.read(txn.read(cells_[0]).next);  // repairs it
  });
  start(2, [&](Random&) {
    Transaction txn = db_->begin();
    const Ref<Cell>& next = txn.read(cells_[0]).next;
    const std::int64_t number = txn.read(next).number;
    ++reads_;
    Cell& mine = txn.write(next);
    check(mine.number == number, "cloned a revision that it has not read");
    mine.set(-1);
    check(txn.read(next).number == -1 && txn.read(Ref<Cell>(next.oid())).number == -1, "an own write is lost");
    txn.abort();
  });
  finish();
}

// A load that read an old record must not install it over a commit that happened meanwhile; and whatever is evicted and
// loaded again, each transaction sees its own snapshot. The budget is so small that almost nothing stays.
TEST_F(StressTest, ALoadNeverBringsBackWhatACommitReplaced) {
  open(1, 8, 0);
  start(2, [&](Random& random) {
    db_->transact([&](Transaction& txn) {
      Ref<Cell> cell = any_cell(random);
      check_truth(txn, cell.oid(), txn.read(cell));
      txn.write(cell).set(txn.read(cell).number + 1);
    });
    if (random() % 4 == 0) db_->evict_all();
  });
  start(3, [&](Random& random) {
    Transaction txn = db_->begin();
    for (int i = 0; i < 6; ++i) {
      Ref<Cell> cell = any_cell(random);
      const Cell& seen = txn.read(cell);
      check_truth(txn, cell.oid(), seen);
      check_truth(txn, seen.next.oid(), txn.read(seen.next));
    }
  });
  finish();
}

// Two objects that are always changed together, by transactions that write others as well (so that groups form).
TEST_F(StressTest, NobodySeesHalfACommit) {
  open(3 << 10, 20, 0);
  start(3, [&](Random& random) {
    std::size_t pair = random() % (cells_.size() / 2) * 2;
    Transaction txn = db_->begin();
    std::int64_t number = txn.read(cells_[pair]).number;
    check(number == txn.read(cells_[pair + 1]).number, "a pair is torn apart");
    txn.write(cells_[pair + random() % 2]).set(number + 1);
    txn.write(cells_[pair]).set(number + 1);
    txn.write(cells_[pair + 1]).set(number + 1);
    txn.commit();
  });
  start(2, [&](Random& random) {
    Transaction txn = db_->begin();
    for (int i = 0; i < 8; ++i) {
      std::size_t pair = random() % (cells_.size() / 2) * 2;
      const Cell& first = txn.read(cells_[pair]);
      if (random() % 4 == 0) std::this_thread::yield();
      const Cell& second = txn.read(first.next);  // the ring: its neighbour
      check(first.number == second.number, "a pair is torn apart");
      check(first.intact() && second.intact(), "broken value");
      check_truth(txn, first.next.oid(), second);
    }
  });
  finish();
}

// Long transactions go from thread to thread with all that they have read, and verify it at their end.
TEST_F(StressTest, WhatALongTransactionHasReadStaysWhateverHappens) {
  struct Long {
    Transaction txn;
    std::vector<std::pair<Oid, const Cell*>> held;
  };
  open(6 << 10, 60, 0);
  std::mutex mutex;
  std::deque<Long> waiting;
  auto verify = [&](const Long& sleeper) {
    for (auto [oid, cell] : sleeper.held) check_truth(sleeper.txn, oid, *cell);
  };
  start(3, [&](Random& random) {
    std::unique_lock lock(mutex);
    if (waiting.size() < 30 || random() % 8 == 0) waiting.push_back({db_->begin(), {}});
    Long mine = std::move(waiting.front());
    waiting.pop_front();
    lock.unlock();
    for (int i = 0; i < 5; ++i) {
      Ref<Cell> cell = any_cell(random);
      mine.held.emplace_back(cell.oid(), &mine.txn.read(cell));
    }
    if (random() % 2 == 0) mine.txn.will_sleep();
    if (mine.held.size() < 60) {
      lock.lock();
      waiting.push_back(std::move(mine));
      return;
    }
    verify(mine);
    if (random() % 2 == 0) mine.txn.commit();
  });
  start(1, [&](Random& random) {
    db_->transact([&](Transaction& txn) {
      for (int i = 0; i < 4; ++i) {
        Ref<Cell> cell = any_cell(random);
        txn.write(cell).set(static_cast<std::int64_t>(random() % 1'000'000));
      }
    });
    if (random() % 64 == 0) db_->evict_all();
  });
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (const Long& sleeper : waiting) verify(sleeper);
  waiting.clear();
  finish();
}

// Pairs of which one must be up: who takes one down has seen the other one up, and changes one of the two only. Snapshots
// let two of them take down one each. Evictions and old snapshots take part, for they change where the validation looks.
TEST_F(StressTest, SerializableTransactionsDoNotSkew) {
  open(4 << 10, 12, 1);
  auto both = [&](Transaction& txn, std::size_t pair) {
    const Cell& first = txn.read(cells_[pair]);
    const Cell& second = txn.read(Ref<Cell>(cells_[pair + 1].oid()));
    check(first.intact() && second.intact(), "broken value");
    check(first.number + second.number > 0, "both of a pair are down");
    ++reads_;
    return first.number + second.number;
  };
  std::atomic<std::uint64_t> flips = 0;
  start(4, [&](Random& random) {
    std::size_t pair = random() % (cells_.size() / 2) * 2;
    Transaction txn = db_->begin(Isolation::serializable);
    bool both_up = both(txn, pair) == 2;
    for (int i = 0; i < 3; ++i) txn.read(any_cell(random));  // more to conflict with
    if (random() % 4 == 0) txn.will_sleep();
    if (random() % 4 == 0) std::this_thread::yield();
    Cell& one = txn.write(cells_[pair + random() % 2]);
    if (one.number == 1 && !both_up) return;  // the last one stays up
    one.set(1 - one.number);
    txn.commit();
    ++flips;
  });
  start(1, [&](Random& random) {
    Transaction txn = db_->begin();
    for (std::size_t pair = 0; pair < cells_.size(); pair += 2) both(txn, pair);
    if (random() % 64 == 0) db_->evict_all();
  });
  finish();
  EXPECT_GT(flips.load(), 100u);
}

/// Names all the cells that exist.
struct Directory {
  std::vector<Ref<Cell>> members;
  MSGPACK_DEFINE_MAP(members);
};

TEST_F(StressTest, ObjectsComeAndGoWithTheDirectoryThatNamesThem) {
  open(8 << 10, 1, 0);
  Ref<Directory> directory = db_->transact([](Transaction& txn) {
    Directory members;
    for (int i = 0; i < 20; ++i) {
      Cell cell;
      cell.set(i);
      members.members.push_back(txn.create(cell));
    }
    return txn.create(members);
  });
  start(2, [&](Random& random) {
    Ref<Cell> erased, created;
    db_->transact([&](Transaction& txn) {
      Directory& mine = txn.write(directory);
      Ref<Cell>& member = mine.members[random() % mine.members.size()];
      erased = member;
      Cell cell;
      cell.set(static_cast<std::int64_t>(random() % 1'000'000));
      txn.erase(member);
      member = created = txn.create(cell);
    });
    Transaction after = db_->begin();
    try {
      after.read(random() % 2 == 0 ? erased : Ref<Cell>(erased.oid()));
      fail("read an erased object");
    } catch (const DanglingReferenceError&) {
    }
    try {
      check_truth(after, created.oid(), after.read(created));
    } catch (const DanglingReferenceError&) {
      // The other thread has erased it already; then the directory says so too.
      for (const Ref<Cell>& member : after.read(directory).members) check(member != created, "a member is missing");
    }
  });
  start(2, [&](Random& random) {
    Transaction txn = db_->begin();
    const Directory& seen = txn.read(directory);
    if (random() % 4 == 0) std::this_thread::sleep_for(1ms);
    for (const Ref<Cell>& member : seen.members) check_truth(txn, member.oid(), txn.read(member));
  });
  start(1, [&](Random&) {
    std::this_thread::sleep_for(1ms);
    db_->evict_all();
  });
  finish();
}

}  // namespace
}  // namespace cow
