// Peak and mean of what is sampled, and this process's memory, read often.
//
// Thread safety: used by one thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <system_error>

namespace cow::bench {

class Samples {
 public:
  void add(std::uint64_t value) noexcept {
    peak_ = std::max(peak_, value);
    sum_ += static_cast<double>(value);
    ++count_;
  }
  std::uint64_t peak() const noexcept { return peak_; }
  double mean() const noexcept { return count_ == 0 ? 0 : sum_ / count_; }

 private:
  std::uint64_t peak_ = 0;
  double sum_ = 0, count_ = 0;
};

/// Of /proc/self/statm: a system call of some microseconds, where that of process_memory() goes through all pages. The kernel may
/// lag behind by some pages a thread.
class ResidentMemory {
 public:
  /// Throws std::system_error where there is no /proc.
  ResidentMemory() : file_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), "/proc/self/statm");
  }
  ResidentMemory(const ResidentMemory&) = delete;
  ResidentMemory& operator=(const ResidentMemory&) = delete;
  ~ResidentMemory() { ::close(file_); }

  std::uint64_t bytes() const {
    std::array<char, 128> text{};
    if (::pread(file_, text.data(), text.size() - 1, 0) <= 0) {
      throw std::system_error(errno, std::generic_category(), "/proc/self/statm");
    }
    char* rest = nullptr;
    (void)std::strtoull(text.data(), &rest, 10);  // all of its addresses
    return std::strtoull(rest, nullptr, 10) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

 private:
  int file_;
};

}  // namespace cow::bench
