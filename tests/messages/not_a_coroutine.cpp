// A body of async_transact that is no coroutine.
#include "async_bank.hpp"

int main() {
  AsyncBank bank;
  auto executor = bank.loop.get_executor();
#if defined(MISTAKE)
  auto body = [](cow::AsyncTransaction& txn) { txn->create(Account()); };
#else
  auto body = [](cow::AsyncTransaction& txn) -> cow::Task<> {
    txn->create(Account());
    co_return;
  };
#endif
  cow::spawn(executor, cow::async_transact(bank.async, executor, body), boost::asio::detached);
  bank.loop.run();
}
