// What one transaction has seen, and must go on seeing; and what it has changed.
//
// Thread safety: belongs to its transaction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/stress/async_stress/account.hpp"
#include "tests/stress/async_stress/world.hpp"

namespace cow::testing {

/// One attempt of a transaction. Call `verify` after each suspension.
class Sight {
 public:
  Sight(StressWorld& world, const Transaction& txn) : world_(&world), snapshot_(txn.snapshot()) {}

  /// An account as it was read just now.
  void saw(const Transaction& txn, std::size_t index, const StressAccount& account) {
    world_->check(account.intact(), "a broken value was read");
    require_snapshot(txn);
    auto [expected, is_new] = expected_.try_emplace(index, account.amount);
    world_->check(account.amount == expected->second, [&, &expected = expected] {
      return "account " + std::to_string(index) + " was " + expected->second.text() + ", and is " +
             account.amount.text() + " in one transaction";
    });
    if (!is_new || diverted_.contains(index)) return;
    if (index % 4 == snapshot_.value % 4) world_->check_truth(index, snapshot_, account);
    held_.push_back({&account, account.amount});
  }

  /// From now on the transaction sees its own version, which may change.
  void diverted(std::size_t index) { diverted_.insert(index); }

  /// Moves money between two private versions. Nothing suspends meanwhile.
  void transfer(std::size_t from, StressAccount& payer, std::size_t to, StressAccount& receiver, std::int64_t amount) {
    change(from, payer, -amount);
    change(to, receiver, amount);
  }

  /// What was held over a suspension is what it was.
  void verify(const Transaction& txn) {
    require_snapshot(txn);
    for (const Held& held : held_) {
      world_->check(held.account->intact() && held.account->amount == held.amount,
                    "a reference that was held over a suspension has another value");
    }
  }

  /// The transaction has begun anew.
  void forget(const Transaction& txn) {
    snapshot_ = txn.snapshot();
    held_.clear();
    expected_.clear();
    diverted_.clear();
  }

  const std::vector<Change>& changes() const noexcept { return changes_; }

 private:
  struct Held {
    const StressAccount* account;
    Amount amount;
  };

  void require_snapshot(const Transaction& txn) {
    world_->check(txn.snapshot() == snapshot_, "the snapshot of a transaction has moved");
  }

  void change(std::size_t index, StressAccount& account, std::int64_t by) {
    if (auto before = expected_.find(index); before != expected_.end()) {
      world_->check(account.amount == before->second, "a private version began as another value than was read");
    }
    world_->check(account.intact(), "a private version is broken");
    account.set({account.amount.balance + by, account.amount.changes + 1});
    expected_[index] = account.amount;
    changes_.push_back({index, by});
  }

  StressWorld* world_;
  Tid snapshot_;
  std::vector<Held> held_;
  std::unordered_map<std::size_t, Amount> expected_;
  std::unordered_set<std::size_t> diverted_;
  std::vector<Change> changes_;
};

}  // namespace cow::testing
