#include "schema.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include "cow_cache/errors.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

namespace {

constexpr std::size_t kMaxSchemaName = 58;  // identifiers have 63 bytes, and a channel's name begins with "cow_"

std::vector<Statement> creation(const std::string& schema) {
  const auto table = [&](std::string_view rest) {
    return Statement{"CREATE TABLE IF NOT EXISTS " + identifier(schema) + "." + std::string(rest), false};
  };
  const auto row = [&](std::string_view rest) {
    return Statement{"INSERT INTO " + identifier(schema) + "." + std::string(rest) + " ON CONFLICT DO NOTHING", false};
  };
  return {
      {"CREATE SCHEMA IF NOT EXISTS " + identifier(schema), false},
      table("tidgen (id INT PRIMARY KEY, tid BIGINT NOT NULL, oldest BIGINT NOT NULL, at BIGINT NOT NULL)"),
      table("txn (tid BIGINT PRIMARY KEY, prev BIGINT NOT NULL, at BIGINT NOT NULL, token BYTEA UNIQUE, "
            "oids BIGINT[] NOT NULL, meta BYTEA)"),
      table("cur (oid BIGINT PRIMARY KEY, tid BIGINT NOT NULL)"),
      table("obj (oid BIGINT, tid BIGINT, state BYTEA, PRIMARY KEY (oid, tid))"),
      table("lease (id BIGINT PRIMARY KEY, oldest BIGINT NOT NULL, until BIGINT NOT NULL, lasts BIGINT NOT NULL)"),
      table("settings (name TEXT PRIMARY KEY, value BIGINT NOT NULL)"),
      row("tidgen (id, tid, oldest, at) VALUES (1, 0, 0, 0)"),
      row("settings (name, value) VALUES ('schema_version', " + std::to_string(kSchemaVersion) + "), ('oid_limit', " +
          std::to_string(kRootOid.value) + "), ('oldest_tid', 0)"),
  };
}

bool has_tables(Connection& connection, const std::string& schema) {
  static const Statement look{
      "SELECT count(*) FROM information_schema.tables WHERE table_schema = $1 AND table_name IN ('settings', 'tidgen')",
      false};
  return connection.run(look, Parameters().text(schema)).integer(0, 0) == 2;
}

void create(Pool& pool, const std::string& schema) {
  const std::vector<Statement> statements = creation(schema);
  static const Statement begin{"BEGIN", false}, commit{"COMMIT", false};
  std::vector<Command> commands{{begin, kNone}};
  for (const Statement& statement : statements) commands.push_back({statement, kNone});
  commands.push_back({commit, kNone});
  // IF NOT EXISTS does not wait for another process that creates the same: one of the two fails, and finds it done when it looks again.
  for (int attempt = 1;; ++attempt) {
    try {
      pool.repeat([&](Connection& connection) { return connection.run(commands).size(); });
      return;
    } catch (const ServerError& error) {
      const bool exists = error.sqlstate == kUniqueViolation || error.sqlstate == "42P06" || error.sqlstate == "42P07";
      if (!exists || attempt == 5) throw;
    }
  }
}

}  // namespace

void open_schema(Pool& pool) {
  const std::string& schema = pool.options().schema;
  if (schema.empty() || schema.size() > kMaxSchemaName)
    throw std::invalid_argument("PostgresStore: the name of a schema has 1 to " + std::to_string(kMaxSchemaName) +
                                " bytes");
  const std::string name = "PostgresStore: schema '" + schema + "'";
  const bool found = has_tables(*pool.take(), schema);  // not repeated: a server that is not there is said at once
  if (!found) {
    if (!pool.options().create_if_missing)
      throw StoreMissingError(name + " has no store: set create_if_missing to make one");
    create(pool, schema);
  }
  const Statement version{"SELECT value FROM " + identifier(schema) + ".settings WHERE name = 'schema_version'", false};
  const Result result = pool.ask(version);
  if (result.rows() != 1) throw StoreFormatError(name + " has tables with these names that are no store's");
  if (const std::int64_t is = result.integer(0, 0); is != kSchemaVersion)
    throw StoreFormatError(name + " is of version " + std::to_string(is) + ", and this program knows version " +
                           std::to_string(kSchemaVersion));
}

}  // namespace cow::detail::postgres
