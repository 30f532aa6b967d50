// RocksDB's own log of warnings and errors, the file LOG in a store's directory.
//
// RocksDB's default logger writes through the same class as its database files do, which asserts that nothing is
// written after a failed write: in a build with assertions, as Debian's, a full disk then aborts the process. This
// logger has no such opinion. A line that cannot be written is dropped.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. Nothing here throws or ends the process, whatever the file system does.
//  2. The directory has at most `kFiles` logs, each of at most `kMaxBytes` and a line.
//  3. A store that has nothing to complain of has no log: the file is made with the first line. (What RocksDB calls
//     the header, its options, is in the file OPTIONS anyway.)
#pragma once

#include <rocksdb/env.h>

#include <cstdarg>
#include <cstddef>
#include <filesystem>
#include <mutex>

namespace cow::detail {

/// Appends to `directory`/LOG. When that is full it becomes LOG.old.MICROSECONDS, and the oldest of those goes.
class InfoLog final : public rocksdb::Logger {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  static constexpr int kFiles = 4;

  explicit InfoLog(std::filesystem::path directory, std::size_t max_bytes = kMaxBytes)
      : Logger(rocksdb::WARN_LEVEL), directory_(std::move(directory)), max_bytes_(max_bytes) {}
  ~InfoLog() override;

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;
  void LogHeader(const char*, va_list) override {}
  std::size_t GetLogFileSize() const override;

 private:
  void open_file();
  void rotate();

  const std::filesystem::path directory_;
  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  int fd_ = -1;           // guarded by mutex_, as is the next
  std::size_t size_ = 0;  // of the file
};

}  // namespace cow::detail
