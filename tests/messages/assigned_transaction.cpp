// A transaction that shall become a copy of another one.
#include "bank.hpp"

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  cow::Transaction other = bank.db.begin();
#if defined(MISTAKE)
  other = txn;
#else
  other = std::move(txn);
#endif
}
