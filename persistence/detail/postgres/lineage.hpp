// Whether the server still has what this process has seen: after a failover it may have lost commits, and made others in their place.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. [same-commit] `seen_.tid` was committed under `seen_.token`. A server that has another token at that tid has another history.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "connection.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

class Lineage {
 public:
  explicit Lineage(const Statements& statements) : statements_(statements) {}

  /// The last tid. Throws StoreBehindError if another commit has taken the place of one that was seen; that there are fewer than were seen is
  /// the caller's to say.
  Tid last(Connection& connection) {
    const Seen seen = copy();
    const Result found = connection.run(statements_.last, Parameters().integer(stored(seen.tid)));
    const Tid last = found.tid(0, 0);
    // No row: it is packed away, or lost, and then there are fewer.
    if (seen.tid != Tid{} && !found.is_null(0, 2) && found.bytes(0, 2) != seen.token)
      throw StoreBehindError(seen.tid, last);
    if (!found.is_null(0, 1)) note(last, found.bytes(0, 1));
    return last;
  }

  /// For a new connection, which may lead to another server than the one before. Throws StoreBehindError.
  void require_same(Connection& connection) {
    const Tid seen = copy().tid;
    if (seen == Tid{}) return;
    if (const Tid found = last(connection); found < seen) throw StoreBehindError(seen, found);
  }

  /// A transaction is known to be committed: this process has done so, or the server has said so. Throws std::bad_alloc.
  void note(Tid tid, std::string_view token) {
    const std::lock_guard lock(mutex_);
    if (tid <= seen_.tid) return;
    seen_.token = token;
    seen_.tid = tid;
  }

 private:
  struct Seen {
    Tid tid{};
    std::string token;
  };
  Seen copy() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

  const Statements& statements_;
  mutable std::mutex mutex_;
  Seen seen_;
};

}  // namespace cow::detail::postgres
