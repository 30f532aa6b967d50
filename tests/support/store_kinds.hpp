// The stores that the conformance suite is run with: all of them, or those that have a capability.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/extensions/log_store.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/capabilities.hpp"
#include "persistence/memory_peer.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"
#ifdef COW_HAS_POSTGRES
#include "persistence/postgres_store.hpp"
#include "tests/support/postgres_pooler.hpp"
#include "tests/support/postgres_server.hpp"
#endif

namespace cow::testing {

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<Store>(const std::filesystem::path&)> make;
  bool has_history, is_packable, has_batches, is_shared;
  Tid greatest_tid{kInfinity.value - 1};  // that it can keep
};

/// A peer that has the store to itself.
struct StoreOfOnePeer {
  MemoryStore memory;
};
class LonelyPeer : private StoreOfOnePeer, public MemoryPeer {
 public:
  LonelyPeer() : MemoryPeer(memory) {}
};

template <class Of, class Make>
StoreKind kind_of(std::string name, Make make) {
  return {std::move(name),
          std::move(make),
          std::derived_from<Of, HistoryStore>,
          std::derived_from<Of, PackableStore>,
          std::derived_from<Of, BatchStore>,
          std::derived_from<Of, SharedStore>};
}

#ifdef COW_HAS_POSTGRES
inline PostgresOptions in_fresh_schema(PostgresOptions options = {}) {
  if (options.connection.empty()) options.connection = PostgresServer::shared().connection();
  options.schema = PostgresServer::fresh_schema();
  options.create_if_missing = true;
  return options;
}

/// None, where there is no server to be started.
inline std::vector<StoreKind> postgres_stores() {
  if (!has_postgres()) return {};
  const auto kind = [](const char* name, const PostgresOptions& options) {
    StoreKind made = kind_of<PostgresStore>(name, [options](const auto&) {
      PostgresOptions wanted = options;
      if (options.pooler == PostgresPooler::transaction && has_pooler())
        wanted.connection = Pooler::shared().connection();
      return std::make_unique<PostgresStore>(in_fresh_schema(wanted));
    });
    made.greatest_tid = Tid{(std::uint64_t{1} << 63) - 1};
    return made;
  };
  PostgresOptions serializable, pooled;
  serializable.isolation = PostgresIsolation::serializable;
  pooled.pooler = PostgresPooler::transaction;
  pooled.notify = false;
  return {kind("PostgresReadCommitted", {}), kind("PostgresSerializable", serializable),
          kind(has_pooler() ? "PostgresThroughPooler" : "PostgresUnprepared", pooled)};
}
#else
inline std::vector<StoreKind> postgres_stores() { return {}; }
#endif

inline std::vector<StoreKind> all_stores() {
  const auto rocks = [](const char* name, const RocksDbOptions& options) {
    return kind_of<RocksDbStore>(
        name, [options](const auto& path) { return std::make_unique<RocksDbStore>(path, creating(options)); });
  };
  RocksDbOptions not_durable;
  not_durable.durable = false;
  RocksDbOptions tiny = not_durable;  // buffers so small that flushes and compactions go on all the time
  tiny.write_buffer_bytes = 64 << 10;
  tiny.max_log_bytes = 64 << 10;
  tiny.oid_block = 64;
  std::vector<StoreKind> kinds{
      kind_of<MemoryStore>("Memory", [](const auto&) { return std::make_unique<MemoryStore>(); }),
      kind_of<MemoryPeer>("MemoryPeer", [](const auto&) { return std::make_unique<LonelyPeer>(); }),
      kind_of<bench::LogStore>("Log", [](const auto& path) { return std::make_unique<bench::LogStore>(path); }),
      rocks("RocksDbDurable", {}),
      rocks("RocksDbNotDurable", not_durable),
      rocks("RocksDbTinyBuffers", tiny)};
  std::ranges::move(postgres_stores(), std::back_inserter(kinds));
  return kinds;
}

/// Those that have a capability, by the member that says so.
inline std::vector<StoreKind> stores_with(bool StoreKind::*capability) {
  std::vector<StoreKind> kinds = all_stores();
  std::erase_if(kinds, [&](const StoreKind& kind) { return !(kind.*capability); });
  return kinds;
}

/// Of these, those that one database has to itself.
inline std::vector<StoreKind> stores_without_peers(bool StoreKind::*capability) {
  std::vector<StoreKind> kinds = stores_with(capability);
  std::erase_if(kinds, [&](const StoreKind& kind) { return kind.is_shared && kind.name != "Memory"; });
  return kinds;
}

inline std::string name_of_store(const ::testing::TestParamInfo<StoreKind>& info) { return info.param.name; }

/// A fresh store of the kind that the test is run with.
class StoreOfKind : public ::testing::TestWithParam<StoreKind> {
 protected:
  Store& store() { return *store_; }
  const StoreCapabilities& capabilities() const { return capabilities_; }

 private:
  ScratchDirectory directory_;
  std::unique_ptr<Store> store_ = GetParam().make(directory_.store());
  StoreCapabilities capabilities_{*store_};
};

}  // namespace cow::testing
