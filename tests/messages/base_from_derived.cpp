// A reference to the base class, from one to an object of the derived class.
#include "bank.hpp"

struct Savings : Account {
  double interest = 0;
  MSGPACK_DEFINE_MAP(MSGPACK_BASE_MAP(Account), interest);
};

std::int64_t balance(cow::Transaction& txn, cow::Ref<Account> account) { return txn.read(account).balance; }
std::int64_t balance_of_savings(cow::Transaction& txn, cow::Ref<Savings> account) { return txn.read(account).balance; }

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  cow::Ref<Savings> savings = txn.create(Savings());
#if defined(MISTAKE)
  return balance(txn, savings) == 0 ? 0 : 1;
#else
  return balance_of_savings(txn, savings) + balance(txn, txn.create(Account())) == 0 ? 0 : 1;
#endif
}
