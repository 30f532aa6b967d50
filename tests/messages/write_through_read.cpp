// A change of what `read` returns, which other transactions read too.
#include "bank.hpp"

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  cow::Ref<Account> ada = txn.create(Account{"Ada", 1});
#if defined(MISTAKE)
  txn.read(ada).balance = 2;
#else
  txn.write(ada).balance = 2;
#endif
}
