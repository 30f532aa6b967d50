// Baseline: what the caches to compare with have in common.
//
// Thread safety: of the cache that it is a base of.
#pragma once

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

static_assert(ObjectDatabase<Database>);  // the one that they are compared with

}  // namespace cow::bench
