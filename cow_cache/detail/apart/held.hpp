// What a transaction holds: its reader and its write set, in place.
//
// Thread safety: of the transaction that they belong to.
//
// Invariants:
//  1. Where a cache has definitions apart (kHasDefinedAccess), its transactions have room for a reader and a write set without
//     knowing more of them: a hit looks into the front of the reader's log, which stands first. Code that instantiates anything
//     else must know the classes; `check_held` then compares.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

#include "access.hpp"
#include "cow_cache/detail/reclaim/log_front.hpp"

namespace cow::detail {

class WriteSet;

/// Whether a cache's transactions go by DefinedAccess. Caches to compare with do it in place.
template <class Cache>
inline constexpr bool kHasDefinedAccess = false;
template <>
inline constexpr bool kHasDefinedAccess<SharedCache> = true;

/// An object whose class `Of::Type` may be unknown, in place.
template <class Of, std::size_t kBytes>
class HeldApart {
 public:
  template <class... Arguments>
  explicit HeldApart(std::in_place_t, Arguments&&... arguments) {
    using Held = typename Of::Type;
    static_assert(sizeof(Held) <= kBytes && alignof(Held) <= alignof(std::max_align_t));
    ::new (static_cast<void*>(bytes_)) Held(std::forward<Arguments>(arguments)...);
  }
  HeldApart(HeldApart&& other) noexcept : HeldApart(std::in_place, std::move(other.get())) {}
  HeldApart& operator=(HeldApart&& other) noexcept {
    get() = std::move(other.get());
    return *this;
  }
  ~HeldApart() {
    using Held = typename Of::Type;
    get().~Held();
  }

  auto& get() noexcept { return *reinterpret_cast<typename Of::Type*>(bytes_); }
  const auto& get() const noexcept { return *reinterpret_cast<const typename Of::Type*>(bytes_); }

  template <class First>
  const First& first() const noexcept {
    return *reinterpret_cast<const First*>(bytes_);
  }

 private:
  alignas(std::max_align_t) std::byte bytes_[kBytes];
};
/// The same of a class that is known.
template <class Of>
class HeldHere {
 public:
  template <class... Arguments>
  explicit HeldHere(std::in_place_t, Arguments&&... arguments) : held_(std::forward<Arguments>(arguments)...) {}

  auto& get() noexcept { return held_; }
  const auto& get() const noexcept { return held_; }

 private:
  typename Of::Type held_;
};

/// For its argument: names of classes that may be looked up later.
template <class Cache>
struct ReaderOf {
  using Type = typename Cache::Reader;
};
template <class Cache, class Writes = WriteSet>
struct WritesOf {
  using Type = Writes;
};

template <class Cache>
struct Holding {
  using Reader = HeldHere<ReaderOf<Cache>>;
  using Writes = HeldHere<WritesOf<Cache>>;
};
template <>
struct Holding<SharedCache> {
  using Reader = HeldApart<ReaderOf<SharedCache>, 144>;
  using Writes = HeldApart<WritesOf<SharedCache>, 64>;
};

}  // namespace cow::detail
