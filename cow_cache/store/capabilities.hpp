// StoreCapabilities: what a store is besides being one, found out once, when a database opens it.
//
// Thread safety: a plain value; what it points at says for itself.
#pragma once

#include "cow_cache/version.hpp"

#include <string_view>

#include "batch.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "history.hpp"
#include "pack.hpp"
#include "shared.hpp"

namespace cow {

/// A store's capabilities; null: it lacks that one. (Where the store's class is known, std::derived_from says the same at compile
/// time.) A store that passes calls on to another has those that itself derives from.
struct StoreCapabilities {
  StoreCapabilities() = default;
  explicit StoreCapabilities(Store& store)
      : history(dynamic_cast<HistoryStore*>(&store)),
        packable(dynamic_cast<PackableStore*>(&store)),
        batch(dynamic_cast<BatchStore*>(&store)),
        shared(dynamic_cast<SharedStore*>(&store)) {}

  /// Throws MissingCapabilityError, which names the operation.
  HistoryStore& require_history(std::string_view operation) const {
    if (history == nullptr) throw MissingCapabilityError("HistoryStore", operation);
    return *history;
  }
  PackableStore& require_packable(std::string_view operation) const {
    if (packable == nullptr) throw MissingCapabilityError("PackableStore", operation);
    return *packable;
  }

  /// Whether other processes commit to it.
  bool has_peers() const noexcept { return shared != nullptr && shared->has_peers(); }

  /// The oldest snapshot that can be loaded.
  Tid oldest_tid() const noexcept { return packable == nullptr ? Tid{} : packable->oldest_tid(); }

  HistoryStore* history = nullptr;
  PackableStore* packable = nullptr;
  BatchStore* batch = nullptr;
  SharedStore* shared = nullptr;
};

}  // namespace cow
