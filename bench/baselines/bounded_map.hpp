// BoundedMap: a concurrent map from oids to the current revision of something, within a budget of bytes.
//
// Thread safety: all functions may be called from any thread; `put` of one oid by one thread at a time.
//
// Invariants:
//  1. An entry holds what was current when it was last put or made. `make` runs under the lock of its entry and `put`
//     takes the same lock: a value made from an old record is replaced by the `put` that superseded it, never the
//     reverse.
//  2. One caller makes a value, others who want it wait for that entry only.
//  3. Replacement is CLOCK (Corbató, 1968), as second-chance queues in shards. An entry stands in one queue at least
//     from the end of the call that inserted it, and a queue never holds a lock while an entry's lock is waited for.
#pragma once

#include <tbb/concurrent_hash_map.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "cow_cache/types.hpp"

namespace cow::bench {

/// `weigh` says how many bytes a value counts for.
template <class Value, std::size_t (*weigh)(const Value&) noexcept>
class BoundedMap {
 public:
  explicit BoundedMap(std::size_t budget) : budget_(budget) {}

  /// A copy of the oid's value, made by `make() -> std::optional<Value>` if it is not here. Throws what `make` throws.
  template <class Make>
  std::optional<Value> get(Oid oid, Make&& make) {
    if (typename Map::const_accessor found; map_.find(found, oid)) return visit(found->second);
    std::optional<Value> made;
    {
      typename Map::accessor entry;
      if (!map_.insert(entry, oid)) return visit(entry->second);
      try {
        made = make();
        if (made) fill(*entry, *made);
      } catch (...) {
        map_.erase(entry);
        throw;
      }
      if (!made) {
        map_.erase(entry);
        return std::nullopt;
      }
    }
    enqueue(oid);
    make_room();
    return made;
  }

  /// The value that `make()` returns becomes the oid's current one. Where memory runs out the entry goes instead.
  template <class Make>
  void put(Oid oid, Make&& make) noexcept {
    try {
      bool inserted;
      {
        typename Map::accessor entry;
        inserted = map_.insert(entry, oid);
        fill(*entry, make());
      }
      if (inserted) enqueue(oid);
    } catch (...) {
      if (typename Map::accessor entry; map_.find(entry, oid)) erase(entry);
    }
    make_room();
  }

  /// What the oid has, if it has anything, becomes what `change(const Value&) -> std::optional<Value>` makes of it; nothing: the entry goes, as
  /// it does where memory runs out. Waits for whoever makes the value.
  template <class Change>
  void change(Oid oid, Change&& change) noexcept {
    typename Map::accessor entry;
    if (!map_.find(entry, oid)) return;
    try {
      if (std::optional<Value> changed = change(std::as_const(entry->second.value))) {
        fill(*entry, std::move(*changed));
      } else {
        erase(entry);
      }
    } catch (...) {
      erase(entry);
    }
  }

  /// REQUIRES: nobody uses the map at the same time.
  void clear() {
    map_.clear();
    for (Shard& shard : shards_) shard.queue.clear();
    bytes_ = 0;
  }

  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  std::size_t table_bytes() const noexcept {
    return map_.size() * (sizeof(typename Map::value_type) + kNodeBytes) + map_.bucket_count() * kBucketBytes;
  }
  std::uint64_t evictions() const noexcept { return evictions_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    Value value{};
    std::size_t charge = 0;
    mutable std::atomic<bool> visited{false};
  };
  struct Hash {
    std::size_t operator()(Oid oid) const noexcept { return std::hash<Oid>{}(oid) >> 16; }
    std::size_t hash(Oid oid) const noexcept { return (*this)(oid); }
    bool equal(Oid a, Oid b) const noexcept { return a == b; }
  };
  // The program's allocator, so that memory is measured alike everywhere (and sanitizers see it come and go).
  using Map = tbb::concurrent_hash_map<Oid, Entry, Hash, std::allocator<std::pair<const Oid, Entry>>>;

  struct alignas(64) Shard {
    std::mutex mutex;
    std::deque<Oid> queue;
  };
  static constexpr std::size_t kShards = 64;
  static constexpr std::size_t kNodeBytes = 32 + sizeof(Oid), kBucketBytes = 16;  // links, locks and places in queues

  static Value visit(const Entry& entry) {
    // Relaxed, and tested first: a guess for the replacement, which should not write a shared line at every hit.
    if (!entry.visited.load(std::memory_order_relaxed)) entry.visited.store(true, std::memory_order_relaxed);
    return entry.value;
  }

  /// Under the entry's lock.
  void fill(typename Map::value_type& entry, Value value) {
    std::size_t charge = weigh(value);
    entry.second.value = std::move(value);
    bytes_.fetch_add(charge - entry.second.charge, std::memory_order_relaxed);  // modulo 2^64
    entry.second.charge = charge;
  }

  void erase(typename Map::accessor& entry) {
    bytes_.fetch_sub(entry->second.charge, std::memory_order_relaxed);
    map_.erase(entry);
  }

  void enqueue(Oid oid) {
    Shard& shard = shards_[Hash{}(oid) % kShards];
    std::scoped_lock lock(shard.mutex);
    shard.queue.push_back(oid);
  }

  std::optional<Oid> dequeue(Shard& shard) {
    std::scoped_lock lock(shard.mutex);
    if (shard.queue.empty()) return std::nullopt;
    Oid oid = shard.queue.front();
    shard.queue.pop_front();
    return oid;
  }

  /// Each thread that made something frees what is too much; all may be at it, in different shards.
  void make_room() {
    for (std::size_t empty = 0; bytes() > budget_ && empty < kShards;) {
      std::optional<Oid> oid = dequeue(shards_[hand_.fetch_add(1, std::memory_order_relaxed) % kShards]);
      if (!oid) {
        ++empty;
        continue;
      }
      empty = 0;
      typename Map::accessor entry;
      if (!map_.find(entry, *oid)) continue;
      if (entry->second.visited.exchange(false, std::memory_order_relaxed)) {
        entry.release();
        enqueue(*oid);
        continue;
      }
      erase(entry);
      evictions_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  const std::size_t budget_;
  Map map_;
  std::array<Shard, kShards> shards_;
  alignas(64) std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> hand_{0};
  std::atomic<std::uint64_t> evictions_{0};
};

}  // namespace cow::bench
