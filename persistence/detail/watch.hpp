// What RocksDB's background threads tell the store: that something failed, or that memory can be let go.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. Once failed, for ever failed; the first cause is kept.
#pragma once

#include <rocksdb/listener.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace cow::detail {

/// Listens to one database, and remembers whether it may still be written to.
class Watch final : public rocksdb::EventListener {
 public:
  // Left to itself, this version tries to recover from a full disk in the background, and aborts the process.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    // A soft error (a compaction that ran out of space) stops nothing.
    if (status->severity() >= rocksdb::Status::kHardError) fail(status->ToString());
  }
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { ++generation_; }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override { ++generation_; }

  /// Closes the store for writing.
  void fail(const std::string& cause) {
    const std::lock_guard lock(mutex_);
    if (!failed_.load(std::memory_order_relaxed)) cause_ = cause;
    failed_.store(true, std::memory_order_release);
  }
  bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
  std::string cause() const {
    const std::lock_guard lock(mutex_);
    return cause_;
  }

  /// The number of flushes and compactions so far: when it grows, older iterators pin what is no longer needed.
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::string cause_;
};

}  // namespace cow::detail
