// Which references a record gets while it is encoded: those that may lead nowhere.
//
// Thread safety: a watch belongs to the thread that made it, for one call of an encoder.
#pragma once

#include <utility>
#include <vector>

#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// A reference in a record that is to be committed.
struct StoredReference {
  Oid from, to;
};

/// While it lives, every reference that this thread encodes to an oid of `least` or above is noted in `into`. One inside of
/// another one (an encoder that commits) notes for itself.
class COW_CACHE_ONE_PER_PROCESS ReferenceWatch {
 public:
  ReferenceWatch(Oid least, std::vector<StoredReference>& into) noexcept
      : least_(least), into_(into), outer_(std::exchange(current_, this)) {}
  ~ReferenceWatch() { current_ = outer_; }
  ReferenceWatch(const ReferenceWatch&) = delete;
  ReferenceWatch& operator=(const ReferenceWatch&) = delete;

  /// Whose record is encoded next.
  void encode(Oid from) noexcept { from_ = from; }

  /// Called by the encoder. Throws std::bad_alloc.
  static void note(Oid to) {
    if (ReferenceWatch* watch = current_; watch != nullptr && to >= watch->least_) [[unlikely]]
      watch->add(to);
  }

 private:
  [[gnu::noinline]] void add(Oid to) { into_.push_back({from_, to}); }

  static inline constinit thread_local ReferenceWatch* current_ = nullptr;

  const Oid least_;
  Oid from_{};
  std::vector<StoredReference>& into_;
  ReferenceWatch* const outer_;
};

}  // namespace cow::detail
