// The systems that experiments compare: which database class a name means, and how to open one.
//
// To add a cache: one line in `with_system`, and its name in `kSystemNames`. To add a store: one in `open_store`, and its name in
// experiment.cpp. The program `workload-profile` is compiled from the same files for one system only, which counts in place of being
// timed (counted_cache.hpp).
//
// Thread safety: plain functions.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "bench/baselines/raw_database.hpp"
#ifdef COW_BENCH_COUNTED
#include "counted_cache.hpp"
#else
#include "bench/baselines/blocking_cache.hpp"
#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/baselines/two_level.hpp"
#endif
#include "bench/extensions/log_store.hpp"
#include "bench/support/usage_error.hpp"
#include "cow_cache/cow_cache.hpp"
#include "options.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"

namespace cow::bench {

#ifdef COW_BENCH_COUNTED
inline const std::set<std::string> kSystemNames{"counted"};
#else
inline const std::set<std::string> kSystemNames{"shared", "private", "two-level", "locked", "blocking", "raw"};
#endif

/// Calls `use(std::type_identity<Database>)` with the database class that `name` means. Throws UsageError.
template <class Use>
auto with_system(std::string_view name, Use&& use) {
#ifdef COW_BENCH_COUNTED
  if (name == "counted") return use(std::type_identity<CountedDatabase>{});
#else
  if (name == "raw") return use(std::type_identity<RawDatabase>{});
  if (name == "shared") return use(std::type_identity<BasicDatabase<cow::detail::SharedCache>>{});
  if (name == "private") return use(std::type_identity<BasicDatabase<PrivateCache>>{});
  if (name == "two-level") return use(std::type_identity<TwoLevelDatabase>{});
  if (name == "locked") return use(std::type_identity<BasicDatabase<LockedCache>>{});
  if (name == "blocking") return use(std::type_identity<BasicDatabase<BlockingCache>>{});
#endif
  throw UsageError("no cache '" + std::string(name) + "' in this build");
}

/// Opens the store that `options` name. Throws UsageError or what the store throws.
inline std::unique_ptr<Store> open_store(const ExperimentOptions& options) {
  if (options.store == "memory") return std::make_unique<MemoryStore>();
  if (options.store == "rocksdb") {
    RocksDbOptions rocksdb;
    rocksdb.durable = !options.unsynced;
    rocksdb.create_if_missing = true;
    rocksdb.block_cache_bytes = options.block_cache_bytes;
    return std::make_unique<RocksDbStore>(options.path, rocksdb);
  }
  if (options.store == "log") return std::make_unique<LogStore>(options.path);
  throw UsageError("no store '" + options.store + "' in this build");
}

/// A database and, below it, its store.
template <ObjectDatabase Database>
class System {
 public:
  explicit System(const ExperimentOptions& options) : options_(options) {
    if constexpr (kHasStore) store_ = open_store(options);
    database_ = open_database();
  }

  Database& database() { return *database_; }

  /// Whether everything is gone when the database or the store is closed.
  bool forgets() const { return !kHasStore || options_.store == "memory"; }

  /// Closes the database and opens it again, with nothing in its cache; the store too if asked for.
  /// REQUIRES: no session is open.
  Database& reopen(bool reopen_store) {
    database_.reset();
    if (reopen_store) {
      store_.reset();
      store_ = open_store(options_);
    }
    database_ = open_database();
    return *database_;
  }

 private:
  static constexpr bool kHasStore = !std::is_same_v<Database, RawDatabase>;

  std::unique_ptr<Database> open_database() {
    if constexpr (kHasStore) {
      CacheOptions cache;
      cache.cache_bytes = options_.cache_bytes;
      if (!options_.serializable) return std::make_unique<Database>(*store_, cache);
      if constexpr (Database::Transaction::kCanBeSerializable) {
        return std::make_unique<Database>(*store_, cache, Isolation::serializable);
      } else {
        throw UsageError("cache '" + options_.cache + "' has no serializable transactions");
      }
    } else {
      return std::make_unique<Database>();
    }
  }

  const ExperimentOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Database> database_;
};

}  // namespace cow::bench
