// How a workload runs a transaction: until it has committed, however many attempts that takes.
//
// Thread safety: a session belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <limits>

#include "cow_cache/retry_policy.hpp"

namespace cow::bench {

/// `transact` gives up after some conflicts; a benchmark must not.
inline constexpr RetryPolicy kNeverGiveUp{.most_attempts = std::numeric_limits<int>::max()};

/// Runs `body(Transaction&)` as one transaction of `session` until it has committed. `attempts` grows by the number of
/// executions. Returns what the body returns.
/// REQUIRES: the body can be executed again; it draws its random numbers before, so that a retry does the same work.
template <class Session, class Body>
auto until_committed(Session& session, std::uint64_t& attempts, Body body) {
  return session.transact(
      [&](auto& txn) {
        ++attempts;
        return body(txn);
      },
      kNeverGiveUp);
}

}  // namespace cow::bench
