// Log, then look, under the C++ memory model: the functions of detail/reclaim/asymmetric_fence.hpp themselves, in their
// symmetric mode (relacy has no membarrier; reclamation.pml models the asymmetric one).
//
// A reader logs a state and looks at its key, a reclaimer kills the state, reads the log, frees the state if nobody holds
// it, and uses the slot again for the same object. The value is no atomic: to use it while it is freed or built is a data
// race, which relacy reports.
//
// And a log whose owner marks an entry while it is scanned (log_table.hpp, invariant 2): the scanner takes it for the same handle before
// and after. That the memory tells handles from marks is given.
#include "checking.hpp"

// The symmetric mode is the one that ThreadSanitizer gets.
#define __SANITIZE_THREAD__ 1  // NOLINT(bugprone-reserved-identifier)
#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"

namespace {

constexpr std::uint64_t kKey = 1, kDead = 2;
constexpr std::uint32_t kHandle = 1;

/// The steps as the cache takes them; a variant replaces one.
struct Steps {
  static void log(rl::atomic<std::uint32_t>& entry) { cow::detail::announce(entry, kHandle); }
  static std::uint64_t validate(const rl::atomic<std::uint64_t>& key) { return cow::detail::validate(key); }
  static void unlog(rl::atomic<std::uint32_t>& entry) { entry.store(0, std::memory_order_release); }
  static void mark_dead(rl::atomic<std::uint64_t>& key) { cow::detail::mark_before_fence(key, kDead); }
  static std::uint32_t read_log(const rl::atomic<std::uint32_t>& entry) {
    return entry.load(std::memory_order_seq_cst);
  }
  static void publish(rl::atomic<std::uint64_t>& key) { key.store(kKey, std::memory_order_release); }
  static constexpr bool kLooksFirst = false, kScansFirst = false;
};

struct LooksFirst : Steps {
  static constexpr bool kLooksFirst = true;
};
struct ScansFirst : Steps {
  static constexpr bool kScansFirst = true;
};
struct LogsReleased : Steps {
  static void log(rl::atomic<std::uint32_t>& entry) { entry.store(kHandle, std::memory_order_release); }
};
struct LooksAcquiring : Steps {
  static std::uint64_t validate(const rl::atomic<std::uint64_t>& key) { return key.load(std::memory_order_acquire); }
};
struct MarksReleased : Steps {
  static void mark_dead(rl::atomic<std::uint64_t>& key) { key.store(kDead, std::memory_order_release); }
};
struct ScansAcquiring : Steps {
  static std::uint32_t read_log(const rl::atomic<std::uint32_t>& entry) {
    return entry.load(std::memory_order_acquire);
  }
};
struct UnlogsRelaxed : Steps {
  static void unlog(rl::atomic<std::uint32_t>& entry) { entry.store(0, std::memory_order_relaxed); }
};
struct PublishesRelaxed : Steps {
  static void publish(rl::atomic<std::uint64_t>& key) { key.store(kKey, std::memory_order_relaxed); }
};

template <class Variant>
class LogThenLook : public rl::test_suite<LogThenLook<Variant>, 2> {
 public:
  void before() {
    entry_.store(0, std::memory_order_relaxed);
    value_($) = 1;
    key_.store(kKey, std::memory_order_release);
  }

  void thread(unsigned index) { index == 0 ? read() : reclaim(); }

 private:
  void read() {
    bool alive = false;
    if (Variant::kLooksFirst) alive = Variant::validate(key_) == kKey;
    Variant::log(entry_);
    if (!Variant::kLooksFirst) alive = Variant::validate(key_) == kKey;
    if (alive) {
      int seen = value_($);
      RL_ASSERT(seen == 1 || seen == 2);
      RL_ASSERT(value_($) == seen);
    }
    Variant::unlog(entry_);
  }

  void reclaim() {
    std::uint32_t held = 0;
    if (Variant::kScansFirst) held = Variant::read_log(entry_);
    Variant::mark_dead(key_);
    cow::detail::heavy_fence();
    if (!Variant::kScansFirst) held = Variant::read_log(entry_);
    if (held != 0) return;
    value_($) = 0;  // freed
    value_($) = 2;  // and used again
    Variant::publish(key_);
  }

  rl::atomic<std::uint32_t> entry_;
  rl::atomic<std::uint64_t> key_;
  rl::var<int> value_;
};

struct MarkSteps {
  static constexpr rl::memory_order kMark = rl::mo_release;
  static constexpr bool kFlagsFirst = true;
};
struct MarksRelaxed : MarkSteps {
  static constexpr rl::memory_order kMark = rl::mo_relaxed;
};
struct MarksBeforeTheFlag : MarkSteps {
  static constexpr bool kFlagsFirst = false;
};

template <class Variant>
class MarkThenScan : public rl::test_suite<MarkThenScan<Variant>, 2> {
 public:
  void before() {
    entry_.store(kHandle, std::memory_order_relaxed);
    has_marks_.store(0, std::memory_order_relaxed);
  }
  void thread(unsigned index) { index == 0 ? mark() : scan(); }

 private:
  static constexpr std::uint32_t kMarked = kHandle ^ 1 | 2;  // not 0

  void mark() {
    if (Variant::kFlagsFirst) has_marks_.store(1, std::memory_order_relaxed);
    entry_.store(kMarked, Variant::kMark, $);
    if (!Variant::kFlagsFirst) has_marks_.store(1, std::memory_order_relaxed);
  }
  void scan() {
    std::uint32_t entry = entry_.load(std::memory_order_seq_cst);
    bool is_marked = has_marks_.load(std::memory_order_relaxed) != 0 && entry == kMarked;
    RL_ASSERT((is_marked ? kHandle : entry) == kHandle);
  }

  rl::atomic<std::uint32_t> entry_, has_marks_;
};

}  // namespace

int main() {
  checking::Checker checker;
  checker.right<LogThenLook<Steps>>("log, then look");
  checker.broken<LogThenLook<LooksFirst>>("look before log");
  checker.broken<LogThenLook<ScansFirst>>("scan before mark");
  checker.broken<LogThenLook<LogsReleased>>("log with release only");
  checker.broken<LogThenLook<LooksAcquiring>>("look with acquire only");
  checker.broken<LogThenLook<MarksReleased>>("mark with release only");
  checker.broken<LogThenLook<ScansAcquiring>>("scan with acquire only");
  checker.broken<LogThenLook<UnlogsRelaxed>>("leave the log relaxed");
  checker.broken<LogThenLook<PublishesRelaxed>>("publish relaxed");
  checker.right<MarkThenScan<MarkSteps>>("mark while it is scanned");
  checker.broken<MarkThenScan<MarksRelaxed>>("mark relaxed");
  checker.broken<MarkThenScan<MarksBeforeTheFlag>>("mark before the flag");
  return checker.finish();
}
