// A body of periodic that is no coroutine.
#include "async_bank.hpp"

int main() {
  AsyncBank bank;
  auto executor = bank.loop.get_executor();
#if defined(MISTAKE)
  auto body = [] {};
#else
  auto body = []() -> cow::Task<> { co_return; };
#endif
  cow::spawn(executor, cow::periodic(executor, std::chrono::seconds(1), cow::Cancellation(), body),
             boost::asio::detached);
  bank.loop.run();
}
