// Smallbank's accounts as persistent objects (Alomari, Cahill, Fekete, Röhm: "The Cost of Serializability on Platforms
// That Use Snapshot Isolation", ICDE 2008). A customer has a savings and a checking account; an index leads to
// customers.
//
// Thread safety: `load` works in one session and expects no other writer of the bank.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <msgpack.hpp>
#include <string_view>

#include "bench/baselines/session.hpp"
#include "bench/workloads/btree.hpp"
#include "bench/workloads/random.hpp"
#include "bench/workloads/workload_error.hpp"

namespace cow::bench::smallbank {

/// In cents.
using Money = std::int64_t;

inline constexpr Money kMinOpening = 10'000'00, kMaxOpening = 50'000'00;

/// A savings or a checking account.
struct Account {
  static constexpr std::string_view cow_type_name = "smallbank.Account";

  Money balance = 0;
  std::uint64_t revision = 0;  ///< how often it was written, for the checks
  MSGPACK_DEFINE(balance, revision);
};

template <class Pointers>
struct Customer {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr std::string_view cow_type_name = "smallbank.Customer";

  std::uint32_t number = 0;
  Ref<Account> savings;
  Ref<Account> checking;
  MSGPACK_DEFINE(number, savings, checking);
};

struct CustomerByNumber {
  using Key = std::uint32_t;
  template <class Pointers>
  using Value = typename Pointers::template Ref<Customer<Pointers>>;
  static constexpr std::string_view kNodeName = "smallbank.CustomerByNumber";
};

/// The root name of the bank: the index's root node.
inline constexpr std::string_view kBankName = "smallbank.customers";

template <class Database>
using Customers = btree::Tree<Database, CustomerByNumber>;

/// Called with (customers done, customers in all).
using Progress = std::function<void(std::uint64_t, std::uint64_t)>;

/// What a bank holds.
struct Totals {
  std::uint64_t customers = 0;
  Money money = 0;
  std::uint64_t revisions = 0;  ///< writes of accounts

  friend bool operator==(const Totals&, const Totals&) = default;
};

/// Opens accounts for customers 0 to `customers` - 1, and names the bank when all are there.
template <ObjectDatabase Database>
void load(Database& database, std::uint32_t customers, std::uint64_t seed, const Progress& progress = {}) {
  using Transaction = typename Database::Transaction;
  constexpr std::uint32_t kBatch = 1'000;
  auto session = open_session(database);
  Random random(seed);
  const auto root = session.transact([](Transaction& txn) { return Customers<Database>::create(txn); });
  for (std::uint32_t first = 0; first < customers; first += kBatch) {
    const std::uint32_t last = std::min(first + kBatch, customers);
    const Random before = random;
    session.transact([&](Transaction& txn) {
      random = before;  // a retry does the same
      Customers<Database> index(txn, root);
      for (std::uint32_t number = first; number < last; ++number) {
        Customer<typename Database::Pointers> customer;
        customer.number = number;
        customer.savings = txn.create(Account{.balance = random.between(kMinOpening, kMaxOpening)});
        customer.checking = txn.create(Account{.balance = random.between(kMinOpening, kMaxOpening)});
        index.insert(number, txn.create(std::move(customer)));
      }
    });
    if (progress) progress(last, customers);
  }
  session.transact([&](Transaction& txn) { txn.root().set(kBankName, root); });
}

/// Whether `database` holds the bank, whole.
template <ObjectDatabase Database>
bool is_loaded(Database& database) {
  return open_session(database).transact(
      [](typename Database::Transaction& txn) { return txn.root().contains(kBankName); });
}

/// Reads all accounts in one transaction.
template <ObjectDatabase Database>
Totals read_totals(Session<Database>& session) {
  return session.transact([](typename Database::Transaction& txn) {
    const auto root = txn.root().template get<typename Customers<Database>::TreeNode>(kBankName);
    Totals totals;
    Customers<Database>(txn, root).scan_all([&](std::uint32_t number, const auto& reference) {
      const auto& customer = txn.read(reference);
      check_count("number of a customer", number, customer.number);
      const Account& savings = txn.read(customer.savings);
      const Account& checking = txn.read(customer.checking);
      ++totals.customers;
      totals.money += savings.balance + checking.balance;
      totals.revisions += savings.revision + checking.revision;
      return true;
    });
    return totals;
  });
}

}  // namespace cow::bench::smallbank
