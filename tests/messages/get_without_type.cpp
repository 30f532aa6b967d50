// A name of the root, without the type of what it means.
#include "bank.hpp"

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
#if defined(MISTAKE)
  auto ada = txn.root().get("ada");
#else
  auto ada = txn.root().get<Account>("ada");
#endif
  return txn.read(ada).balance == 0 ? 0 : 1;
}
