// PackableStore: a store that can forget what no snapshot needs any more.
//
// Thread safety: every function may be called from any number of threads at once, while commits and loads go on. A second pack
// waits for the first, or is refused by a StoreError.
//
// Invariants that an implementation keeps:
//  1. [packed-is-refused] What can be loaded at `oldest_tid()` and after is what could be loaded there before the pack, but for
//     collected garbage. A load below it throws SnapshotTooOldError, also where the store still has the answer: never wrong
//     data, and never "does not exist" for what was dropped.
//  2. `oldest_tid()` never decreases, and rises before anything is dropped for it. After a crash it is what it was, or where the pack
//     was going to.
//  3. Of each object a pack keeps all revisions above `oldest_tid()`, and the newest of the others unless that is a tombstone.
//     All else goes, when a pack has completed; also from the device, as far as this store decides that.
//  4. A pack that was interrupted, by its caller or by a crash, is gone on with by the next one.
#pragma once

#include "cow_cache/version.hpp"

#include <cstdint>
#include <functional>

#include "cow_cache/types.hpp"

namespace cow {

/// How far a pack is.
struct PackProgress {
  std::uint64_t revisions_seen = 0;
  std::uint64_t revisions_dropped = 0;
  std::uint64_t bytes_dropped = 0;  ///< of records
  double done = 0;                  ///< 0 to 1, as far as the store can tell
  std::uint64_t objects_followed =
      0;  ///< by the database, which looks for what is reachable before the store drops anything
  /// The database looks at what was committed meanwhile: a `progress` that rests now lets commits outrun it.
  bool catches_up = false;
};

struct PackRequest {
  /// Snapshots from here on stay readable. Above `last_tid()`: as if it were that.
  Tid before;

  /// The oldest snapshot that is in use: the pack goes no further. The store knows of none by itself, but of those that share it
  /// with other processes (SharedStore). kInfinity: there is none.
  Tid oldest_pin = kInfinity;

  /// Whether an object is garbage: no snapshot from `before` on can reach it. Of one that was not written after the pack's
  /// tid every revision goes. Called from any thread of the store's. Null: nothing is garbage.
  std::function<bool(Oid)> is_garbage;

  /// Called now and then, by the thread that packs. False: stop here; what was dropped stays dropped. May be null.
  std::function<bool(const PackProgress&)> progress;
};

struct PackResult {
  Tid oldest;             ///< `oldest_tid()` by now
  PackProgress dropped;   ///< by this call
  bool complete = false;  ///< false: `progress` has stopped it, or commits have outrun it
  /// Commits came faster than the database could look at what they have written. Old revisions were dropped, garbage was not: the next
  /// pack tries again. A store never says so.
  bool outrun = false;
};

/// What a store is besides that can be packed.
class PackableStore {
 public:
  /// The oldest snapshot that can be loaded; `Tid{0}`: all of them. Never throws.
  virtual Tid oldest_tid() noexcept = 0;

  /// Packs up to the least of `before`, `oldest_pin`, the pins of others and `last_tid()`. Throws StoreError and those derived from it,
  /// and what the functions of the request throw; what was dropped by then stays so.
  virtual PackResult pack(const PackRequest& request) = 0;

 protected:
  PackableStore() = default;
  PackableStore(const PackableStore&) = default;
  PackableStore& operator=(const PackableStore&) = default;
  ~PackableStore() = default;
};

}  // namespace cow
