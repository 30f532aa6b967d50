// A station with several servers and one queue: where jobs wait for a core of a node, or for the store.
//
// Thread safety: used by one thread.
//
// Invariants:
//  1. Jobs are served in the order of their arrival, and no job is interrupted. So the end of a job is known when it
//     arrives, from when each server will be free: no event is needed for what happens in between.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

namespace cow::bench::simulation {

class Station {
 public:
  explicit Station(std::uint32_t servers) : free_at_(servers, 0.0) {
    if (servers == 0) throw std::invalid_argument("a station needs a server");
  }

  /// A job arrives that takes `service` seconds; returns when it ends. REQUIRES: `now` does not go back.
  double serve(double now, double service) {
    // The server that is free first is on top of the heap.
    std::pop_heap(free_at_.begin(), free_at_.end(), std::greater<>{});
    const double start = std::max(now, free_at_.back());
    const double end = free_at_.back() = start + service;
    std::push_heap(free_at_.begin(), free_at_.end(), std::greater<>{});
    ++jobs_;
    waited_ += start - now;
    busy_ += service;
    return end;
  }

  std::size_t servers() const { return free_at_.size(); }

  /// Forgets what was counted; jobs stay.
  void reset_counts() {
    jobs_ = 0;
    waited_ = busy_ = 0;
  }
  std::uint64_t jobs() const { return jobs_; }
  double mean_wait() const { return jobs_ == 0 ? 0 : waited_ / static_cast<double>(jobs_); }
  /// Seconds of service that were asked for, all servers together.
  double busy() const { return busy_; }

 private:
  std::vector<double> free_at_;
  std::uint64_t jobs_ = 0;
  double waited_ = 0, busy_ = 0;
};

}  // namespace cow::bench::simulation
