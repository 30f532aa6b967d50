// What this process holds on the server: a row that says which snapshots it uses, and until when.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. [lease-or-pack] A lease is written while the row of the oldest tid is locked against a pack, and a pack looks at leases after it has
//     locked that row, in a later statement. So a lease is refused, or seen by the pack.
//  2. Times are the server's. Where its clock jumps ahead, leases end early: who holds one is refused by a SnapshotTooOldError at worst. Where it
//     jumps back, the next pack shortens them to what they were given for.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>

#include "cow_cache/errors.hpp"
#include "pool.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

class Leases {
 public:
  Leases(Pool& pool, const Statements& statements) : pool_(pool), statements_(statements) {}
  ~Leases() {
    if (!held_) return;
    try {
      pool_.take()->run(statements_.release, Parameters().integer(id_));
    } catch (...) {  // it ends by itself
    }
  }
  Leases(const Leases&) = delete;
  Leases& operator=(const Leases&) = delete;

  void hold(Tid oldest) {
    const std::int64_t lasts = std::chrono::microseconds(pool_.options().lease_time).count();
    held_ = true;
    const Parameters parameters = std::move(Parameters().integer(id_).integer(stored(oldest)).integer(lasts));
    const std::vector<Result> answers = pool_.repeat([&](Connection& connection) {
      return connection.run({{statements_.begin, kNone}, {statements_.hold, parameters}, {statements_.commit, kNone}});
    });
    if (answers[1].rows() == 1) return;
    throw SnapshotTooOldError(Oid{}, oldest, pool_.ask(statements_.oldest).tid(0, 0));
  }

 private:
  static std::int64_t draw() {
    std::random_device random;
    return static_cast<std::int64_t>((std::uint64_t{random()} << 31) ^ random());
  }

  Pool& pool_;
  const Statements& statements_;
  const std::int64_t id_ = draw();
  std::atomic<bool> held_{false};
};

}  // namespace cow::detail::postgres
