// RocksDB, all of it in its block cache, in one level. A transaction is a snapshot; a record is read where it lies, in a block
// that a PinnableSlice pins. (https://github.com/facebook/rocksdb/wiki: Snapshot, Block Cache, PinnableSlice.) Its options are the
// defaults: OptimizeForPointLookup makes these reads slower, because its Bloom filters only help to find that a key is absent.
//
// Thread safety: any number of readers, of one thread each; writes beside them.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "chain.hpp"
#include "peer_error.hpp"

namespace cow::bench::peers {

class RocksDbPeer {
 public:
  static constexpr bool kHasSnapshots = true;

  /// REQUIRES: there is no database in `folder`.
  RocksDbPeer(const Chain& chain, const std::filesystem::path& folder) {
    rocksdb::Options options;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(kCacheBytes);
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    options.compression = rocksdb::kNoCompression;
    options.create_if_missing = options.error_if_exists = true;
    rocksdb::DB* opened = nullptr;
    check("Open", rocksdb::DB::Open(options, folder, &opened));
    database_.reset(opened);
    constexpr std::size_t kBatch = 10'000;
    for (std::size_t from = 0; from < chain.objects(); from += kBatch) {
      rocksdb::WriteBatch batch;
      for (std::size_t i = from; i < std::min(chain.objects(), from + kBatch); ++i) {
        const Record record = chain.record(i);
        check("Put", batch.Put(Bytes(Chain::key(i)).slice(), bytes_of(record)));
      }
      check("Write", database_->Write(not_logged(), &batch));
    }
    check("Flush", database_->Flush({}));
    check("CompactRange", database_->CompactRange({}, nullptr, nullptr));
  }

  void set_number(std::size_t object, std::uint64_t number) {
    const Bytes key(Chain::key(object));
    std::string bytes;
    check("Get", database_->Get({}, key.slice(), &bytes));
    auto record = load<Record>(bytes.data());
    record.number = number;
    check("Put", database_->Put(not_logged(), key.slice(), bytes_of(record)));
  }

  class Reader {
   public:
    template <class Body>
    void transaction(Body&& body) {
      rocksdb::ManagedSnapshot snapshot(database_);
      rocksdb::ReadOptions options;
      options.snapshot = snapshot.snapshot();
      rocksdb::PinnableSlice pinned;
      rocksdb::ColumnFamilyHandle* family = database_->DefaultColumnFamily();
      Key at = at_;
      body([&]() -> Seen {
        pinned.Reset();
        check("Get", database_->Get(options, family, Bytes(at).slice(), &pinned));
        return visit(pinned.data(), at);
      });
      at_ = at;
    }

   private:
    friend RocksDbPeer;
    Reader(rocksdb::DB& database, Key at) : database_(&database), at_(at) {}

    rocksdb::DB* database_;
    Key at_;
  };

  Reader open_reader(std::size_t object) { return {*database_, Chain::key(object)}; }

 private:
  static constexpr std::size_t kCacheBytes = std::size_t{4}
                                             << 30;  // what the cache that it is measured beside may have

  /// A key as RocksDB orders it: by its bytes, the highest first.
  class Bytes {
   public:
    explicit Bytes(Key key) : big_endian_(std::endian::native == std::endian::big ? key : __builtin_bswap64(key)) {}
    rocksdb::Slice slice() const { return {reinterpret_cast<const char*>(&big_endian_), sizeof big_endian_}; }

   private:
    std::uint64_t big_endian_;
  };

  static rocksdb::Slice bytes_of(const Record& record) {
    return {reinterpret_cast<const char*>(&record), sizeof record};
  }

  static rocksdb::WriteOptions not_logged() {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    return options;
  }

  static void check(std::string_view call, const rocksdb::Status& status) {
    if (!status.ok()) throw PeerError("rocksdb", call, status.ToString());
  }

  std::unique_ptr<rocksdb::DB> database_;
};

}  // namespace cow::bench::peers
