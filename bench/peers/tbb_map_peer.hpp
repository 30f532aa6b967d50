// tbb::concurrent_hash_map: a lookup locks the element alone, by a const_accessor, and the record is read where it lies. It has no
// snapshots: a transaction sees what others write meanwhile. (https://oneapi-spec.uxlfoundation.org, concurrent_hash_map)
//
// Thread safety: any number of readers, of one thread each; writes beside them, which wait for the object that a reader is at.
#pragma once

#include <tbb/concurrent_hash_map.h>

#include <cstddef>
#include <cstdint>

#include "chain.hpp"
#include "peer_error.hpp"

namespace cow::bench::peers {

class TbbMapPeer {
 public:
  static constexpr bool kHasSnapshots = false;

  explicit TbbMapPeer(const Chain& chain) : objects_(chain.objects()) {
    for (std::size_t i = 0; i < chain.objects(); ++i) objects_.emplace(Chain::key(i), chain.record(i));
  }

  void set_number(std::size_t object, std::uint64_t number) {
    Map::accessor found;
    if (!objects_.find(found, Chain::key(object))) throw_absent("tbb", Chain::key(object));
    found->second.number = number;
  }

 private:
  using Map = tbb::concurrent_hash_map<Key, Record>;

 public:
  class Reader {
   public:
    template <class Body>
    void transaction(Body&& body) {
      Map::const_accessor at_hand;  // holds one object at a time
      Key at = at_;
      body([&]() -> Seen {
        if (!map_->find(at_hand, at)) throw_absent("tbb", at);
        return visit(&at_hand->second, at);
      });
      at_ = at;
    }

   private:
    friend TbbMapPeer;
    Reader(const Map& map, Key at) : map_(&map), at_(at) {}

    const Map* map_;
    Key at_;
  };

  Reader open_reader(std::size_t object) { return {objects_, Chain::key(object)}; }

 private:
  Map objects_;
};

}  // namespace cow::bench::peers
