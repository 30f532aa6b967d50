// What a thread that is stopped stops: in the middle of a scan, or of a read. Two threads commit, one reads and checks what it reads;
// a further thread is stopped for some time (stoppable.hpp), and goes on. Counted: commits and reads before, meanwhile and afterwards, and limbo.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/ablation/own_schemes.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/usage_error.hpp"
#include "bench/workloads/workload_error.hpp"
#include "first_failure.hpp"
#include "grouped_cells.hpp"
#include "persistence/memory_store.hpp"
#include "reclamation_probes.hpp"
#include "stoppable.hpp"
#include "timed_reclaimer.hpp"

namespace cow::bench {
namespace {

constexpr double kStoppedSample = 0.005;  // seconds between looks

struct StoppedPhase {
  double seconds = 0;
  double last_commit_s = 0;  ///< when, since its begin, a commit was seen to have returned for the last time
  std::uint64_t commits = 0, late_commits = 0, reads = 0;  ///< late: in its second half
  std::size_t limbo_most = 0, limbo_end = 0;

  double commits_per_s() const { return static_cast<double>(commits) / seconds; }
  double reads_per_s() const { return static_cast<double>(reads) / seconds; }
};

struct StoppedOutcome {
  StoppedPhase before, meanwhile, after;
  std::uint64_t longest_commit_ns = 0;
  nlohmann::json over_time = nlohmann::json::array();  ///< seconds, bytes in limbo, commits so far
};

/// The transaction that an epoch waits for, so that there are scans at all. It is its thread's, and stays awake.
class WakefulSleeper {
 public:
  WakefulSleeper(Database& database, const GroupedCells& cells) : cells_(cells), session_(database) {
    // A thread keeps its participant for its next transaction: so this is the sleeper's.
    cow::detail::TransactionRegistry& registry =
        dynamic_cast<TimedReclaimer&>(cow::detail::cache_of(database).reclaimer()).registry();
    participant_ = &registry.begin();
    registry.end(*participant_);
    session_.begin();
    check("the commit that a sleeper sees");
    if (participant_->announced.load() >= cow::detail::Participant::kEnding)
      throw std::logic_error("the sleeper has another participant than its thread's");
  }

  /// It reads 0, as when it began. Throws WrongAnswerError.
  void check(const char* what) {
    for (std::uint32_t group = 0; group < 5; ++group) check_count(what, 0, cells_.read(session_, group));
  }

  /// That of its log: who scans waits for it.
  cow::detail::BackoffLock& log_lock() noexcept { return participant_->log_lock; }

 private:
  const GroupedCells& cells_;
  AttachedSession session_;
  cow::detail::Participant* participant_ = nullptr;
};

/// Two that commit, one that reads and checks, and the one that is stopped.
class StoppedThreads {
 public:
  StoppedThreads(const Scheme& scheme, Database& database, GroupedCells& cells, WakefulSleeper& sleeper,
                 const std::string& stopped)
      : scheme_(scheme), database_(database), cells_(cells), sleeper_(sleeper), stopped_(stopped) {
    for (std::uint32_t i = 0; i < kWriters; ++i) start([this, i](AttachedSession& session) { write(session, i); });
    start([this](AttachedSession& session) { read(session); });
  }
  StoppedThreads(const StoppedThreads&) = delete;
  StoppedThreads& operator=(const StoppedThreads&) = delete;
  ~StoppedThreads() { end(); }

  /// Returns when the thread does nothing any more, where it shall not.
  void stop_one(Stopper& stopper) {
    if (stopped_ == "reader") {
      victim_ = member([this](AttachedSession& session) { stay_in_a_read(session); });
      wait_until([this] { return is_in_a_read_.load(); });
      if (!failure_.any()) stopper.stop(victim_);
      return;
    }
    // Begun before pings are blocked: a thread inherits what its maker blocks, and would never answer one.
    victim_ = member([this](AttachedSession& session) { commit_until_told(session); });
    pause_writers();
    const std::uint64_t scans = reclaimer().deep_scans();
    hold_up_scanners();
    victim_may_commit_ = true;
    wait_until([&] { return reclaimer().deep_scans() > scans; });  // it has begun to scan, and cannot end
    std::this_thread::sleep_for(std::chrono::milliseconds(10));    // and has come to where it waits
    if (!failure_.any()) stopper.stop(victim_);
    victim_shall_end_ = true;  // once it goes on
    if (stopped_ != "scanner-in-log") let_scanners_pass();
    writers_shall_pause_ = false;
  }

  void let_it_go_on(Stopper& stopper) {
    let_scanners_pass();
    victim_shall_end_ = true;
    if (!failure_.any()) stopper.go_on();
  }

  /// Throws what they have thrown.
  void join() {
    end();
    failure_.rethrow();
  }

  bool have_failed() const noexcept { return failure_.any(); }
  std::uint64_t commits() const noexcept { return commits_.load(); }
  std::uint64_t reads() const noexcept { return reads_.load(); }
  std::uint64_t longest_commit_ns() const noexcept { return longest_ns_.load(); }

 private:
  static constexpr std::uint32_t kWriters = 2;

  template <class Body>
  std::thread member(Body body) {
    return std::thread([this, body] {
      failure_.guard([&] {
        Membership member(scheme_);
        AttachedSession session(database_);
        body(session);
      });
    });
  }
  template <class Body>
  void start(Body body) {
    threads_.push_back(member(body));
  }

  void write(AttachedSession& session, std::uint32_t number) {
    std::mt19937_64 dice(number);
    while (!shall_end_.load(std::memory_order_relaxed)) {
      if (writers_shall_pause_.load()) {
        ++paused_;
        while (writers_shall_pause_.load() && !shall_end_.load()) nap();
        --paused_;
        continue;
      }
      const double start = seconds_now();
      cells_.write(session, group_of(number, dice));
      const auto ns = static_cast<std::uint64_t>(1e9 * (seconds_now() - start));
      commits_.fetch_add(1, std::memory_order_relaxed);
      std::uint64_t longest = longest_ns_.load();
      while (longest < ns && !longest_ns_.compare_exchange_weak(longest, ns)) {
      }
    }
  }

  void read(AttachedSession& session) {
    std::mt19937_64 dice(kWriters + 1);
    while (!shall_end_.load(std::memory_order_relaxed))
      reads_.fetch_add(cells_.check_one_snapshot(session, dice), std::memory_order_relaxed);
  }

  void commit_until_told(AttachedSession& session) {
    std::mt19937_64 dice(kWriters);
    while (!victim_may_commit_.load() && !victim_shall_end_.load()) nap();
    while (!victim_shall_end_.load()) cells_.write(session, group_of(kWriters, dice));
  }

  void stay_in_a_read(AttachedSession& session) {
    session.begin();
    const std::uint64_t number = cells_.read(session, 0, [this] {
      is_in_a_read_ = true;
      while (!victim_shall_end_.load()) {  // in the handler of a signal, mostly
      }
    });
    if (cells_.read(session, 0) != number) throw WrongAnswerError("who was stopped finds what it has read changed");
    session.abort();
  }

  /// Each of those that commit has groups of its own.
  static std::uint32_t group_of(std::uint32_t number, std::mt19937_64& dice) {
    return static_cast<std::uint32_t>(dice() % (GroupedCells::kGroups / (kWriters + 1))) * (kWriters + 1) + number;
  }

  void pause_writers() {
    writers_shall_pause_ = true;
    wait_until([this] { return paused_.load() == kWriters; });
  }

  /// A scan that begins from here on comes to the sleeper, and waits: for the lock of its log, or for the answer of its thread.
  void hold_up_scanners() {
    holds_up_ = true;
    if (scheme_.name == "ping") return mask_pings(SIG_BLOCK);
    sleeper_.log_lock().lock();
  }
  void let_scanners_pass() {
    if (!std::exchange(holds_up_, false)) return;
    if (scheme_.name == "ping") return mask_pings(SIG_UNBLOCK);
    sleeper_.log_lock().unlock();
  }
  static void mask_pings(int how) {
    sigset_t pings;
    ::sigemptyset(&pings);
    ::sigaddset(&pings, PingDomain::kSignal);
    ::pthread_sigmask(how, &pings, nullptr);
  }

  template <class Condition>
  void wait_until(Condition&& condition) const {
    while (!condition() && !failure_.any()) nap();
  }
  static void nap() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

  void end() {
    let_scanners_pass();
    shall_end_ = true;
    victim_shall_end_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    if (victim_.joinable()) victim_.join();
  }

  cow::detail::Reclaimer& reclaimer() const { return cow::detail::cache_of(database_).reclaimer(); }

  const Scheme& scheme_;
  Database& database_;
  GroupedCells& cells_;
  WakefulSleeper& sleeper_;
  const std::string stopped_;
  std::vector<std::thread> threads_;
  std::thread victim_;
  bool holds_up_ = false;
  std::atomic<bool> shall_end_{false}, victim_may_commit_{false}, victim_shall_end_{false}, writers_shall_pause_{false},
      is_in_a_read_{false};
  std::atomic<std::uint32_t> paused_{0};
  std::atomic<std::uint64_t> commits_{0}, reads_{0}, longest_ns_{0};
  FirstFailure failure_;
};

class StoppedRun {
 public:
  explicit StoppedRun(const StoppedThreadOptions& options)
      : options_(options), scheme_(scheme_of(options.scheme)), cells_(store_) {}

  StoppedOutcome measure() {
    Membership member(scheme_);
    Database database(store_, {.cache_bytes = std::size_t{1} << 30, .reclaimer = TimedReclaimer::around(scheme_.make)});
    cells_.warm(database);
    StoppedOutcome outcome;
    {
      WakefulSleeper sleeper(database, cells_);
      Stopper stopper;  // there until all threads have ended
      StoppedThreads threads(scheme_, database, cells_, sleeper, options_.stopped);
      started_ = seconds_now();
      outcome.before = watch(database, threads, options_.seconds / 2, outcome);
      threads.stop_one(stopper);
      outcome.meanwhile = watch(database, threads, options_.seconds, outcome);
      threads.let_it_go_on(stopper);
      outcome.after = watch(database, threads, options_.seconds / 2, outcome);
      threads.join();
      outcome.longest_commit_ns = threads.longest_commit_ns();
      sleeper.check("the commit that a sleeper sees again");
    }
    cells_.check_newest(database);
    check_bound(outcome);
    return outcome;
  }

 private:
  static Scheme scheme_of(const std::string& name) {
    for (const Scheme& scheme : own_schemes()) {
      if (scheme.name == name) return scheme;
    }
    throw UsageError("no scheme " + name);
  }

  /// What the cache and its threads do in the next so many seconds.
  StoppedPhase watch(Database& database, const StoppedThreads& threads, double seconds, StoppedOutcome& outcome) const {
    StoppedPhase phase;
    const double start = seconds_now();
    const std::uint64_t commits = threads.commits(), reads = threads.reads();
    std::uint64_t seen = commits;
    std::optional<std::uint64_t> at_half;
    for (double now = start; now < start + seconds && !threads.have_failed(); now = seconds_now()) {
      phase.limbo_end = cow::detail::cache_of(database).reclaimer().limbo_bytes();
      phase.limbo_most = std::max(phase.limbo_most, phase.limbo_end);
      const std::uint64_t so_far = threads.commits();
      if (so_far != seen) phase.last_commit_s = now - start;
      seen = so_far;
      if (!at_half && now >= start + seconds / 2) at_half = so_far;
      outcome.over_time.push_back({now - started_, phase.limbo_end, so_far});
      std::this_thread::sleep_for(std::chrono::duration<double>(kStoppedSample));
    }
    phase.seconds = seconds_now() - start;
    phase.commits = threads.commits() - commits;
    phase.late_commits = at_half ? threads.commits() - *at_half : 0;
    phase.reads = threads.reads() - reads;
    return phase;
  }

  /// What the cache promises, whoever is stopped: invariants 4 and 6 of HybridReclaimer. Twice, for what scans have cleared may wait
  /// beside what is not settled.
  void check_bound(const StoppedOutcome& outcome) const {
    if (scheme_.name != "hybrid") return;
    constexpr std::size_t kBudget = CacheOptions{}.limbo_bytes, kOvershoot = std::size_t{256} << 10;
    const std::size_t most =
        std::max({outcome.before.limbo_most, outcome.meanwhile.limbo_most, outcome.after.limbo_most});
    if (most > 2 * (kBudget + kOvershoot))
      throw WrongAnswerError(fmt::format("limbo of {} bytes is more than promised", most));
  }

  const StoppedThreadOptions& options_;
  const Scheme scheme_;
  MemoryStore store_;
  GroupedCells cells_;
  double started_ = 0;
};

void check_stopped_usage(const StoppedThreadOptions& options) {
  if (options.stopped == "scanner-in-log" && options.scheme == "ping") throw UsageError("ping locks no log");
  if (options.stopped != "reader" && options.scheme == "epochs") throw UsageError("epochs never scan");
}

}  // namespace

void probe_stopped_thread(const StoppedThreadOptions& options) {
  check_stopped_usage(options);
  const StoppedOutcome outcome = StoppedRun(options).measure();
  const StoppedPhase& meanwhile = outcome.meanwhile;
  nlohmann::json row = probe_row(options, options.scheme, "stopped-thread",
                                 {{"stopped", options.stopped}, {"seconds", options.seconds}});
  row["operations"] = outcome.before.commits + meanwhile.commits + outcome.after.commits;
  row["duration_s"] = outcome.before.seconds + meanwhile.seconds + outcome.after.seconds;
  row["figures"] = {{"commits_per_s_before", outcome.before.commits_per_s()},
                    {"commits_meanwhile", meanwhile.commits},
                    {"late_commits_per_s", 2 * static_cast<double>(meanwhile.late_commits) / meanwhile.seconds},
                    {"last_commit_s", meanwhile.last_commit_s},
                    {"commits_per_s_after", outcome.after.commits_per_s()},
                    {"longest_commit_ms", static_cast<double>(outcome.longest_commit_ns) / 1e6},
                    {"reads_per_s_before", outcome.before.reads_per_s()},
                    {"reads_per_s_meanwhile", meanwhile.reads_per_s()},
                    {"limbo_bytes_before", outcome.before.limbo_most},
                    {"limbo_bytes_meanwhile", meanwhile.limbo_most},
                    {"limbo_bytes_after", outcome.after.limbo_end},
                    {"wrong", 0}};  // or this would not be reached
  row["over_time"] = outcome.over_time;
  fmt::print(
      "{:<8} {:<15} stopped for {:.2f} s: commits {:.0f}/s before, {} meanwhile (the last after {:.3f} s; {:.0f}/s in "
      "the second half), "
      "{:.0f}/s after; reads {:.0f}/s before, {:.0f}/s meanwhile; limbo at most {} KiB before, {} meanwhile, {} at the "
      "end\n",
      options.scheme, options.stopped, meanwhile.seconds, outcome.before.commits_per_s(), meanwhile.commits,
      meanwhile.last_commit_s, row["figures"]["late_commits_per_s"].get<double>(), outcome.after.commits_per_s(),
      outcome.before.reads_per_s(), meanwhile.reads_per_s(), outcome.before.limbo_most >> 10,
      meanwhile.limbo_most >> 10, outcome.after.limbo_end >> 10);
  append_rows(options.output, {row});
}

}  // namespace cow::bench
