// A coroutine as the body of a transaction that does not wait for it.
#include "async_bank.hpp"

int main() {
  AsyncBank bank;
#if defined(MISTAKE)
  auto body = [](cow::Transaction& txn) -> cow::Task<> {
    txn.create(Account());
    co_return;
  };
#else
  auto body = [](cow::Transaction& txn) { txn.create(Account()); };
#endif
  bank.db.transact(body);
}
