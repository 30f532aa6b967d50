// Every allocation may fail: whatever a database was doing, it throws or succeeds, loses nothing and goes on.
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <fstream>
#include <memory>
#include <new>
#include <thread>

#include "allocation_failure_testing.hpp"

namespace cow::testing {
namespace {

constexpr CacheOptions kTiny{.cache_bytes = 8 << 10, .limbo_bytes = 1 << 10};

void evict_all(World& world) { world.db().evict_all(); }

/// A transaction that has read everything, and sleeps.
Transaction& add_sleeper(World& world) {
  world.sleepers.push_back(world.db().begin());
  for (std::size_t i = 0; i < world.count(); ++i) (void)world.sleepers.back().read(world.plain(i));
  return world.sleepers.back();
}

/// Threads that wait to begin at once.
class Crowd {
 public:
  explicit Crowd(int count, std::function<void(int)> body) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, i, body] {
        begun_.wait(false);
        body(i);
      });
    }
  }
  void run() {
    begun_ = true;
    begun_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  ~Crowd() { run(); }

 private:
  std::atomic<bool> begun_{false};
  std::vector<std::thread> threads_;
};

// ---- reads

TEST(AllocationFailure, BeginAndEnd) {
  Sweep::over({.items = 2, .run = [](World& world) {
                 for (int i = 0; i < 3; ++i) {
                   World::attempt([&] {
                     Transaction first = world.db().begin(), second = world.db().begin();
                     require(world.value_in(first, 0) == 0 && world.value_in(second, 1) == 1, "a value is wrong");
                   });
                 }
               }});
}

TEST(AllocationFailure, HitsByHintAndByTable) {
  Sweep::over({.run = [](World& world) {
    World::attempt([&] {
      Transaction txn = world.db().begin();
      for (std::size_t i = 0; i < world.count(); ++i) (void)txn.read(world.hinted(i));
    });
    Transaction txn = world.db().begin();
    for (std::size_t i = 0; i < world.count(); ++i) {
      World::attempt([&] { require(world.value_in(txn, i) == world.values[i], "a value is wrong"); });
    }
  }});
}

TEST(AllocationFailure, ALogThatBecomesABitmap) {
  Sweep::over({.items = 360, .run = [](World& world) {
                 Transaction txn = world.db().begin();
                 for (std::size_t i = 0; i < world.count(); ++i) {
                   World::attempt([&] { require(world.value_in(txn, i) == world.values[i], "a value is wrong"); });
                 }
               }});
}

TEST(AllocationFailure, Misses) {
  Sweep::over({.prepare = evict_all, .run = [](World& world) {
                 Transaction txn = world.db().begin();
                 for (std::size_t i = 0; i < world.count(); ++i) {
                   World::attempt([&] { require(world.value_in(txn, i) == world.values[i], "a value is wrong"); });
                 }
               }});
}

TEST(AllocationFailure, MissesThatEvict) {
  for (Replacement policy : {Replacement::adaptive, Replacement::clock, Replacement::s3_fifo, Replacement::sieve}) {
    CacheOptions options = kTiny;
    options.replacement = policy;
    Sweep::over({.items = 30, .options = options, .run = [](World& world) {
                   for (std::size_t i = 0; i < 3 * world.count() / 2; ++i) {
                     World::attempt([&] { (void)world.db().begin().read(world.plain(i % world.count())); });
                   }
                 }});
  }
}

TEST(AllocationFailure, OldRevisionQueue) {
  Sweep::over({.items = 20,
               .prepare =
                   [](World& world) {
                     world.sleepers.push_back(world.db().begin());
                     world.change(0, world.count(), 500);
                     evict_all(world);
                   },
               .run =
                   [](World& world) {
                     for (int round = 0; round < 2;
                          ++round) {  // with nothing in the table, then behind what is current
                       for (std::size_t i = 0; i < world.count(); ++i) {
                         World::attempt([&] {
                           require(world.value_in(world.sleepers[0], i) == std::int64_t(i), "an old value is wrong");
                         });
                         World::attempt([&] { (void)world.db().begin().read(world.plain(i)); });
                       }
                       World::attempt([&] { evict_all(world); });
                     }
                   }});
}

TEST(AllocationFailure, ThreadsThatWaitForALoad) {
  std::shared_ptr<Crowd> crowd;
  Sweep::over({.items = 3,
               .prepare =
                   [&](World& world) {
                     evict_all(world);
                     crowd = std::make_shared<Crowd>(3, [&world](int) {
                       for (std::size_t i = 0; i < world.count(); ++i) {
                         World::attempt([&] { (void)world.db().begin().read(world.plain(i)); });
                       }
                     });
                   },
               .run = [&](World&) { crowd.reset(); }});
}

// ---- writes and commits

TEST(AllocationFailure, WritesThatAreGivenUp) {
  Sweep::over({.run = [](World& world) {
    Transaction txn = world.db().begin();
    for (std::size_t i = 0; i < world.count(); ++i) {
      bool written = World::attempt([&] { txn.write(world.plain(i)).value = 900; });
      World::attempt(
          [&] { require(world.value_in(txn, i) == (written ? 900 : world.values[i]), "not what it wrote"); });
      if (i % 3 != 0) continue;
      bool erased = World::attempt([&] { txn.erase(world.plain(i)); });
      World::attempt([&] { require(!erased || world.value_in(txn, i) == World::kErased, "it has erased this"); });
      World::attempt([&] { (void)txn.create(Item{}); });
    }
  }});
}

TEST(AllocationFailure, CommitsOfOneObject) {
  Sweep::over({.items = 3, .run = [](World& world) {
                 for (std::int64_t round = 0; round < 5; ++round) world.change(0, 1, 100 + round);
               }});
}

TEST(AllocationFailure, CommitsOfMany) {
  Sweep::over({.run = [](World& world) {
    for (std::int64_t round = 0; round < 3; ++round) world.change(0, world.count(), 100 + round);
  }});
}

TEST(AllocationFailure, CommitsOfWhatWasEvictedMeanwhile) {
  Sweep::over({.run = [](World& world) {
    std::int64_t value = 100;
    bool done = World::attempt([&] {
      Transaction txn = world.db().begin();
      for (std::size_t i = 0; i < world.count(); ++i) txn.write(world.plain(i)).value = value;
      evict_all(world);
      txn.commit();
    });
    if (done) std::fill(world.values.begin(), world.values.end(), value);
  }});
}

TEST(AllocationFailure, CommitsUnderATinyBudget) {
  Sweep::over({.items = 40, .options = kTiny, .run = [](World& world) {
                 for (std::size_t i = 0; i + 10 <= world.count(); i += 10) world.change(i, i + 10, 300);
               }});
}

TEST(AllocationFailure, CreationsAndErasures) {
  Sweep::over({.run = [](World& world) {
    for (std::size_t i = 0; i < world.count(); i += 8) {
      Ref<Item> created;
      bool done = World::attempt([&] {
        Transaction txn = world.db().begin();
        created = txn.create(Item{77});
        txn.erase(world.plain(i));
        txn.commit();
      });
      if (done) world.values[i] = World::kErased;
      World::attempt([&] {
        Transaction txn = world.db().begin();
        if (done) require(txn.read(created).value == 77, "a new object is wrong");
      });
    }
  }});
}

TEST(AllocationFailure, Conflicts) {
  Sweep::over({.run = [](World& world) {
    World::attempt([&] {
      Transaction late = world.db().begin();
      for (std::size_t i = 0; i < 10; ++i) late.write(world.plain(i)).value = 666;
      if (world.change(0, 10, 200)) {
        late.commit();
        require(false, "a conflict was not noticed");
      }
    });
  }});
}

TEST(AllocationFailure, SerializableTransactions) {
  Sweep::over({.run = [](World& world) {
    World::attempt([&] {
      Transaction late = world.db().begin(Isolation::serializable);
      for (std::size_t i = 0; i < world.count(); ++i) (void)world.value_in(late, i);
      if (!world.change(5, 6, 200)) return;
      late.write(world.plain(7)).value = 666;
      late.commit();
      require(false, "a conflict of a read was not noticed");
    });
    bool done = World::attempt([&] {
      Transaction txn = world.db().begin(Isolation::serializable);
      for (std::size_t i = 0; i < world.count(); ++i) (void)world.value_in(txn, i);
      txn.write(world.plain(8)).value = 201;
      txn.commit();
    });
    if (done) world.values[8] = 201;
  }});
}

TEST(AllocationFailure, TransactThatTriesAgain) {
  Sweep::over({.items = 3, .run = [](World& world) {
                 int attempts = 0;
                 bool done = World::attempt([&] {
                   world.db().transact(
                       [&](Transaction& txn) {
                         txn.write(world.plain(0)).value = 300;
                         if (++attempts <= 3) std::thread([&] { world.change(0, 1, 200 + attempts); }).join();
                       },
                       {.first_pause = std::chrono::microseconds(1), .longest_pause = std::chrono::microseconds(1)});
                 });
                 if (done) world.values[0] = 300;
               }});
}

TEST(AllocationFailure, GroupsOfCommits) {
  std::shared_ptr<Crowd> crowd;
  Sweep::over({.items = 12,
               .prepare =
                   [&](World& world) {
                     crowd = std::make_shared<Crowd>(4, [&world](int number) {
                       auto from = static_cast<std::size_t>(3 * number);
                       for (std::int64_t round = 0; round < 3; ++round) world.change(from, from + 3, 100 + round);
                     });
                   },
               .run = [&](World&) { crowd.reset(); }});
}

TEST(AllocationFailure, NamesOfRoots) {
  Sweep::over(
      {.items = 2, .run = [](World& world) {
         bool stored = World::attempt([&] {
           world.db().transact([&](Transaction& txn) { (void)txn.root().emplace("a name of some length", Item{8}); });
         });
         World::attempt([&] {
           Transaction txn = world.db().begin();
           require(txn.root().contains("a name of some length") == stored, "a name is wrong");
           if (stored) require(txn.read(txn.root().get<Item>("a name of some length")).value == 8, "a named value");
         });
         bool erased = World::attempt(
             [&] { world.db().transact([&](Transaction& txn) { (void)txn.root().erase("a name of some length"); }); });
         if (erased) stored = false;
         World::attempt([&] {
           Transaction txn = world.db().begin();
           require(txn.root().contains("a name of some length") == stored, "a name is wrong afterwards");
         });
       }});
}

// ---- giving memory back

TEST(AllocationFailure, RetirementsWhileOthersSleep) {
  for (bool parks : {false, true}) {
    Sweep::over({.items = 20,
                 .options = {.cache_bytes = 1 << 20, .limbo_bytes = 1 << 10},
                 .prepare =
                     [parks](World& world) {
                       for (int i = 0; i < 3; ++i) {
                         Transaction& sleeper = add_sleeper(world);
                         if (parks) sleeper.will_sleep();
                         world.change(0, 10, 400 + i);
                       }
                     },
                 .run =
                     [](World& world) {
                       for (std::int64_t round = 0; round < 5; ++round) world.change(0, world.count(), 500 + round);
                       for (Transaction& sleeper : world.sleepers) {
                         for (std::size_t i = 10; i < world.count(); ++i) {
                           World::attempt([&] {
                             require(world.value_in(sleeper, i) == std::int64_t(i),
                                     "a sleeper sees what it should not");
                           });
                         }
                       }
                       world.sleepers.clear();
                       world.change(0, world.count(), 600);
                     }});
  }
}

TEST(AllocationFailure, SleepersWhoseStatesAreEvicted) {
  Sweep::over({.items = 30,
               .options = kTiny,
               .prepare = [](World& world) { add_sleeper(world).will_sleep(); },
               .run =
                   [](World& world) {
                     for (std::size_t i = 0; i < world.count(); ++i) {
                       World::attempt([&] { (void)world.db().begin().read(world.plain(i)); });
                       World::attempt([&] { (void)world.value_in(world.sleepers[0], i); });
                     }
                   }});
}

TEST(AllocationFailure, EvictAll) {
  Sweep::over({.items = 200,
               .prepare = [](World& world) { add_sleeper(world); },
               .run = [](World& world) { World::attempt([&] { evict_all(world); }); }});
}

TEST(AllocationFailure, StatisticsAndEnds) {
  Sweep::over({.prepare = [](World& world) { add_sleeper(world).will_sleep(); },
               .run =
                   [](World& world) {
                     World::attempt([&] { (void)world.db().statistics(); });
                     world.sleepers.clear();
                   }});
}

// ---- databases and threads

TEST(AllocationFailure, OpeningAndClosing) {
  Sweep::over({.items = 2, .run = [](World& world) {
                 world.database.reset();
                 while (!World::attempt([&] { world.database.emplace(world.store, world.options); })) {
                   failing_memory::relent();
                 }
                 World::attempt([&] {
                   MemoryStore empty;
                   Database another(empty);
                   another.transact([](Transaction& txn) { (void)txn.create(Item{}); });
                 });
               }});
}

std::size_t bytes_of_addresses() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(AllocationFailure, WhatDoesNotOpenLeavesNoRangeOfAddresses) {
  MemoryStore store;
  { Database warm(store); }
  bool failed = true;
  for (int n = 1; failed; ++n) {
    std::size_t before = bytes_of_addresses();
    failing_memory::arm(n, failing_memory::Fails::once);
    try {
      Database database(store);
    } catch (const std::bad_alloc&) {
    }
    failed = failing_memory::disarm();
    EXPECT_LT(bytes_of_addresses(), before + (std::size_t{16} << 20)) << "allocation " << n;
  }
}

TEST(AllocationFailure, ThreadsThatEnd) {
  std::shared_ptr<Crowd> crowd;
  Sweep::over({.items = 4,
               .prepare =
                   [&](World& world) {
                     evict_all(world);
                     crowd = std::make_shared<Crowd>(2, [&world](int number) {
                       auto mine = static_cast<std::size_t>(2 * number);
                       World::attempt([&] { (void)world.db().begin().read(world.plain(mine)); });
                       world.change(mine, mine + 2, 100);
                     });
                   },
               .run = [&](World&) { crowd.reset(); }});
}

}  // namespace
}  // namespace cow::testing
