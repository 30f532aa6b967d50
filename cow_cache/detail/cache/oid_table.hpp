// The oid table: oid -> newest resident state. As large as what is resident, however large the database.
//
// Thread safety: `find` may be called from any thread, without a lock. Everything else REQUIRES the lock of the oid's
// stripe (`mutex_of`), which the cache also holds while it changes the chain behind an entry.
//
// Invariants:
//  1. Cells are cells for ever: each stripe has a range of addresses of its own, which is never used for anything else and
//     never unmapped. So a search that meets a table as it grows, shrinks or closes a gap reads some cell, or zeros.
//  2. A cell holds 0 or the address of a state header, which is a header for ever ([type-stable], state_memory.hpp).
//  3. `find` returns only what the header confirms to be that object. It may miss an object that is being moved: nothing
//     found means "ask again under the lock", which a miss has to do anyway.
//  4. A cell is written with release after what it points at is complete, and read with acquire.
//
// Open addressing with linear probing, one table per stripe. Eight consecutive oids hash together and then follow each
// other, so dense oids, the norm, share cache lines. Multiplicative hashing (Knuth, TAOCP 3, 6.4) takes the position from
// the upper bits of the product: a table that doubles keeps its order.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <new>

#include "cow_cache/detail/backoff_lock.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class OidTable {
 public:
  static constexpr std::size_t kStripes = 64;

  OidTable() {
    void* range = ::mmap(nullptr, kStripes * kStripeBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t i = 0; i < kStripes; ++i) {
      stripes_[i].cells = reinterpret_cast<Cell*>(static_cast<std::byte*>(range) + i * kStripeBytes);
    }
  }
  OidTable(const OidTable&) = delete;
  OidTable& operator=(const OidTable&) = delete;

  ~OidTable() { ::munmap(stripes_[0].cells, kStripes * kStripeBytes); }

  /// Which stripe guards an oid: what is kept per stripe elsewhere has the same lock.
  static std::size_t stripe_of(Oid oid) noexcept { return product_of(oid) >> (64 - kStripeBits); }
  BackoffLock& mutex_of(Oid oid) noexcept { return stripes_[stripe_of(oid)].mutex; }
  BackoffLock& mutex_of_stripe(std::size_t stripe) noexcept { return stripes_[stripe].mutex; }

  /// The newest state of an object, or null: not resident, or just being moved (invariant 3). Throws OidRangeError.
  StateHeader* find(Oid oid) const { return search(stripes_[checked_stripe_of(oid)], oid).state_; }

  /// Where an object stands, as long as the stripe is locked and nothing else is set or removed.
  class Place {
   public:
    /// The newest state, or null: not resident.
    StateHeader* state() const noexcept { return state_; }

   private:
    friend OidTable;
    std::atomic<std::uint64_t>* cell_ = nullptr;
    StateHeader* state_ = nullptr;
  };
  /// REQUIRES: the stripe's lock. Throws OidRangeError.
  Place place_of_object(Oid oid) const { return search(stripes_[checked_stripe_of(oid)], oid); }

  /// Makes `state` the newest of an object that is resident. REQUIRES: the stripe's lock; the state's key names the object.
  void replace(const Place& place, Oid oid, StateHeader& state) noexcept {
    place.cell_->store(content_of(oid, state), std::memory_order_release);
  }

  /// Whether `set` of this object can succeed. REQUIRES: the stripe's lock. Throws OidRangeError.
  bool has_room_for(Oid oid) const {
    const Stripe& stripe = stripes_[checked_stripe_of(oid)];
    return stripe.count < kMaxObjects || search(stripe, oid).cell_ != nullptr;
  }

  /// Makes `state` the newest of its object. False, and nothing is changed: the stripe has kMaxObjects others. REQUIRES: the
  /// stripe's lock; the state's key names the object. Throws OidRangeError.
  bool set(Oid oid, StateHeader& state) {
    Stripe& stripe = stripes_[checked_stripe_of(oid)];
    std::uint64_t content = content_of(oid, state);
    if (Cell* cell = search(stripe, oid).cell_) {
      cell->store(content, std::memory_order_release);
      return true;
    }
    if (stripe.count >= kMaxObjects) return false;
    std::uint32_t bits = stripe.capacity_bits.load(std::memory_order_relaxed);  // changes under this lock only
    if (stripe.count >= (std::uint32_t{5} << bits) / 8) resize(stripe, ++bits);
    insert(stripe, content, home_of(oid, bits), bits);
    ++stripe.count;
    return true;
  }

  /// Forgets an object, if it is there. REQUIRES: the stripe's lock.
  void remove(Oid oid) {
    Stripe& stripe = stripes_[checked_stripe_of(oid)];
    Cell* found = search(stripe, oid).cell_;
    if (found == nullptr) return;
    close_gap(stripe, static_cast<std::uint32_t>(found - stripe.cells));
    std::uint32_t bits = stripe.capacity_bits.load(std::memory_order_relaxed);
    if (--stripe.count < (1u << bits) / 8 && bits > kMinBits) resize(stripe, bits - 1);
  }

  /// Forgets all objects of a stripe, and calls `visit(StateHeader&)` for the newest state of each: what it does must not
  /// throw. REQUIRES: the stripe's lock.
  template <class Visitor>
  void take_all(std::size_t number, Visitor&& visit) {
    Stripe& stripe = stripes_[number];
    std::uint32_t cells = 1u << stripe.capacity_bits.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < cells && stripe.count > 0; ++i) {
      std::uint64_t content = stripe.cells[i].load(std::memory_order_relaxed);
      if (content == 0) continue;
      stripe.cells[i].store(0, std::memory_order_release);
      --stripe.count;
      visit(*state_in(content));
    }
    if (cells > 1u << kMinBits) resize(stripe, kMinBits);
  }

  /// Bytes of all cells in use.
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Cell = std::atomic<std::uint64_t>;

  // A stripe begins with one page and ends with 2^24 cells; the second half of its range is scratch for `resize`.
#if defined(COW_CACHE_TABLE_BITS)  // tests want a table that is full soon
  static constexpr unsigned kStripeBits = 6, kMinBits = COW_CACHE_TABLE_BITS, kMaxBits = COW_CACHE_TABLE_BITS;
#else
  static constexpr unsigned kStripeBits = 6, kMinBits = 9, kMaxBits = 24;
#endif
  static constexpr std::uint32_t kMaxObjects = (std::uint32_t{5} << kMaxBits) / 8;  // of a stripe: ten million
  static constexpr std::size_t kStripeBytes = (std::size_t{2} << kMaxBits) * sizeof(Cell);
  static_assert(kStripes == 1 << kStripeBits);

  // A cell is an address whose unused bits, 16 above and 4 below, hold a tag: the upper bits of the position, so that
  // searching and resizing need not look at headers.
  static constexpr unsigned kAddressBits = 48, kAlignmentBits = kStateAlignmentBits,
                            kTagBits = 64 - kAddressBits + kAlignmentBits;
  static constexpr std::uint64_t kAddressMask =
      (std::uint64_t{1} << kAddressBits) - (std::uint64_t{1} << kAlignmentBits);
  static constexpr std::uint64_t kTagMask = ~kAddressMask;

  static constexpr unsigned kNeighbourBits = 3;  // eight oids to a cache line of cells

  struct alignas(64) Stripe {
    BackoffLock mutex;
    Cell* cells = nullptr;
    std::atomic<std::uint32_t> capacity_bits{kMinBits};
    std::uint32_t count = 0;
  };

  static std::uint64_t product_of(Oid oid) noexcept {
    return (oid.value >> kNeighbourBits) * std::uint64_t{0x9E3779B97F4A7C15};
  }
  /// The first `bits` bits of an oid's place among all places of its stripe.
  static std::uint64_t place_of(Oid oid, unsigned bits) noexcept {
    std::uint64_t group = product_of(oid) << kStripeBits >> (64 - (bits - kNeighbourBits));
    return group << kNeighbourBits | (oid.value & ((1u << kNeighbourBits) - 1));
  }
  static std::uint32_t home_of(Oid oid, unsigned bits) noexcept {
    return static_cast<std::uint32_t>(place_of(oid, bits));
  }
  static std::uint64_t tag_of(Oid oid) noexcept {
    std::uint64_t place = place_of(oid, kTagBits);
    return place >> kAlignmentBits << kAddressBits | (place & ((1u << kAlignmentBits) - 1));
  }
  static std::uint64_t content_of(Oid oid, StateHeader& state) noexcept {
    return reinterpret_cast<std::uintptr_t>(&state) | tag_of(oid);
  }
  static StateHeader* state_in(std::uint64_t cell) noexcept {
    return reinterpret_cast<StateHeader*>(cell & kAddressMask);
  }
  /// The home of what a cell holds. REQUIRES: the stripe's lock, so that the state is alive.
  static std::uint32_t home_in(std::uint64_t cell, unsigned bits) noexcept {
    if (bits > kTagBits) return home_of(state_in(cell)->oid(), bits);
    std::uint64_t place = cell >> kAddressBits << kAlignmentBits | (cell & ((1u << kAlignmentBits) - 1));
    std::uint64_t group = place >> kNeighbourBits >> (kTagBits - bits);
    return static_cast<std::uint32_t>(group << kNeighbourBits | (place & ((1u << kNeighbourBits) - 1)));
  }

  static std::size_t checked_stripe_of(Oid oid) {
    if (oid > kMaxOid || oid == Oid{}) throw OidRangeError(oid);
    return stripe_of(oid);
  }

  /// Exact under the lock; without it, see invariant 3. Bounded, for a table that is being moved may show no empty cell.
  [[gnu::always_inline]] static Place search(const Stripe& stripe, Oid oid) noexcept {
    // Acquire: pairs with the release in `resize`. An older capacity only makes the search miss.
    std::uint32_t bits = stripe.capacity_bits.load(std::memory_order_acquire), capacity = 1u << bits;
    std::uint64_t tag = tag_of(oid);
    Place place;
    for (std::uint32_t i = home_of(oid, bits), probes = 0; probes < capacity; i = (i + 1) & (capacity - 1), ++probes) {
      std::uint64_t content = stripe.cells[i].load(std::memory_order_acquire);  // pairs with invariant 4
      if (content == 0) break;
      if ((content & kTagMask) != tag) continue;
      StateHeader* state = state_in(content);
      if (state->oid() != oid) continue;
      place.cell_ = &stripe.cells[i];
      place.state_ = state;
      break;
    }
    return place;
  }

  // Under the lock nobody else writes cells, so what follows reads them relaxed.

  static void insert(Stripe& stripe, std::uint64_t content, std::uint32_t home, unsigned bits) noexcept {
    std::uint32_t mask = (1u << bits) - 1, i = home;
    while (stripe.cells[i].load(std::memory_order_relaxed) != 0) i = (i + 1) & mask;
    stripe.cells[i].store(content, std::memory_order_release);
  }

  /// Removes a cell and moves back what had to step aside for it (Knuth, TAOCP 3, 6.4, algorithm R).
  static void close_gap(Stripe& stripe, std::uint32_t gap) noexcept {
    std::uint32_t bits = stripe.capacity_bits.load(std::memory_order_relaxed), mask = (1u << bits) - 1;
    for (std::uint32_t i = (gap + 1) & mask;; i = (i + 1) & mask) {
      std::uint64_t cell = stripe.cells[i].load(std::memory_order_relaxed);
      if (cell == 0) break;
      std::uint32_t from_home = (i - home_in(cell, bits)) & mask, from_gap = (i - gap) & mask;
      if (from_home < from_gap) continue;  // it would come to lie before its home
      stripe.cells[gap].store(cell, std::memory_order_release);
      gap = i;
    }
    stripe.cells[gap].store(0, std::memory_order_release);
  }

  /// In place, by way of the scratch half of the range, so it cannot fail. Searches meanwhile may miss.
  void resize(Stripe& stripe, std::uint32_t bits) noexcept {
    std::uint32_t old_capacity = 1u << stripe.capacity_bits.load(std::memory_order_relaxed);
    auto* scratch = reinterpret_cast<std::uint64_t*>(stripe.cells + (std::size_t{1} << kMaxBits));
    std::uint32_t moving = 0;
    for (std::uint32_t i = 0; i < old_capacity; ++i) {
      std::uint64_t cell = stripe.cells[i].load(std::memory_order_relaxed);
      if (cell == 0) continue;
      scratch[moving++] = cell;
      stripe.cells[i].store(0, std::memory_order_release);
    }
    stripe.capacity_bits.store(bits, std::memory_order_release);  // pairs with the acquire in `find`
    for (std::uint32_t i = 0; i < moving; ++i) insert(stripe, scratch[i], home_in(scratch[i], bits), bits);
    give_back(scratch, moving * sizeof(Cell));
    if (std::uint32_t capacity = 1u << bits; capacity < old_capacity) {
      give_back(stripe.cells + capacity, (old_capacity - capacity) * sizeof(Cell));
      bytes_.fetch_sub((old_capacity - capacity) * sizeof(Cell), std::memory_order_relaxed);  // a statistic
    } else {
      bytes_.fetch_add((capacity - old_capacity) * sizeof(Cell), std::memory_order_relaxed);
    }
  }

  /// Whole pages, all zeros or of no more use. Failure only costs memory, and cells are zero already.
  static void give_back(void* start, std::size_t bytes) noexcept { (void)::madvise(start, bytes, MADV_DONTNEED); }

  std::array<Stripe, kStripes> stripes_;
  std::atomic<std::size_t> bytes_{kStripes * (sizeof(Cell) << kMinBits)};
};

}  // namespace cow::detail
