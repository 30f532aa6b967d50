// A reference to const objects.
#include "bank.hpp"

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
#if defined(MISTAKE)
  cow::Ref<const Account> ada = txn.root().get<const Account>("ada");
#else
  cow::Ref<Account> ada = txn.root().get<Account>("ada");
#endif
  return txn.read(ada).owner.empty() ? 1 : 0;
}
