// A body that takes a transaction of its own.
#include "bank.hpp"

int main() {
  Bank bank;
#if defined(MISTAKE)
  bank.db.transact([](cow::Transaction txn) { txn.create(Account()); });
#else
  bank.db.transact([](cow::Transaction& txn) { txn.create(Account()); });
#endif
}
