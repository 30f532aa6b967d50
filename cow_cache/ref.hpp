// Ref<T>: a persistent reference, the pointer type of stored objects.
//
// Thread safety: a reference inside a published state is read, and its hint is repaired, by any number of threads; the
// oid never changes there. A reference that only one thread can reach is an ordinary value.
//
// Invariants:
//  1. The hint is only a guess. It is never null and always points at memory that is a state header for ever
//     (state_memory.hpp); the header says whether the guess is right.
//  2. A hint is set only to a state whose type was checked to be T, so a hint that matches needs no type check.
#pragma once

#include <atomic>
#include <compare>
#include <utility>

#include "errors.hpp"
#include "state.hpp"
#include "types.hpp"

namespace cow {

/// A reference to a persistent object of type T: its oid and, beside it, where its state was last seen.
/// 16 bytes. Copies are cheap; equality compares oids. Follow it with `Transaction::read` or `Transaction::write`.
template <class T>
class Ref {
 public:
  using Value = T;

  Ref() noexcept = default;
  /// Throws OidRangeError above `kMaxOid`: the bits there would change which cache the reference means.
  explicit Ref(Oid oid) : oid_(oid) {
    if (oid > kMaxOid) throw OidRangeError(oid);
  }
  Ref(Oid oid, StateHeader& hint) noexcept : oid_(oid), hint_(value_address(hint)) {}

  Ref(const Ref& other) noexcept : oid_(other.oid_), hint_(other.hint_.load(std::memory_order_relaxed)) {}
  Ref& operator=(const Ref& other) noexcept {
    oid_ = other.oid_;
    hint_.store(other.hint_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return *this;
  }

  Oid oid() const noexcept { return oid_; }
  explicit operator bool() const noexcept { return static_cast<bool>(oid_); }

  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.oid_ == b.oid_; }
  friend auto operator<=>(const Ref& a, const Ref& b) noexcept { return a.oid_ <=> b.oid_; }

  /// For caches: the guess, and its repair. Relaxed: the guess carries no promise, the header that it points at is
  /// checked with an acquire load of its key, which pairs with the release store that published it.
  StateHeader* hint() const noexcept { return state_at(hint_.load(std::memory_order_relaxed)); }
  void set_hint(StateHeader& state) const noexcept { hint_.store(value_address(state), std::memory_order_relaxed); }

 private:
  Oid oid_{};
  // The address of the value, not of the header before it: following a chain of references is then one load per step,
  // as with plain pointers. (An addition between the loads costs a cycle of the four that a step takes in the L1 cache.)
  mutable std::atomic<std::byte*> hint_{detail::nowhere.value};
};

}  // namespace cow

template <class T>
struct std::hash<cow::Ref<T>> {
  std::size_t operator()(const cow::Ref<T>& reference) const noexcept { return std::hash<cow::Oid>{}(reference.oid()); }
};
