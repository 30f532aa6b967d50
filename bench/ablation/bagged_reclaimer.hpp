// BaggedReclaimer: the part that schemes have in common: states are collected in bags, a bag is sifted when it is full.
//
// Thread safety: as Reclaimer.
//
// Invariants:
//  1. A bag is sifted when it holds twice what its last sifting had to keep, and kMinSifted at least: so the cost of sifting is spread
//     over as much garbage as it may find in use (Michael, "Hazard Pointers", TPDS 2004).
//  2. What is sifted has a stamp, drawn after it was marked dead ([epoch-rule], transaction_registry.hpp).
//  3. States are destroyed outside of the locks: destructors of values may do anything.
//  4. Where there is no memory for sifting, the states stay in their bag.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "attachment.hpp"
#include "cow_cache/detail/reclaim/retire_list.hpp"
#include "cow_cache/detail/reclaim/thread_number.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "yielding_lock.hpp"

namespace cow::bench {

class BaggedReclaimer : public AttachedReclaimer {
 public:
  using AttachedReclaimer::AttachedReclaimer;

  /// A derived class has nothing in use any more, so nothing of it is asked.
  ~BaggedReclaimer() override {
    for (Bag& bag : bags_) {
      destroy(std::move(bag.list.open));
      for (cow::detail::RetireBatch& batch : bag.list.closed) destroy(std::move(batch.states));
    }
  }

  void retire(cow::detail::StateChain states) noexcept override {
    Bag& bag = bags_[cow::detail::thread_number() % bags_.size()];
    // Relaxed: a statistic, and a trigger that may be late.
    limbo_bytes_.fetch_add(states.bytes(), std::memory_order_relaxed);
    cow::detail::StateChain free;
    {
      std::scoped_lock lock(bag.lock);
      while (!states.empty()) {
        if (bag.list.add(states.take())) close(bag);
      }
      if (bag.bytes > bag.sift_above) sift(bag, Sift::as_needed, free);
    }
    give_back(std::move(free));
    retired();
  }

  void reclaim_all() noexcept override { sift_all(Sift::thoroughly); }

  std::size_t limbo_bytes() const noexcept override { return limbo_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t deep_scans() const noexcept override { return scans_.load(std::memory_order_relaxed); }

 protected:
  static constexpr std::size_t kMinSifted = std::size_t{64} << 10;

  /// Whether a scheme may leave the dear way out, if the cheap one has freed enough.
  enum class Sift { as_needed, thoroughly };

  /// Moves what no transaction can use any more from the batches to `free`, or hands it over to somebody who will call `give_back`.
  /// Throws std::bad_alloc, and then has moved nothing. REQUIRES: the bag's lock.
  virtual void take_free(cow::detail::RetireBatches& batches, Sift how, cow::detail::StateChain& free) = 0;

  /// After a retirement, outside of the locks.
  virtual void retired() noexcept {}

  void sift_all(Sift how) noexcept {
    for (Bag& bag : bags_) {
      cow::detail::StateChain free;
      {
        std::scoped_lock lock(bag.lock);
        sift(bag, how, free);
      }
      give_back(std::move(free));
    }
  }

  /// Destroys states that nobody can reach.
  void give_back(cow::detail::StateChain free) noexcept {
    std::size_t bytes = free.bytes();
    destroy(std::move(free));
    limbo_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  /// The lowest stamp of what is in limbo; 0, which no stamp is, if nothing has one.
  std::uint64_t oldest_stamp() noexcept {
    std::uint64_t oldest = 0;
    for (Bag& bag : bags_) {
      std::scoped_lock lock(bag.lock);
      if (bag.list.closed.empty()) continue;
      const std::uint64_t first = bag.list.closed.front().stamp;  // they ascend
      oldest = oldest == 0 ? first : std::min(oldest, first);
    }
    return oldest;
  }

  void count_scan() noexcept { scans_.fetch_add(1, std::memory_order_relaxed); }

  static std::size_t bytes_in(const cow::detail::RetireBatches& batches) noexcept {
    std::size_t bytes = 0;
    for (const cow::detail::RetireBatch& batch : batches) bytes += batch.states.bytes();
    return bytes;
  }

  /// What becomes of a state.
  enum class Fate { kept, free, handed_over };

  /// Asks `fate(stamp, StateHeader&)` of every state. REQUIRES: that throws nothing.
  template <class Ask>
  static void sort_out(cow::detail::RetireBatches& batches, cow::detail::StateChain& free, Ask&& fate) noexcept {
    for (cow::detail::RetireBatch& batch : batches) {
      cow::detail::StateChain all = std::move(batch.states);
      while (!all.empty()) {
        cow::detail::StateHeader& state = all.take();
        switch (fate(batch.stamp, state)) {
          case Fate::kept:
            batch.states.add(state);
            break;
          case Fate::free:
            free.add(state);
            break;
          case Fate::handed_over:
            break;
        }
      }
    }
    batches.remove_if([](const cow::detail::RetireBatch& batch) { return batch.states.empty(); });
  }

 private:
  struct alignas(64) Bag {
    YieldingLock lock;
    cow::detail::RetireList list;
    std::size_t bytes = 0;  ///< of what has a stamp
    std::size_t sift_above = kMinSifted;
  };

  /// REQUIRES: the bag's lock.
  void close(Bag& bag) noexcept {
    bag.bytes += bag.list.close([&] { return registry().stamp(); });
  }

  /// REQUIRES: the bag's lock.
  void sift(Bag& bag, Sift how, cow::detail::StateChain& free) noexcept {
    if (!bag.list.open.empty()) close(bag);
    if (bag.list.closed.empty()) return;  // a look at thousands of sessions for nothing, otherwise
    try {
      take_free(bag.list.closed, how, free);
    } catch (const std::bad_alloc&) {  // invariant 4
    }
    bag.bytes = bytes_in(bag.list.closed);
    bag.sift_above = std::max(kMinSifted, 2 * bag.bytes);
  }

  static void destroy(cow::detail::StateChain states) noexcept {
    while (!states.empty()) cow::detail::destroy_state(states.take());
  }

  std::array<Bag, 32> bags_;
  std::atomic<std::size_t> limbo_bytes_{0};
  std::atomic<std::uint64_t> scans_{0};
};

}  // namespace cow::bench
