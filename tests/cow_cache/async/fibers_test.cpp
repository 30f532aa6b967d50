// Transactions of fibers. Sanitizers cannot follow Debian's Boost.Context from stack to stack, so this is tested without.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>

#include "cow_cache/fibers.hpp"
#include "tests/support/async_testing.hpp"
#include "tests/support/counted_new.hpp"

namespace cow::testing {
namespace {

struct Curious {
  static constexpr std::string_view cow_type_name = "test.Curious";
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
  static inline std::function<void()> on_decode;
};

}  // namespace
}  // namespace cow::testing

template <>
struct cow::Codec<cow::testing::Curious> {
  static void encode(const testing::Curious& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::pack(sink, value);
  }
  static testing::Curious decode(const msgpack::object& object, std::uint32_t) {
    testing::Curious value;
    object.convert(value);
    if (testing::Curious::on_decode) testing::Curious::on_decode();
    return value;
  }
};

namespace cow::testing {
namespace {

class Fibers : public AsyncTest {
 public:
  Fibers() : thread_([this] { loop.run(); }) {}
  ~Fibers() override {
    working_.reset();
    thread_.join();
  }

 private:
  asio::executor_work_guard<asio::io_context::executor_type> working_ = asio::make_work_guard(loop);
  std::thread thread_;
};

TEST_F(Fibers, HitsAllocateNothingMissesSuspendTheFiberOnly) {
  database.evict_all();
  store.shut_loads(true);
  std::atomic<bool> read = false, other = false;
  {
    FiberThreads fibers(1);
    fibers.spawn([&] {
      fiber_transact(async, executor(), [&](AsyncTransaction& txn) {
        EXPECT_EQ(fiber_read(txn, accounts[1]).balance, 1);
        EXPECT_TRUE(other) << "the thread was free meanwhile";
        std::size_t before = allocations();
        EXPECT_EQ(fiber_read(txn, accounts[1]).balance, 1);
        EXPECT_EQ(allocations(), before);
      });
      read = true;
    });
    fibers.spawn([&] {
      while (store.loads_waiting() == 0) boost::this_fiber::yield();
      other = true;
      store.shut_loads(false);
    });
  }
  EXPECT_TRUE(read);
  expect_all_free();
}

TEST_F(Fibers, CommitConflictsAreTriedAgainAndErrorsThrown) {
  constexpr int kFibers = 100;
  std::atomic<int> refused = 0;
  {
    FiberThreads fibers(2);
    for (int i = 0; i < kFibers; ++i) {
      fibers.spawn([&] {
        fiber_transact(
            async, executor(),
            [&](AsyncTransaction& txn) {
              std::int64_t seen = fiber_read(txn, accounts[2]).balance;
              boost::this_fiber::yield();
              txn->write(accounts[2]).balance = seen + 1;
            },
            Cancellation(), kPatient);
      });
    }
    fibers.spawn([&] {
      std::stop_source source;
      source.request_stop();
      try {
        fiber_transact(
            async, executor(), [](AsyncTransaction&) { ADD_FAILURE(); }, Cancellation(source.get_token()));
      } catch (const CancelledError&) {
        ++refused;
      }
    });
  }
  EXPECT_EQ(database.begin().read(accounts[2]).balance, 2 + kFibers);
  EXPECT_EQ(refused, 1);
  expect_all_free();
}

TEST_F(Fibers, ConflictsEndAfterTheLastAttempt) {
  std::atomic<int> attempts = 0, refused = 0;
  {
    FiberThreads fibers(1);
    fibers.spawn([&] {
      try {
        fiber_transact(async, executor(),
                       [&](AsyncTransaction& txn) {
                         ++attempts;
                         (void)fiber_read(txn, accounts[3]);
                         txn->write(accounts[3]).balance = 0;
                         std::thread([&] {
                           database.transact([&](Transaction& other) { ++other.write(accounts[3]).balance; });
                         }).join();
                       },
                       Cancellation(), {.most_attempts = 3});
      } catch (const ConflictError&) {
        ++refused;
      }
    });
  }
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(database.begin().read(accounts[3]).balance, 6);
  expect_all_free();
}

TEST_F(Fibers, ASnapshotOfItsOwnThatIsTooOldIsTriedAgain) {
  std::atomic<int> attempts = 0;
  {
    FiberThreads fibers(1);
    fibers.spawn([&] {
      fiber_transact(async, executor(), [&](AsyncTransaction& txn) {
        if (++attempts < 3) throw SnapshotTooOldError(accounts[3].oid(), txn->snapshot(), kInfinity);
      });
    });
  }
  EXPECT_EQ(attempts, 3);
  expect_all_free();
}

TEST_F(Fibers, NestedCommitsAreRefusedThoseOfOtherFibersAreNot) {
  std::atomic<int> refused = 0, done = 0;
  {
    FiberThreads fibers(1);
    fibers.spawn([&] {
      try {
        fiber_transact(async, executor(), [&](AsyncTransaction& txn) {
          (void)fiber_read(txn, accounts[3]);
          txn->write(accounts[3]).balance = 0;
          fiber_transact(async, executor(), [&](AsyncTransaction& nested) {
            (void)fiber_read(nested, accounts[3]);
            nested->write(accounts[3]).balance = 1;
          });
        });
      } catch (const NestedTransactionError&) {
        ++refused;
      }
    });
    for (int i = 0; i < 3; ++i) {
      fibers.spawn([&] {
        fiber_transact(async, executor(), [&](AsyncTransaction& txn) {
          std::int64_t seen = fiber_read(txn, accounts[4]).balance;
          txn->write(accounts[4]).balance = seen + 1;
          boost::this_fiber::sleep_for(std::chrono::milliseconds(2));
        });
        // A plain one in a fiber: what other fibers of the thread are in the middle of is not around it.
        database.transact([&](Transaction& txn) {
          txn.write(accounts[5]).balance += 1;
          boost::this_fiber::sleep_for(std::chrono::milliseconds(2));
        });
        ++done;
      });
    }
  }
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(done, 3);
  EXPECT_EQ(database.begin().read(accounts[3]).balance, 3);
  EXPECT_EQ(database.begin().read(accounts[4]).balance, 7);
  EXPECT_EQ(database.begin().read(accounts[5]).balance, 8);
  expect_all_free();
}

TEST_F(Fibers, ThousandsAsleep) {
  constexpr int kFibers = 5'000;
  std::atomic<int> asleep = 0, woken = 0;
  {
    FiberThreads fibers(1);
    for (int i = 0; i < kFibers; ++i) {
      fibers.spawn([&, i] {
        fiber_transact(async, executor(), [&](AsyncTransaction& txn) {
          const Account& account = fiber_read(txn, accounts[static_cast<std::size_t>(i) % accounts.size()]);
          std::int64_t before = account.balance;
          ++asleep;
          while (asleep < kFibers) boost::this_fiber::sleep_for(10ms);
          EXPECT_EQ(account.balance, before);
          ++woken;
        });
      });
    }
  }
  EXPECT_EQ(woken, kFibers);
  expect_all_free();
}

std::size_t bytes_of_addresses() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

[[gnu::noinline]] void use_stack(std::size_t bytes) {
  volatile char* lowest = static_cast<char*>(__builtin_alloca(bytes));
  for (std::size_t i = 0; i < bytes; i += 16) lowest[i] = 1;  // from its far end
}

/// In a program of its own, for it may end that: a fiber of 64 KiB beside others.
void use_stack_in_a_fiber(std::size_t bytes) {
  FiberThreads fibers(1);
  for (int i = 0; i < 10; ++i) fibers.spawn([] { boost::this_fiber::sleep_for(20ms); });
  fibers.spawn([bytes] { use_stack(bytes); });
}

TEST(FiberStacks, WhoNeedsMoreEndsTheProgramInsteadOfOverwriting) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (std::size_t kib : {65, 90, 500}) {
    EXPECT_EXIT(use_stack_in_a_fiber(kib << 10), ::testing::KilledBySignal(SIGSEGV), "") << kib;
  }
  EXPECT_EXIT((use_stack_in_a_fiber(40 << 10), std::exit(0)), ::testing::ExitedWithCode(0), "");
}

TEST(FiberStacks, AreUsedAgain) {
  detail::FiberStacks stacks(64 << 10);
  auto first = stacks.take();
  ASSERT_TRUE(first);
  void* place = first->sp;
  stacks.give_back(*first);
  auto second = stacks.take();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->sp, place);
  stacks.give_back(*second);
}

TEST(FiberStacks, WhatCouldNeverRunIsRefused) {
  EXPECT_THROW(FiberThreads(0), std::invalid_argument);
  EXPECT_THROW(FiberThreads(1, 0), std::invalid_argument);
  EXPECT_THROW(FiberThreads(1, 100), std::invalid_argument);
  EXPECT_THROW(FiberThreads(1, std::numeric_limits<std::size_t>::max()), std::invalid_argument);
}

/// Exits with 0 if all fibers have run although there were never stacks for more than some of them.
[[noreturn]] void run_with_few_addresses() {
  std::atomic<int> ran = 0;
  {
    FiberThreads fibers(1, std::size_t{4} << 20);
    fibers.spawn([&] { ++ran; });  // for what the thread itself needs
    while (ran == 0) std::this_thread::yield();
    rlimit limit{.rlim_cur = bytes_of_addresses() + (std::size_t{64} << 20), .rlim_max = RLIM_INFINITY};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) std::exit(1);
    for (int i = 0; i < 100; ++i) {
      fibers.spawn([&] {
        boost::this_fiber::sleep_for(1ms);
        ++ran;
      });
    }
  }
  std::exit(ran == 101 ? 0 : 2);
}

TEST_F(Fibers, ACodecMayNotSuspendItsFiber) {
  Ref<Curious> curious = database.transact([](Transaction& txn) { return txn.create(Curious{7}); });
  database.evict_all();
  bool told = false;
  {
    FiberThreads fibers(1);
    fibers.spawn([&] {
      Curious::on_decode = [&] { spawn(executor(), sleep_for(executor(), 1ms), use_fiber); };
      try {
        (void)database.begin().read(Ref<Curious>(curious.oid()));
      } catch (const TransactionBusyError& error) {
        told = error.oid == curious.oid();
      }
      Curious::on_decode = nullptr;
      EXPECT_EQ(database.begin().read(Ref<Curious>(curious.oid())).value, 7);
    });
  }
  EXPECT_TRUE(told);
}

TEST(FiberStacks, ThatAreNotThereAreWaitedFor) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_with_few_addresses(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace cow::testing
