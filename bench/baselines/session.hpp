// What workloads run on: a database, and a session for each client of it.
//
// Thread safety: a session and its transactions are used by one thread at a time; sessions of a database run at once.
//
// The library has no sessions, because a client of the shared cache keeps nothing between its transactions. A private cache belongs
// to one client, so workloads give each client a session, whatever they run on. Only private caches put something into it
// (private_cache.hpp).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cow_cache/retry_policy.hpp"
#include "cow_cache/types.hpp"

namespace cow::bench {

/// One client's way to a database, which outlives it.
template <class Database>
class Session {
 public:
  using Transaction = typename Database::Transaction;
  static constexpr bool kOwnsObjects = false;

  explicit Session(Database& database) noexcept : database_(&database) {}

  Transaction begin() { return database_->begin(); }

  /// Like Database::transact.
  template <class Body>
  auto transact(Body&& body, const RetryPolicy& policy = {}) {
    return database_->transact(std::forward<Body>(body), policy);
  }

 private:
  Database* database_;
};

template <class Database>
Session<Database> open_session(Database& database) {
  return Session<Database>(database);
}

/// Something to be stored, of which nothing else is known.
struct AnyValue {};

template <class Transaction, class Ref>
concept ChangesObjects = requires(Transaction& txn, const Ref& reference, AnyValue value) {
  { txn.read(reference) } -> std::same_as<const AnyValue&>;
  { txn.write(reference) } -> std::same_as<AnyValue&>;
  { txn.create(value) } -> std::same_as<Ref>;
  txn.erase(reference);
  txn.root();
  txn.commit();
  txn.abort();
  { txn.snapshot() } -> std::same_as<Tid>;
};

/// What a workload may count on where it takes a database or a session; where it takes a transaction, on the transaction alone.
/// The databases over the shared cache and over those to compare with have it, and so have plain pointers that look like one.
/// What a cache must do to be under a database is ObjectCache (cow_cache/detail/cache).
template <class Database>
concept ObjectDatabase = requires(Database& database, Session<Database>& session,
                                  void (&body)(typename Database::Transaction&)) {
  typename Database::Pointers::template Ref<AnyValue>;
  requires std::movable<typename Database::Transaction>;
  requires ChangesObjects<typename Database::Transaction, typename Database::template Ref<AnyValue>>;
  { database.begin() } -> std::same_as<typename Database::Transaction>;
  { database.transact(body, RetryPolicy{}) } -> std::same_as<void>;

  requires std::movable<Session<Database>>;
  requires std::same_as<decltype(Session<Database>::kOwnsObjects), const bool>;
  { open_session(database) } -> std::same_as<Session<Database>>;
  { session.begin() } -> std::same_as<typename Database::Transaction>;
  { session.transact(body, RetryPolicy{}) } -> std::same_as<void>;

  { database.statistics().commits } -> std::convertible_to<std::uint64_t>;
  { database.statistics().conflicts } -> std::convertible_to<std::uint64_t>;
  { database.statistics().loads } -> std::convertible_to<std::uint64_t>;
  { database.statistics().cache_bytes } -> std::convertible_to<std::uint64_t>;
  { database.statistics().limbo_bytes } -> std::convertible_to<std::uint64_t>;
};

}  // namespace cow::bench
