// SleepingCrowd: transactions that have read and sleep, each on a thread of its own, or all of them without one.
//
// Thread safety: made, woken and destroyed by one thread, which is a member of the scheme. Without threads the sleepers are that
// thread's, as suspended coroutines are their loop's.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "bench/ablation/scheme.hpp"
#include "bench/ablation/session.hpp"
#include "first_failure.hpp"
#include "grouped_cells.hpp"

namespace cow::bench {

class SleepingCrowd {
 public:
  static constexpr std::uint32_t kPopular = 50, kGroupsRead = 5;  ///< each has read some of the popular groups
  static constexpr std::uint32_t kReads = kGroupsRead * GroupedCells::kInGroup;

  struct Options {
    std::uint32_t sleepers = 0;
    bool threads = false, say_that_they_sleep = false;
    std::uint64_t seed = 1;
  };

  /// When it returns all of them sleep. REQUIRES: nobody has written a cell yet. Throws what they throw.
  SleepingCrowd(const Scheme& scheme, Database& database, const GroupedCells& cells, const Options& options)
      : scheme_(scheme), database_(database), cells_(cells), options_(options) {
    if (options.threads) {
      start_threads();
      return;
    }
    for (std::uint32_t i = 0; i < options.sleepers; ++i) sleepers_.push_back(fall_asleep(i));
  }
  SleepingCrowd(const SleepingCrowd&) = delete;
  SleepingCrowd& operator=(const SleepingCrowd&) = delete;
  ~SleepingCrowd() { join(); }

  /// Each reads again what it had read, and one group more at its snapshot, and ends. Returns how many were aborted meanwhile. Throws
  /// WrongAnswerError if one finds anything that was not there when it began.
  std::uint64_t wake() {
    for (const std::unique_ptr<Sleeper>& sleeper : sleepers_) failure_.guard([&] { wake(*sleeper); });
    join();
    failure_.rethrow();
    return aborted_.load();
  }

 private:
  struct Sleeper {
    explicit Sleeper(Database& database) : session(database) {}
    AttachedSession session;
    std::vector<std::uint32_t> groups;
    std::uint32_t further = 0;  ///< a group that it has not read
  };

  std::unique_ptr<Sleeper> fall_asleep(std::uint32_t number) const {
    auto sleeper = std::make_unique<Sleeper>(database_);
    std::mt19937_64 dice(options_.seed * 1'000'003 + number);
    sleeper->session.begin();
    while (sleeper->groups.size() < kGroupsRead) {
      const auto group = static_cast<std::uint32_t>(dice() % kPopular);
      if (std::ranges::find(sleeper->groups, group) != sleeper->groups.end()) continue;
      sleeper->groups.push_back(group);
      check_count("the commit that a sleeper sees", 0, cells_.read(sleeper->session, group));
    }
    sleeper->further = kPopular + number % (GroupedCells::kGroups - kPopular);
    if (options_.say_that_they_sleep) sleeper->session.will_sleep();
    return sleeper;
  }

  void wake(Sleeper& sleeper) {
    try {
      for (std::uint32_t group : sleeper.groups)
        check_count("the commit that a sleeper sees again", 0, cells_.read(sleeper.session, group));
      check_count("the commit that a sleeper sees later", 0, cells_.read(sleeper.session, sleeper.further));
    } catch (const SnapshotTooOldError&) {
      aborted_.fetch_add(1, std::memory_order_relaxed);
    }
    sleeper.session.abort();
  }

  void start_threads() {
    // Thousands of stacks of 8 MiB would be address space for nothing.
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, std::size_t{256} << 10);
    if (int error = ::pthread_setattr_default_np(&attributes); error != 0)
      throw std::system_error(error, std::generic_category(), "pthread_setattr_default_np");
    ::pthread_attr_destroy(&attributes);
    for (std::uint32_t i = 0; i < options_.sleepers; ++i) {
      threads_.emplace_back([this, i] {
        failure_.guard([&] {
          Membership member(scheme_);
          std::unique_ptr<Sleeper> sleeper = fall_asleep(i);
          asleep_.fetch_add(1);
          shall_wake_.wait(false);  // a system call, which a signal interrupts and which then goes on
          wake(*sleeper);
        });
      });
    }
    while (asleep_.load() < options_.sleepers && !failure_.any()) std::this_thread::yield();
    if (!failure_.any()) return;
    join();
    failure_.rethrow();
  }

  void join() {
    shall_wake_.store(true);
    shall_wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    sleepers_.clear();
  }

  const Scheme& scheme_;
  Database& database_;
  const GroupedCells& cells_;
  const Options options_;
  std::vector<std::unique_ptr<Sleeper>> sleepers_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint32_t> asleep_{0};
  std::atomic<std::uint64_t> aborted_{0};
  std::atomic<bool> shall_wake_{false};
  FirstFailure failure_;
};

}  // namespace cow::bench
