// A line on stderr that says how far we are and how long it will take, for everything that lasts over two seconds.
//
// Thread safety: one thread.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

namespace cow::bench {

class Progress {
 public:
  explicit Progress(std::string title) : title_(std::move(title)), started_(Clock::now()), shown_(started_) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (is_shown_) std::fputc('\n', stderr);
  }

  /// To be called as often as you like.
  void operator()(std::uint64_t done, std::uint64_t all) {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - started_).count();
    const double interval = ::isatty(STDERR_FILENO) ? 0.2 : 5;  // a log wants lines, not a film
    if (seconds < 2 || std::chrono::duration<double>(now - shown_).count() < interval) return;
    shown_ = now;
    is_shown_ = true;
    const double left = done == 0 ? 0 : seconds * static_cast<double>(all - done) / static_cast<double>(done);
    std::fprintf(stderr, "\r%s: %3.0f %%, %.0f s left   ", title_.c_str(),
                 all == 0 ? 100 : 100.0 * static_cast<double>(done) / static_cast<double>(all), left);
    std::fflush(stderr);
  }

 private:
  using Clock = std::chrono::steady_clock;

  const std::string title_;
  const Clock::time_point started_;
  Clock::time_point shown_;
  bool is_shown_ = false;
};

/// The same as a function, for what reports its progress to one.
inline auto progress_of(std::string title) {
  return [progress = std::make_shared<Progress>(std::move(title))](std::uint64_t done, std::uint64_t all) {
    (*progress)(done, all);
  };
}

}  // namespace cow::bench
