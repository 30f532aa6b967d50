// What the tests of workloads share: a database of each kind, opened.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "bench/baselines/raw_database.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

/// A database and what it needs, the way `zodbshootout` wants it.
template <class D>
struct Opened {
  MemoryStore store;
  std::unique_ptr<D> open = std::make_unique<D>(store);

  D& database() { return *open; }
  D& reopen(bool) {
    open.reset();
    open = std::make_unique<D>(store);
    return *open;
  }
};
template <>
struct Opened<RawDatabase> {
  RawDatabase open;

  RawDatabase& database() { return open; }
  RawDatabase& reopen(bool) { return open; }
};

using Databases = testing::Types<RawDatabase, Database>;

}  // namespace cow::bench
