// transact(database, body): a transaction that is tried again, where no more is known of a database than its name.
//
// Thread safety: may be called from any thread.
#pragma once

#include "version.hpp"

#include <optional>
#include <type_traits>
#include <utility>

#include "detail/awaitable.hpp"
#include "transaction.hpp"

namespace cow {

namespace detail {

/// Refused by the compiler, in words, unless it can be the body of a transaction: true then, so that nothing else is said.
template <class Body, class Transaction>
consteval bool require_body() {
  static_assert(std::is_invocable_v<Body&, Transaction&>,
                "cow: the body of `transact` takes its transaction by reference: [&](cow::Transaction& txn) { ... }");
  if constexpr (std::is_invocable_v<Body&, Transaction&>) {
    constexpr bool kIsCoroutine = CanBeAwaited<std::invoke_result_t<Body&, Transaction&>>;
    static_assert(!kIsCoroutine,
                  "cow: the body of `transact` is a coroutine, which would not be awaited before the commit: use "
                  "`co_await cow::async_transact(...)`, or a function that is none");
    return !kIsCoroutine;
  }
  return false;
}

template <class Cache>
struct TransactRunner {
  using Body = void(void* body, BasicTransaction<Cache>& transaction);

  /// Runs `call(body, transaction)` as Database::transact does.
  static void run(BasicDatabase<Cache>& database, void* body, Body* call);
};

/// REQUIRES: it can be the body of a transaction.
template <class Cache, class Body>
auto transact_elsewhere(BasicDatabase<Cache>& database, Body& body) {
  using Result = std::decay_t<std::invoke_result_t<Body&, BasicTransaction<Cache>&>>;
  if constexpr (std::is_void_v<Result>) {
    auto call = [](void* of, BasicTransaction<Cache>& transaction) { (*static_cast<Body*>(of))(transaction); };
    TransactRunner<Cache>::run(database, const_cast<void*>(static_cast<const void*>(&body)), call);
  } else {
    struct Attempt {
      Body& body;
      std::optional<Result> result;
    };
    Attempt attempt{body, std::nullopt};
    auto call = [](void* of, BasicTransaction<Cache>& transaction) {
      auto& at = *static_cast<Attempt*>(of);
      at.result.reset();
      at.result.emplace(at.body(transaction));
    };
    TransactRunner<Cache>::run(database, &attempt, call);
    return std::move(*attempt.result);
  }
}

}  // namespace detail

/// `database.transact(body)`, compiled elsewhere: runs `body(Transaction&)` and commits; again from the start, a bounded number of
/// times, when it meets a ConflictError. Returns what the body returns, and throws what Database::transact throws.
template <class Cache, class Body>
auto transact(BasicDatabase<Cache>& database, Body&& body) {
  if constexpr (detail::require_body<Body, BasicTransaction<Cache>>())
    return detail::transact_elsewhere(database, body);
}

}  // namespace cow
