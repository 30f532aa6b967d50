// Rewriting old records: those of a lower schema number, or of a former name of their class.
//
//   cow::migrate<Article>(db, articles, {.progress = [](const cow::Migration& so_far) { report(so_far.seen); }});
//
// A store rewrites nothing by itself: a record is upgraded each time that it is loaded, until its object is written next. Migrate
// where that costs too much, or before a declaration of the type's past is taken away. In small transactions, each of which is whole: it
// can be stopped at any time, or fail, and begun again. Others go on meanwhile; what they write is migrated by that.
//
// Thread safety: may be called from any thread, as many at once as you like.
#pragma once

#include "version.hpp"

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <ranges>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "database.hpp"
#include "detail/record/record.hpp"
#include "ref.hpp"
#include "retry_policy.hpp"
#include "store.hpp"

namespace cow {

/// How far a migration is.
struct Migration {
  std::uint64_t seen = 0;       ///< references
  std::uint64_t rewritten = 0;  ///< records
  std::uint64_t missing = 0;    ///< references that lead nowhere
};

struct MigrateOptions {
  std::size_t batch = 100;                         ///< references a transaction
  std::chrono::milliseconds pause{0};              ///< after each transaction, for others
  std::stop_token stop;                            ///< asked before each transaction
  RetryPolicy retry;                               ///< of each transaction
  std::function<void(const Migration&)> progress;  ///< called after each transaction, by the thread that migrates
};

namespace detail {

/// Whether the record that a transaction sees is not as this program would write it. Nothing: there is no such object.
template <class T>
std::optional<bool> is_outdated(Store& store, Oid oid, Tid at) {
  const std::optional<Revision> revision = store.load(oid, at);
  if (!revision || revision->erased) return std::nullopt;
  const RecordHeader header = read_record_header(revision->record, oid, revision->begin);
  return header.schema < schema_of<T>() || is_former_type_name<T>(header.type_name);
}

}  // namespace detail

/// Rewrites the old records among the objects of `references`, a range of Ref<T>. Reads each record's header past the cache, and
/// loads only what is old. Throws what reading, writing and committing throw; what was committed before stays.
template <class T, std::ranges::input_range References>
requires std::convertible_to<std::ranges::range_reference_t<References>, Ref<T>> Migration
migrate(Database& database, References&& references, const MigrateOptions& options = {}) {
  Migration total;
  std::vector<Ref<T>> batch;
  auto migrate_batch = [&] {
    Migration done;
    database.transact(
        [&](Transaction& txn) {
          done = {.seen = batch.size()};
          for (const Ref<T>& reference : batch) {
            const std::optional<bool> outdated =
                detail::is_outdated<T>(detail::store_of(database), reference.oid(), txn.snapshot());
            if (!outdated) {
              ++done.missing;
            } else if (*outdated) {
              (void)txn.write(reference);
              ++done.rewritten;
            }
          }
        },
        options.retry);
    batch.clear();
    total.seen += done.seen;
    total.rewritten += done.rewritten;
    total.missing += done.missing;
    if (options.progress) options.progress(total);
  };
  for (auto&& reference : references) {
    batch.push_back(reference);
    if (batch.size() < std::max<std::size_t>(options.batch, 1)) continue;
    if (options.stop.stop_requested()) return total;
    migrate_batch();
    if (options.pause.count() > 0) std::this_thread::sleep_for(options.pause);
  }
  if (!batch.empty() && !options.stop.stop_requested()) migrate_batch();
  return total;
}

}  // namespace cow
