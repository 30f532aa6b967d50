#include "info_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <string>
#include <system_error>
#include <vector>

namespace cow::detail {
namespace {

constexpr const char* kName = "LOG";
constexpr const char* kOldPrefix = "LOG.old.";

timeval now() {
  timeval time{};
  ::gettimeofday(&time, nullptr);
  return time;
}

// "2026/01/31-23:59:59.000001 4711 ": as RocksDB writes it, for the tools that read it.
int print_prefix(char* to, std::size_t room) {
  const timeval time = now();
  tm local{};
  ::localtime_r(&time.tv_sec, &local);
  return std::snprintf(to, room, "%04d/%02d/%02d-%02d:%02d:%02d.%06d %ld ", local.tm_year + 1900, local.tm_mon + 1,
                       local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, static_cast<int>(time.tv_usec),
                       static_cast<long>(::syscall(SYS_gettid)));
}

}  // namespace

InfoLog::~InfoLog() {
  if (fd_ >= 0) ::close(fd_);
}

void InfoLog::Logv(const char* format, va_list arguments) {
  std::array<char, 4096> line;  // a longer message is cut
  auto length = static_cast<std::size_t>(std::max(print_prefix(line.data(), line.size()), 0));
  const int wanted = std::vsnprintf(line.data() + length, line.size() - length, format, arguments);
  length = std::min(length + static_cast<std::size_t>(std::max(wanted, 0)), line.size() - 2);
  if (length == 0 || line[length - 1] != '\n') line[length++] = '\n';

  const std::lock_guard lock(mutex_);
  if (fd_ < 0) open_file();
  if (fd_ >= 0 && size_ + length > max_bytes_ && size_ > 0) rotate();
  if (fd_ < 0) return;
  const ssize_t written = ::write(fd_, line.data(), length);
  if (written > 0) size_ += static_cast<std::size_t>(written);
}

std::size_t InfoLog::GetLogFileSize() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

// REQUIRES: mutex_ is held, as in `rotate`.
void InfoLog::open_file() {
  try {
    fd_ = ::open((directory_ / kName).c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    struct stat file = {};
    size_ = fd_ >= 0 && ::fstat(fd_, &file) == 0 ? static_cast<std::size_t>(file.st_size) : 0;
  } catch (const std::exception&) {
    // No memory for a name: the line is dropped.
  }
}

void InfoLog::rotate() {
  try {
    const timeval time = now();
    const std::string name =
        kOldPrefix + std::to_string(static_cast<long long>(time.tv_sec) * 1'000'000 + time.tv_usec);
    std::error_code failure;
    std::filesystem::rename(directory_ / kName, directory_ / name, failure);
    if (failure) return;  // the file grows until it can be renamed
    ::close(fd_);
    fd_ = -1;
    std::vector<std::filesystem::path> old;
    for (std::filesystem::directory_iterator it(directory_, failure), end; !failure && it != end;
         it.increment(failure)) {
      if (it->path().filename().string().starts_with(kOldPrefix)) old.push_back(it->path());
    }
    std::ranges::sort(old);
    for (std::size_t i = 0; i + kFiles <= old.size(); ++i) std::filesystem::remove(old[i], failure);
  } catch (const std::exception&) {
    // The next rotation tries again.
  }
  if (fd_ < 0) open_file();
}

}  // namespace cow::detail
