// Tells the witness when RocksDB has begun a log or written database files.
//
// Thread safety: called by RocksDB's background threads.
//
// Invariants:
//  1. Nobody waits for these threads but RocksDB's own flushes and compactions, so the witness may wait for the device.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/transaction_log.h>

#include <cstdint>
#include <memory>

#include "witness.hpp"

namespace cow::detail {

/// The number of the log that `db` writes to; 0 if it does not say.
inline std::uint64_t current_log(rocksdb::DB& db) {
  std::unique_ptr<rocksdb::LogFile> log;
  return db.GetCurrentWalFile(&log).ok() && log ? log->LogNumber() : 0;
}

class WitnessListener final : public rocksdb::EventListener {
 public:
  /// `witness` outlives the database.
  explicit WitnessListener(Witness& witness) noexcept : witness_(witness) {}

  void OnFlushCompleted(rocksdb::DB* db, const rocksdb::FlushJobInfo&) override { checkpoint(*db); }
  void OnCompactionCompleted(rocksdb::DB* db, const rocksdb::CompactionJobInfo&) override { checkpoint(*db); }

 private:
  void checkpoint(rocksdb::DB& db) { witness_.checkpoint(current_log(db)); }

  Witness& witness_;
};

}  // namespace cow::detail
