// The one way in which a store writes to RocksDB's log, and what a failure to do so means.
//
// Thread safety: every function may be called from any number of threads at once; writes wait for each other.
//
// Invariants:
//  1. After a write of unknown outcome there is no other.
//  2. StoreFullError and StoreReadOnlyError mean that nothing was written. RocksDB refuses a write before it touches
//     the log if its background work is halted, and reports every other failure of a write from the thread that
//     writes. Writes come one at a time, so that none is written by another's thread (in RocksDB's write group).
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "cow_cache/errors.hpp"
#include "disk_space.hpp"
#include "rocksdb_status.hpp"
#include "watch.hpp"

namespace cow::detail {

/// Writes batches to the log of one database, while that is possible.
class LogWriter {
 public:
  /// Commits are refused while fewer than `reserve` bytes are free. `buffers`: bytes that a resumed flush may write.
  LogWriter(rocksdb::DB& db, std::shared_ptr<Watch> watch, const std::filesystem::path& path, std::uint64_t reserve,
            std::uint64_t buffers)
      : db_(db), watch_(std::move(watch)), path_(path), reserve_(reserve), buffers_(buffers) {}

  /// Throws StoreReadOnlyError if the store is closed for writing. If background work is halted for want of room,
  /// resumes it; throws StoreFullError if there is still none.
  void require_writable(const char* operation) {
    if (watch_->failed()) throw_read_only(operation);
    if (watch_->halts() != 0) resume(operation);
  }

  /// Throws StoreFullError if there is no room for `batch` beyond the reserve or if RocksDB has none for its background
  /// work, StoreReadOnlyError; in both cases nothing was written. Calls `on_unknown(cause)`, which must throw, if the
  /// write itself failed.
  template <typename OnUnknown>
  void write(const rocksdb::WriteOptions& options, rocksdb::WriteBatch& batch, const char* operation,
             OnUnknown on_unknown) {
    const std::lock_guard lock(mutex_);
    if (watch_->failed()) throw_read_only(operation);
    require_disk_space(path_, operation, reserve_, batch.GetDataSize());
    const std::uint64_t errors = Watch::errors_of_this_thread();
    const rocksdb::Status status = db_.Write(options, &batch);
    if (status.ok()) return;
    if (Watch::errors_of_this_thread() == errors && !watch_->failed() && (watch_->halts() != 0 || is_refusal(status))) {
      // RocksDB announces a halt before it halts: what came in between has resumed nothing.
      if (watch_->halts() == 0) watch_->halt(status);
      throw_halted(operation);
    }
    watch_->fail(status);  // before anything that may throw
    on_unknown(store_message(path_, operation, status.ToString()));
  }

 private:
  [[noreturn]] void throw_read_only(const char* operation) const {
    throw StoreReadOnlyError(
        store_message(path_, operation, "closed for writing until it is reopened, because: " + watch_->cause()));
  }
  [[noreturn]] void throw_halted(const char* operation) const {
    throw StoreFullError(
        store_message(path_, operation, "no room for what is in memory, nothing was written: " + watch_->cause()));
  }

  // RocksDB answers with the error that halted it, of the severity that `Watch` gave it.
  static bool is_refusal(const rocksdb::Status& status) {
    return is_no_room(status) && status.severity() == rocksdb::Status::kHardError;
  }

  // DB::Resume must find no flush or compaction: if one fails meanwhile, it gives up while a flush of its own is
  // scheduled and has not begun. RocksDB forgets that flush, and the next DB::Resume waits for it for ever. While it is
  // halted none begins; and DB::Resume would wait for those that are under way as well.
  void wait_for_background() {
    for (const std::string& running :
         {rocksdb::DB::Properties::kNumRunningFlushes, rocksdb::DB::Properties::kNumRunningCompactions}) {
      for (std::uint64_t count = 0; db_.GetIntProperty(running, &count) && count != 0;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }

  void resume(const char* operation) {
    const std::lock_guard lock(mutex_);
    if (watch_->failed()) throw_read_only(operation);
    if (watch_->halts() == 0) return;
    require_disk_space(path_, operation, reserve_, buffers_);
    wait_for_background();
    const std::uint64_t halts = watch_->halts();
    const rocksdb::Status status = db_.Resume();
    if (status.ok()) {
      watch_->resumed(halts);
      return;
    }
    if (!is_no_room(status)) watch_->fail(status);
    if (watch_->failed()) throw_read_only(operation);
    throw_halted(operation);
  }

  rocksdb::DB& db_;
  const std::shared_ptr<Watch> watch_;
  const std::filesystem::path& path_;
  const std::uint64_t reserve_;
  const std::uint64_t buffers_;
  std::mutex mutex_;
};

}  // namespace cow::detail
