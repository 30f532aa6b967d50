// The threads of a run in which one of them is stopped: two that commit, one that reads and checks, and the one that is stopped; and the
// transaction that makes scans necessary.
//
// Thread safety: StoppedThreads is made, used and destroyed by one thread, which has made the sleeper as well; its figures may be read at any
// time.
//
// Invariants:
//  1. While the thread is stopped in a scan, it is in the middle of one: scans wait at the sleeper from before it has begun one, when nobody else
//     retires, until it is stopped.
//  2. Nobody is left stopped: however the run ends, scans may pass and the thread goes on before it is waited for.
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/ablation/ping_domain.hpp"
#include "bench/ablation/scheme.hpp"
#include "bench/ablation/session.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/workload_error.hpp"
#include "first_failure.hpp"
#include "grouped_cells.hpp"
#include "stoppable.hpp"
#include "timed_reclaimer.hpp"

namespace cow::bench {

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

  /// Returns when the thread does nothing any more, where it shall not. REQUIRES: the stopper outlives this.
  void stop_one(Stopper& stopper) {
    if (stopped_ == "reader") {
      victim_ = member([this](AttachedSession& session) { stay_in_a_read(session); });
      wait_until([this] { return is_in_a_read_.load(); });
      stop_victim(stopper);
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
    stop_victim(stopper);
    victim_shall_end_ = true;  // once it goes on
    if (stopped_ != "scanner-in-log") let_scanners_pass();
    writers_shall_pause_ = false;
  }

  void let_it_go_on() {
    let_scanners_pass();
    victim_shall_end_ = true;
    if (Stopper* stopper = std::exchange(stopper_, nullptr); stopper != nullptr) stopper->go_on();
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
    let_it_go_on();
    shall_end_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    if (victim_.joinable()) victim_.join();
  }

  /// Not if somebody has failed, for then it may have ended.
  void stop_victim(Stopper& stopper) {
    if (failure_.any()) return;
    stopper.stop(victim_);
    stopper_ = &stopper;
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
  Stopper* stopper_ = nullptr;  // while the victim is stopped
  std::atomic<bool> shall_end_{false}, victim_may_commit_{false}, victim_shall_end_{false}, writers_shall_pause_{false},
      is_in_a_read_{false};
  std::atomic<std::uint32_t> paused_{0};
  std::atomic<std::uint64_t> commits_{0}, reads_{0}, longest_ns_{0};
  FirstFailure failure_;
};

}  // namespace cow::bench
