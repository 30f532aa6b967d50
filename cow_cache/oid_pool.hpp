// Fresh oids, taken from the store in blocks so that creating an object costs no round trip.
//
// Thread safety: `next` may be called from any thread.
#pragma once

#include <cstdint>
#include <mutex>

#include "errors.hpp"
#include "store.hpp"

namespace cow {

class OidPool {
 public:
  explicit OidPool(Store& store) : store_(store) {}

  /// An oid that was never returned before. Throws what the store throws, and OidRangeError when all are used up.
  Oid next() {
    std::scoped_lock lock(mutex_);
    if (block_.count == 0) block_ = store_.allocate_oids(kBlock);
    Oid oid = block_.first;
    if (oid > kMaxOid) throw OidRangeError(oid);
    ++block_.first.value;
    --block_.count;
    return oid;
  }

 private:
  static constexpr std::uint64_t kBlock = 1024;

  Store& store_;
  std::mutex mutex_;
  OidBlock block_;
};

}  // namespace cow
