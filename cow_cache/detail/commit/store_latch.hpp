// The latch of a store: one database at a time has it, for as long as it lives.
//
// Thread safety: all functions may be called from any thread.
//
// A database commits at tids that it counts itself, and its cache knows only of its own commits. Two of them on one store
// would give the same tids to different transactions and overwrite each other's objects without a conflict.
#pragma once

#include <string>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"

namespace cow::detail {

class StoreLatch {
 public:
  /// Throws StoreLockedError if another database has the store.
  explicit StoreLatch(Store& store) : store_(store) {
    // Acquire: pairs with the release of the database that had it before.
    if (store_.has_database_.exchange(true, std::memory_order_acquire)) {
      throw StoreLockedError("the store has a database already, in this process; it is at tid " +
                             std::to_string(store_.last_tid().value));
    }
  }
  ~StoreLatch() { store_.has_database_.store(false, std::memory_order_release); }
  StoreLatch(const StoreLatch&) = delete;
  StoreLatch& operator=(const StoreLatch&) = delete;

 private:
  Store& store_;
};

}  // namespace cow::detail
