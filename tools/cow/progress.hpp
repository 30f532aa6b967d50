// How far something is, on standard error: for terminals, and for what takes longer than two seconds.
//
// Thread safety: one thread at a time, and one Progress at a time.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "terminal.hpp"

namespace cow::tool {

enum class ShowProgress { when_slow, always, never };

/// One line that is written over until it is erased at the end.
class Progress {
 public:
  /// `total`: about how many steps there will be; 0: nobody knows.
  Progress(ShowProgress show, std::string what, std::uint64_t total)
      : show_(show == ShowProgress::when_slow && ::isatty(STDERR_FILENO) == 0 ? ShowProgress::never : show),
        what_(std::move(what)),
        total_(total) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { hide(); }

  /// Takes the line away until the next step, so that something else can be written to the terminal.
  static void hide() {
    if (!std::exchange(shown_, false)) return;
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
  }

  void step(std::uint64_t steps = 1) {
    done_ += steps;
    if (show_ == ShowProgress::never) return;
    // Each time, though some call it each microsecond: others call it a few times in all, and seconds lie in between.
    const auto now = Clock::now();
    if (now < next_) return;
    if (show_ == ShowProgress::when_slow && now - begin_ < std::chrono::seconds(2)) return;
    next_ = now + std::chrono::milliseconds(200);
    show(std::chrono::duration<double>(now - begin_).count());
  }

 private:
  using Clock = std::chrono::steady_clock;

  void show(double seconds) {
    std::string line = fmt::format("{}: {}", what_, done_);
    if (total_ > 0) {
      // The total is an estimate: what is done is never more than nearly all.
      const double part = std::min(static_cast<double>(done_) / static_cast<double>(total_), 0.99);
      line += fmt::format(" of about {}, {:.0f}%", total_, 100 * part);
      if (seconds >= 1) line += fmt::format(", {} left", duration(seconds / part - seconds));
    }
    const std::size_t width = columns_of(STDERR_FILENO).value_or(79);
    line = shortened(line, width > 1 ? width - 1 : 1);
    fmt::print(stderr, "\r{}\x1b[K", line);
    std::fflush(stderr);
    shown_ = true;
  }

  static std::string duration(double seconds) {
    const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 8.64e7));
    if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
  }

  inline static bool shown_ = false;

  const ShowProgress show_;
  const std::string what_;
  const std::uint64_t total_;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_ = begin_;
  std::uint64_t done_ = 0;
};

}  // namespace cow::tool
