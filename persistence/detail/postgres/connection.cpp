#include "connection.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.hpp"

namespace cow::detail::postgres {

namespace {

const Statement kRollback{"ROLLBACK", false};

std::string name_of(const Statement& statement) {
  return "cow_" + std::to_string(reinterpret_cast<std::uintptr_t>(&statement));
}

std::string trimmed(const char* message) {
  std::string text = message == nullptr ? "" : message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1'000'000'000));
}

}  // namespace

Connection::Connection(const PostgresOptions& options, Counters& counters)
    : answer_timeout_(options.answer_timeout), prepares_(options.pooler == PostgresPooler::none), counters_(counters) {
  // Defaults stand before the user's string, and what it may not say otherwise behind. The server, too, is to find out soon that a
  // machine is gone: it may hold the tid row for it. Poolers refuse such options.
  const char* const server_options =
      prepares_ ? "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3" : "";
  const char* const names[] = {"connect_timeout",           "keepalives_idle", "keepalives_interval",
                               "keepalives_count",          "options",         "dbname",
                               "fallback_application_name", "client_encoding", nullptr};
  const char* const values[] = {"10",        "30",   "10",   "3", server_options, options.connection.c_str(),
                                "cow_cache", "UTF8", nullptr};
  connection_.reset(PQconnectdbParams(names, values, 1));
  if (connection_ == nullptr) throw std::bad_alloc();
  if (PQstatus(connection_.get()) != CONNECTION_OK) lose("connecting");
  if (PQserverVersion(connection_.get()) < 90500) throw StoreFormatError("PostgresStore: the server is older than 9.5");
  PQsetNoticeReceiver(connection_.get(), &Connection::notice, this);
  if (PQsetnonblocking(connection_.get(), 1) != 0 || PQenterPipelineMode(connection_.get()) != 1) lose("connecting");
  counters_.connections.fetch_add(1, std::memory_order_relaxed);
}

void Connection::notice(void* connection, const PGresult* notice) {
  const char* const severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr) return;  // libpq's own
  const std::string_view said = severity;
  if (said == "ERROR" || said == "FATAL" || said == "PANIC") static_cast<Connection*>(connection)->farewell_ = true;
}

bool Connection::is_good() const noexcept {
  return connection_ != nullptr && !farewell_ && PQstatus(connection_.get()) == CONNECTION_OK &&
         PQtransactionStatus(connection_.get()) == PQTRANS_IDLE;
}

bool Connection::is_alive() noexcept {
  if (!is_good()) return false;
  pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
  for (;;) {
    if (PQisBusy(connection_.get()) == 0) {  // this looks at what has come, with the last answer perhaps
      if (PGresult* const unasked = PQgetResult(connection_.get())) {
        PQclear(unasked);  // an error without a question
        return false;
      }
      if (farewell_) return false;  // the end itself may come later
    }
    if (::poll(&socket, 1, 0) <= 0) return true;
    // Something has come unasked: a notice, a farewell or the end.
    if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK) return false;
    if ((socket.revents & (POLLHUP | POLLERR)) != 0) return false;
  }
}

void Connection::lose(const char* doing) {
  std::string why = connection_ == nullptr ? "no connection" : trimmed(PQerrorMessage(connection_.get()));
  connection_.reset();
  prepared_.clear();
  throw ConnectionLost("PostgresStore: " + std::string(doing) + ": " + (why.empty() ? "connection lost" : why));
}

void Connection::wait(short events, Time deadline) {
  pollfd socket{PQsocket(connection_.get()), events, 0};
  for (;;) {
    const int ready = ::poll(&socket, 1, milliseconds_until(deadline));
    if (ready > 0) return;
    if (ready < 0 && errno == EINTR) continue;
    connection_.reset();
    prepared_.clear();
    throw ConnectionLost("PostgresStore: the server has not answered for " + std::to_string(answer_timeout_.count()) +
                         " ms");
  }
}

void Connection::send(const Command& command) {
  const Statement& statement = command.statement;
  const Parameters& parameters = command.parameters;
  const int count = static_cast<int>(parameters.size());
  std::vector<const char*> values;
  std::vector<int> lengths;
  const std::vector<int> formats(parameters.size(), 1);
  for (const std::string& value : parameters.values()) {
    values.push_back(value.data());
    lengths.push_back(static_cast<int>(value.size()));
  }
  int sent = 0;
  if (!prepares_ || !statement.prepare) {
    sent = PQsendQueryParams(connection_.get(), statement.text.c_str(), count, parameters.types().data(), values.data(),
                             lengths.data(), formats.data(), 1);
  } else {
    const std::string name = name_of(statement);
    sent = 1;
    if (!prepared_.contains(&statement))
      sent = PQsendPrepare(connection_.get(), name.c_str(), statement.text.c_str(), count, parameters.types().data());
    if (sent == 1)
      sent =
          PQsendQueryPrepared(connection_.get(), name.c_str(), count, values.data(), lengths.data(), formats.data(), 1);
  }
  if (sent != 1) lose("sending");
}

/// The next result; null between two statements.
PGresult* Connection::next_result(Time deadline) {
  for (;;) {
    const int unsent = PQflush(connection_.get());
    if (unsent < 0) break;  // what the server said before it went is read first
    if (PQisBusy(connection_.get()) == 0) break;
    wait(static_cast<short>(POLLIN | (unsent == 1 ? POLLOUT : 0)), deadline);
    if (PQconsumeInput(connection_.get()) == 0) break;
  }
  return PQgetResult(connection_.get());
}

std::vector<Result> Connection::run(std::span<const Command> commands) {
  if (connection_ == nullptr) lose("using");
  // What was sent and not read to its end leaves a connection that nobody can use.
  struct Unfinished {
    Connection& connection;
    bool is_finished = false;
    ~Unfinished() {
      if (is_finished) return;
      connection.connection_.reset();
      connection.prepared_.clear();
    }
  } unfinished{*this};
  std::vector<bool> prepares;
  for (const Command& command : commands) {
    const bool fresh = prepares_ && command.statement.prepare && !prepared_.contains(&command.statement);
    prepares.push_back(fresh);
    send(command);
    if (fresh) prepared_.insert(&command.statement);  // until it turns out otherwise
  }
  if (PQpipelineSync(connection_.get()) != 1) lose("sending");
  counters_.round_trips.fetch_add(1, std::memory_order_relaxed);

  const Time deadline = std::chrono::steady_clock::now() + answer_timeout_;
  std::vector<Result> results;
  std::string error, state;
  bool failed = false;
  const auto take = [&] {
    Result result(next_result(deadline));
    const ExecStatusType status = result.get() == nullptr ? PGRES_FATAL_ERROR : PQresultStatus(result.get());
    const bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!good && status != PGRES_PIPELINE_ABORTED && !failed) {
      failed = true;
      const char* code = result.get() == nullptr ? nullptr : PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      state = code == nullptr ? "" : code;
      error = trimmed(result.get() == nullptr ? nullptr : PQresultErrorMessage(result.get()));
    }
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
      if (failed && !state.empty()) {
        connection_.reset();
        throw ConnectionLost("PostgresStore: " + error);
      }
      lose("waiting for an answer");
    }
    if (result.get() != nullptr && Result(next_result(deadline)).get() != nullptr) lose("waiting for an answer");
    results.push_back(std::move(result));
    return good;
  };
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (prepares[i]) {
      if (!take()) prepared_.erase(&commands[i].statement);
      results.pop_back();
    }
    take();
  }
  Result sync(next_result(deadline));
  if (sync.get() == nullptr || PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC) {
    if (failed && ends_session(state)) {
      connection_.reset();
      throw ConnectionLost("PostgresStore: " + error);
    }
    lose("waiting for an answer");
  }
  unfinished.is_finished = true;
  if (!failed) return results;
  if (state.empty()) {  // the library's own error: the server may have said something else
    connection_.reset();
    throw ConnectionLost("PostgresStore: " + error);
  }
  if (PQtransactionStatus(connection_.get()) != PQTRANS_IDLE) {
    run(kRollback);  // one level deep: it does not fail but by losing the connection
  }
  if (ends_session(state)) connection_.reset();
  throw_server_error("PostgresStore: " + error, state);
}

bool Connection::wait_for_notification(std::chrono::milliseconds longest) {
  if (connection_ == nullptr) lose("listening");
  const auto take_all = [&] {
    bool any = false;
    while (PGnotify* notification = PQnotifies(connection_.get())) {
      PQfreemem(notification);
      any = true;
    }
    return any;
  };
  if (take_all()) return true;
  pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
  if (::poll(&socket, 1, static_cast<int>(longest.count())) <= 0) return false;
  if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK) lose("listening");
  if (take_all()) return true;
  if (!is_alive()) lose("listening");
  return false;
}

}  // namespace cow::detail::postgres
