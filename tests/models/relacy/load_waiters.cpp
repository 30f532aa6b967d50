// Waiters at a load ticket under the C++ memory model: a transcription of LoadTicket::subscribe and finish
// (cow_cache/detail/cache/load_ticket.hpp), with their memory orders.
//
// Two coroutines' readers subscribe while the loader finishes. Each is either refused, or resumed exactly once, by the
// loader. What a waiter holds is no atomic: a loader that resumes it without having synchronised is a data race, which
// relacy reports. So is the failure that the ticket says: a reader that is refused reads it without a lock. Who is refused
// looks at the table again, under the lock of its stripe: that is not modelled here.
#include "checking.hpp"

namespace {

constexpr int kWaiters = 2;
constexpr int kNone = -1, kClosed = -2;  // in place of pointers

/// The steps as the ticket takes them; a variant replaces one.
struct Steps {
  static constexpr rl::memory_order kSubscribe = rl::mo_acq_rel, kFinish = rl::mo_acq_rel;
  static constexpr rl::memory_order kFirstLook = rl::mo_acquire, kNextLook = rl::mo_acquire;
  static constexpr bool kCloses = true, kExchanges = true;
};
struct SubscribesWithoutRelease : Steps {
  static constexpr rl::memory_order kSubscribe = rl::mo_acquire;
};
struct FinishesRelaxed : Steps {
  static constexpr rl::memory_order kFinish = rl::mo_relaxed;
};
struct FinishesWithoutRelease : Steps {
  static constexpr rl::memory_order kFinish = rl::mo_acquire;
};
struct LooksRelaxed : Steps {
  static constexpr rl::memory_order kFirstLook = rl::mo_relaxed;
};
struct LooksAgainRelaxed : Steps {
  static constexpr rl::memory_order kNextLook = rl::mo_relaxed;
};
struct StaysOpen : Steps {
  static constexpr bool kCloses = false;
};
struct LoadsAndStores : Steps {
  static constexpr bool kExchanges = false;
};

template <class Variant>
class Waiters : public rl::test_suite<Waiters<Variant>, kWaiters + 1> {
 public:
  void before() {
    newest_.store(kNone, rl::mo_relaxed, $);
    failure_($) = 0;
    for (int i = 0; i < kWaiters; ++i) {
      refused_[i] = false;
      resumed_[i] = 0;
    }
  }
  void thread(unsigned index) {
    if (index == kWaiters) {
      finish();
    } else {
      subscribe(static_cast<int>(index));
    }
  }
  void after() {
    for (int i = 0; i < kWaiters; ++i) RL_ASSERT(resumed_[i] == (refused_[i] ? 0 : 1));
  }

 private:
  void subscribe(int waiter) {
    continuation_[waiter]($) = 1;
    int newest = newest_.load(Variant::kFirstLook, $);
    do {
      if (newest == kClosed) {
        refused_[waiter] = true;
        RL_ASSERT(failure_($) == 1);
        return;
      }
      next_[waiter]($) = newest;
    } while (!newest_.compare_exchange_weak(newest, waiter, Variant::kSubscribe, $, Variant::kNextLook, $));
  }

  void finish() {
    failure_($) = 1;
    int last = Variant::kCloses ? kClosed : kNone;
    int waiter = 0;
    if (Variant::kExchanges) {
      waiter = newest_.exchange(last, Variant::kFinish, $);
    } else {
      waiter = newest_.load(rl::mo_acquire, $);
      newest_.store(last, rl::mo_release, $);
    }
    while (waiter != kNone) {
      int next = next_[waiter]($);
      RL_ASSERT(continuation_[waiter]($) == 1);
      ++resumed_[waiter];
      waiter = next;
    }
  }

  rl::atomic<int> newest_;
  rl::var<int> continuation_[kWaiters], next_[kWaiters], failure_;
  bool refused_[kWaiters];
  int resumed_[kWaiters];
};

}  // namespace

int main() {
  checking::Checker checker;
  checker.right<Waiters<Steps>>("subscribe and finish");
  checker.broken<Waiters<SubscribesWithoutRelease>>("subscribe without release");
  checker.broken<Waiters<FinishesRelaxed>>("finish relaxed");
  checker.broken<Waiters<FinishesWithoutRelease>>("finish without release");
  checker.broken<Waiters<LooksRelaxed>>("first look relaxed");
  checker.broken<Waiters<LooksAgainRelaxed>>("next look relaxed");
  checker.broken<Waiters<StaysOpen>>("finish leaves the list open");
  checker.broken<Waiters<LoadsAndStores>>("finish without a read-modify-write");
  return checker.finish();
}
