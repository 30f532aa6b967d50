// The statements of a store, for its schema.
//
// Thread safety: constant after construction.
//
// What READ COMMITTED sees, on PostgreSQL: a statement reads as of its beginning. While it waits for a row's lock others commit, which it does
// not see; but the row that it has waited for is looked at again, and its conditions with it. So:
//  - `propose` does all in one statement. Every part draws from `t`, so that the tid row is locked before any other row. What must not
//    have changed is named by its tid in the WHERE of the upsert or of FOR SHARE: looked at again, as it is then.
//  - An absent row cannot be looked at again. So a group with absent reads, or one that `propose` has refused, locks the tid row by `lock`,
//    a statement of its own; `newest`, the next one, then sees everything (invariants [tid-row-first] and [no-bare-look] of the store).
// Each table is written by one part of a statement at most, and only what PostgreSQL, CockroachDB and YugabyteDB document alike is used;
// tests/check_postgres_words looks after that.
#pragma once

#include <string>
#include <string_view>

#include "connection.hpp"
#include "persistence/postgres_options.hpp"

namespace cow::detail::postgres {

/// `name`, quoted.
inline std::string identifier(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text += c == '"' ? "\"\"" : std::string(1, c);
  return text + '"';
}

/// The channel on which a store's commits notify.
inline std::string channel_of(std::string_view schema) { return "cow_" + std::string(schema); }

/// Microseconds since 1970 by the server's clock, not by when the transaction began.
inline constexpr std::string_view kClock = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint";

class Statements {
 public:
  explicit Statements(const PostgresOptions& options)
      : schema_(identifier(options.schema)),
        begin(options.isolation == PostgresIsolation::serializable ? Statement{"BEGIN ISOLATION LEVEL SERIALIZABLE"}
                                                                   : begin_read_committed) {
    if (!options.notify) return;
    // Takes effect when the transaction commits; nobody depends on it.
    propose.text = with_names(kPropose, ", pg_notify($13, (t.base + $1)::text)");  // the hint
    append.text = with_names(kAppend, ", pg_notify($11, $1::text)");               // the hint
  }

  /// "@" stands for the schema, ";;" for what `hint` says, CLOCK for the server's clock.
  std::string with_names(std::string_view text, std::string_view hint = "") const {
    std::string made;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '@') {
        made += schema_ + '.';
      } else if (text.substr(i, 2) == ";;") {
        made += hint;
        ++i;
      } else if (text.substr(i, 5) == "CLOCK") {
        made += kClock;
        i += 4;
      } else {
        made += text[i];
      }
    }
    return made;
  }

 private:
  // $1 transactions, $2 the least and $3 the greatest snapshot; writes: $4 oids, $5 places, $6 states; $7 snapshots by place; reads: $8 oids, $9
  // snapshots; transactions: $10 places, $11 tokens, $12 notes. A place is a transaction's number in the group, from 1 on.
  // No row: the tid row's conditions do not hold. Division by zero: a write or a read is out of date.
  static constexpr std::string_view kPropose = R"(
    WITH t AS (
      UPDATE @tidgen SET tid = tid + $1, at = GREATEST(at, CLOCK)
      WHERE id = 1 AND oldest <= $2 AND tid >= $3 RETURNING tid - $1 AS base, at),
    u AS (
      INSERT INTO @cur AS c (oid, tid)
      SELECT w.oid, t.base + w.place FROM t, unnest($4::bigint[], $5::bigint[]) AS w(oid, place)
      ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid
      WHERE c.tid <= ($7::bigint[])[(excluded.tid - (SELECT base FROM t))::int] RETURNING c.oid),
    s AS (
      SELECT c.oid FROM t, unnest($8::bigint[], $9::bigint[]) AS r(oid, snapshot), @cur AS c
      WHERE c.oid = r.oid AND c.tid <= r.snapshot AND t.base IS NOT NULL FOR SHARE OF c),
    o AS (
      INSERT INTO @obj (oid, tid, state)
      SELECT w.oid, t.base + w.place, w.state
      FROM t, unnest($4::bigint[], $5::bigint[], $6::bytea[]) AS w(oid, place, state)),
    x AS (
      INSERT INTO @txn (tid, prev, at, token, oids, meta)
      SELECT t.base + p.place, t.base + p.place - 1, t.at, p.token, COALESCE(a.oids, '{}'), p.meta
      FROM t CROSS JOIN unnest($10::bigint[], $11::bytea[], $12::bytea[]) AS p(place, token, meta)
      LEFT JOIN (
        SELECT w.place, array_agg(w.oid ORDER BY w.n) AS oids
        FROM unnest($4::bigint[], $5::bigint[]) WITH ORDINALITY AS w(oid, place, n) GROUP BY w.place) AS a
      ON a.place = p.place)
    SELECT t.base, 1 / CASE WHEN (SELECT count(*) FROM u) = cardinality($4::bigint[])
      AND (SELECT count(*) FROM s) = cardinality($8::bigint[]) THEN 1 ELSE 0 END ;;
    FROM t)";

  // The same, where the tid row is locked and everything was validated: $1 the last tid; newest revisions: $2 oids, $3 tids; revisions: $4 oids, $5
  // tids, $6 states; transactions: $7 tids, $8 the ones before, $9 tokens, $10 notes.
  static constexpr std::string_view kAppend = R"(
    WITH t AS (
      UPDATE @tidgen SET tid = $1, at = GREATEST(at, CLOCK) WHERE id = 1 RETURNING at, tid),
    u AS (
      INSERT INTO @cur (oid, tid)
      SELECT w.oid, w.tid FROM t, unnest($2::bigint[], $3::bigint[]) AS w(oid, tid)
      ON CONFLICT (oid) DO UPDATE SET tid = excluded.tid),
    o AS (
      INSERT INTO @obj (oid, tid, state)
      SELECT w.oid, w.tid, w.state FROM t, unnest($4::bigint[], $5::bigint[], $6::bytea[]) AS w(oid, tid, state)),
    x AS (
      INSERT INTO @txn (tid, prev, at, token, oids, meta)
      SELECT p.tid, p.prev, t.at, p.token, COALESCE(a.oids, '{}'), p.meta
      FROM t CROSS JOIN unnest($7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[]) AS p(tid, prev, token, meta)
      LEFT JOIN (
        SELECT w.tid, array_agg(w.oid ORDER BY w.n) AS oids
        FROM unnest($4::bigint[], $5::bigint[]) WITH ORDINALITY AS w(oid, tid, n) GROUP BY w.tid) AS a
      ON a.tid = p.tid)
    SELECT t.tid ;; FROM t)";

  static constexpr std::string_view kTransactions = R"(
    SELECT g.tid, g.oldest, x.tid, x.prev, x.at, x.oids, x.meta
    FROM @tidgen AS g LEFT JOIN LATERAL (
      SELECT * FROM @txn WHERE tid >= $1 AND tid <= $2 ORDER BY tid ;; LIMIT $3) AS x ON true
    WHERE g.id = 1 ORDER BY x.tid ;;)";

  std::string schema_;

 public:
  // ---- reading

  // $1 a tid that was seen. The last tid, its token, and the token of the one that was seen.
  const Statement last{with_names(R"(
    SELECT g.tid, x.token, w.token FROM @tidgen AS g
    LEFT JOIN @txn AS x ON x.tid = g.tid LEFT JOIN @txn AS w ON w.tid = $1 WHERE g.id = 1)")};
  const Statement oldest{with_names("SELECT value FROM @settings WHERE name = 'oldest_tid'")};
  const Statement load{with_names(R"(
    SELECT s.value, r.tid, r.state, n.tid FROM @settings AS s
    LEFT JOIN LATERAL (
      SELECT tid, state FROM @obj WHERE oid = $1 AND tid <= $2 ORDER BY tid DESC LIMIT 1) AS r ON true
    LEFT JOIN LATERAL (SELECT tid FROM @obj WHERE oid = $1 AND tid > r.tid ORDER BY tid LIMIT 1) AS n ON true
    WHERE s.name = 'oldest_tid')")};
  const Statement load_many{with_names(R"(
    SELECT s.value, r.tid, r.state, n.tid FROM @settings AS s
    CROSS JOIN unnest($1::bigint[]) WITH ORDINALITY AS q(oid, place)
    LEFT JOIN LATERAL (
      SELECT tid, state FROM @obj WHERE oid = q.oid AND tid <= $2 ORDER BY tid DESC LIMIT 1) AS r ON true
    LEFT JOIN LATERAL (SELECT tid FROM @obj WHERE oid = q.oid AND tid > r.tid ORDER BY tid LIMIT 1) AS n ON true
    WHERE s.name = 'oldest_tid' ORDER BY q.place)")};

  const Statement transactions_up{with_names(kTransactions)};
  const Statement transactions_down{with_names(kTransactions, "DESC")};
  const Statement revisions{with_names(R"(
    SELECT r.tid, n.tid, r.state IS NULL, COALESCE(length(r.state), 0)::bigint, x.at, x.meta
    FROM (SELECT tid, state FROM @obj WHERE oid = $1 AND tid <= $2 ORDER BY tid DESC LIMIT $3) AS r
    LEFT JOIN LATERAL (SELECT tid FROM @obj WHERE oid = $1 AND tid > r.tid ORDER BY tid LIMIT 1) AS n ON true
    LEFT JOIN @txn AS x ON x.tid = r.tid ORDER BY r.tid DESC)")};
  const Statement time_from{with_names("SELECT tid, at FROM @txn WHERE tid >= $1 AND tid > 0 ORDER BY tid LIMIT 1")};

  // ---- looking through the store

  // $1 the schema's name
  const Statement summary{with_names(R"(
    SELECT g.tid, s.value, v.value, l.value, (SELECT count(*) FROM @lease WHERE until > CLOCK),
      (SELECT count(*) FROM (SELECT 1 FROM @obj LIMIT 100000) AS few),
      COALESCE((SELECT max(c.reltuples) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = $1 AND c.relname = 'obj'), 0)::bigint
    FROM @tidgen AS g JOIN @settings AS s ON s.name = 'oldest_tid' JOIN @settings AS v ON v.name = 'schema_version'
    JOIN @settings AS l ON l.name = 'oid_limit' WHERE g.id = 1)")};
  // $1 the first oid and $2 a tid above which nothing of it is wanted, $3 the last oid, $4 the snapshot, $5 how many
  const Statement scan{with_names(R"(
    SELECT r.oid, r.tid, r.state, n.tid FROM (
      SELECT oid, tid, state FROM @obj
      WHERE oid >= $1 AND oid <= $3 AND tid <= $4 AND (oid > $1 OR tid < $2) ORDER BY oid, tid DESC LIMIT $5) AS r
    LEFT JOIN LATERAL (
      SELECT tid FROM @obj WHERE oid = r.oid AND tid > r.tid AND tid <= $4 ORDER BY tid LIMIT 1) AS n ON true
    ORDER BY r.oid, r.tid DESC)")};
  const Statement verify{with_names(R"(
    SELECT s.value, g.oldest,
      (SELECT count(*) FROM @txn WHERE tid > 0),
      (SELECT count(*) FROM @cur AS c
       WHERE NOT EXISTS (SELECT 1 FROM @obj AS o WHERE o.oid = c.oid AND o.tid = c.tid)),
      (SELECT count(*) FROM @obj AS o
       WHERE NOT EXISTS (SELECT 1 FROM @cur AS c WHERE c.oid = o.oid AND c.tid >= o.tid)),
      (SELECT count(*) FROM @obj WHERE tid > s.value),
      COALESCE((SELECT sum(cardinality(oids)) FROM @txn WHERE tid > s.value), 0)::bigint,
      (SELECT count(*) FROM @obj WHERE tid > g.tid)
    FROM @tidgen AS g JOIN @settings AS s ON s.name = 'oldest_tid' WHERE g.id = 1)")};

  // ---- committing

  Statement propose{with_names(kPropose)};
  Statement append{with_names(kAppend)};
  const Statement begin_read_committed{"BEGIN ISOLATION LEVEL READ COMMITTED"};
  const Statement begin;  // at the level that the options say
  const Statement commit{"COMMIT"};
  const Statement rollback{"ROLLBACK"};
  const Statement idle_for_a_while{"SET LOCAL idle_in_transaction_session_timeout = '30s'"};
  const Statement wait_for_a_while{"SET LOCAL lock_timeout = '45s'"};
  const Statement lock{with_names("SELECT tid, oldest FROM @tidgen WHERE id = 1 FOR UPDATE")};
  const Statement newest{with_names("SELECT oid, tid FROM @cur WHERE oid = ANY($1::bigint[])")};
  const Statement tokens{with_names("SELECT token, tid FROM @txn WHERE token = ANY($1::bytea[])")};
  const Statement burn{with_names(R"(
    INSERT INTO @txn (tid, prev, at, token, oids) VALUES ($1, $2, 0, $3, '{}')
    ON CONFLICT (token) DO NOTHING RETURNING tid)")};
  const Statement allocate{with_names(R"(
    UPDATE @settings SET value = value + $1 WHERE name = 'oid_limit' AND value <= $2 - $1 RETURNING value - $1)")};

  // ---- leases and packs

  const Statement hold{with_names(R"(
    WITH s AS (SELECT value FROM @settings WHERE name = 'oldest_tid' AND value <= $2 FOR SHARE)
    INSERT INTO @lease AS l (id, oldest, until, lasts)
    SELECT $1, $2, CLOCK + $3, $3 FROM s
    ON CONFLICT (id) DO UPDATE SET oldest = excluded.oldest, until = excluded.until, lasts = excluded.lasts
    RETURNING l.id)")};
  const Statement release{with_names("DELETE FROM @lease WHERE id = $1")};
  const Statement lock_oldest{with_names("SELECT value FROM @settings WHERE name = 'oldest_tid' FOR UPDATE")};
  // A lease that ends later than one that was renewed now is from before the server's clock was put back.
  const Statement shorten_leases{with_names("UPDATE @lease SET until = CLOCK + lasts WHERE until > CLOCK + lasts")};
  const Statement end_leases{with_names("DELETE FROM @lease WHERE until <= CLOCK")};
  const Statement least_lease{with_names("SELECT min(oldest) FROM @lease")};
  const Statement raise_oldest{with_names("UPDATE @settings SET value = $1 WHERE name = 'oldest_tid' AND value < $1")};
  const Statement raise_oldest_of_commits{with_names("UPDATE @tidgen SET oldest = $1 WHERE id = 1 AND oldest < $1")};
  const Statement count{with_names("SELECT count(*) FROM @obj")};
  const Statement sweep_page{with_names(R"(
    SELECT oid, tid, state IS NULL, COALESCE(length(state), 0)::bigint FROM @obj
    WHERE (oid, tid) > ($1, $2) ORDER BY oid, tid LIMIT $3)")};
  const Statement are_erased{with_names(R"(
    SELECT o.oid, o.tid, o.state IS NULL FROM @obj AS o, unnest($1::bigint[], $2::bigint[]) AS d(oid, tid)
    WHERE o.oid = d.oid AND o.tid = d.tid)")};
  const Statement drop{with_names(R"(
    DELETE FROM @obj AS o USING unnest($1::bigint[], $2::bigint[]) AS d(oid, tid)
    WHERE o.oid = d.oid AND o.tid = d.tid RETURNING COALESCE(length(o.state), 0)::bigint)")};
  const Statement drop_newest{with_names("DELETE FROM @cur WHERE oid = ANY($1::bigint[]) AND tid <= $2 RETURNING oid")};
  const Statement first_transaction{with_names("SELECT min(tid) FROM @txn WHERE tid > 0 AND tid < $1")};
  const Statement drop_transactions{with_names("DELETE FROM @txn WHERE tid > 0 AND tid < $1 AND tid <= $2")};
  // A process that could still commit under such a token is refused by its snapshot.
  const Statement drop_burnt{with_names("DELETE FROM @txn WHERE tid < 0 AND prev < $1")};
};

}  // namespace cow::detail::postgres
