// Reclaimers by liburcu's call_rcu, in two of its flavours.
//
// Thread safety: as Reclaimer; threads that retire are registered with liburcu.
//
// Invariants:
//  1. A transaction runs inside a read-side critical section of its thread (or between its quiescent states), so
//     a grace period that begins after a state was retired ends only when nobody can read it any more.
//
// Source: Desnoyers, McKenney, Stern, Dagenais, Walpole, "User-Level Implementations of Read-Copy Update", TPDS 2012.
#include <urcu/urcu-memb.h>
#include <urcu/urcu-qsbr.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>

#include "cow_cache/detail/reclaim/reclaimer.hpp"
#include "cow_cache/detail/reclaim/retire_list.hpp"
#include "cow_cache/detail/reclaim/thread_number.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "scheme.hpp"

// urcu/call-rcu.h declares them for the flavour that is included first only.
extern "C" void urcu_qsbr_call_rcu(rcu_head* head, void (*function)(rcu_head* head));
extern "C" void urcu_qsbr_barrier();

namespace cow::bench {

using cow::detail::destroy_state;
using cow::detail::Reclaimer;
using cow::detail::RetireBatch;
using cow::detail::RetireBatches;
using cow::detail::RetireList;
using cow::detail::StateChain;
using cow::detail::TransactionRegistry;

namespace {

using CallRcu = void (*)(rcu_head*, void (*)(rcu_head*));
using Barrier = void (*)();

template <CallRcu kCall, Barrier kBarrier>
class UrcuReclaimer final : public Reclaimer {
 public:
  ~UrcuReclaimer() override {
    kBarrier();
    for (RetireList& list : lists_) {
      while (!list.open.empty()) destroy_state(list.open.take());
    }
  }

  void retire(StateChain states) noexcept override {
    RetireList& list = lists_[cow::detail::thread_number() % lists_.size()];
    std::scoped_lock lock(list.mutex);
    while (!states.empty()) {
      if (list.add(states.take())) hand_over(list);
    }
  }

  void reclaim_all() noexcept override {
    for (RetireList& list : lists_) {
      std::scoped_lock lock(list.mutex);
      if (!list.open.empty()) hand_over(list);
    }
    kBarrier();
  }

  std::size_t limbo_bytes() const noexcept override { return limbo_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Garbage : rcu_head {
    UrcuReclaimer* owner;
    RetireBatches batch;
  };

  /// REQUIRES: the list's mutex.
  void hand_over(RetireList& list) {
    auto garbage = std::make_unique<Garbage>();
    garbage->owner = this;
    limbo_bytes_.fetch_add(list.close([] { return std::uint64_t{0}; }), std::memory_order_relaxed);  // a statistic
    garbage->batch.splice(garbage->batch.end(), list.closed);
    kCall(garbage.release(), free_garbage);
  }

  /// On liburcu's own thread.
  static void free_garbage(rcu_head* head) {
    std::unique_ptr<Garbage> garbage(static_cast<Garbage*>(head));
    for (RetireBatch& batch : garbage->batch) {
      garbage->owner->limbo_bytes_.fetch_sub(batch.states.bytes(), std::memory_order_relaxed);
      while (!batch.states.empty()) destroy_state(batch.states.take());
    }
  }

  std::array<RetireList, 32> lists_;
  std::atomic<std::size_t> limbo_bytes_{0};
};

template <CallRcu kCall, Barrier kBarrier>
std::unique_ptr<Reclaimer> make(TransactionRegistry&, std::size_t) {
  return std::make_unique<UrcuReclaimer<kCall, kBarrier>>();
}

}  // namespace

Scheme urcu_memb_scheme() {
  return {.name = "urcu-memb",
          .about = "liburcu, membarrier flavour: a transaction is a read-side critical section",
          .bound = Bound::none,
          .make = make<urcu_memb_call_rcu, urcu_memb_barrier>,
          .enter_thread = urcu_memb_register_thread,
          .leave_thread = urcu_memb_unregister_thread,
          .begin = urcu_memb_read_lock,
          .end = urcu_memb_read_unlock};
}

Scheme urcu_qsbr_scheme() {
  return {.name = "urcu-qsbr",
          .about = "liburcu, quiescent-state flavour: a thread is quiescent between its transactions",
          .bound = Bound::none,
          .make = make<urcu_qsbr_call_rcu, urcu_qsbr_barrier>,
          .enter_thread = urcu_qsbr_register_thread,
          .leave_thread = urcu_qsbr_unregister_thread,
          .end = urcu_qsbr_quiescent_state};
}

}  // namespace cow::bench
