// Ref<T>: a persistent reference, the pointer type of stored objects.
//
// Thread safety: a reference inside a published state is read, and its hint is repaired, by any number of threads; the
// oid never changes there. A reference that only one thread can reach is an ordinary value.
//
// Invariants:
//  1. The hint is only a guess. It is never null and always points at memory that is a state header for ever
//     (state_memory.hpp); the header says whether the guess is right.
//  2. The word beside the hint is the object's part of a key (key.hpp): oid and type. So comparing it with the key that
//     the hint leads to checks the type as well. References to types without a number of their own match no key, and get no hints.
#pragma once

#include "version.hpp"

#include <atomic>
#include <compare>
#include <utility>

#include "detail/refused.hpp"
#include "detail/state/state.hpp"
#include "errors.hpp"
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
  explicit Ref(Oid oid) : identity_(oid ? oid.value | detail::reference_bits<T>() : 0) {
    if (oid > kMaxOid) throw OidRangeError(oid);
  }
  Ref(Oid oid, detail::StateHeader& hint) : Ref(oid) { set_hint(hint); }

  Ref(const Ref& other) noexcept : identity_(other.identity_), hint_(other.hint_.load(std::memory_order_relaxed)) {}
  Ref& operator=(const Ref& other) noexcept {
    identity_ = other.identity_;
    hint_.store(other.hint_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    return *this;
  }

  template <class Other>
  // NOLINTNEXTLINE(google-explicit-constructor): it converts nothing
  Ref COW_CACHE_REFUSED(
      "cow: a Ref refers to objects of exactly its type, not to those of another or a derived one: change one of the "
      "two types, or hold a Ref for each",
      const Ref<Other>&);

  Oid oid() const noexcept { return detail::oid_in(identity_); }
  explicit operator bool() const noexcept { return identity_ != 0; }

  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.identity_ == b.identity_; }
  friend auto operator<=>(const Ref& a, const Ref& b) noexcept { return a.identity_ <=> b.identity_; }

  /// For caches: the object's and the type's bits of a key.
  std::uint64_t identity() const noexcept { return identity_; }

  /// For caches: the guess, and its repair. Relaxed: the guess carries no promise, the header that it points at is
  /// checked with an acquire load of its key, which pairs with the release store that published it.
  detail::StateHeader* hint() const noexcept { return detail::state_at(hint_.load(std::memory_order_relaxed)); }
  void set_hint(detail::StateHeader& state) const noexcept {
    if ((identity_ & detail::kTypeMask) == 0) return;  // no key would match
    hint_.store(detail::value_address(state), std::memory_order_relaxed);
  }

 private:
  std::uint64_t identity_ = 0;
  // The address of the value, not of the header before it: following a chain of references is then one load per step,
  // as with plain pointers. (An addition between the loads costs a cycle of the four that a step takes in the L1 cache.)
  mutable std::atomic<std::byte*> hint_{detail::null_state.value};
};

}  // namespace cow

template <class T>
struct std::hash<cow::Ref<T>> {
  std::size_t operator()(const cow::Ref<T>& reference) const noexcept { return std::hash<cow::Oid>{}(reference.oid()); }
};
