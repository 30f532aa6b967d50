// The world of a round: a database that is too small and fails, accounts, who works on them, and what was found to be wrong.
//
// Thread safety: after its construction all functions may be called from any thread, but for `close`.
//
// Invariants:
//  1. The sum over all accounts is the same at every snapshot.
//  2. An account is what it was at first, plus the changes of the commits that were acknowledged; of no others.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cow_cache/async.hpp"
#include "persistence/memory_store.hpp"
#include "tests/stress/async_stress/account.hpp"
#include "tests/stress/async_stress/plan.hpp"
#include "tests/stress/async_stress/watch.hpp"

namespace cow::testing {

/// A part of a transaction: what it does to one account.
struct Change {
  std::size_t account;
  std::int64_t by;
};

/// What a transaction does. `must_not_commit`: it was given up before its commit, which looks.
struct Changes {
  std::vector<Change> list;
  bool must_not_commit = false;
};

/// What was found over all rounds.
struct StressCounts {
  std::atomic<std::uint64_t> commits{0}, conflicts{0}, stops{0}, deadlines{0}, overloads{0}, failures{0}, nested{0};
  std::mutex mutex;
  std::map<std::string, std::uint64_t> given_up_at;  ///< by step
};

class StressWorld {
 public:
  StressWorld(const StressPlan& plan, StressCounts& counts)
      : plan(plan), counts(counts), store(memory, plan.seed, plan.delays), ledger_(plan.accounts) {
    database = std::make_unique<Database>(store, plan.cache, plan.isolation);
    database->transact([&](Transaction& txn) {
      for (std::size_t i = 0; i < plan.accounts; ++i) accounts.push_back(txn.create(StressAccount(kFirstBalance)));
    });
    faults.set(plan.seed, plan.faults);
    async = std::make_unique<AsyncDatabase>(*database, plan.async);
    calls = std::make_unique<WorkerPool>("calls", PoolLimits{plan.call_threads, plan.calls_waiting});
  }

  /// A reference as a program has it: one that all share, with a hint that all repair, or one of its own without a hint.
  Ref<StressAccount> reference(Client& client, std::size_t index) const {
    return client.dice.one_in(2) ? accounts[index] : Ref<StressAccount>(accounts[index].oid());
  }
  std::size_t any_account(Client& client) const {
    // Half of all on a few, so that tasks meet.
    return client.dice.one_in(2) ? client.dice.below(4) : client.dice.below(accounts.size());
  }
  std::int64_t sum() const noexcept { return kFirstBalance * static_cast<std::int64_t>(accounts.size()); }

  void check(bool right, const char* what) {
    if (!right) fail(what);
  }
  template <class Describe>
  void check(bool right, Describe&& describe) {
    if (!right) fail(describe());
  }
  void fail(const std::string& what) {
    std::scoped_lock lock(mutex_);
    if (wrong_++ == 0) first_wrong_ = what;
  }
  /// Empty: nothing.
  std::string wrong() {
    std::scoped_lock lock(mutex_);
    return wrong_ == 0 ? "" : std::to_string(wrong_) + " times, first: " + first_wrong_;
  }

  /// What was read is what the store has at that snapshot.
  void check_truth(std::size_t index, Tid snapshot, const StressAccount& seen) {
    Faults::Mercy mercy;
    Oid oid = accounts[index].oid();
    auto revision = memory.load(oid, snapshot);
    if (!revision) return fail("an account was read that the store does not have");
    auto truth = detail::decode_record<StressAccount>(revision->record, oid, revision->begin);
    check(truth.amount == seen.amount, [&] {
      return "account " + std::to_string(index) + " at tid " + std::to_string(snapshot.value) + ": read as " +
             seen.amount.text() + ", the store has " + truth.amount.text();
    });
  }

  /// A commit has returned.
  void acknowledge(const Changes& changes) {
    check(!changes.must_not_commit, "a transaction was committed though it was given up before");
    for (const Change& change : changes.list) {
      ledger_[change.account].balance.fetch_add(change.by,
                                                std::memory_order_relaxed);  // looked at after all have ended
      ledger_[change.account].changes.fetch_add(1, std::memory_order_relaxed);
    }
    if (!changes.list.empty()) counts.commits.fetch_add(1, std::memory_order_relaxed);
  }
  /// What the ledger says that an account is.
  Amount expected(std::size_t index) const {
    return {kFirstBalance + ledger_[index].balance.load(), ledger_[index].changes.load()};
  }

  /// A transaction has failed: it may have, for one of the reasons that there are. All else is wrong.
  void judge(const std::exception_ptr& error, const Cancellation& cancellation, Client& client) noexcept {
    try {
      std::rethrow_exception(error);
    } catch (const DeadlineExceededError&) {
      check(cancellation.late(), "a DeadlineExceededError before the deadline");
      gave_up(counts.deadlines, client);
    } catch (const CancelledError&) {
      check(cancellation.stop.stop_requested(), "a CancelledError that nobody asked for");
      gave_up(counts.stops, client);
    } catch (const ConflictError&) {
      counts.conflicts.fetch_add(1, std::memory_order_relaxed);
    } catch (const NestedTransactionError&) {
      counts.nested.fetch_add(1, std::memory_order_relaxed);
    } catch (const OverloadedError& overloaded) {
      bool from_calls = std::string(overloaded.what()).starts_with("calls");
      check(from_calls || plan.async.most_waiting < 1000, "an OverloadedError where nothing is overloaded");
      counts.overloads.fetch_add(1, std::memory_order_relaxed);
    } catch (const std::exception& other) {
      // Of the library's, what is due to a failing store or codec; and what was thrown by bodies, calls and codecs as it is.
      bool typed = dynamic_cast<const StoreError*>(&other) != nullptr ||
                   dynamic_cast<const RecordError*>(&other) != nullptr ||
                   dynamic_cast<const UnstorableValueError*>(&other) != nullptr ||
                   dynamic_cast<const ThrownOnPurpose*>(&other) != nullptr;
      if (!typed || std::string(other.what()).find(kOnPurpose) == std::string::npos) {
        fail(client.description() + ": an exception that nothing explains: " + other.what());
      }
      counts.failures.fetch_add(1, std::memory_order_relaxed);
    } catch (...) {
      fail(client.description() + ": an exception of an unknown type");
    }
  }

  const StressPlan plan;
  StressCounts& counts;
  MemoryStore memory;
  FaultyStore store;
  std::unique_ptr<Database> database;
  std::unique_ptr<AsyncDatabase> async;
  std::unique_ptr<WorkerPool> calls;  ///< for what is outside
  std::vector<Ref<StressAccount>> accounts;
  std::deque<Client> clients;
  std::atomic<std::uint64_t> handlers_called{0}, handlers_thrown{0}, handlers_caught{0};

 private:
  struct Line {
    std::atomic<std::int64_t> balance{0}, changes{0};
  };

  void gave_up(std::atomic<std::uint64_t>& count, Client& client) {
    count.fetch_add(1, std::memory_order_relaxed);
    std::scoped_lock lock(counts.mutex);
    ++counts.given_up_at[client.step()];
  }

  std::vector<Line> ledger_;
  std::mutex mutex_;
  std::uint64_t wrong_ = 0;
  std::string first_wrong_;
};

}  // namespace cow::testing
