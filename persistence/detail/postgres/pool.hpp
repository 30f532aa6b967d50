// The connections of one store: made when they are needed, looked at before they are used, made anew when they were lost.
//
// Thread safety: every function may be called from any number of threads at once; a Lease belongs to one thread.
//
// Invariants:
//  1. There are at most `pool_size` leases at a time. A lease gives its place back however it ends, and its connection if that is good.
//  2. A connection that the server has closed while nobody used it is replaced before it is handed out.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "connection.hpp"
#include "cow_cache/retry_policy.hpp"
#include "errors.hpp"
#include "persistence/postgres_options.hpp"

namespace cow::detail::postgres {

/// Waits between attempts: longer each time, at random, and not beyond a time.
class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Backoff(Clock::time_point end) : end_(end) {}

  /// False: the time is over, and it has not waited.
  bool wait() {
    if (Clock::now() >= end_) return false;
    std::this_thread::sleep_for(kPauses.pause_after(++attempts_));
    return true;
  }
  int attempts() const noexcept { return attempts_; }

 private:
  static constexpr RetryPolicy kPauses{.first_pause = std::chrono::microseconds(500),
                                       .longest_pause = std::chrono::milliseconds(128)};

  Clock::time_point end_;
  int attempts_ = 0;
};

class Pool {
 public:
  Pool(const PostgresOptions& options, Counters& counters) : options_(options), counters_(counters) {}

  /// `look(connection)` is called with each that is made from now on, before it is handed out; what it throws is thrown in its place.
  /// REQUIRES: nobody else uses the pool yet.
  void look_at_new_ones(std::function<void(Connection&)> look) { look_ = std::move(look); }

  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Connection> connection) : pool_(&pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_ != nullptr) pool_->give_back(std::move(connection_));
    }
    Connection& operator*() const noexcept { return *connection_; }
    Connection* operator->() const noexcept { return connection_.get(); }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  /// A connection, once fewer than `pool_size` are in use. Throws ConnectionLost if none can be made, and there is none in use that
  /// could be waited for.
  Lease take() {
    const auto end = std::chrono::steady_clock::now() + options_.answer_timeout;
    std::unique_lock lock(mutex_);
    for (bool full_server = false;; full_server = true) {
      const std::size_t most = full_server ? std::max<std::size_t>(1, std::min(used_, limit())) : limit();
      if (!returned_.wait_until(lock, end, [&] { return used_ < most || !idle_.empty(); }))
        throw ConnectionLost("PostgresStore: all connections have been in use for too long");
      ++used_;
      while (!idle_.empty()) {
        std::unique_ptr<Connection> connection = std::move(idle_.back());
        idle_.pop_back();
        if (connection->is_alive()) return Lease(*this, std::move(connection));
      }
      lock.unlock();
      try {
        auto fresh = std::make_unique<Connection>(options_, counters_);
        if (look_) look_(*fresh);
        return Lease(*this, std::move(fresh));
      } catch (const ConnectionLost&) {
        lock.lock();
        --used_;
        returned_.notify_one();
        if (used_ == 0) throw;  // there may be no room for more connections on the server: one of ours comes back
      } catch (...) {
        lock.lock();
        --used_;
        returned_.notify_one();
        throw;
      }
    }
  }

  /// Calls `work(connection)`, again with another connection when that was lost, and again when the server has refused it for the sake
  /// of others, for `retry_for` at most. REQUIRES: `work` changes nothing, or what may be done twice.
  template <class Work>
  auto repeat(Work work) {
    Backoff backoff(Backoff::Clock::now() + options_.retry_for);
    for (;;) {
      try {
        const Lease lease = take();
        return work(*lease);
      } catch (const ConnectionLost&) {
        if (!backoff.wait()) throw;
      } catch (const ServerError& error) {
        if (!error.is_passing() || !backoff.wait()) throw;
        counters_.retries.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  Result ask(const Statement& statement, const Parameters& parameters = {}) {
    return repeat([&](Connection& connection) { return connection.run(statement, parameters); });
  }

  const PostgresOptions& options() const noexcept { return options_; }
  Counters& counters() noexcept { return counters_; }

 private:
  std::size_t limit() const noexcept { return std::max<std::size_t>(1, options_.pool_size); }

  void give_back(std::unique_ptr<Connection> connection) noexcept {
    const bool is_good = connection != nullptr && connection->is_good();
    {
      const std::lock_guard lock(mutex_);
      --used_;
      if (is_good) {
        try {
          idle_.push_back(std::move(connection));
        } catch (const std::bad_alloc&) {  // closed below
        }
      }
    }
    returned_.notify_one();
  }

  const PostgresOptions& options_;
  Counters& counters_;
  std::function<void(Connection&)> look_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Connection>> idle_;  // the last one used is used next
  std::size_t used_ = 0;
};

}  // namespace cow::detail::postgres
