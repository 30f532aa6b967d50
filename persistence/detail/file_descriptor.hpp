// A file descriptor that is closed at the end.
//
// Thread safety: plain values.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

namespace cow::detail {

class FileDescriptor {
 public:
  FileDescriptor(const std::filesystem::path& path, int flags) noexcept
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  explicit operator bool() const noexcept { return fd_ >= 0; }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace cow::detail
