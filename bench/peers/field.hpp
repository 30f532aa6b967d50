// All that follow the chain, by name; each is made with the same objects, in the order of their keys.
//
// Thread safety: one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "chain.hpp"
#include "contender.hpp"
#include "cow_cache_peer.hpp"
#include "lmdb_peer.hpp"
#include "locked_map_peer.hpp"
#include "rocksdb_peer.hpp"
#include "tbb_map_peer.hpp"
#include "wiredtiger_peer.hpp"

namespace cow::bench::peers {

/// The first is the one that the others are compared with.
inline const std::vector<std::string> kNames = {"shared",  "shared/by-oid", "lmdb", "wiredtiger",
                                                "rocksdb", "map",           "tbb"};

using Field = std::vector<std::unique_ptr<Contender>>;

/// This cache, twice: both ways read the same states.
inline void add_cow_cache(Field& field, const Chain& chain) {
  auto peer = std::make_shared<CowCachePeer>(chain);
  field.push_back(contender_of(kNames[0], chain, peer));
  field.push_back(contender(kNames[1], chain, [peer](std::size_t object) { return peer->open_reader_by_oid(object); }));
}

/// In the order of kNames. `folder` is a directory for those that keep files. Throws PeerError, or WrongAnswerError if one of them
/// does not hold what the chain says; so all are warm.
inline Field all_contenders(const Chain& chain, const std::filesystem::path& folder) {
  auto fresh = [&](const std::string& name) {
    std::filesystem::create_directories(folder / name);
    return folder / name;
  };
  Field field;
  add_cow_cache(field, chain);
  field.push_back(contender_of("lmdb", chain, std::make_shared<LmdbPeer>(chain, fresh("lmdb"))));
  field.push_back(contender_of("wiredtiger", chain, std::make_shared<WiredTigerPeer>(chain, fresh("wiredtiger"))));
  field.push_back(contender_of("rocksdb", chain, std::make_shared<RocksDbPeer>(chain, fresh("rocksdb"))));
  field.push_back(contender_of("map", chain, std::make_shared<LockedMapPeer>(chain)));
  field.push_back(contender_of("tbb", chain, std::make_shared<TbbMapPeer>(chain)));
  for (const auto& one : field) one->verify();
  return field;
}

}  // namespace cow::bench::peers
