// Retention: packs a database in the background, again and again, so that a store keeps as much history as is wanted and no more.
//
//   cow::Retention retention(db, {.keep_history = std::chrono::days(7)});
//
// Thread safety: every function may be called from any thread. It has a thread of its own, which ends with it.
//
// Invariants:
//  1. It works for `share` of the time at most, over a few calls of a pack's progress: what a pack has worked since the last rest, it then
//     rests for in proportion. (One rewrite of files is one piece of work: RocksDB does some hundred megabytes at a time. And while a pack
//     that collects garbage catches up with commits it does not rest, for they would outrun it: it rests for that afterwards.)
//  2. What fails is kept to be looked at, and tried again at the next turn: nothing leaves its thread.
#pragma once

#include "version.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "database.hpp"
#include "objects.hpp"
#include "options.hpp"
#include "store/pack.hpp"

namespace cow {

struct RetentionOptions {
  /// How far back snapshots stay readable. Zero: none but the present, and what open transactions see.
  std::chrono::microseconds keep_history = std::chrono::days(7);
  bool collect_garbage = false;  ///< see PackOptions
  std::chrono::milliseconds every =
      std::chrono::hours(1);  ///< from the end of one pack to the begin of the next; above 0. The first is at once
  double share = 0.1;         ///< of the time, for which it works at most while it packs: above 0, up to 1
};

/// What it has done so far.
struct RetentionStatus {
  std::uint64_t packs = 0;     ///< that have completed; one that commits have outrun (`last.outrun`) has not
  std::uint64_t failures = 0;  ///< packs that have thrown
  PackResult last;             ///< of the last one that has returned
  std::exception_ptr error;    ///< of the last one, if that has thrown; null: it has not
};

class Retention {
 public:
  /// Throws std::invalid_argument (a time or a share that is out of range), MissingCapabilityError (the store has no history, or is not
  /// packable). `database` must outlive it.
  explicit Retention(Database& database, const RetentionOptions& options = {})
      : database_(database), options_(options) {
    if (!(options.share > 0 && options.share <= 1)) throw std::invalid_argument("retention: share must be in (0, 1]");
    if (options.keep_history.count() < 0) throw std::invalid_argument("retention: keep_history must not be negative");
    if (options.every.count() <= 0) throw std::invalid_argument("retention: every must be above 0");
    (void)database.capabilities().require_history("Retention");
    (void)database.capabilities().require_packable("Retention");
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  Retention(const Retention&) = delete;
  Retention& operator=(const Retention&) = delete;
  /// Stops a pack that is under way: it is gone on with by the next one.
  ~Retention() = default;

  RetentionStatus status() const {
    const std::scoped_lock lock(mutex_);
    return status_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pack(stop);
      rest(stop, options_.every);
    }
  }

  void pack(const std::stop_token& stop) {
    Clock::time_point since = Clock::now();
    const auto progress = [&](const PackProgress& now) {
      if (now.catches_up) return !stop.stop_requested();
      const auto worked = std::chrono::duration<double>(Clock::now() - since);
      rest(stop, worked * (1 / options_.share - 1));
      since = Clock::now();
      return !stop.stop_requested();
    };
    try {
      // In microseconds, as they are kept: a history "for ever" is longer than the clock's own unit can count.
      const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
      const PackOptions packing{.collect_garbage = options_.collect_garbage, .progress = progress};
      const PackResult result =
          options_.keep_history.count() == 0 ? database_.pack(kInfinity, packing)
          : options_.keep_history >= now.time_since_epoch()
              ? database_.pack(Tid{0}, packing)
              : database_.pack(std::chrono::system_clock::time_point(now - options_.keep_history), packing);
      const std::scoped_lock lock(mutex_);
      status_.packs += result.complete;
      status_.last = result;
      status_.error = nullptr;
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      ++status_.failures;
      status_.error = std::current_exception();
    }
  }

  void rest(const std::stop_token& stop, std::chrono::duration<double> time) {
    // No longer than a clock can count.
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::min<std::chrono::duration<double>>(time, std::chrono::years(1)));
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, stop, until, [] { return false; });
  }

  Database& database_;
  const RetentionOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  RetentionStatus status_;  // guarded by mutex_
  std::jthread thread_;     // last: it ends first
};

}  // namespace cow
