// Clients, what they are doing, and a watchdog that says which of them are stuck.
//
// Thread safety: a client is written by the task (fiber, thread) whose client it is; `stop` and what the watchdog reads may be
// called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/async/cancellation.hpp"
#include "tests/stress/async_stress/chance.hpp"

namespace cow::testing {

/// One logical thread of the stress.
class Client {
 public:
  Client(std::string kind, std::uint64_t seed) : dice(seed), kind_(std::move(kind)), seed_(seed) {}

  /// Says what it is at from now on. `step`: a literal.
  void at(const char* step) noexcept {
    step_.store(step, std::memory_order_relaxed);  // both for messages only
    steps_.fetch_add(1, std::memory_order_relaxed);
  }
  const char* step() const noexcept { return step_.load(std::memory_order_relaxed); }
  std::uint64_t steps() const noexcept { return steps_.load(std::memory_order_relaxed); }

  /// Release: who sees it, in `is_done`, sees what the client has done.
  void done() noexcept { done_.store(true, std::memory_order_release); }
  bool is_done() const noexcept { return done_.load(std::memory_order_acquire); }

  /// When the next transaction is to give up: never, at a deadline, when somebody says so, or both.
  Cancellation draw_cancellation(std::size_t deadline_one_in, std::size_t stop_one_in) {
    Cancellation cancellation;
    if (dice.one_in(deadline_one_in)) {
      cancellation.deadline = Cancellation::Clock::now() + dice.time(1, 50'000) - std::chrono::microseconds(2);
    }
    std::scoped_lock lock(mutex_);
    source_ = std::stop_source(std::nostopstate);
    if (dice.one_in(stop_one_in)) {
      source_ = std::stop_source();
      cancellation.stop = source_.get_token();
      if (dice.one_in(16)) source_.request_stop();  // before it has begun
    }
    return cancellation;
  }
  void stop() {
    std::unique_lock lock(mutex_);
    std::stop_source source = source_;
    lock.unlock();
    source.request_stop();
  }

  std::string description() const { return kind_ + " (its seed is " + std::to_string(seed_) + ") at: " + step(); }

  Dice dice;

 private:
  const std::string kind_;
  const std::uint64_t seed_;
  std::atomic<const char*> step_{"start"};
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<bool> done_{false};
  std::mutex mutex_;
  std::stop_source source_{std::nostopstate};
};

/// Ends the program, with a message, when a client has not come to another step for long. What is slow is not stuck: a step
/// takes milliseconds, and the patience is minutes (COW_CACHE_STRESS_PATIENCE, in seconds).
class Watchdog {
 public:
  /// `clients` grows no more. `describe`: what else the message says.
  Watchdog(std::deque<Client>& clients, std::function<std::string()> describe)
      : clients_(clients), describe_(std::move(describe)), thread_([this](std::stop_token stop) { watch(stop); }) {}

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {
    std::uint64_t steps = 0;
    Clock::time_point since = Clock::now();
  };

  static Clock::duration patience() {
    const char* seconds = std::getenv("COW_CACHE_STRESS_PATIENCE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
    return std::chrono::seconds(seconds == nullptr ? 180 : std::atoi(seconds));
  }

  void watch(std::stop_token stop) {
    std::vector<Seen> seen(clients_.size());
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, stop, std::chrono::milliseconds(200), [] { return false; }) &&
           !stop.stop_requested()) {
      bool all_move = true;
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (std::uint64_t steps = clients_[i].steps(); steps != seen[i].steps) seen[i] = {steps, Clock::now()};
        all_move = all_move && (clients_[i].is_done() || Clock::now() - seen[i].since < patience_);
      }
      if (!all_move) report_and_abort(seen);
    }
  }

  [[noreturn]] void report_and_abort(const std::vector<Seen>& seen) {
    std::string text = "\nclients are stuck; " + describe_() + "\n";
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (clients_[i].is_done()) continue;
      auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - seen[i].since).count();
      text += "  client " + std::to_string(i) + ", " + clients_[i].description() + ", for " + std::to_string(seconds) +
              " s\n";
    }
    std::fputs(text.c_str(), stderr);
    std::abort();
  }

  std::deque<Client>& clients_;
  const std::function<std::string()> describe_;
  const Clock::duration patience_ = patience();
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::jthread thread_;
};

/// Stops transactions of random clients, at random times.
class Stopper {
 public:
  Stopper(std::deque<Client>& clients, std::uint64_t seed)
      : clients_(clients), dice_(seed), thread_([this](std::stop_token stop) {
          while (!stop.stop_requested()) {
            std::this_thread::sleep_for(dice_.time(10, 400));
            for (std::size_t n = dice_.below(4); n > 0; --n) clients_[dice_.below(clients_.size())].stop();
          }
        }) {}

 private:
  std::deque<Client>& clients_;
  Dice dice_;
  std::jthread thread_;
};

}  // namespace cow::testing
