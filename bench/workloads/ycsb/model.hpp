// YCSB's table as persistent objects: an ordered index (btree.hpp) from keys to records, one object each.
//
// Thread safety: `load` works in one session and expects no other writer of the table.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <msgpack.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/btree.hpp"
#include "bench/workloads/workload_error.hpp"
#include "requests.hpp"

namespace cow::bench::ycsb {

using Field = std::array<char, kFieldBytes>;

/// A record: ten fields of a hundred bytes.
struct Record {
  static constexpr std::string_view cow_type_name = "ycsb.Record";

  std::uint64_t number = 0;
  std::uint64_t changes = 0;  ///< how often a field was written since the insert, so that a lost update shows
  std::array<Field, kFields> fields{};
  MSGPACK_DEFINE(number, changes, fields);
};

/// Printable bytes that follow from `seed`. YCSB's values are random ones as well.
inline Field field_of(std::uint64_t seed) {
  Field field;
  std::uint64_t bits = seed;
  for (char& byte : field) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator: good enough for a filling
    byte = static_cast<char>(' ' + (bits >> 58));
  }
  return field;
}

inline Record record_of(std::uint64_t number) {
  Record record{.number = number};
  for (std::uint32_t i = 0; i < kFields; ++i) record.fields[i] = field_of(number * kFields + i);
  return record;
}

struct RecordByKey {
  using Key = std::uint64_t;
  template <class Pointers>
  using Value = typename Pointers::template Ref<Record>;
  static constexpr std::string_view kNodeName = "ycsb.RecordByKey";
};

/// The root name of the table: the index's root node.
inline constexpr std::string_view kTableName = "ycsb.table";

template <class Database>
using Table = btree::Tree<Database, RecordByKey>;

/// Called with (records done, records in all).
using Progress = std::function<void(std::uint64_t, std::uint64_t)>;

/// Inserts records 0 to `records` - 1, some hundred a transaction, and names the table when all are there.
template <ObjectDatabase Database>
void load(Database& database, std::uint32_t records, const Progress& progress = {}) {
  using Transaction = typename Database::Transaction;
  constexpr std::uint32_t kBatch = 500;
  auto session = open_session(database);
  const auto root = session.transact([](Transaction& txn) { return Table<Database>::create(txn); });
  for (std::uint32_t first = 0; first < records; first += kBatch) {
    const std::uint32_t last = std::min(first + kBatch, records);
    session.transact([&](Transaction& txn) {
      Table<Database> table(txn, root);
      for (std::uint32_t number = first; number < last; ++number) {
        if (!table.insert(key_of(number), txn.create(record_of(number))))
          throw WrongAnswerError("YCSB: a key came twice");
      }
    });
    if (progress) progress(last, records);
  }
  session.transact([&](Transaction& txn) { txn.root().set(kTableName, root); });
}

/// Whether `database` holds the table, whole.
template <ObjectDatabase Database>
bool is_loaded(Database& database) {
  return open_session(database).transact(
      [](typename Database::Transaction& txn) { return txn.root().contains(kTableName); });
}

/// What the table holds.
struct TableTotals {
  std::uint64_t records = 0;
  std::uint64_t changes = 0;  ///< of fields, over all records
};

/// Reads everything in order. Throws WrongAnswerError if a key does not lead to its record.
template <ObjectDatabase Database>
TableTotals read_table(Session<Database>& session) {
  return session.transact([](typename Database::Transaction& txn) {
    const auto root = txn.root().template get<typename Table<Database>::TreeNode>(kTableName);
    TableTotals totals;
    Table<Database>(txn, root).scan_all([&](std::uint64_t key, const auto& reference) {
      const Record& record = txn.read(reference);
      check_count("key of a YCSB record", key_of(record.number), key);
      ++totals.records;
      totals.changes += record.changes;
      return true;
    });
    return totals;
  });
}

}  // namespace cow::bench::ycsb
