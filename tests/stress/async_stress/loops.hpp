// The loops of a round: two that one thread runs, one that three threads run, and a pool of threads.
//
// Thread safety: all functions may be called from any thread, but for `finish` and the destructor.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "cow_cache/async.hpp"
#include "tests/stress/async_stress/chance.hpp"

namespace cow::testing {

class Loops {
 public:
  /// `handlers_caught`: how many exceptions of handlers have left a `run`.
  explicit Loops(std::atomic<std::uint64_t>& handlers_caught) : caught_(handlers_caught) {
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      for (int threads = i + 1 == loops_.size() ? 3 : 1; threads > 0; --threads) {
        threads_.emplace_back([this, i] { run(loops_[i]); });
      }
    }
  }
  Loops(const Loops&) = delete;
  Loops& operator=(const Loops&) = delete;
  ~Loops() { finish(); }

  /// Serial, of an io_context.
  AnyExecutor any(Dice& dice) {
    switch (dice.below(4)) {
      case 0:
        return loops_[0].get_executor();
      case 1:
        return loops_[1].get_executor();
      case 2:
        return shared_strand_;
      default:
        return own_strand();
    }
  }
  AnyExecutor own_strand() { return boost::asio::make_strand(loops_[2]); }
  AnyExecutor strand_of_pool() { return boost::asio::make_strand(pool_); }

  /// Returns when all that was spawned has ended.
  void finish() {
    for (auto& working : working_) working.reset();
    threads_.clear();
    pool_.join();
  }

 private:
  using Working = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

  void run(boost::asio::io_context& loop) {
    for (;;) {
      try {
        loop.run();
        return;
      } catch (const ThrownOnPurpose& error) {
        if (error.fault != Fault::handler) throw;  // ends the program: nothing else may come here
        caught_.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  std::atomic<std::uint64_t>& caught_;
  std::array<boost::asio::io_context, 3> loops_;
  boost::asio::thread_pool pool_{2};
  std::array<std::optional<Working>, 3> working_{Working(loops_[0].get_executor()), Working(loops_[1].get_executor()),
                                                 Working(loops_[2].get_executor())};
  AnyExecutor shared_strand_ = boost::asio::make_strand(loops_[2]);
  std::vector<std::jthread> threads_;
};

}  // namespace cow::testing
