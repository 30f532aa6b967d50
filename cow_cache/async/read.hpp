// async_read, async_write: an object's value without blocking the loop.
//
// Thread safety: see [one-user], async_database.hpp.
//
// Invariants:
//  1. A hit is neither a suspension nor an allocation: await_ready reads, before anything of Asio is touched.
//  2. A miss is read by a thread of the pool for loads (load.hpp).
//  3. After a load the coroutine goes on, on its own executor, with a state that its transaction has logged.
#pragma once

#include "detail/coroutines.hpp"

#include <coroutine>
#include <exception>
#include <utility>

#include "async_database.hpp"
#include "cow_cache/detail/awaitable.hpp"
#include "detail/by_name.hpp"
#include "detail/load.hpp"
#include "spawn.hpp"
#include "task.hpp"

namespace cow {
namespace detail {

/// The two ways of awaiting a value: here a hit, in `load` a miss.
template <class T, class AsyncTransaction>
class [[nodiscard]] ReadAwait {
 public:
  ReadAwait(AsyncTransaction& txn, const Ref<T>& reference) noexcept : txn_(txn), reference_(reference) {}

  [[gnu::always_inline]] bool await_ready() {
    if constexpr (AsyncTransaction::Transaction::kReadsWithoutWaiting) {
      value_ = txn_->try_read(reference_);
      return value_ != nullptr;
    } else {
      value_ = &txn_->read(reference_);  // a baseline: it blocks its loop
      return true;
    }
  }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> coroutine) {
    if constexpr (AsyncTransaction::Transaction::kReadsWithoutWaiting) miss_ = load(txn_, reference_);
    return miss_.await_suspend(coroutine);
  }
  [[gnu::always_inline]] const T& await_resume() const {
    if (value_ != nullptr) [[likely]]
      return *value_;
    return *miss_.await_resume();
  }

 private:
  AsyncTransaction& txn_;
  const Ref<T>& reference_;
  const T* value_ = nullptr;
  Task<const T*> miss_;
};

/// A read whose reference it keeps, for tokens: their operations outlive the call.
template <class T, class AsyncTransaction>
Task<const T*> read_keeping(AsyncTransaction& txn, Ref<T> reference) {
  co_return &co_await ReadAwait<T, AsyncTransaction>(txn, reference);
}

template <class T, class AsyncTransaction>
Task<T*> write_keeping(AsyncTransaction& txn, Ref<T> reference) {
  (void)co_await ReadAwait<T, AsyncTransaction>(txn, reference);
  co_return &txn->write(reference);
}

}  // namespace detail

/// `const T& value = co_await async_read(txn, reference)`: like Transaction::read, and throws like it; besides,
/// CancelledError and DeadlineExceededError, from a miss only: at once while it waits, after its end if the store is at it. The
/// reference lives until it completes.
template <class T, class Database>
[[gnu::always_inline]] inline auto async_read(BasicAsyncTransaction<Database>& txn, const Ref<T>& reference) {
  return detail::ReadAwait<T, BasicAsyncTransaction<Database>>(txn, reference);
}

/// With GCC 12 an unnamed reference is refused where its object is an aggregate that must be destroyed (by_name.hpp).
template <class T, class Database>
[[gnu::always_inline]] inline auto async_read(BasicAsyncTransaction<Database>& txn, Ref<T>&& reference) {
  detail::require_named_reference<T>();
  return detail::ReadAwait<T, BasicAsyncTransaction<Database>>(txn, reference);
}

/// The same with a completion token, `void(std::exception_ptr, const T*)`: a callback, `asio::use_future`,
/// `asio::use_awaitable`, `use_fiber`. Asio's rules want even a hit to go through the executor's queue; ask
/// `txn->try_read` first where that is too much.
template <class T, class Database, class Token>
auto async_read(BasicAsyncTransaction<Database>& txn, const Ref<T>& reference, Token&& token) {
  return spawn(txn.executor(), detail::read_keeping<T>(txn, reference), std::forward<Token>(token));
}

template <class T, class Database, class Token>
auto async_read(BasicAsyncTransaction<Database>& txn, Ref<T>&& reference, Token&& token) {
  using Made = decltype(spawn(txn.executor(), Task<const T*>(), std::forward<Token>(token)));
  // Where a co_await takes it: in the statement, perhaps, that makes it.
  if constexpr (detail::CanBeAwaited<Made>) detail::require_named_reference<T>();
  return spawn(txn.executor(), detail::read_keeping<T>(txn, reference), std::forward<Token>(token));
}

/// `T& value = co_await async_write(txn, reference)`, as a pointer: the object's private version, made from what is read
/// without blocking. With GCC 12 an unnamed reference is refused as by `async_read`.
template <class T, class Database>
Task<T*> async_write(BasicAsyncTransaction<Database>& txn, const Ref<T>& reference) {
  return detail::write_keeping<T>(txn, reference);
}
template <class T, class Database>
Task<T*> async_write(BasicAsyncTransaction<Database>& txn, Ref<T>&& reference) {
  detail::require_named_reference<T>();
  return detail::write_keeping<T>(txn, reference);
}

/// The database's entry points, once they can be read without waiting.
template <class Database>
Task<RootView<typename Database::Transaction>> async_root(BasicAsyncTransaction<Database>& txn) {
  Ref<RootDirectory> root = txn->root_reference();
  (void)co_await async_read(txn, root);
  co_return txn->root();
}

}  // namespace cow
