// A call outside of the transaction that is no coroutine.
#include "async_bank.hpp"

int main() {
  AsyncBank bank;
  auto executor = bank.loop.get_executor();
  auto body = [](cow::AsyncTransaction& txn) -> cow::Task<> {
#if defined(MISTAKE)
    auto call = [](const cow::Cancellation&) { return 7; };
#else
    auto call = [](const cow::Cancellation&) -> cow::Task<int> { co_return 7; };
#endif
    int answer = co_await cow::outside(txn, call);
    txn->create(Account{"Ada", answer});
  };
  cow::spawn(executor, cow::async_transact(bank.async, executor, body), boost::asio::detached);
  bank.loop.run();
}
