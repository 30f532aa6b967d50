// The queue of commits under the C++ memory model: a transcription of Committer::lead_or_wait, queue_up, take_group,
// retire_from_lead, lead and finish (cow_cache/detail/commit/committer.hpp), with their memory orders.
//
// Each thread commits one request, by leading or by waiting for a leader. What the leader alone uses (the last tid) is no atomic, nor
// is what a request says: two leaders at once, or one that has not synchronised with the one before it or with a thread that has
// queued up, are a data race, which relacy reports. A request that nobody commits, or two do, fails the count. When a leader hands
// over depends on a clock; here on a die.
#include "checking.hpp"

namespace {

constexpr int kThreads = 3;
constexpr int kNull = -1, kNobodyWaits = -2;  // in place of pointers
constexpr int kWaiting = 0, kLeading = 1, kDone = 2;

/// The steps as the committer takes them; a variant replaces one.
struct Steps {
  static constexpr rl::memory_order kLead = rl::mo_acquire, kQueue = rl::mo_release, kTake = rl::mo_acquire;
  static constexpr rl::memory_order kRetire = rl::mo_acq_rel, kRetireFails = rl::mo_acquire;
  static constexpr rl::memory_order kSignal = rl::mo_release, kWait = rl::mo_acquire;
  static constexpr bool kExchanges = true, kReadsNextFirst = true;
};
struct LeadsRelaxed : Steps {
  static constexpr rl::memory_order kLead = rl::mo_relaxed;
};
struct QueuesRelaxed : Steps {
  static constexpr rl::memory_order kQueue = rl::mo_relaxed;
};
struct TakesRelaxed : Steps {
  static constexpr rl::memory_order kTake = rl::mo_relaxed, kRetireFails = rl::mo_relaxed;
};
struct RetiresWithoutRelease : Steps {
  static constexpr rl::memory_order kRetire = rl::mo_acquire;
};
struct LooksForTheNextRelaxed : Steps {
  static constexpr rl::memory_order kRetireFails = rl::mo_relaxed;
};
struct SignalsRelaxed : Steps {
  static constexpr rl::memory_order kSignal = rl::mo_relaxed;
};
struct WaitsRelaxed : Steps {
  static constexpr rl::memory_order kWait = rl::mo_relaxed;
};
struct LoadsAndStores : Steps {
  static constexpr bool kExchanges = false;
};
struct ReadsNextAfterSignal : Steps {
  static constexpr bool kReadsNextFirst = false;
};

template <class Variant>
class CommitQueue : public rl::test_suite<CommitQueue<Variant>, kThreads> {
 public:
  void before() {
    queue_.store(kNull, rl::mo_relaxed, $);
    last_tid_($) = 0;
    for (auto& progress : progress_) progress.store(kWaiting, rl::mo_relaxed, $);
  }
  void thread(unsigned index) {
    int own = static_cast<int>(index);
    tid_[own]($) = 0;
    next_[own]($) = kNull;
    if (int group = lead_or_wait(own); group != kNull) lead(own, group);
    RL_ASSERT(tid_[own]($) != 0);
    next_[own]($) = own;  // the request is gone: who still looks at it is in a race with this
  }
  void after() { RL_ASSERT(last_tid_($) == kThreads && queue_.load(rl::mo_relaxed, $) == kNull); }

 private:
  /// The group that this thread leads; kNull: its request is done.
  int lead_or_wait(int own) {
    int newest = kNull;
    if (queue_.compare_exchange_strong(newest, kNobodyWaits, Variant::kLead, $, rl::mo_relaxed, $)) return own;
    for (bool queued = false; !queued;) {
      if (newest == kNull) {
        next_[own]($) = kNull;
        if (queue_.compare_exchange_weak(newest, kNobodyWaits, Variant::kLead, $, rl::mo_relaxed, $)) return own;
      } else {
        next_[own]($) = newest == kNobodyWaits ? kNull : newest;
        queued = queue_.compare_exchange_weak(newest, own, Variant::kQueue, $, rl::mo_relaxed, $);
      }
    }
    int progress = kWaiting;
    while ((progress = progress_[own].load(Variant::kWait, $)) == kWaiting) rl::yield(1, $);
    return progress == kLeading ? take_group() : kNull;
  }

  int take_group() {
    int newest = kNull, oldest = kNull;
    if (Variant::kExchanges) {
      newest = queue_.exchange(kNobodyWaits, Variant::kTake, $);
    } else {
      newest = queue_.load(Variant::kTake, $);
      queue_.store(kNobodyWaits, rl::mo_release, $);
    }
    while (newest != kNull) {
      int next = next_[newest]($);
      next_[newest]($) = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

  int retire_from_lead() {
    int newest = kNobodyWaits;
    if (queue_.compare_exchange_strong(newest, kNull, Variant::kRetire, $, Variant::kRetireFails, $)) return kNull;
    while (next_[newest]($) != kNull) newest = next_[newest]($);
    return newest;
  }

  void lead(int own, int group) {
    for (bool leads = true; leads;) {
      for (int request = group; request != kNull; request = next_[request]($)) {
        RL_ASSERT(tid_[request]($) == 0);
        last_tid_($) = last_tid_($) + 1;
        tid_[request]($) = last_tid_($);
      }
      int next = retire_from_lead();
      leads = next != kNull;
      if (leads && rl::rand(2) == 0) {
        progress_[next].store(kLeading, Variant::kSignal, $);
        leads = false;
      }
      finish(own, group);
      if (leads) group = take_group();
    }
  }

  void finish(int own, int group) {
    while (group != kNull) {
      int request = group;
      if (Variant::kReadsNextFirst) group = next_[request]($);
      if (request != own) progress_[request].store(kDone, Variant::kSignal, $);
      if (!Variant::kReadsNextFirst) group = next_[request]($);
    }
  }

  rl::atomic<int> queue_;
  rl::atomic<int> progress_[kThreads];
  rl::var<int> next_[kThreads], tid_[kThreads];
  rl::var<int> last_tid_;
};

}  // namespace

int main() {
  checking::Checker checker;
  checker.right<CommitQueue<Steps>>("a queue of commits");
  checker.broken<CommitQueue<LeadsRelaxed>>("take the lead relaxed");
  checker.broken<CommitQueue<QueuesRelaxed>>("queue up relaxed");
  checker.broken<CommitQueue<TakesRelaxed>>("take the group relaxed");
  checker.broken<CommitQueue<RetiresWithoutRelease>>("retire without release");
  checker.broken<CommitQueue<LooksForTheNextRelaxed>>("look for the next one relaxed");
  checker.broken<CommitQueue<SignalsRelaxed>>("signal relaxed");
  checker.broken<CommitQueue<WaitsRelaxed>>("wait relaxed");
  checker.broken<CommitQueue<LoadsAndStores>>("take the group by a load and a store");
  checker.broken<CommitQueue<ReadsNextAfterSignal>>("read the next one of a request that may be gone");
  return checker.finish();
}
