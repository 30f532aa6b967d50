// Waits for what others commit: by notifications on a connection of its own where that may be, and by asking now and then in any case.
//
// Thread safety: every function may be called from any number of threads at once. One of those that wait has the connection; the others
// wait for it, or ask themselves when their time comes.
//
// Invariants:
//  1. [listen-before-look] A thread that relies on a notification listens before it asks for the last tid. So what is committed after its
//     question is notified.
//  2. A notification is a hint: one that is lost costs time (`kAskAnyway` at most, or the caller's), one that is false a question.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "lineage.hpp"
#include "pool.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

class Waiting {
 public:
  Waiting(Pool& pool, Lineage& lineage)
      : pool_(pool),
        lineage_(lineage),
        listens_(pool.options().notify && pool.options().pooler == PostgresPooler::none),
        listen_{"LISTEN " + identifier(channel_of(pool.options().schema)), false} {}  // the hint

  /// Throws what Lineage::last throws, and the pool.
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) {
    constexpr std::chrono::hours kForever(24 * 365);  // so that no sum overflows
    const Clock::time_point end = Clock::now() + std::min<std::chrono::milliseconds>(longest, kForever);
    for (;;) {
      std::unique_lock lock(mutex_, std::defer_lock);
      const bool has_hint = listens_ && lock.try_lock() && listen();
      const Tid last = pool_.repeat([&](Connection& connection) { return lineage_.last(connection); });
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
      if (last > seen || last < seen || left.count() <= 0) return last;
      if (!has_hint) {
        if (lock.owns_lock()) lock.unlock();
        std::this_thread::sleep_for(
            std::min(left, std::max(pool_.options().poll_interval, std::chrono::milliseconds(1))));
        continue;
      }
      try {
        // Silence is an answer: nothing was committed since the question.
        if (!connection_->wait_for_notification(std::min(left, kAskAnyway)) && left <= kAskAnyway) return last;
      } catch (const ConnectionLost&) {
        connection_.reset();
      }
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kAskAnyway{500};
  static constexpr std::chrono::seconds kListenAgain{5};  // after an attempt that has failed

  /// False: it must be asked. REQUIRES: `mutex_`.
  bool listen() {
    if (connection_ != nullptr && connection_->is_good()) return true;
    connection_.reset();
    if (Clock::now() < listen_again_) return false;
    try {
      auto fresh = std::make_unique<Connection>(pool_.options(), pool_.counters());
      fresh->run(listen_);
      connection_ = std::move(fresh);
      return true;
    } catch (const StoreError&) {  // no connection to spare, or a server that knows no notifications
      listen_again_ = Clock::now() + kListenAgain;
      return false;
    }
  }

  Pool& pool_;
  Lineage& lineage_;
  const bool listens_;
  const Statement listen_;
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;  // guarded by mutex_, as the next
  Clock::time_point listen_again_{};
};

}  // namespace cow::detail::postgres
