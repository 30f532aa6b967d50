// What RocksDB tells the store: that something failed, or that memory can be let go.
//
// A flush or a compaction that fails for want of room loses nothing: what was to be written is still in memory or in the
// files that it came from, and in the log.
//  - A compaction is tried again every second, by RocksDB, if it is told that there was no error. Left to itself it
//    would remember a "soft" error, which nothing clears, and fail writes because of it much later.
//  - Otherwise RocksDB *halts*: it does no background work, and refuses writes before it has touched the log.
//    `LogWriter` resumes it when there is room. A compaction halts it too if writes wait for that compaction. If they
//    wait for a flush it must not: RocksDB forgets a flush that was scheduled, but had not begun, when it halted, and
//    `DB::Resume` waits for that flush for ever.
// Every other failure, and every failure of a write to the log, closes the store for writing.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. Once failed, for ever failed; the first cause is kept.
//  2. `errors_of_this_thread` counts each error that RocksDB has reported from the calling thread. RocksDB reports an
//     error from the thread that met it, before the call that it fails returns.
#pragma once

#include <rocksdb/listener.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <set>
#include <string>

#include "rocksdb_status.hpp"

namespace cow::detail {

/// Listens to one database, and remembers whether it may still be written to.
class Watch final : public rocksdb::EventListener {
 public:
  // Left to itself, RocksDB would poll for room in the background and resume by itself: the store's error messages
  // and its reserve would know nothing of it.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    ++thread_errors();
    const bool in_background =
        reason != rocksdb::BackgroundErrorReason::kWriteCallback && reason != rocksdb::BackgroundErrorReason::kMemTable;
    if (in_background && is_no_room(*status)) {
      if (reason == rocksdb::BackgroundErrorReason::kCompaction && !is_awaited()) {
        *status = rocksdb::Status::OK();
        return;
      }
      halt(*status);
      // Only from a hard error can be resumed: not from a soft one, nor from a fatal one, which a used-up quota is.
      *status = rocksdb::Status(*status, rocksdb::Status::kHardError);
    } else if (!in_background || status->severity() >= rocksdb::Status::kHardError) {
      fail(*status);
    }
  }
  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override {
    if (info.condition.cur == rocksdb::WriteStallCondition::kStopped) return;
    const std::lock_guard lock(mutex_);
    full_families_.erase(info.cf_name);
  }
  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) override {
    ++generation_;
    if (!info.triggered_writes_stop) return;
    const std::lock_guard lock(mutex_);
    full_families_.insert(info.cf_name);
  }
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override { ++generation_; }

  /// Closes the store for writing.
  void fail(const rocksdb::Status& cause) noexcept {
    const std::lock_guard lock(mutex_);
    keep(cause);
    // Pairs with the load in `failed`: a thread that sees it reads the cause, under the mutex.
    failed_.store(true, std::memory_order_release);
  }
  bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }

  /// The number of failures for want of room that nobody has resumed from; 0: background work goes on.
  std::uint64_t halts() const noexcept { return halts_.load(std::memory_order_acquire); }

  /// RocksDB has halted for want of room.
  void halt(const rocksdb::Status& cause) noexcept {
    const std::lock_guard lock(mutex_);
    keep(cause);
    // Pairs with the load in `halts`.
    halts_.store(halts_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  /// Background work was resumed. Does nothing if it has been halted again since there were `halts` halts.
  void resumed(std::uint64_t halts) {
    const std::lock_guard lock(mutex_);
    if (halts_.load(std::memory_order_relaxed) != halts) return;
    halts_.store(0, std::memory_order_release);
    if (!failed_.load(std::memory_order_relaxed)) cause_.clear();
  }

  /// Why the store has failed or is halted; empty if it is neither.
  std::string cause() const {
    const std::lock_guard lock(mutex_);
    return cause_;
  }

  static std::uint64_t errors_of_this_thread() noexcept { return thread_errors(); }

  /// The number of flushes and compactions so far: when it grows, older iterators pin what is no longer needed.
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_relaxed); }

 private:
  // REQUIRES: mutex_ is held.
  void keep(const rocksdb::Status& cause) noexcept {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      cause_ = cause.ToString();
    } catch (const std::exception&) {
      cause_.clear();  // no memory for words
    }
  }

  // True if writes wait for a compaction.
  bool is_awaited() const {
    const std::lock_guard lock(mutex_);
    return !full_families_.empty();
  }

  static std::uint64_t& thread_errors() noexcept {
    static thread_local std::uint64_t errors = 0;
    return errors;
  }

  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint64_t> halts_{0};  // written under the mutex, as is the next
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::string cause_;
  std::set<std::string> full_families_;  // column families that accept no more flushes: writes are stopped
};

}  // namespace cow::detail
