// What the tests of asynchronous transactions share: a loop, a store whose doors can be shut, a few accounts.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "cache_testing.hpp"
#include "cow_cache/async.hpp"
#include "forwarding_store.hpp"

namespace cow::testing {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// A store whose loads and commits wait while its doors are shut, and which remembers who came.
class DoorStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  std::optional<Revision> load(Oid oid, Tid at) override {
    pass(loads_shut_, loads_waiting_);
    ++loads;
    if (on_load) on_load();
    return ForwardingStore::load(oid, at);
  }
  void commit(std::span<const TransactionWrite> group) override {
    pass(commits_shut_, commits_waiting_);
    ForwardingStore::commit(group);
  }

  void shut_loads(bool shut) { set(loads_shut_, shut); }
  void shut_commits(bool shut) { set(commits_shut_, shut); }
  int loads_waiting() { return count(loads_waiting_); }
  int commits_waiting() { return count(commits_waiting_); }
  std::set<std::thread::id> visitors() {
    std::scoped_lock lock(mutex_);
    return visitors_;
  }

  std::atomic<int> loads = 0;
  std::function<void()> on_load;  ///< what becomes of a load that was let through: it may throw. Set while nobody loads

 private:
  void pass(const bool& shut, int& waiting) {
    std::unique_lock lock(mutex_);
    visitors_.insert(std::this_thread::get_id());
    ++waiting;
    opened_.wait(lock, [&] { return !shut; });
    --waiting;
  }
  void set(bool& door, bool shut) {
    std::scoped_lock lock(mutex_);
    door = shut;
    opened_.notify_all();
  }
  int count(const int& waiting) {
    std::scoped_lock lock(mutex_);
    return waiting;
  }

  std::mutex mutex_;
  std::condition_variable opened_;
  bool loads_shut_ = false, commits_shut_ = false;
  int loads_waiting_ = 0, commits_waiting_ = 0;
  std::set<std::thread::id> visitors_;
};

/// A loop, and below it a database of accounts with an asynchronous face.
class AsyncTest : public ::testing::Test {
 public:
  explicit AsyncTest(const AsyncOptions& options = {}) : async(database, options) {
    accounts = database.transact([](Transaction& txn) {
      std::vector<Ref<Account>> made;
      for (int i = 0; i < 100; ++i) made.push_back(txn.create(Account{i, owner_name(i), {}}));
      return made;
    });
    for (Ref<Account>& account : accounts) account = Ref<Account>(account.oid());  // no hints: they would be hits
  }

  AnyExecutor executor() { return loop.get_executor(); }

  /// Runs the loop in this thread until the task, and all others, are done. Throws what the task throws.
  template <class T>
  T run(Task<T> task) {
    auto result = spawn(executor(), std::move(task), asio::use_future);
    run_loop();
    return result.get();
  }
  void run_loop() {
    loop.run();
    loop.restart();
  }
  /// Runs what is ready until `done()`; for what other threads have to do first.
  template <class Done>
  void run_until(Done&& done) {
    while (!done()) {
      loop.poll();
      loop.restart();
      std::this_thread::yield();
    }
  }

  /// The same; false if it has not come to that after half a minute, which nothing here takes.
  template <class Done>
  [[nodiscard]] bool gets_to(Done&& done) {
    auto give_up = std::chrono::steady_clock::now() + 30s;
    run_until([&] { return done() || std::chrono::steady_clock::now() > give_up; });
    return done();
  }

  /// Nothing is left of any transaction.
  void expect_all_free() {
    EXPECT_EQ(database.statistics().active_transactions, 0u);
    EXPECT_EQ(async.admission().running(), 0u);
    EXPECT_EQ(async.admission().waiting(), 0u);
  }

  MemoryStore memory;
  DoorStore store{memory};
  Database database{store};
  asio::io_context loop;
  AsyncDatabase async;
  std::vector<Ref<Account>> accounts;
};

}  // namespace cow::testing
