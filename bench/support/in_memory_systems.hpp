// Databases in memory with one session, one class per system so that each measurement is written once.
#pragma once

#include <cstddef>

#include "bench/baselines/private_cache.hpp"
#include "bench/baselines/raw_database.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

/// Everything fits: hits are hits.
inline constexpr CacheOptions kAmple{.cache_bytes = std::size_t{4} << 30};

template <class Cache>
struct InMemory {
  using Database = BasicDatabase<Cache>;

  InMemory() : InMemory([](Database&) {}) {}
  /// With what `fill(database)` creates, and empty caches: every cache under test then holds its objects in the order in
  /// which they are first read, rather than one of them in the order of their creation.
  template <class Fill>
  explicit InMemory(Fill&& fill) : database((fill_store(fill), store), kAmple) {}

  MemoryStore store;
  Database database;
  Session<Database> session = open_session(database);

 private:
  void fill_store(auto& fill) {
    Database other(store, kAmple);
    fill(other);
  }
};

struct RawInMemory {
  using Database = RawDatabase;

  RawInMemory() = default;
  template <class Fill>
  explicit RawInMemory(Fill&& fill) {
    fill(database);
  }

  RawDatabase database;
  Session<RawDatabase> session = open_session(database);
};

}  // namespace cow::bench
