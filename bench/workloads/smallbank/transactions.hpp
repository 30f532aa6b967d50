// Smallbank's six transactions. Amounts and rules are those of the paper, the mix that of its implementations
// (BenchBase): Amalgamate, Balance, DepositChecking, TransactSavings and WriteCheck 15% each, SendPayment 25%.
//
// Thread safety: plain functions of the transaction that they are part of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "bench/workloads/isolation_history.hpp"
#include "bench/workloads/random.hpp"
#include "model.hpp"

namespace cow::bench::smallbank {

enum class Operation : std::uint8_t {
  amalgamate,
  balance,
  deposit_checking,
  send_payment,
  transact_savings,
  write_check
};
inline constexpr std::size_t kOperations = 6;
inline constexpr std::array<std::uint32_t, kOperations> kPercent = {15, 15, 15, 25, 15, 15};
inline constexpr std::array<std::string_view, kOperations> kOperationNames = {
    "amalgamate", "balance", "deposit_checking", "send_payment", "transact_savings", "write_check"};

/// Which customers there are, and which of them are asked for more often.
struct Population {
  std::uint32_t customers = 1'000'000;
  std::uint32_t hotspot = 0;   ///< the first so many customers; 0: all are the same. The usual hotspot has 100.
  double hotspot_share = 0.9;  ///< of the customers drawn come from there

  std::uint32_t draw(Random& random) const {
    const bool hot = hotspot > 0 && random.chance(hotspot_share);
    return static_cast<std::uint32_t>(random.below(hot ? hotspot : customers));
  }
};

/// One transaction to do.
struct Request {
  Operation operation = Operation::balance;
  std::uint32_t customer = 0;
  std::uint32_t other = 0;  ///< another one, for those that need two
  Money amount = 0;

  static Request draw(const Population& population, Random& random) {
    Request request;
    auto left = static_cast<std::int64_t>(random.below(100));
    for (std::size_t i = 0; i < kOperations && left >= 0; ++i) {
      request.operation = static_cast<Operation>(i);
      left -= kPercent[i];
    }
    request.customer = request.other = population.draw(random);
    while (request.other == request.customer) request.other = population.draw(random);
    request.amount = amount_of(request.operation);
    return request;
  }

  static Money amount_of(Operation operation) {
    if (operation == Operation::deposit_checking) return 1'30;
    if (operation == Operation::transact_savings) return 20'20;
    return 5'00;
  }
};

/// What a transaction did.
struct Outcome {
  bool refused = false;      ///< too little money: it wrote nothing
  Money change = 0;          ///< of all money in the bank
  std::uint32_t writes = 0;  ///< of accounts
  Money balance = 0;         ///< Balance: what it found
};

/// Watches nothing: the runs that are timed.
struct NoObserver {
  void read(std::uint32_t, std::uint64_t) {}
  void write(std::uint32_t, std::uint64_t) {}
};

/// Does requests within a transaction that the caller owns. `Observer` learns each account's revision that is read or
/// made; item numbers are 2 x customer for savings, and one more for checking.
template <class Database, class Observer = NoObserver>
class Teller {
 public:
  using Transaction = typename Database::Transaction;

  explicit Teller(Transaction& txn, Observer observer = {})
      : txn_(txn),
        observer_(std::move(observer)),
        root_(txn.root().template get<typename Customers<Database>::TreeNode>(kBankName)) {}

  Outcome run(const Request& request) {
    switch (request.operation) {
      case Operation::amalgamate:
        return amalgamate(request.customer, request.other);
      case Operation::balance:
        return {.balance = savings(request.customer) + checking(request.customer)};
      case Operation::deposit_checking:
        return deposit_checking(request.customer, request.amount);
      case Operation::send_payment:
        return send_payment(request.customer, request.other, request.amount);
      case Operation::transact_savings:
        return transact_savings(request.customer, request.amount);
      case Operation::write_check:
        return write_check(request.customer, request.amount);
    }
    throw std::logic_error("not an operation of Smallbank");
  }

 private:
  /// All money of one customer goes to the checking account of another one.
  Outcome amalgamate(std::uint32_t from, std::uint32_t to) {
    const Money money = savings(from) + checking(from), target = checking(to);
    set_savings(from, 0);
    set_checking(from, 0);
    set_checking(to, target + money);
    return {.writes = 3};
  }

  Outcome deposit_checking(std::uint32_t customer, Money amount) {
    set_checking(customer, checking(customer) + amount);
    return {.change = amount, .writes = 1};
  }

  Outcome send_payment(std::uint32_t from, std::uint32_t to, Money amount) {
    const Money source = checking(from), target = checking(to);
    if (source < amount) return {.refused = true};
    set_checking(from, source - amount);
    set_checking(to, target + amount);
    return {.writes = 2};
  }

  /// A withdrawal: `amount` leaves the savings account, if it is there.
  Outcome transact_savings(std::uint32_t customer, Money amount) {
    const Money before = savings(customer);
    if (before < amount) return {.refused = true};
    set_savings(customer, before - amount);
    return {.change = -amount, .writes = 1};
  }

  /// A check is honoured in any case; if both accounts together do not cover it, a penalty of one dollar is due.
  Outcome write_check(std::uint32_t customer, Money amount) {
    constexpr Money kPenalty = 1'00;
    const Money all = savings(customer) + checking(customer);
    const Money due = all < amount ? amount + kPenalty : amount;
    set_checking(customer, checking(customer) - due);
    return {.change = -due, .writes = 1};
  }

  const auto& customer(std::uint32_t number) {
    const auto* found = Customers<Database>(txn_, root_).find(number);
    if (found == nullptr) throw WrongAnswerError("Smallbank: no customer " + std::to_string(number));
    return txn_.read(*found);
  }

  Money savings(std::uint32_t number) { return balance_of(2 * number, customer(number).savings); }
  Money checking(std::uint32_t number) { return balance_of(2 * number + 1, customer(number).checking); }
  void set_savings(std::uint32_t number, Money balance) { set(2 * number, customer(number).savings, balance); }
  void set_checking(std::uint32_t number, Money balance) { set(2 * number + 1, customer(number).checking, balance); }

  template <class Reference>
  Money balance_of(std::uint32_t item, const Reference& reference) {
    const Account& account = txn_.read(reference);
    observer_.read(item, account.revision);
    return account.balance;
  }
  template <class Reference>
  void set(std::uint32_t item, const Reference& reference, Money balance) {
    Account& account = txn_.write(reference);
    account.balance = balance;
    observer_.write(item, ++account.revision);
  }

  Transaction& txn_;
  Observer observer_;
  typename Customers<Database>::NodeRef root_;
};

}  // namespace cow::bench::smallbank
