// Databases in memory with one session, one class per system so that each measurement is written once.
#pragma once

#include <cstddef>

#include "bench/caches/private_cache.hpp"
#include "bench/caches/raw_database.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

/// Everything fits: hits are hits.
inline constexpr CacheOptions kAmple{.cache_bytes = std::size_t{4} << 30};

template <class Cache>
struct InMemory {
  using Database = BasicDatabase<Cache>;
  MemoryStore store;
  Database database{store, kAmple};
  typename Database::Session session = database.open_session();
};

struct RawInMemory {
  using Database = RawDatabase;
  RawDatabase database;
  RawDatabase::Session session = database.open_session();
};

}  // namespace cow::bench
