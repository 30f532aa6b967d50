// A transaction where only the transaction itself may be.
#include "bank.hpp"

void fill(cow::Transaction& txn) { txn.create(Account()); }
void fill_copy(cow::Transaction txn) { txn.create(Account()); }

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
#if defined(MISTAKE)
  fill_copy(txn);
#else
  fill(txn);
  fill_copy(std::move(txn));
#endif
}
