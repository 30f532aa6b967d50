// ReplacementPolicy: which object leaves the cache next.
//
// Thread safety: none of its own; the cache calls a policy under one mutex, on misses and evictions only. A hit never
// comes here: it sets the visited bit of the state that it reads, and the policy asks for that bit later.
//
// Invariants:
//  1. A policy queues oids, one entry for each `admit` until `victim` returns it, finds it gone, or `clear` drops it. An
//     object that is updated keeps its entry and its place.
//  2. A call of `victim` gives at most `kMaxSecondChances`, then takes what comes next, read or not. So one miss does a
//     bounded amount of work however many objects were read, and threads that set marks as fast as they are cleared
//     cannot keep the evictor going. (RocksDB #12141 is a cache that went in circles; its cure was such a cap.)
//  3. Ghosts, the oids of objects that left, are fewer than the objects that stay.
//  4. Only `admit` fails for want of memory. Where `victim` has none to keep an object in a queue, that object leaves; where
//     it has none for a ghost, the ghost is forgotten.
#pragma once

#include <cstddef>
#include <functional>
#include <new>
#include <optional>

#include "cow_cache/types.hpp"

namespace cow::detail {

/// What has become of an object since the policy last asked.
enum class Residency {
  gone,    ///< not resident any more: its entry is dropped
  unread,  ///< resident, and no transaction has begun to read it
  read,    ///< resident and read; asking has cleared the mark
};

class ReplacementPolicy {
 public:
  using Ask = std::function<Residency(Oid)>;

  /// Entries that one call of `victim` passes over although it could evict them. At a hit rate of 97% a miss has to pass
  /// over some thirty; with fewer than 64 the miss ratio of traces begins to suffer.
  static constexpr int kMaxSecondChances = 256;

  virtual ~ReplacementPolicy() = default;

  /// An object has become resident. REQUIRES: it has no entry. Throws std::bad_alloc, and has changed nothing then.
  virtual void admit(Oid oid) = 0;

  /// Takes the entry of the object to evict next; nothing if no entry is of a resident object. Throws what `ask` throws;
  /// entries are not lost but for the one that was being asked about.
  virtual std::optional<Oid> victim(const Ask& ask) = 0;

  /// Forgets all entries and ghosts.
  virtual void clear() noexcept = 0;

  /// Bytes of queues and ghosts.
  virtual std::size_t bytes() const noexcept = 0;

 protected:
  /// Appends an entry. False: there is no memory for it (invariant 4).
  template <class Queue>
  static bool append(Queue& queue, const typename Queue::value_type& entry) noexcept {
    try {
      queue.push_back(entry);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
};

}  // namespace cow::detail
