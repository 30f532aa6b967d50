// The history in the tables: pages of transactions and revisions.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. [no-silent-gap] Each transaction's row names the one before it. A page in which one is missing that the pack has left is a
//     StoreCorruptError: nobody reads past a gap.
#pragma once

#include <cstddef>
#include <vector>

#include "cow_cache/store/history.hpp"
#include "pool.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

/// `oldest`: set to the oldest tid as of the page.
std::vector<TransactionInfo> read_transactions(Pool& pool, const Statements& statements, Tid from, Tid to,
                                               HistoryOrder order, std::size_t most, Tid& oldest);
std::vector<RevisionInfo> read_revisions(Pool& pool, const Statements& statements, Oid oid, Tid newest,
                                         std::size_t most);
Tid read_tid_at(Pool& pool, const Statements& statements, CommitTime time);

}  // namespace cow::detail::postgres
