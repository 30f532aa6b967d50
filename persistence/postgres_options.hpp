// How to open a PostgresStore.
//
// Thread safety: plain values.
#pragma once

#include "cow_cache/version.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace cow {

/// What stands between this process and the server.
enum class PostgresPooler {
  none,         ///< nothing: statements are prepared once per connection, and notifications are listened to
  transaction,  ///< a pooler that gives out server connections per transaction: nothing is kept on a connection
};

/// The isolation level of what commits. Either is right; on one PostgreSQL the first does with fewer repetitions.
enum class PostgresIsolation { read_committed, serializable };

struct PostgresOptions {
  /// Where the server is, as libpq understands it: "host=db dbname=app", "postgres://app@db/app?sslmode=verify-full",
  /// "service=app". What it leaves out comes from libpq's environment variables and files; TLS is libpq's as well.
  std::string connection;

  /// The schema with the store's tables; its name has at most 58 bytes. Several stores live in one database in schemas of their own.
  std::string schema = "cow";

  /// True: make schema and tables where they are missing, instead of refusing.
  bool create_if_missing = false;

  /// Connections at a time, one at least; they are made when they are needed. One more is made for notifications.
  std::size_t pool_size = 8;

  PostgresPooler pooler = PostgresPooler::none;
  PostgresIsolation isolation = PostgresIsolation::read_committed;

  /// True: commits notify, and wait_beyond listens (where no pooler is between). False: wait_beyond asks every `poll_interval`.
  bool notify = true;
  std::chrono::milliseconds poll_interval{20};

  /// How long this process's hold on old snapshots lasts after it was last renewed, by the server's clock.
  std::chrono::milliseconds lease_time{60'000};

  /// How long one answer of the server may take before the connection is given up.
  std::chrono::milliseconds answer_timeout{60'000};

  /// For how long a lost server is tried again, and what the server has refused for the sake of others (40001, 40P01) repeated.
  std::chrono::milliseconds retry_for{10'000};
};

}  // namespace cow
