// Epochs, parking and handing over under the C++ memory model: a transcription of TransactionRegistry::begin and end, of
// falling asleep, being parked and waking, of hold_logged, and of the reclaimer's tier 0, with their memory orders (the
// classes themselves need the machine's atomics).
//
// A transaction reads a state that a writer retires; the thread that is allowed to frees it and uses the slot again. The
// value is no atomic: to use it while it is freed or built is a data race, which relacy reports. A look is an acquire load,
// as in the asymmetric mode: epochs do not rely on the heavy fence. Handing over does: its suite has the symmetric mode.
//
// Not to be seen here: that the limit must be read with seq_cst. relacy takes the order of execution for the total order of
// the seq_cst operations, so a relaxed load is as good.
#include "checking.hpp"

namespace {

constexpr unsigned kKey = 1, kDead = 2;
constexpr unsigned kIdle = 1000, kEnding = 999, kParked = 998;

/// The steps as the cache takes them; a variant replaces one.
struct Steps {
  static constexpr rl::memory_order kAnnounce = rl::mo_seq_cst, kSecondLoad = rl::mo_seq_cst, kEnd = rl::mo_release,
                                    kMark = rl::mo_seq_cst, kStamp = rl::mo_seq_cst, kScan = rl::mo_seq_cst,
                                    kCache = rl::mo_release, kCached = rl::mo_acquire, kFallAsleep = rl::mo_release,
                                    kEnding = rl::mo_seq_cst, kClear = rl::mo_release, kReadFlag = rl::mo_seq_cst,
                                    kSetFlag = rl::mo_seq_cst, kReadLog = rl::mo_seq_cst, kClearFlag = rl::mo_release,
                                    kReadFlagAgain = rl::mo_acquire, kLaterCached = rl::mo_acquire;
  static constexpr bool kLoadsTwice = true, kStampsFirst = false, kLimitLast = false, kHasLimit = true,
                        kFreesAtStamp = false;
  static constexpr bool kParksFirst = false, kUnholdsAtWake = false, kIgnoresMultiset = false, kMultisetFirst = false,
                        kParksTheAwake = false;
  static constexpr bool kReadsFlagFirst = false, kFlagsLast = false, kLeavesInTwoSteps = false;
};

struct AnnouncesReleased : Steps {
  static constexpr rl::memory_order kAnnounce = rl::mo_release;
};
struct LoadsOnce : Steps {
  static constexpr bool kLoadsTwice = false;
};
struct SecondLoadRelaxed : Steps {
  static constexpr rl::memory_order kSecondLoad = rl::mo_relaxed;
};
struct EndsRelaxed : Steps {
  static constexpr rl::memory_order kEnd = rl::mo_relaxed;
};
struct StampsFirst : Steps {
  static constexpr bool kStampsFirst = true;
};
struct StampsRelaxed : Steps {
  static constexpr rl::memory_order kStamp = rl::mo_relaxed;
};
struct ScansRelaxed : Steps {
  static constexpr rl::memory_order kScan = rl::mo_relaxed;
};
struct FreesAtStamp : Steps {
  static constexpr bool kFreesAtStamp = true;
};
struct LimitLast : Steps {
  static constexpr bool kLimitLast = true;
};
struct NoLimit : Steps {
  static constexpr bool kHasLimit = false;
};
struct CachesRelaxed : Steps {
  static constexpr rl::memory_order kCache = rl::mo_relaxed;
};
struct UsesCacheRelaxed : Steps {
  static constexpr rl::memory_order kCached = rl::mo_relaxed;
};
struct ParksFirst : Steps {
  static constexpr bool kParksFirst = true;
};
struct UnholdsAtWake : Steps {
  static constexpr bool kUnholdsAtWake = true;
};
struct ParksTheAwake : Steps {
  static constexpr bool kParksTheAwake = true;
};
struct FallsAsleepRelaxed : Steps {
  static constexpr rl::memory_order kFallAsleep = rl::mo_relaxed;
};
struct EndingReleased : Steps {
  static constexpr rl::memory_order kEnding = rl::mo_release;
};
struct ClearsRelaxed : Steps {
  static constexpr rl::memory_order kClear = rl::mo_relaxed, kEnding = rl::mo_relaxed;
};
struct ReadsFlagRelaxed : Steps {
  static constexpr rl::memory_order kReadFlag = rl::mo_relaxed;
};
struct SetsFlagRelaxed : Steps {
  static constexpr rl::memory_order kSetFlag = rl::mo_relaxed;
};
struct ReadsLogRelaxed : Steps {
  static constexpr rl::memory_order kReadLog = rl::mo_relaxed;
};
struct ClearsFlagRelaxed : Steps {
  static constexpr rl::memory_order kClearFlag = rl::mo_relaxed;
};
struct ReadsFlagAgainRelaxed : Steps {
  static constexpr rl::memory_order kReadFlagAgain = rl::mo_relaxed;
};
struct LaterCacheRelaxed : Steps {
  static constexpr rl::memory_order kLaterCached = rl::mo_relaxed;
};
struct ReadsFlagFirst : Steps {
  static constexpr bool kReadsFlagFirst = true;
};
struct FlagsLast : Steps {
  static constexpr bool kFlagsLast = true;
};
struct LeavesInTwoSteps : Steps {
  static constexpr bool kLeavesInTwoSteps = true;
};
struct IgnoresMultiset : Steps {
  static constexpr bool kIgnoresMultiset = true;
};
struct MultisetFirst : Steps {
  static constexpr bool kMultisetFirst = true;
};

/// One slot of the registry, one state, and what tier 0 knows.
template <class Variant>
struct Protocol {
  void set_up() {
    epoch.store(1, rl::mo_relaxed, $);
    announced.store(kIdle, rl::mo_relaxed, $);
    safe_below.store(0, rl::mo_relaxed, $);
    asleep.store(0, rl::mo_relaxed, $);
    waited_for.store(0, rl::mo_relaxed, $);
    log.store(0, rl::mo_relaxed, $);
    held($) = 0;
    waiting($) = 0;
    times_freed = 0;
    handed_over($) = 0;
    logged($) = 0;
    value($) = 1;
    key.store(kKey, rl::mo_release, $);
  }

  /// TransactionRegistry::begin, and wake.
  void announce() {
    unsigned seen = epoch.load(rl::mo_relaxed, $);
    announced.exchange(seen, Variant::kAnnounce, $);
    if (Variant::kLoadsTwice) (void)epoch.load(Variant::kSecondLoad, $);
  }

  bool look() { return key.load(rl::mo_acquire, $) == kKey; }
  void use() {
    int seen = value($);
    RL_ASSERT(seen == 1 || seen == 2);
  }

  /// A whole one that does not sleep.
  void run_transaction() {
    announce();
    if (look()) use();
    announced.store(kIdle, Variant::kEnd, $);
  }

  void hold(int by) {
    multiset.lock($);
    held($) = held($) + by;
    multiset.unlock($);
  }
  bool is_held() {
    if (Variant::kIgnoresMultiset) return false;
    multiset.lock($);
    bool result = held($) > 0;
    multiset.unlock($);
    return result;
  }
  void will_sleep() {
    logged($) = 1;
    asleep.store(1, Variant::kFallAsleep, $);
  }
  void wake() {
    log_lock.lock($);
    asleep.store(0, rl::mo_relaxed, $);
    bool is_parked = announced.load(rl::mo_relaxed, $) == kParked;
    log_lock.unlock($);
    if (is_parked) announce();
    if (Variant::kUnholdsAtWake) let_go();
    logged($) = 1;  // logs more
  }
  void stop_sleeping() {
    log_lock.lock($);
    asleep.store(0, rl::mo_relaxed, $);
    log_lock.unlock($);
  }
  /// What was added comes back; the last holder frees what waits (HeldStates::remove).
  void let_go() {
    log_lock.lock($);
    waited_for.store(0, Variant::kClearFlag, $);
    int held_so_far = handed_over($);
    handed_over($) = 0;
    log_lock.unlock($);
    if (held_so_far == 0) return;
    multiset.lock($);
    held($) = held($) - held_so_far;
    bool released = held($) == 0 && waiting($) == 1;
    if (released) waiting($) = 0;
    multiset.unlock($);
    if (released) free_state();
  }
  /// HeldStates::leave.
  bool leave() {
    if (Variant::kIgnoresMultiset) return false;
    multiset.lock($);
    bool is_held = held($) > 0;
    if (Variant::kLeavesInTwoSteps) {
      multiset.unlock($);
      multiset.lock($);
    }
    if (is_held) waiting($) = 1;
    multiset.unlock($);
    return is_held;
  }
  /// TransactionRegistry::end.
  void end() {
    bool flag = Variant::kReadsFlagFirst && waited_for.load(rl::mo_seq_cst, $) == 1;
    log.store(0, Variant::kClear, $);  // ReadLog::close
    announced.store(kEnding, Variant::kEnding, $);
    if (!Variant::kReadsFlagFirst) flag = waited_for.load(Variant::kReadFlag, $) == 1;
    if (flag) let_go();
    announced.store(kIdle, Variant::kEnd, $);
  }
  /// TransactionRegistry::hold_logged, of one slot.
  void hold_logged(unsigned up_to) {
    bool is_waited_for = announced.load(rl::mo_seq_cst, $) <= up_to;
    if (is_waited_for && !Variant::kFlagsLast) waited_for.store(1, Variant::kSetFlag, $);
    if (!is_waited_for) return;
    // Between the flag and the log lie the flags of all other slots: the owner may have ended.
    if (!Variant::kFlagsLast && waited_for.load(Variant::kReadFlagAgain, $) == 0) return;
    log_lock.lock($);
    if (announced.load(rl::mo_seq_cst, $) <= up_to && log.load(Variant::kReadLog, $) == 1) {
      hold(1);
      handed_over($) = handed_over($) + 1;
    }
    if (Variant::kFlagsLast) waited_for.store(1, Variant::kSetFlag, $);
    log_lock.unlock($);
  }
  void free_state() {
    ++times_freed;
    value($) = 0;  // freed
    value($) = 2;  // and used again
    key.store(kKey, rl::mo_release, $);
  }
  /// What a reclaimer does to who is asleep.
  void park_sleeper() {
    if (asleep.load(rl::mo_relaxed, $) == 0) return;
    log_lock.lock($);
    if ((asleep.load(rl::mo_acquire, $) == 1 || Variant::kParksTheAwake) &&
        announced.load(rl::mo_relaxed, $) < kParked) {
      RL_ASSERT(logged($) == 1);
      if (Variant::kParksFirst) announced.store(kParked, rl::mo_release, $);
      hold(1);
      handed_over($) = 1;
      waited_for.store(1, rl::mo_relaxed, $);
      if (!Variant::kParksFirst) announced.store(kParked, rl::mo_release, $);
    }
    log_lock.unlock($);
  }

  void retire() {
    if (Variant::kStampsFirst) stamp = epoch.fetch_add(1, Variant::kStamp, $);
    key.store(kDead, Variant::kMark, $);
    if (!Variant::kStampsFirst) stamp = epoch.fetch_add(1, Variant::kStamp, $);
  }

  /// States stamped below the result, before the call, are free but for the multiset.
  unsigned read_announcements() {
    unsigned limit = kIdle;
    if (Variant::kHasLimit && !Variant::kLimitLast) limit = epoch.load(rl::mo_seq_cst, $);
    unsigned oldest = announced.load(Variant::kScan, $);
    if (Variant::kHasLimit && Variant::kLimitLast) limit = epoch.load(rl::mo_seq_cst, $);
    return oldest < limit ? oldest : limit;
  }

  /// For other threads.
  void cache_announcements() { safe_below.store(read_announcements(), Variant::kCache, $); }

  void free_below(unsigned below, bool is_held) {
    if (!(Variant::kFreesAtStamp ? stamp <= below : stamp < below) || is_held) return;
    free_state();
  }

  rl::atomic<unsigned> epoch, announced, key, safe_below, asleep, waited_for, log;
  rl::mutex multiset, log_lock;
  rl::var<int> held, value, handed_over, logged, waiting;
  unsigned stamp = kIdle;  // the writer's own
  int times_freed = 0;     // what the test itself counts
};

/// A transaction against a writer that frees by its own look at the announcements.
template <class Variant>
class Epochs : public rl::test_suite<Epochs<Variant>, 2> {
 public:
  void before() { protocol_.set_up(); }
  void thread(unsigned index) { index == 0 ? read() : reclaim(); }

 private:
  void read() {
    for (int transaction = 0; transaction < 2; ++transaction) protocol_.run_transaction();
  }
  void reclaim() {
    protocol_.retire();
    protocol_.free_below(protocol_.read_announcements(), false);
  }
  Protocol<Variant> protocol_;
};

/// The announcements are read by a third thread, and the result is cached.
template <class Variant>
class CachedEpochs : public rl::test_suite<CachedEpochs<Variant>, 3> {
 public:
  void before() { protocol_.set_up(); }
  void thread(unsigned index) {
    if (index == 0) {
      protocol_.run_transaction();
    } else if (index == 1) {
      protocol_.retire();
      protocol_.free_below(protocol_.safe_below.load(Variant::kCached, $), false);
    } else {
      protocol_.cache_announcements();
    }
  }

 private:
  Protocol<Variant> protocol_;
};

/// The writer looks itself, and frees by what a third thread has found if that is the later look.
template <class Variant>
class TwoLooks : public rl::test_suite<TwoLooks<Variant>, 3> {
 public:
  void before() { protocol_.set_up(); }
  void thread(unsigned index) {
    if (index == 0) {
      protocol_.run_transaction();
    } else if (index == 1) {
      protocol_.retire();
      unsigned own = protocol_.read_announcements(), known = protocol_.safe_below.load(Variant::kLaterCached, $);
      protocol_.free_below(own < known ? known : own, false);
    } else {
      protocol_.cache_announcements();
    }
  }

 private:
  Protocol<Variant> protocol_;
};

/// A transaction that sleeps with a state in its log, uses it, wakes, uses it again and ends; somebody may park it.
template <class Variant>
class Parking : public rl::test_suite<Parking<Variant>, 3> {
 public:
  void before() { protocol_.set_up(); }
  void thread(unsigned index) {
    if (index == 0) read();
    if (index == 1) reclaim();
    if (index == 2) protocol_.park_sleeper();
  }

 private:
  void read() {
    protocol_.announce();
    if (protocol_.look()) {
      protocol_.will_sleep();
      protocol_.use();
      protocol_.wake();
      protocol_.use();
      protocol_.stop_sleeping();
    }
    protocol_.end();
  }
  void reclaim() {
    protocol_.retire();
    for (int attempt = 0; attempt < 3; ++attempt) {
      bool held = Variant::kMultisetFirst && protocol_.is_held();
      unsigned below = protocol_.read_announcements();
      if (protocol_.stamp >= below) continue;
      if (!Variant::kMultisetFirst) held = protocol_.leave();
      return protocol_.free_below(below, held);
    }
  }
  Protocol<Variant> protocol_;
};

/// A transaction that logs, looks and ends against a writer that retires and makes it hold: the state is freed, once.
template <class Variant>
class HandingOver : public rl::test_suite<HandingOver<Variant>, 2> {
 public:
  void before() { protocol_.set_up(); }
  void thread(unsigned index) { index == 0 ? read() : reclaim(); }
  void after() { RL_ASSERT(protocol_.times_freed == 1); }

 private:
  void read() {
    protocol_.announce();
    protocol_.log.store(1, rl::mo_seq_cst, $);
    if (protocol_.key.load(rl::mo_seq_cst, $) == kKey) protocol_.use();
    protocol_.end();
  }
  void reclaim() {
    protocol_.retire();
    protocol_.hold_logged(protocol_.epoch.load(rl::mo_seq_cst, $));
    if (!protocol_.leave()) protocol_.free_state();
  }
  Protocol<Variant> protocol_;
};

}  // namespace

int main() {
  checking::Checker checker;
  checker.right<Epochs<Steps>>("epochs");
  checker.broken<Epochs<AnnouncesReleased>>("announce with release only");
  checker.broken<Epochs<LoadsOnce>>("no second load of the epoch");
  checker.broken<Epochs<SecondLoadRelaxed>>("the second load relaxed");
  checker.broken<Epochs<EndsRelaxed>>("end relaxed");
  checker.broken<Epochs<StampsFirst>>("stamp before mark");
  checker.broken<Epochs<StampsRelaxed>>("stamp relaxed");
  checker.broken<Epochs<ScansRelaxed>>("read the announcements relaxed");
  checker.broken<Epochs<FreesAtStamp>>("free at the stamp, not below");
  checker.right<CachedEpochs<Steps>>("cached announcements");
  checker.broken<CachedEpochs<LimitLast>>("limit read after the announcements");
  checker.broken<CachedEpochs<NoLimit>>("no limit");
  checker.broken<CachedEpochs<CachesRelaxed>>("cache written relaxed");
  checker.broken<CachedEpochs<UsesCacheRelaxed>>("cache read relaxed");
  checker.right<TwoLooks<Steps>>("two looks");
  checker.broken<TwoLooks<LaterCacheRelaxed>>("the later look of another thread read relaxed");
  checker.right<Parking<Steps>>("parking");
  checker.broken<Parking<ParksFirst>>("announce parked before the multiset holds");
  checker.broken<Parking<UnholdsAtWake>>("leave the multiset when waking");
  checker.broken<Parking<ParksTheAwake>>("park who is awake");
  checker.broken<Parking<FallsAsleepRelaxed>>("fall asleep relaxed");
  checker.broken<Parking<IgnoresMultiset>>("tier 0 without the multiset");
  checker.broken<Parking<MultisetFirst>>("read the multiset before the announcements");
  checker.right<HandingOver<Steps>>("handing over");
  checker.broken<HandingOver<EndingReleased>>("the end announced with release only");
  checker.broken<HandingOver<ClearsRelaxed>>("the log cleared relaxed");
  checker.broken<HandingOver<ReadsFlagRelaxed>>("the flag read relaxed");
  checker.broken<HandingOver<SetsFlagRelaxed>>("the flag set relaxed");
  checker.broken<HandingOver<ClearsFlagRelaxed>>("the flag cleared relaxed");
  checker.broken<HandingOver<ReadsFlagAgainRelaxed>>("the flag read again relaxed");
  checker.broken<HandingOver<ReadsLogRelaxed>>("the log read relaxed");
  checker.broken<HandingOver<ReadsFlagFirst>>("the flag read before the log is cleared");
  checker.broken<HandingOver<FlagsLast>>("the flag set after the log is read");
  checker.broken<HandingOver<LeavesInTwoSteps>>("a state left in two steps");
  return checker.finish();
}
