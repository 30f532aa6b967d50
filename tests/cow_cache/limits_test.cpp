// What there is a bounded number of: when it is used up, the error says so and the database goes on. The bounds are made small
// here, so that they are met soon.
#define COW_CACHE_STATE_ADDRESSES (std::size_t{64} << 20)  // for all states of the process
#define COW_CACHE_MAX_TRANSACTIONS 1000
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/state/quarantine.hpp"
#include "persistence/memory_store.hpp"

namespace cow {
namespace {

struct Number {
  static constexpr std::string_view cow_type_name = "test.Number";
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
};

template <int kBytes>
struct Sized {
  static constexpr std::string_view cow_type_name = "test.Sized";
  std::int64_t value = 0;
  char room[kBytes] = {};
  MSGPACK_DEFINE(value);
};

/// Fills the cache with objects of one size.
template <int kBytes>
void fill(Database& database) {
  Ref<Sized<kBytes>> last;
  for (std::size_t bytes = 0; bytes < (std::size_t{4} << 20);) {
    database.transact([&](Transaction& txn) {
      for (int i = 0; i < 10; ++i, bytes += kBytes) last = txn.create(Sized<kBytes>{.value = kBytes});
    });
  }
  EXPECT_EQ(database.begin().read(last).value, kBytes);
}

TEST(Limits, EverySizeOfStatesHasAddressesWhateverSizesWereInUseBefore) {
  MemoryStore store;
  Database database(store, {.cache_bytes = std::size_t{3} << 20});
  [&]<int... kSteps>(std::integer_sequence<int, kSteps...>) {  // thirty sizes, of 3 MiB each, in 64 MiB
    (fill<200 + 200 * kSteps>(database), ...);
    (fill<200 + 200 * kSteps>(database), ...);
  }
  (std::make_integer_sequence<int, 34>());
}

TEST(Limits, AddressesThatTransactionsHoldAreAnErrorAndComeBack) {
  MemoryStore store;
  Database database(store);
  using Large = Sized<7000>;
  std::string message;
  Ref<Large> before = database.transact([](Transaction& txn) { return txn.create(Large{.value = 1}); });
  {
    Transaction txn = database.begin();
    Ref<Large> first = txn.create(Large{.value = 5});
    try {
      for (int i = 0; i < 100'000; ++i) (void)txn.create(Large{});
      FAIL() << "64 MiB of addresses had room for 700 MB";
    } catch (const LimitError& error) {
      message = error.what();
    }
    EXPECT_EQ(txn.read(first).value, 5) << "the transaction has lost something";
  }
  EXPECT_NE(message.find("addresses"), std::string::npos) << message;
  EXPECT_EQ(database.begin().read(before).value, 1);
  EXPECT_NO_THROW(database.transact([](Transaction& txn) { (void)txn.create(Large{}); }));
}

TEST(Limits, TransactionsAtATime) {
  MemoryStore store;
  Database database(store);
  auto number = database.transact([](Transaction& txn) { return txn.create(Number{3}); });
  std::vector<Transaction> open;
  EXPECT_THROW(
      {
        while (open.size() <= 1000) open.push_back(database.begin());
      },
      LimitError);
  EXPECT_GE(open.size(), 998u);
  EXPECT_EQ(open.back().read(number).value, 3);
  open.pop_back();
  EXPECT_EQ(database.begin().read(number).value, 3);
  open.clear();
  for (int i = 0; i < 3000; ++i) EXPECT_EQ(database.begin().read(number).value, 3);
}

TEST(Limits, CachesOfAProcess) {
  struct Open {
    MemoryStore store;
    Database database{store};
  };
  std::deque<std::unique_ptr<Open>> open;
  bool refused = false;
  while (!refused && open.size() < 5000) {
    try {
      open.push_back(std::make_unique<Open>());
    } catch (const LimitError& error) {
      EXPECT_EQ(error.most, 4094u);
      refused = true;
    } catch (const std::bad_alloc&) {  // a sanitizer leaves less addresses
      refused = true;
    }
  }
  EXPECT_TRUE(refused);
  ASSERT_GT(open.size(), 100u);
  Database& database = open[7]->database;
  auto number = database.transact([](Transaction& txn) { return txn.create(Number{3}); });
  EXPECT_EQ(database.begin().read(number).value, 3);
  open.pop_back();
  EXPECT_NO_THROW(open.push_back(std::make_unique<Open>()));
}

/// Types beyond those that have numbers of their own.
template <int kNumber>
struct Late {
  static constexpr std::string_view cow_type_name = kNumber == 0 ? "test.Late0" : "test.Late1";
  std::int64_t value = kNumber;
  MSGPACK_DEFINE(value);
};

TEST(Limits, TypesThatHaveNumbers) {
  for (int i = 0; i < 2100; ++i) (void)detail::TypeNumbers<void>::number_of("");
  MemoryStore store;
  Database database(store);
  auto late = database.transact([](Transaction& txn) { return txn.create(Late<0>{7}); });
  for (bool evicts : {false, true}) {
    if (evicts) database.evict_all();
    Transaction txn = database.begin();
    EXPECT_EQ(txn.read(late).value, 7);
    EXPECT_EQ(txn.read(late).value, 7);
    EXPECT_THROW((void)txn.read(Ref<Late<1>>(late.oid())), TypeMismatchError);
  }
}

TEST(Limits, ThreadsThatEndWithATransactionOfTheirOwnLoseNoSlot) {
  MemoryStore store;
  Database database(store);
  auto number = database.transact([](Transaction& txn) { return txn.create(Number{3}); });
  auto end_a_thread = [&](int value) {
    std::thread([&] {
      thread_local std::optional<Transaction> kept;  // ends after the thread's magazines
      kept.emplace(database.begin());
      kept->write(number).value = value;
      kept->erase(kept->create(Number{1}));
    }).join();
  };
  end_a_thread(0);
  database.evict_all();
  auto in_use = [] {
    std::size_t quarantined = detail::kAddressSanitizer ? detail::Quarantine::instance().bytes() : 0;
    return detail::StateMemory::instance().usage().in_use() - quarantined;
  };
  std::size_t before = in_use();
  for (int i = 0; i < 300; ++i) end_a_thread(i);
  database.evict_all();
  EXPECT_EQ(in_use(), before);
}

}  // namespace
}  // namespace cow
