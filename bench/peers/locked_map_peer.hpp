// What a program has without a store: std::unordered_map of std::shared_ptr behind a std::shared_mutex. Each lookup holds the mutex
// and copies the pointer, so the object outlives the lock. It has no snapshots: a transaction sees what others write meanwhile.
//
// Thread safety: any number of readers, of one thread each; writes beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "chain.hpp"
#include "peer_error.hpp"

namespace cow::bench::peers {

class LockedMapPeer {
 public:
  static constexpr bool kHasSnapshots = false;

  explicit LockedMapPeer(const Chain& chain) {
    objects_.reserve(chain.objects());
    for (std::size_t i = 0; i < chain.objects(); ++i) {
      objects_.emplace(Chain::key(i), std::make_shared<const Record>(chain.record(i)));
    }
  }

  void set_number(std::size_t object, std::uint64_t number) {
    Record changed = *find(Chain::key(object));
    changed.number = number;
    auto replacement = std::make_shared<const Record>(changed);
    std::unique_lock lock(mutex_);
    objects_[Chain::key(object)] = std::move(replacement);
  }

  class Reader {
   public:
    template <class Body>
    void transaction(Body&& body) {
      std::shared_ptr<const Record> held;  // one object at a time
      Key at = at_;
      body([&]() -> Seen {
        held = map_->find(at);
        return visit(held.get(), at);
      });
      at_ = at;
    }

   private:
    friend LockedMapPeer;
    Reader(LockedMapPeer& map, Key at) : map_(&map), at_(at) {}

    LockedMapPeer* map_;
    Key at_;
  };

  Reader open_reader(std::size_t object) { return {*this, Chain::key(object)}; }

 private:
  std::shared_ptr<const Record> find(Key key) {
    std::shared_lock lock(mutex_);
    auto found = objects_.find(key);
    if (found == objects_.end()) throw_absent("map", key);
    return found->second;
  }

  std::shared_mutex mutex_;  ///< guards objects_
  std::unordered_map<Key, std::shared_ptr<const Record>> objects_;
};

}  // namespace cow::bench::peers
