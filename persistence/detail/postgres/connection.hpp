// One connection to the server, on libpq's pipeline mode: any number of statements, one round trip.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. After `run` has returned or thrown, the connection waits for nothing of the server's: it is usable, or `is_good()` is false.
//  2. After `run` has thrown no transaction is open on it.
//  3. Where statements are not to be prepared nothing is left on the server between two transactions.
#pragma once

#include <libpq-fe.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "persistence/postgres_options.hpp"
#include "values.hpp"

namespace cow::detail::postgres {

/// A statement's text. Its address is its name: it outlives every connection.
struct Statement {
  std::string text;
  bool prepare = true;  ///< false: it is used too rarely
};

struct Command {
  const Statement& statement;
  const Parameters& parameters;
};

/// What all connections count.
struct Counters {
  std::atomic<std::uint64_t> round_trips{0}, connections{0}, groups{0}, careful{0}, retries{0}, tokens_asked{0};
};

class Connection {
 public:
  /// Connects. Throws ConnectionLost.
  Connection(const PostgresOptions& options, Counters& counters);
  Connection(const Connection&) = delete;  // libpq knows where it is
  Connection& operator=(const Connection&) = delete;

  /// Executes all, in order, in one round trip; a result for each. Outside of BEGIN and COMMIT they are one transaction. Throws
  /// ConnectionLost, ServerError and others (errors.hpp) for the first that fails; none has an effect then, but those before a COMMIT
  /// that was among them.
  std::vector<Result> run(std::span<const Command> commands);
  std::vector<Result> run(std::initializer_list<Command> commands) {
    return run(std::span<const Command>(commands.begin(), commands.size()));
  }
  Result run(const Statement& statement, const Parameters& parameters = {}) {
    return std::move(run({Command{statement, parameters}}).front());
  }

  /// False: it was lost, or a transaction is open on it.
  bool is_good() const noexcept;
  /// False: the server has closed it meanwhile.
  bool is_alive() noexcept;

  /// Waits until a notification has come, or the time is over. Throws ConnectionLost.
  bool wait_for_notification(std::chrono::milliseconds longest);

 private:
  struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
  };
  using Time = std::chrono::steady_clock::time_point;

  /// What the server says unasked comes here.
  static void notice(void* connection, const PGresult* notice);

  void send(const Command& command);
  void wait(short events, Time deadline);
  PGresult* next_result(Time deadline);
  [[noreturn]] void lose(const char* doing);

  std::chrono::milliseconds answer_timeout_;
  bool prepares_;
  bool farewell_ = false;  ///< the server has said while nothing was asked that it closes the connection
  Counters& counters_;
  std::unique_ptr<PGconn, Finish> connection_;
  std::unordered_set<const Statement*> prepared_;
};

}  // namespace cow::detail::postgres
