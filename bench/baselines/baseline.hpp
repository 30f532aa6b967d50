// Baseline and BaselineReader: what the caches to compare with have in common, and what their readers have.
//
// Thread safety: of the class that they are a base of.
#pragma once

#include <cstdio>
#include <exception>

#include "cow_cache/database.hpp"
#include "cow_cache/detail/cache/object_cache.hpp"
#include "cow_cache/detail/commit/write_set.hpp"
#include "session.hpp"

namespace cow::bench {

class Baseline {
 public:
  using Pointers = cow::detail::SharedCache::Pointers;
  static constexpr bool kReadsWithoutWaiting = false;
  static constexpr bool kCanBeSerializable = false;

  /// Nothing to check: a baseline is not used across shared libraries.
  void require_one_memory() const noexcept {}
  /// Publishing needs nothing beforehand.
  void prepare(cow::detail::WriteSet&) noexcept {}
  /// Nothing is left that others could still read.
  void after_commit(cow::detail::WriteSet& writes) noexcept { writes.clear(); }
};

/// User code that a transaction calls is not provided for, but for codecs that encode its changes: these may read. One that ends the
/// transaction ends the program.
class BaselineReader {
 public:
  struct Committing {
    explicit Committing(const BaselineReader& /*reader*/) noexcept {}
    static bool leave() noexcept { return true; }
  };
  static bool is_busy(const cow::detail::WriteSet& writes) noexcept { return writes.frozen(); }
  [[noreturn]] static void refuse_commit(const cow::detail::WriteSet& writes) { writes.refuse(); }

  /// Nothing that others free waits for it.
  void will_sleep() noexcept {}

 protected:
  static void require_not_busy(const cow::detail::WriteSet& writes) noexcept {
    if (!is_busy(writes)) return;
    std::fputs("cow: a transaction was aborted or destroyed by a codec that encodes its changes\n", stderr);
    std::terminate();
  }
};

static_assert(ObjectDatabase<Database>);  // the one that they are compared with

}  // namespace cow::bench
