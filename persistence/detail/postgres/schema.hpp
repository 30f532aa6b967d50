// The tables of a store, and what its settings say.
//
//  - tidgen: one row: the last tid, the oldest tid that snapshots may have (as `settings` says), the time of the last commit
//  - txn: a row per transaction: tid, the one before (prev), time, token, oids, note; tid < 0: a burnt token, prev: its snapshot
//  - cur: a row per object: its newest revision
//  - obj: a row per revision; state NULL: erased
//  - settings: schema_version, oid_limit (the last one given out), oldest_tid
//  - lease: a row per process that holds snapshots: the oldest, until when, and for how long it asks
//
// Thread safety: pure functions.
#pragma once

#include "connection.hpp"
#include "pool.hpp"

namespace cow::detail::postgres {

inline constexpr std::int64_t kSchemaVersion = 1;

/// Sees to it that the tables are there. Throws StoreMissingError, StoreFormatError, and what connections throw.
void open_schema(Pool& pool);

}  // namespace cow::detail::postgres
