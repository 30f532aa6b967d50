// BatchStore: a store that loads many objects at a lower price than one by one.
//
// Thread safety: every function may be called from any number of threads at once, while commits go on.
#pragma once

#include "cow_cache/version.hpp"

#include <optional>
#include <span>
#include <vector>

#include "cow_cache/store.hpp"
#include "cow_cache/types.hpp"

namespace cow {

/// What a store is besides that loads in batches.
class BatchStore {
 public:
  /// For each oid what `Store::load(oid, at)` answers, in their order; an oid may occur twice. Throws what `load` throws, and
  /// then there is no answer to any of them: one that wants the others asks for them one by one. The answers need not be of
  /// one moment: with `at` above `last_tid()` each is as of some time during the call.
  virtual std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) = 0;

 protected:
  BatchStore() = default;
  BatchStore(const BatchStore&) = default;
  BatchStore& operator=(const BatchStore&) = default;
  ~BatchStore() = default;
};

}  // namespace cow
