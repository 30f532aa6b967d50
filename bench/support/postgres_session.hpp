// A session beside the store, for tests and measurements: statements in SQL, waited for or not.
//
// Thread safety: one thread at a time.
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cow::bench {

class PostgresSession {
 public:
  using Rows = std::vector<std::vector<std::string>>;

  /// Unqualified names are those of `schema`.
  explicit PostgresSession(const std::string& connection, const std::string& schema = "public")
      : connection_(PQconnectdb(connection.c_str())) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_.get()));
    (*this)("SET search_path = " + schema);
  }

  /// Throws std::runtime_error, whose text begins with the state.
  Rows operator()(const std::string& statement) {
    send(statement);
    return finish();
  }
  std::string value(const std::string& statement) {
    const Rows rows = (*this)(statement);
    return rows.empty() ? "" : rows.front().front();
  }

  void send(const std::string& statement) {
    if (PQsendQuery(connection_.get(), statement.c_str()) != 1)
      throw std::runtime_error(PQerrorMessage(connection_.get()));
  }
  Rows finish() {
    Rows rows;
    std::string error;
    while (PGresult* result = PQgetResult(connection_.get())) {
      const ExecStatusType status = PQresultStatus(result);
      if (status == PGRES_TUPLES_OK) {
        rows.clear();
        for (int row = 0; row < PQntuples(result); ++row) {
          rows.emplace_back();
          for (int column = 0; column < PQnfields(result); ++column)
            rows.back().emplace_back(PQgetvalue(result, row, column));
        }
      } else if (status != PGRES_COMMAND_OK && error.empty()) {
        const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        error = std::string(state == nullptr ? "" : state) + " " + PQresultErrorMessage(result);
      }
      PQclear(result);
    }
    if (!error.empty()) throw std::runtime_error(error);
    return rows;
  }

  /// Returns once `count` sessions wait for locks, this one not counted. Throws std::runtime_error if they never do.
  void await_waiting(int count = 1) {
    const std::string question =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()";
    for (int i = 0; i < 30'000; ++i) {
      if (std::stoi(value(question)) >= count) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    throw std::runtime_error("nobody waits for a lock");
  }

 private:
  struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
  };
  std::unique_ptr<PGconn, Finish> connection_;
};

}  // namespace cow::bench
