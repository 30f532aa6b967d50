// A coroutine as the body of the light door's transact, which does not wait for it either.
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
  cow::transact(bank.db, body);
}
