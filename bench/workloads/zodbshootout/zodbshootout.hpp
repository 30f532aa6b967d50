// The timed regions of zodbshootout (github.com/zodb/zodbshootout), ZODB's own benchmark, for `workers` threads at once.
//
// Each worker has a shelf of its own: a map, here a list, of `objects` items of about `item_bytes` bytes. Differences
// from the original, all forced by what is measured here:
//  - conflicts: nothing resolves conflicts within objects, so a worker that loses runs its transaction again.
//  - new_oid: oids are only allocated by creating objects, so the region creates N items and never commits them.
//  - readCurrent is left out: there is no call that checks an object at commit without writing it.
//  - steamin and ex_commit are repeated: once, they last microseconds.
//  - cold leaves the operating system's page cache alone: dropping it takes root.
//
// Thread safety: `run` starts and joins its own threads.
#pragma once

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <msgpack.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/random.hpp"
#include "bench/workloads/until_committed.hpp"
#include "bench/workloads/workload_error.hpp"
#include "cow_cache/errors.hpp"

namespace cow::bench::zodbshootout {

struct Parameters {
  std::uint32_t workers = 2;
  std::uint32_t objects = 1'000;  ///< per worker and transaction
  std::uint32_t item_bytes = 300;
  std::uint64_t seed = 1;
};

struct Item {
  static constexpr std::string_view cow_type_name = "zodbshootout.Item";

  std::uint32_t number = 0;
  std::uint64_t revision = 0;  ///< how often it was updated
  std::string data;
  MSGPACK_DEFINE(number, revision, data);
};

template <class Pointers>
struct Shelf {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "zodbshootout.Shelf";

  std::vector<Ref<Item>> items;
  MSGPACK_DEFINE(items);
};

/// One region's outcome.
struct Region {
  std::string name;
  std::uint64_t operations = 0;  ///< objects (ex_commit: commits) over all workers
  double seconds = 0;            ///< of the slowest worker
  std::uint64_t aborts = 0;
  std::uint64_t loads = 0;  ///< from the store

  double per_second() const { return seconds > 0 ? static_cast<double>(operations) / seconds : 0; }
};

/// Runs the regions. `System` has `database()`, and `reopen(bool the_store_too)` that empties the caches.
template <ObjectDatabase Database, class System>
class Shootout {
 public:
  Shootout(const Parameters& parameters, System& system)
      : parameters_(parameters), system_(system), database_(&system.database()) {}

  /// All regions; cold and hot only if the system can be `reopened` without forgetting everything.
  std::vector<Region> run(bool can_reopen) {
    open_sessions();
    add();
    update();
    warm();
    steamin();
    empty_commit();
    new_oid();
    if (can_reopen) {
      reading_after_reopening("cold", true);
      reading_after_reopening("hot", false);
    }
    conflicts();
    verify();
    sessions_.clear();
    return std::move(regions_);
  }

 private:
  using Pointers = typename Database::Pointers;
  using Session = bench::Session<Database>;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  using Clock = std::chrono::steady_clock;

  static constexpr std::uint32_t kRepeats = 100;

  static std::string shelf_name(std::uint32_t worker) { return "zodbshootout.shelf." + std::to_string(worker); }
  static constexpr std::string_view kSharedShelf = "zodbshootout.shared";

  void open_sessions() {
    sessions_.clear();
    for (std::uint32_t i = 0; i < parameters_.workers; ++i) sessions_.push_back(open_session(*database_));
  }

  Item item(std::uint32_t number) const { return {number, 0, std::string(parameters_.item_bytes, 'x')}; }

  static void touch(Item& item) {
    ++item.revision;
    item.data[item.revision % item.data.size()] ^= 1;
  }

  std::uint64_t read_all(Transaction& txn, std::string_view name) const {
    const auto shelf = txn.root().template get<Shelf<Pointers>>(name);
    std::uint64_t count = 0, checksum = 0;
    for (const auto& reference : txn.read(shelf).items) {
      const Item& item = txn.read(reference);
      ++count;
      checksum += item.number + item.data.size();
    }
    const std::uint64_t n = parameters_.objects;
    check_count("items read", n, count);
    check_count("sum of items read", n * (n - 1) / 2 + n * parameters_.item_bytes, checksum);
    return count;
  }

  /// Runs `work(worker)` in all workers at once; it returns how many operations it did. The slowest counts.
  template <class Work>
  void timed(std::string name, Work work) {
    const std::uint64_t loads_before = database_->statistics().loads;
    std::vector<double> seconds(parameters_.workers);
    std::vector<std::uint64_t> operations(parameters_.workers), aborts(parameters_.workers);
    std::vector<std::exception_ptr> failures(parameters_.workers);
    std::barrier start(static_cast<std::ptrdiff_t>(parameters_.workers));
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < parameters_.workers; ++i) {
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        const auto before = Clock::now();
        try {
          operations[i] = work(i, aborts[i]);
        } catch (...) {
          failures[i] = std::current_exception();
        }
        seconds[i] = std::chrono::duration<double>(Clock::now() - before).count();
      });
    }
    threads.clear();  // joins
    for (const std::exception_ptr& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
    Region region{std::move(name)};
    for (std::uint32_t i = 0; i < parameters_.workers; ++i) {
      region.operations += operations[i];
      region.aborts += aborts[i];
      region.seconds = std::max(region.seconds, seconds[i]);
    }
    region.loads = database_->statistics().loads - loads_before;
    regions_.push_back(std::move(region));
  }

  void add() {
    // The names first: creating them in the workers would only measure conflicts on the root.
    sessions_.front().transact([&](Transaction& txn) {
      for (std::uint32_t i = 0; i < parameters_.workers; ++i) {
        txn.root().template emplace<Shelf<Pointers>>(shelf_name(i), Shelf<Pointers>{});
      }
      Shelf<Pointers> shared;
      for (std::uint32_t n = 0; n < parameters_.objects; ++n) shared.items.push_back(txn.create(item(n)));
      txn.root().template emplace<Shelf<Pointers>>(kSharedShelf, std::move(shared));
    });
    timed("add", [&](std::uint32_t worker, std::uint64_t& aborts) {
      return transact(sessions_[worker], aborts, [&](Transaction& txn) {
        const auto shelf = txn.root().template get<Shelf<Pointers>>(shelf_name(worker));
        std::vector<Ref<Item>> items;
        for (std::uint32_t n = 0; n < parameters_.objects; ++n) items.push_back(txn.create(item(n)));
        txn.write(shelf).items = std::move(items);
        return std::uint64_t{parameters_.objects};
      });
    });
  }

  void update() {
    timed("update", [&](std::uint32_t worker, std::uint64_t& aborts) { return update_own(worker, aborts); });
  }

  std::uint64_t update_own(std::uint32_t worker, std::uint64_t& aborts) {
    return transact(sessions_[worker], aborts, [&](Transaction& txn) {
      const auto shelf = txn.root().template get<Shelf<Pointers>>(shelf_name(worker));
      const auto& items = txn.read(shelf).items;
      for (const auto& reference : items) touch(txn.write(reference));
      return std::uint64_t{items.size()};
    });
  }

  void warm() {
    timed("warm", [&](std::uint32_t worker, std::uint64_t& aborts) {
      const std::uint64_t written = update_own(worker, aborts);
      return written + read_own(worker, aborts);
    });
  }

  std::uint64_t read_own(std::uint32_t worker, std::uint64_t& aborts) {
    return transact(sessions_[worker], aborts, [&](Transaction& txn) { return read_all(txn, shelf_name(worker)); });
  }

  void steamin() {
    timed("steamin", [&](std::uint32_t worker, std::uint64_t& aborts) {
      std::uint64_t read = 0;
      for (std::uint32_t i = 0; i < kRepeats; ++i) read += read_own(worker, aborts);
      return read;
    });
  }

  void empty_commit() {
    timed("ex_commit", [&](std::uint32_t worker, std::uint64_t&) {
      constexpr std::uint64_t kCommits = 1'000;
      for (std::uint64_t i = 0; i < kCommits; ++i) sessions_[worker].begin().commit();
      return kCommits;
    });
  }

  void new_oid() {
    timed("new_oid", [&](std::uint32_t worker, std::uint64_t& aborts) {
      for (;; ++aborts) {
        try {
          auto txn = sessions_[worker].begin();
          for (std::uint32_t n = 0; n < parameters_.objects; ++n) txn.create(item(n));
          return std::uint64_t{parameters_.objects};  // and `txn` is dropped
        } catch (const ConflictError&) {
          // Where writers take turns, the one that waited must begin again.
        }
      }
    });
  }

  void reading_after_reopening(const char* name, bool reopen_store) {
    sessions_.clear();
    database_ = &system_.reopen(reopen_store);
    open_sessions();
    timed(name, [&](std::uint32_t worker, std::uint64_t& aborts) { return read_own(worker, aborts); });
  }

  /// Every worker updates a random half of the shared shelf.
  void conflicts() {
    timed("conflicts", [&](std::uint32_t worker, std::uint64_t& aborts) {
      Random random(parameters_.seed + worker);
      auto half = random_permutation(parameters_.objects, random);
      half.resize(half.size() / 2);
      return transact(sessions_[worker], aborts, [&](Transaction& txn) {
        const auto shelf = txn.root().template get<Shelf<Pointers>>(kSharedShelf);
        const auto& items = txn.read(shelf).items;
        for (std::uint32_t n : half) touch(txn.write(items[n]));
        return std::uint64_t{half.size()};
      });
    });
  }

  /// Adds the attempts that did not commit to `aborts`.
  template <class F>
  static std::uint64_t transact(Session& session, std::uint64_t& aborts, F function) {
    std::uint64_t attempts = 0;
    const std::uint64_t result = until_committed(session, attempts, function);
    aborts += attempts - 1;
    return result;
  }

  /// No update was lost: two on each own item (update, warm), one per worker and chosen item on the shared shelf.
  void verify() {
    auto txn = sessions_.front().begin();
    auto revisions = [&](std::string_view name) {
      std::uint64_t sum = 0;
      const auto shelf = txn.root().template get<Shelf<Pointers>>(name);
      for (const auto& reference : txn.read(shelf).items) sum += txn.read(reference).revision;
      return sum;
    };
    for (std::uint32_t i = 0; i < parameters_.workers; ++i) {
      check_count("updates of a worker's shelf", std::uint64_t{2} * parameters_.objects, revisions(shelf_name(i)));
    }
    check_count("updates of the shared shelf", std::uint64_t{parameters_.workers} * (parameters_.objects / 2),
                revisions(kSharedShelf));
  }

  const Parameters parameters_;
  System& system_;
  Database* database_;
  std::vector<Session> sessions_;  ///< by worker
  std::vector<Region> regions_;
};

}  // namespace cow::bench::zodbshootout
