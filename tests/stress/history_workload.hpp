// List appends by threads that keep several transactions open each, recorded for the history checker.
//
// Thread safety: `run` starts and joins its threads; each records its own transactions, so that recording orders nothing.
//
// A list is made by the first transaction that appends to it, and others know its oid before that commits. So they meet
// objects that do not exist yet, and must see the empty list. Lists are left behind as they grow.
#pragma once

#include <tsl/robin_map.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "history_checker.hpp"

namespace cow::testing {

struct AppendList {
  static constexpr std::string_view cow_type_name = "history.List";
  std::vector<std::uint64_t> values;
  MSGPACK_DEFINE_MAP(values);
};

struct WorkloadOptions {
  Isolation level = Isolation::snapshot;
  std::uint64_t seed = 1;
  unsigned threads = 4;
  std::size_t transactions = 10'000;  ///< of all threads
  unsigned open = 4;                  ///< transactions at a time, of each thread
  unsigned lists = 8;                 ///< in use at a time
  std::size_t longest = 16;           ///< a list of as many values is left behind
};

class HistoryWorkload {
 public:
  HistoryWorkload(Database& database, const WorkloadOptions& options)
      : database_(database), options_(options), lists_(options.transactions + options.lists) {}

  /// Runs everything and returns the history, which ends with a transaction that reads all lists. Throws what a thread met
  /// and should not have.
  std::vector<HistoryTransaction> run() {
    std::vector<std::vector<HistoryTransaction>> parts(options_.threads);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < options_.threads; ++t) {
      threads.emplace_back([&, t] {
        try {
          Client(*this, t).run(parts[t]);
        } catch (...) {
          std::scoped_lock lock(mutex_);
          failure_ = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    std::vector<HistoryTransaction> history;
    for (auto& part : parts) std::ranges::move(part, std::back_inserter(history));
    history.push_back(read_all());
    return history;
  }

 private:
  static std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

  struct List {
    std::atomic<bool> taken{false};  ///< by the one who makes it
    /// Release by its maker, acquire by who uses it: what the maker did before is seen. 0: not made yet.
    std::atomic<std::uint64_t> oid{0};
    std::atomic<bool> dead{false};  ///< its maker has not committed. Relaxed: others only lose time with it
  };

  struct Open {
    Transaction txn;
    HistoryTransaction record;
    unsigned left;                     ///< operations to come
    bool sleeps;                       ///< for longer than most
    std::vector<std::uint32_t> makes;  ///< lists
  };

  /// One thread.
  class Client {
   public:
    Client(HistoryWorkload& workload, unsigned thread)
        : workload_(workload),
          random_(workload.options_.seed * 1000 + thread),
          next_value_((std::uint64_t{thread} + 1) << 40),
          budget_(workload.options_.transactions / workload.options_.threads) {}

    void run(std::vector<HistoryTransaction>& records) {
      while (begun_ < budget_ || !open_.empty()) {
        if (begun_ < budget_ && (open_.empty() || (open_.size() < workload_.options_.open && random_() % 2 == 0)))
          begin();
        std::size_t index = random_() % open_.size();
        Open& open = open_[index];
        if (open.sleeps && begun_ < budget_ && random_() % 64 != 0) continue;
        if (open.left-- > 0) {
          operate(open);
          if (random_() % 8 == 0) open.txn.will_sleep();
          continue;
        }
        finish(open);
        records.push_back(std::move(open.record));
        if (index + 1 < open_.size()) open_[index] = std::move(open_.back());
        open_.pop_back();
        if (random_() % 256 == 0) workload_.database_.evict_all();
      }
    }

   private:
    void begin() {
      ++begun_;
      HistoryTransaction record;
      record.begin = now();
      unsigned operations = 1 + static_cast<unsigned>(random_() % 5);
      open_.push_back({workload_.database_.begin(workload_.options_.level),
                       std::move(record),
                       operations,
                       random_() % 16 == 0,
                       {}});
    }

    void finish(Open& open) {
      open.record.outcome = Outcome::aborted;
      try {
        if (random_() % 32 != 0) {
          open.txn.commit();
          open.record.outcome = Outcome::committed;
        } else {
          open.txn.abort();
        }
      } catch (const ConflictError&) {
        // Aborted.
      }
      open.record.end = now();
      if (open.record.outcome == Outcome::committed) return;
      for (std::uint32_t key : open.makes) workload_.lists_[key].dead.store(true, std::memory_order_relaxed);
    }

    void operate(Open& open) {
      std::uint32_t key = workload_.pick(random_);
      List& list = workload_.lists_[key];
      std::uint64_t oid = list.oid.load(std::memory_order_acquire);
      if (oid == 0) {
        if (!list.taken.exchange(true, std::memory_order_relaxed)) make(open, key, list);
        return;
      }
      Ref<AppendList>& known = references_[key];
      if (!known) known = Ref<AppendList>(Oid{oid});
      Ref<AppendList> fresh(Oid{oid});
      Ref<AppendList>& reference = random_() % 4 == 0 ? fresh : known;
      try {
        if (random_() % 2 == 0) {
          note_read(open, key, open.txn.read(reference).values);
        } else {
          AppendList& mine = open.txn.write(reference);
          if (random_() % 2 == 0) note_read(open, key, mine.values);
          mine.values.push_back(++next_value_);
          open.record.operations.push_back({key, next_value_, {}});
        }
      } catch (const DanglingReferenceError&) {
        note_read(open, key, {});
      }
    }

    void make(Open& open, std::uint32_t key, List& list) {
      Ref<AppendList> made = open.txn.create(AppendList{{++next_value_}});
      open.record.operations.push_back({key, next_value_, {}});
      open.makes.push_back(key);
      list.oid.store(made.oid().value, std::memory_order_release);
    }

    void note_read(Open& open, std::uint32_t key, const std::vector<std::uint64_t>& values) {
      open.record.operations.push_back({key, 0, values});
      workload_.leave_behind(key, values.size());
    }

    HistoryWorkload& workload_;
    std::mt19937_64 random_;
    std::uint64_t next_value_;
    std::size_t budget_, begun_ = 0;
    std::vector<Open> open_;
    tsl::robin_map<std::uint32_t, Ref<AppendList>> references_;  ///< with hints of their own
  };

  std::uint32_t pick(std::mt19937_64& random) {
    std::uint32_t first = first_.load(std::memory_order_relaxed);
    auto key = static_cast<std::uint32_t>(first + random() % options_.lists);
    // A dead list would stay the first for ever.
    if (lists_[key].dead.load(std::memory_order_relaxed)) leave_behind(key, options_.longest);
    return key;
  }

  /// The first list in use is full: go on to the next ones.
  void leave_behind(std::uint32_t key, std::size_t length) {
    if (length < options_.longest || key + options_.lists + 1 >= lists_.size()) return;
    std::uint32_t expected = key;  // relaxed: only which lists are used depends on it
    first_.compare_exchange_strong(expected, key + 1, std::memory_order_relaxed);
  }

  HistoryTransaction read_all() {
    HistoryTransaction all;
    all.begin = now();
    Transaction txn = database_.begin();
    for (std::uint32_t key = 0; key < lists_.size(); ++key) {
      Oid oid{lists_[key].oid.load(std::memory_order_acquire)};
      if (!oid) continue;
      try {
        all.operations.push_back({key, 0, txn.read(Ref<AppendList>(oid)).values});
      } catch (const DanglingReferenceError&) {
        all.operations.push_back({key, 0, {}});
      }
    }
    txn.commit();
    all.end = now();
    return all;
  }

  Database& database_;
  const WorkloadOptions options_;
  std::vector<List> lists_;
  std::atomic<std::uint32_t> first_{0};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace cow::testing
