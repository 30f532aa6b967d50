// A store as a whole: its figures, all of its revisions page by page, and whether its tables agree.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "persistence/postgres_store.hpp"
#include "pool.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

PostgresSummary read_summary(Pool& pool, const Statements& statements, const std::string& schema);
std::vector<ScannedRevision> scan_revisions(Pool& pool, const Statements& statements, Oid first, Tid below, Oid last,
                                            Tid newest, std::size_t most);
/// Throws StoreCorruptError.
std::uint64_t verify_tables(Pool& pool, const Statements& statements);

}  // namespace cow::detail::postgres
