// Closures and aggregates that hold something, given to what is awaited: each member is destroyed as often as it was made.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "tests/support/async_testing.hpp"

namespace cow::testing {
namespace {

/// Counts its living copies.
struct Counted {
  static inline int living = 0;
  Counted() noexcept { ++living; }
  Counted(const Counted&) noexcept { ++living; }
  Counted(Counted&&) noexcept { ++living; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --living; }
};

const std::string kLong(100, 'x');

class AsyncClosures : public AsyncTest {
 public:
  /// What a program may hold in a closure.
  struct Held {
    Counted counted;
    std::shared_ptr<std::string> shared = std::make_shared<std::string>(kLong);
    std::string text = kLong;
    void use() const {
      EXPECT_EQ(*shared, kLong);
      EXPECT_EQ(text, kLong);
    }
  };

  /// `body(txn)` in a transaction, three times; afterwards nothing is left of what it held.
  template <class Body>
  void check(Body body) {
    for (int i = 0; i < 3; ++i) run(async_transact(async, executor(), body));
    EXPECT_EQ(Counted::living, 0);
    EXPECT_EQ(calls, 3);
    expect_all_free();
  }

  int calls = 0;
};

/// A call that has captured all of it, in the three ways that capture.
auto call_with(AsyncClosures::Held held, int& calls) {
  return [held, shared = held.shared, text = std::move(held.text), &calls](const Cancellation&) -> Task<int> {
    held.use();
    EXPECT_EQ(*shared + text, kLong + kLong);
    co_return ++calls;
  };
}

TEST_F(AsyncClosures, NamedCallIsCopied) {
  check([this](AsyncTransaction& txn) -> Task<> {
    auto call = call_with({}, calls);
    EXPECT_EQ(co_await outside(txn, call), calls);
    EXPECT_EQ(Counted::living, 1);
  });
}

TEST_F(AsyncClosures, NamedTask) {
  for (Snapshot snapshot : {Snapshot::same, Snapshot::fresh}) {
    calls = 0;
    check([this, snapshot](AsyncTransaction& txn) -> Task<> {
      Held held;
      auto task = outside(
          txn,
          [held, own = std::make_unique<Held>(held), this](const Cancellation&) -> Task<> {
            held.use();
            co_await sleep_for(executor(), 1us);
            own->use();
            ++calls;
          },
          snapshot);
      co_await task;
    });
  }
}

TEST_F(AsyncClosures, CallThatIsMoved) {
  check([this](AsyncTransaction& txn) -> Task<> {
    auto call = call_with({}, calls);
    auto task = outside(txn, std::move(call));
    (void)co_await task;
  });
}

TEST_F(AsyncClosures, Transact) {
  check([this](AsyncTransaction&) -> Task<> {
    Held held;
    auto body = [held, this](AsyncTransaction&) -> Task<> {
      held.use();
      ++calls;
      co_return;
    };
    co_await async_transact(async, executor(), body);
    --calls;
    auto task = async_transact(async, executor(), [held, this](AsyncTransaction&) -> Task<> {
      held.use();
      ++calls;
      co_return;
    });
    co_await task;
  });
}

TEST_F(AsyncClosures, Run) {
  WorkerPool pool("pool", {.threads = 1});
  check([&, this](AsyncTransaction&) -> Task<> {
    Held held;
    auto function = [held] { return held.use(), held; };
    (co_await async_run(pool, executor(), function)).use();
    auto running = async_run(pool, executor(), [held, this] { held.use(), ++calls; });
    co_await running;
    auto task = as_task(async_run(pool, executor(), [held] { held.use(); }));
    co_await task;
  });
}

TEST_F(AsyncClosures, Periodic) {
  check([this](AsyncTransaction&) -> Task<> {
    Held held;
    std::stop_source source;
    auto body = [held, &source, this]() -> Task<> {
      held.use();
      ++calls;
      source.request_stop();
      co_return;
    };
    co_await periodic(executor(), 1us, Cancellation(source.get_token()), body);
    auto task = periodic(executor(), 1us, Cancellation(source.get_token()), [held]() -> Task<> { co_return; });
    co_await task;
  });
}

/// Where nobody awaits in the same statement, closures need no names.
TEST_F(AsyncClosures, UnnamedInSpawn) {
  for (int i = 0; i < 3; ++i) {
    Held held;
    spawn(executor(),
          async_transact(async, executor(),
                         [held, this](AsyncTransaction&) -> Task<> {
                           held.use();
                           ++calls;
                           co_return;
                         }),
          [held](std::exception_ptr error) {
            held.use();
            EXPECT_FALSE(error);
          });
  }
  run_loop();
  EXPECT_EQ(Counted::living, 0);
  EXPECT_EQ(calls, 3);
}

/// Nor where a function returns what is awaited: its temporaries have gone by then.
TEST_F(AsyncClosures, UnnamedInAFunction) {
  check([this](AsyncTransaction& txn) { return outside(txn, call_with({}, calls)); });
}

/// Nothing to destroy: right as it is.
TEST_F(AsyncClosures, UnnamedWithReferences) {
  check([this](AsyncTransaction& txn) -> Task<> {
    Held held;
    Ref<Account> account = accounts[0];
    int seen = co_await outside(txn, [&held, account, this](const Cancellation&) -> Task<int> {
      held.use();
      EXPECT_EQ(account, accounts[0]);
      co_return ++calls;
    });
    EXPECT_EQ(seen, calls);
    EXPECT_EQ(co_await async_run(async.loads(), executor(), [account] { return account; }), account);
  });
}

TEST_F(AsyncClosures, AggregatesThatAreCreated) {
  check([this](AsyncTransaction& txn) -> Task<> {
    std::string owner = kLong;
    Ref<Account> account = txn->create(Account{1, owner, {}});
    EXPECT_EQ((co_await async_read(txn, account)).owner, kLong);
    (co_await async_write(txn, account))->owner += owner;
    EXPECT_EQ((co_await async_read(txn, account)).owner, kLong + kLong);
    ++calls;
  });
}

/// A type of which the compiler makes no aggregate may be read through an unnamed reference.
TEST_F(AsyncClosures, UnnamedReferenceToNoAggregate) {
  check([this](AsyncTransaction& txn) -> Task<> {
    (void)co_await async_root(txn);
    Ref<RootDirectory> directory = txn->root_reference();
    (void)co_await async_read(txn, directory);
    ++calls;
  });
}

#if defined(__clang__) || __GNUC__ >= 13
TEST_F(AsyncClosures, UnnamedWhereTheCompilerIsRight) {
  check([this](AsyncTransaction& txn) -> Task<> {
    Held held;
    (void)co_await outside(txn, [held, this](const Cancellation&) -> Task<int> {
      held.use();
      co_return ++calls;
    });
    auto call = call_with({}, calls);
    --calls;
    (void)co_await outside(txn, std::move(call), Snapshot::fresh);
    co_await async_transact(async, executor(), [held](AsyncTransaction&) -> Task<> {
      held.use();
      co_return;
    });
    co_await async_run(async.loads(), executor(), [held] { held.use(); });
    EXPECT_EQ((co_await async_read(txn, txn->create(Account{1, kLong, {}}))).owner, kLong);
    (co_await async_write(txn, txn->create(Account{1, kLong, {}})))->owner += kLong;
  });
}
#endif

}  // namespace
}  // namespace cow::testing
