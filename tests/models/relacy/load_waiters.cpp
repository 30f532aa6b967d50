// Waiters at a load ticket under the C++ memory model: a transcription of LoadTicket::subscribe and finish
// (cow_cache/load_ticket.hpp), with their memory orders.
//
// Two coroutines' readers subscribe while the loader finishes. Each is either refused, or resumed exactly once, by the
// loader. What a waiter holds is no atomic: a loader that resumes it without having synchronised is a data race, which
// relacy reports. Who is refused looks at the table again, under the lock of its stripe: that is not modelled here.
#include "checking.hpp"

namespace {

constexpr int kWaiters = 2;
constexpr int kNone = -1, kClosed = -2;  // in place of pointers

/// The steps as the ticket takes them; a variant replaces one.
struct Steps {
  static constexpr rl::memory_order kSubscribe = rl::mo_release, kFinish = rl::mo_acq_rel;
  static constexpr bool kCloses = true, kExchanges = true;
};
struct SubscribesRelaxed : Steps {
  static constexpr rl::memory_order kSubscribe = rl::mo_relaxed;
};
struct FinishesRelaxed : Steps {
  static constexpr rl::memory_order kFinish = rl::mo_relaxed;
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
    int newest = newest_.load(rl::mo_relaxed, $);
    do {
      if (newest == kClosed) {
        refused_[waiter] = true;
        return;
      }
      next_[waiter]($) = newest;
    } while (!newest_.compare_exchange_weak(newest, waiter, Variant::kSubscribe, $));
  }

  void finish() {
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
  rl::var<int> continuation_[kWaiters], next_[kWaiters];
  bool refused_[kWaiters];
  int resumed_[kWaiters];
};

}  // namespace

int main() {
  checking::Checker checker;
  checker.right<Waiters<Steps>>("subscribe and finish");
  checker.broken<Waiters<SubscribesRelaxed>>("subscribe relaxed");
  checker.broken<Waiters<FinishesRelaxed>>("finish relaxed");
  checker.broken<Waiters<StaysOpen>>("finish leaves the list open");
  checker.broken<Waiters<LoadsAndStores>>("finish without a read-modify-write");
  return checker.finish();
}
