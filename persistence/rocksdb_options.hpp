// The RocksDB settings of RocksDbStore, for its implementation and for benchmarks that compare it with a bare database:
// open a plain `rocksdb::DB` with `make_rocksdb_options(...)` and write with `make_rocksdb_write_options(...)`.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. The prefix of a revision key is its first 8 bytes, the oid: changing that is a change of format.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>

#include "rocksdb_store.hpp"

namespace cow {

/// Half of the descriptors that this process may have, within what RocksDB accepts: the rest is the program's.
inline int fitting_open_files() noexcept {
  constexpr rlim_t kMin = 20;
  constexpr rlim_t kMax = rlim_t{1} << 20;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kMin);
  return static_cast<int>(std::clamp(limit.rlim_cur / 2, kMin, kMax));
}

/// Options of a database and of its column family of revisions (keys of 16 bytes: oid, ~tid).
inline rocksdb::Options make_rocksdb_options(const RocksDbOptions& options) {
  constexpr std::size_t kBlockSize = 4096;

  rocksdb::BlockBasedTableOptions table;
  table.block_size = kBlockSize;
  // The clock cache sizes its table by the expected entry charge; with two threads it takes 3/4 of the time of LRU.
  table.block_cache =
      rocksdb::HyperClockCacheOptions(std::max(options.block_cache_bytes, std::size_t{1} << 20), kBlockSize + 256)
          .MakeSharedCache();
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = false;  // loads seek by oid: only the prefix can be looked up in a filter
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;  // as the check of database files that are opened expects

  rocksdb::Options rocks;
  rocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocks.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(8));
  rocks.memtable_prefix_bloom_size_ratio = 0.1;
  rocks.write_buffer_size = options.write_buffer_bytes;
  rocks.compression = rocksdb::kLZ4Compression;
  rocks.level_compaction_dynamic_level_bytes = true;

  // Recovery stops at the first bad byte, which leaves a prefix of history; kAbsoluteConsistency would refuse the torn
  // end of an ordinary power failure. The manifest remembers the size of each closed and synced log.
  // (With tracking on, this version must not be asked for SyncWAL().)
  rocks.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  rocks.track_and_verify_wals_in_manifest = true;
  rocks.max_total_wal_size = options.max_log_bytes;
  rocks.bytes_per_sync = 1 << 20;

  rocks.max_open_files = options.max_open_files > 0 ? options.max_open_files : fitting_open_files();
  // RocksDB keeps at least one file open for each shard of its table cache; so there are few shards if files are few.
  const int sixteens = std::max(rocks.max_open_files / 16, 1);
  rocks.table_cache_numshardbits = std::min(static_cast<int>(std::bit_width(static_cast<unsigned>(sixteens))) - 1, 6);
  rocks.max_background_jobs = std::max(options.background_jobs, 1);
  // One flush at a time, as with fewer than 8 jobs anyway: RocksDB cannot resume if a flush fails while another one is
  // scheduled.
  rocks.max_background_flushes = 1;
  rocks.max_background_compactions = std::max(options.background_jobs - 1, 1);
  rocks.info_log_level = rocksdb::WARN_LEVEL;
  rocks.keep_log_file_num = 4;
  rocks.stats_dump_period_sec = 0;
  rocks.stats_persist_period_sec = 0;
  return rocks;
}

/// Options of the small column families (transactions, metadata): the same database, no prefixes.
inline rocksdb::ColumnFamilyOptions make_rocksdb_plain_family_options(const rocksdb::Options& revisions) {
  rocksdb::ColumnFamilyOptions plain(revisions);
  plain.prefix_extractor.reset();
  plain.memtable_prefix_bloom_size_ratio = 0;
  return plain;
}

/// How a commit is written.
inline rocksdb::WriteOptions make_rocksdb_write_options(const RocksDbOptions& options) {
  rocksdb::WriteOptions write;
  write.sync = options.durable;
  return write;
}

}  // namespace cow
