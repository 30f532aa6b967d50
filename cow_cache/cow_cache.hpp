// cow_cache: a copy-on-write shared object cache for object databases. Include this.
//
//   cow::MemoryStore store;                       // or RocksDbStore, or your own (store.hpp)
//   cow::Database db(store, {.cache_bytes = 1u << 30});
//   auto alice = db.transact([](cow::Transaction& txn) { return txn.root().emplace("alice", Account{"Alice", 100}); });
//
// Where things are, in detail/: a read happens in cache/reader.hpp, a miss in cache/loader.hpp, a commit in
// commit/committer.hpp and cache/version_chains.hpp (publish), the freeing of memory in reclaim/hybrid_reclaimer.hpp.
#pragma once

#include "version.hpp"

#include "codec.hpp"
#include "database.hpp"
#include "heap_bytes.hpp"
#include "objects.hpp"
