// Which references a record gets while it is encoded: those that may lead nowhere.
//
// Thread safety: a watch belongs to the thread that made it, for one call of an encoder.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "../types.hpp"
#include "visibility.hpp"

namespace cow::detail {

/// While it lives, every reference that this thread encodes to an oid of `least` or above is noted. One inside of another
/// one (an encoder that commits) notes for itself.
class COW_CACHE_ONE_PER_PROCESS ReferenceWatch {
 public:
  explicit ReferenceWatch(Oid least) noexcept : least_(least), outer_(std::exchange(current_, this)) {}
  ~ReferenceWatch() { current_ = outer_; }
  ReferenceWatch(const ReferenceWatch&) = delete;
  ReferenceWatch& operator=(const ReferenceWatch&) = delete;

  /// Called by the encoder. Throws std::bad_alloc.
  static void note(Oid oid) {
    if (ReferenceWatch* watch = current_; watch != nullptr && oid >= watch->least_) [[unlikely]]
      watch->noted_.push_back(oid);
  }

  /// What was noted since the last call, with repetitions.
  std::span<const Oid> take() noexcept { return std::span(noted_).subspan(std::exchange(taken_, noted_.size())); }

 private:
  static inline constinit thread_local ReferenceWatch* current_ = nullptr;

  const Oid least_;
  ReferenceWatch* const outer_;
  std::vector<Oid> noted_;
  std::size_t taken_ = 0;
};

/// A reference in a record that is to be committed.
struct StoredReference {
  Oid from, to;
};

}  // namespace cow::detail
