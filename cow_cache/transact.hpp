// transact(database, body): a transaction that is tried again, where no more is known of a database than its name.
//
// Thread safety: may be called from any thread.
#pragma once

#include "version.hpp"

#include <optional>
#include <type_traits>
#include <utility>

#include "transaction.hpp"

namespace cow {

namespace detail {

template <class Cache>
struct TransactRunner {
  using Body = void(void* body, BasicTransaction<Cache>& transaction);

  /// Runs `call(body, transaction)` as Database::transact does.
  static void run(BasicDatabase<Cache>& database, void* body, Body* call);
};

}  // namespace detail

/// `database.transact(body)`, compiled elsewhere: runs `body(Transaction&)` and commits; again from the start, a bounded number of
/// times, when it meets a ConflictError. Returns what the body returns, and throws what Database::transact throws.
template <class Cache, class Body>
auto transact(BasicDatabase<Cache>& database, Body&& body) {
  using Result = std::decay_t<std::invoke_result_t<Body&, BasicTransaction<Cache>&>>;
  if constexpr (std::is_void_v<Result>) {
    auto call = [](void* of, BasicTransaction<Cache>& transaction) {
      (*static_cast<std::remove_reference_t<Body>*>(of))(transaction);
    };
    detail::TransactRunner<Cache>::run(database, const_cast<void*>(static_cast<const void*>(&body)), call);
  } else {
    struct Attempt {
      std::remove_reference_t<Body>& body;
      std::optional<Result> result;
    };
    Attempt attempt{body, std::nullopt};
    auto call = [](void* of, BasicTransaction<Cache>& transaction) {
      auto& at = *static_cast<Attempt*>(of);
      at.result.reset();
      at.result.emplace(at.body(transaction));
    };
    detail::TransactRunner<Cache>::run(database, &attempt, call);
    return std::move(*attempt.result);
  }
}

}  // namespace cow
