// A coroutine as a body that does not take the transaction.
#include "async_bank.hpp"

int main() {
  AsyncBank bank;
  auto executor = bank.loop.get_executor();
#if defined(MISTAKE)
  auto body = []() -> cow::Task<> { co_return; };
#else
  auto body = [](cow::AsyncTransaction&) -> cow::Task<> { co_return; };
#endif
  cow::spawn(executor, cow::async_transact(bank.async, executor, body), boost::asio::detached);
  bank.loop.run();
}
