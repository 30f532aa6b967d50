// A body that does not take the transaction.
#include "bank.hpp"

int main() {
  Bank bank;
#if defined(MISTAKE)
  bank.db.transact([] {});
#else
  bank.db.transact([](cow::Transaction&) {});
#endif
}
