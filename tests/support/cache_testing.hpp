// What the tests of caches share: objects, a store that fails on demand, threads that report their exceptions.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/baselines/blocking_cache.hpp"
#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/baselines/two_level.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::testing {

using bench::open_session;

struct Label {
  static constexpr std::string_view cow_type_name = "test.Label";
  std::string text;
  MSGPACK_DEFINE_MAP(text);
};

struct Account {
  static constexpr std::string_view cow_type_name = "test.Account";
  std::int64_t balance = 0;
  std::string owner;
  Ref<Account> next;
  MSGPACK_DEFINE_MAP(balance, owner, next);
};

struct Bank {
  static constexpr std::string_view cow_type_name = "test.Bank";
  std::vector<Ref<Account>> accounts;
  MSGPACK_DEFINE_MAP(accounts);
};

/// Long enough to live on the heap: what a reader of a freed state would stumble over.
inline std::string owner_name(std::int64_t number) { return "the owner of account number " + std::to_string(number); }

/// A store whose commits fail on demand.
class FailingStore final : public Store {
 public:
  explicit FailingStore(Store& store) : store_(store) {}
  std::atomic<bool> fails{false};

  std::optional<Revision> load(Oid oid, Tid at) override { return store_.load(oid, at); }
  Tid last_tid() override { return store_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return store_.allocate_oids(count); }
  void commit(std::span<const TransactionWrite> group) override {
    if (fails) throw StoreFullError("test store: commit: full on demand");
    store_.commit(group);
  }

 private:
  Store& store_;
};

/// Runs `body(index)` in `count` threads. An exception that leaves one fails the test.
template <class Body>
void run_threads(int count, Body&& body) {
  std::vector<std::thread> threads;
  for (int index = 0; index < count; ++index) {
    threads.emplace_back([&body, index] {
      try {
        body(index);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "thread " << index << ": " << error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

inline const RetryPolicy kPatient{.most_attempts = 100000,
                                  .first_pause = std::chrono::microseconds(1),
                                  .longest_pause = std::chrono::microseconds(200)};

}  // namespace cow::testing
