// A sweep: an operation is run again and again, and the first allocation fails, then the second, until none is left. What
// must hold after each: the operation has succeeded or thrown a typed exception, and then nothing is wrong, lost or counted
// that should not be, and the database goes on.
//
// Thread safety: a World is used as the database in it is; the model of its values by one thread at a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/state/quarantine.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/failing_memory.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {

struct Item {
  static constexpr std::string_view cow_type_name = "test.Item";
  std::int64_t value = 0;
  std::string text = std::string(100, 'x');  // on the heap
  MSGPACK_DEFINE(value, text);
};

/// What is wrong after a failure: the harness reports it with the number of the allocation.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};
inline void require(bool holds, const char* what) {
  if (!holds) throw Wrong(what);
}

/// A database of items, beside a model of their values.
class World {
 public:
  static constexpr std::int64_t kErased = -1;

  explicit World(std::size_t items, const CacheOptions& options = {})
      : options(options), values(items), database(std::in_place, store, options) {
    items_.reserve(items + 64);
    for (std::size_t i = 0; i < items; ++i) values[i] = static_cast<std::int64_t>(i);
    database->transact([&](Transaction& txn) {
      items_.clear();
      for (std::size_t i = 0; i < items; ++i) items_.push_back(txn.create(Item{values[i]}));
    });
  }

  Database& db() { return *database; }
  std::size_t count() const { return values.size(); }

  /// With a hint of what was read last by this very reference, and without one.
  const Ref<Item>& hinted(std::size_t i) const { return items_[i]; }
  Ref<Item> plain(std::size_t i) const { return Ref<Item>(items_[i].oid()); }

  /// Commits new values of objects; the model follows if it succeeds. True: it did.
  bool change(std::size_t from, std::size_t to, std::int64_t value) {
    bool done = attempt([&] {
      Transaction txn = db().begin();
      for (std::size_t i = from; i < to; ++i) txn.write(plain(i)).value = value;
      txn.commit();
    });
    if (done) std::fill(values.begin() + from, values.begin() + to, value);
    return done;
  }

  /// Runs an operation, which may fail for want of memory, or for a conflict. True: it did not. Anything else is wrong: memory
  /// that is short must not look like a record that is corrupt.
  template <class Operation>
  static bool attempt(Operation&& operation) {
    try {
      operation();
      return true;
    } catch (const std::bad_alloc&) {
    } catch (const ConflictError&) {
    }
    return false;
  }

  /// The value of an object as a transaction sees it; kErased: it does not exist.
  std::int64_t value_in(Transaction& txn, std::size_t i) const {
    try {
      const Item& item = txn.read(plain(i));
      require(item.text == Item{}.text, "a text is wrong");
      return item.value;
    } catch (const DanglingReferenceError&) {
      return kErased;
    }
  }

  /// The database goes on, with the right values, and holds nothing that it should not. Throws Wrong.
  void check() {
    sleepers.clear();
    for (int round = 0; round < 2; ++round) {
      Transaction txn = db().begin();
      for (std::size_t i = 0; i < count(); ++i) require(value_in(txn, i) == values[i], "a value is wrong");
    }
    db().transact([&](Transaction& txn) {
      txn.write(plain(1)).value = values[1] = 4711;
      (void)txn.create(Item{});
    });
    require(db().begin().read(plain(1)).value == 4711, "a value that was committed afterwards is wrong");
    db().evict_all();
    Statistics statistics = db().statistics();
    require(statistics.active_transactions == 0, "a transaction is active for ever");
    require(statistics.cache_bytes == 0, "bytes are counted as cached for ever");
    require(statistics.limbo_bytes == 0, "bytes stay in limbo");
    require(statistics.ticket_bytes == 0, "a ticket stays");
    std::size_t quarantined = detail::kAddressSanitizer ? detail::Quarantine::instance().bytes() : 0;
    require(detail::StateMemory::instance().usage().in_use() == quarantined, "a slot is lost");
  }

  MemoryStore store;
  const CacheOptions options;
  std::vector<std::int64_t> values;
  std::optional<Database> database;
  std::vector<Transaction> sleepers;  ///< ended before the check

 private:
  std::vector<Ref<Item>> items_;
};

/// One operation to sweep over.
struct Scenario {
  std::size_t items = 40;
  CacheOptions options = {};
  std::function<void(World&)> prepare = [](World&) {};
  std::function<void(World&)> run;  ///< its allocations fail; it attempts what may fail, and tells the model
};

class Sweep {
 public:
  using Fails = failing_memory::Fails;

  /// Runs each attempt in a child process, and another one from where a child died.
  static void over(const Scenario& scenario) {
    for (Fails fails : {Fails::once, Fails::from_then_on}) {
      int deaths = 0;
      for (std::int64_t n = first(); deaths <= kMaxDeaths;) {
        std::string how = from(scenario, n, fails);
        if (how.empty()) break;
        ++deaths;
        ADD_FAILURE() << "allocation " << n << (fails == Fails::once ? "" : " and all after it") << ": " << how;
        ++n;
      }
    }
  }

 private:
  static constexpr int kMaxDeaths = 4;
  static constexpr unsigned kHangs = 60;  // seconds without a next attempt

  /// Attempts from the n-th allocation on. Empty: until nothing failed any more. Otherwise what happened at `n`.
  static std::string from(const Scenario& scenario, std::int64_t& n, Fails fails) {
    struct Shared {
      std::int64_t at;
      bool ended;
      char wrong[200];
    };
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return "no memory for the test itself";
    Shared& shared = *::new (memory) Shared{};
    std::fflush(nullptr);
    pid_t child = ::fork();
    if (child == 0) {
      try {
        ::alarm(kHangs);
        attempt_once(scenario, 0, fails);  // what a thread keeps for ever is there then
        for (shared.at = n; attempt(scenario, shared.at, fails); shared.at += step()) ::alarm(kHangs);
      } catch (const std::exception& error) {
        std::snprintf(shared.wrong, sizeof shared.wrong, "%s", error.what());
        ::_exit(1);
      }
      ::alarm(kHangs);
      shared.ended = true;
      std::exit(0);  // not _exit: LeakSanitizer looks now
    }
    int status = 0;
    (void)::waitpid(child, &status, 0);
    n = shared.at;
    std::string how;
    if (WIFSIGNALED(status)) {
      how = WTERMSIG(status) == SIGABRT   ? "the program was terminated"
            : WTERMSIG(status) == SIGALRM ? "it hangs"
                                          : "signal " + std::to_string(WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0 || !shared.ended) {
      how = shared.wrong[0] != 0 ? shared.wrong : "the program has ended with " + std::to_string(WEXITSTATUS(status));
    }
    ::munmap(memory, sizeof(Shared));
    return how;
  }

  /// With AddressSanitizer, which takes ten times as long, every fifth allocation, but for stress tests.
  static std::int64_t step() { return detail::kAddressSanitizer && !stress() ? 5 : 1; }

  /// COW_CACHE_FIRST_FAILURE, or 1.
  static std::int64_t first() {
    const char* first = std::getenv("COW_CACHE_FIRST_FAILURE");
    return first != nullptr ? std::strtoll(first, nullptr, 10) : 1;
  }

  /// As `attempt_once`. Memory that is lost is lost each time; what the process has kept for its next databases is not.
  static bool attempt(const Scenario& scenario, std::int64_t n, Fails fails) {
    for (int tries = 3;; --tries) {
      std::int64_t living = failing_memory::living();
      bool failed = attempt_once(scenario, n, fails);
      // AddressSanitizer's quarantine keeps some; there LeakSanitizer looks, at the end.
      if (failing_memory::living() <= living || detail::kAddressSanitizer) return failed;
      require(tries > 0, "memory is lost");
    }
  }

  /// True: something has failed. 0: nothing fails. Throws Wrong, and what the operation should not throw.
  static bool attempt_once(const Scenario& scenario, std::int64_t n, Fails fails) {
    World world(scenario.items, scenario.options);
    scenario.prepare(world);
    if (n > 0) failing_memory::arm(n, fails);
    try {
      scenario.run(world);
    } catch (...) {
      failing_memory::disarm();
      throw;
    }
    bool failed = failing_memory::disarm();
    world.check();
    return failed;
  }
};

}  // namespace cow::testing
