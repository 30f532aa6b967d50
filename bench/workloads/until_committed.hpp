// How a workload runs a transaction: until it has committed, however many attempts that takes.
//
// Thread safety: a session belongs to one thread at a time.
#pragma once

#include <cstdint>

#include "cow_cache/errors.hpp"

namespace cow::bench {

/// Runs `body(Transaction&)` as one transaction of `session` until it has committed: `Session::transact` gives up after
/// some conflicts, a benchmark must not. `attempts` grows by the number of executions. Returns what the body returns.
/// REQUIRES: the body can be executed again; it draws its random numbers before, so that a retry does the same work.
template <class Session, class Body>
auto until_committed(Session& session, std::uint64_t& attempts, Body body) {
  while (true) {
    try {
      return session.transact([&](auto& txn) {
        ++attempts;
        return body(txn);
      });
    } catch (const ConflictError&) {
    }
  }
}

}  // namespace cow::bench
