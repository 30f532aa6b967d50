// An open RocksDB database together with its column families.
//
// Thread safety: as RocksDB's: everything but opening and closing may be called from any thread.
//
// Invariants:
//  1. The column families are released before the database; nothing else holds them.
#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <vector>

namespace cow::detail {

/// Column families of a store, in the order in which they are opened.
///  - default: the format and the oid reservation
///  - transactions: the chain, one entry per transaction
///  - revisions: everything else
inline constexpr const char* kTransactionsFamily = "transactions";
inline constexpr const char* kRevisionsFamily = "revisions";

/// Owns a database and its column family handles.
class RocksDbHandle {
 public:
  RocksDbHandle() = default;
  RocksDbHandle(rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> families)
      : db_(db), families_(std::move(families)) {}
  RocksDbHandle(RocksDbHandle&&) = default;
  RocksDbHandle& operator=(RocksDbHandle&&) = delete;
  ~RocksDbHandle() {
    if (!db_) return;
    for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }

  rocksdb::DB& operator*() const noexcept { return *db_; }
  rocksdb::DB* operator->() const noexcept { return db_.get(); }

  /// Over all keys of a family, in their order, whatever their prefix. `fill_cache`: what it reads takes the place of blocks in the cache.
  std::unique_ptr<rocksdb::Iterator> iterate(rocksdb::ColumnFamilyHandle* family, bool fill_cache = true) const {
    rocksdb::ReadOptions read;
    read.total_order_seek = true;
    read.fill_cache = fill_cache;
    return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(read, family));
  }

  const std::vector<rocksdb::ColumnFamilyHandle*>& families() const noexcept { return families_; }
  rocksdb::ColumnFamilyHandle* metadata() const noexcept { return families_[0]; }
  /// REQUIRES: opened with that family.
  rocksdb::ColumnFamilyHandle* transactions() const noexcept { return families_[1]; }
  rocksdb::ColumnFamilyHandle* revisions() const noexcept { return families_[2]; }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace cow::detail
