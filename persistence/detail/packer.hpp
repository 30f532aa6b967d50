// Packs a RocksDbStore: drops the revisions that no snapshot from a tid on sees, and their bytes from the device.
//
// A pack raises the oldest tid, sweeps over all revisions in the order of their keys, deletes in small batches what has to go, and has
// RocksDB rewrite the files that hold it. Where that is much, the sweep deletes only objects that go altogether, and what is superseded is
// left out of the files as they are rewritten (pack_filter.hpp). The choice, and what it was compared with: docs/decisions/033-pack.md.
//
// Thread safety: every function may be called from any number of threads at once, while commits and loads go on. A second pack, and
// `verify`, wait for the first.
//
// Invariants:
//  1. [raise-first] The oldest tid is on the device, and then seen by loads, before anything is deleted for it. A load that has asked for
//     it after it got its iterator is refused, or its iterator has what it asked for.
//  2. Each batch of deletions changes the mark, too (pack_mark.hpp, [base-is-counted]).
//  3. [oldest-goes-first] Of an object whose newest revision goes, that one goes last: none older comes to light again.
//  4. [counted-goes-last] Of an object's revisions up to the mark's loose tid, the one that is counted goes after all that it supersedes.
//     If it went first, and the pack was killed between two batches, the next one would be the newest, and counted in its place.
//  5. What is dropped is only what RocksDB has shown by a Seek, or what a newer revision that was seen makes invisible: Next goes on without
//     a file that it cannot open.
//  6. Memory: one batch, whatever the store holds.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "cow_cache/errors.hpp"
#include "cow_cache/store/pack.hpp"
#include "cow_cache/types.hpp"
#include "file_keepers.hpp"
#include "iterator_pool.hpp"
#include "log_writer.hpp"
#include "pack_filter.hpp"
#include "pack_mark.hpp"
#include "rocksdb_handle.hpp"
#include "rocksdb_status.hpp"
#include "watch.hpp"

namespace cow::detail {

inline constexpr const char* kPackOperation = "pack";  // in messages

/// What a pack works on. All of it outlives the Packer.
struct PackedStore {
  const std::filesystem::path& path;
  const RocksDbHandle& handle;
  LogWriter& writer;
  IteratorPool& iterators;
  Watch& watch;
  std::mutex& commit_mutex;
  PackFilterFactory& filter;
  FileKeepers& keepers;
  std::function<void(rocksdb::WriteBatch&)> begin_batch;  ///< what every batch begins with
  std::string packed_format;                              ///< the format entry of a store that was packed

  /// Throws what `status` stands for. StoreFullError: the store goes on; one that is closed for writing is a StoreError.
  void require_ok(const rocksdb::Status& status) const {
    if (!status.ok() && watch.failed()) throw StoreError(store_message(path, kPackOperation, status.ToString()));
    detail::require_ok(path, kPackOperation, status);
  }
};

class Packer {
 public:
  Packer(PackedStore store, const PackMark& mark) : store_(std::move(store)), mark_(mark), oldest_(mark.oldest.value) {}
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  /// See PackableStore. `last`: a commit that has returned.
  PackResult pack(const PackRequest& request, Tid last);

  /// See PackableStore. Pairs with [raise-first]: asked after a load got its iterator, it is what that needs.
  const std::atomic<std::uint64_t>& oldest() const noexcept { return oldest_; }

  /// Keeps packs out. RocksDB keeps what its own snapshots see, so nothing may hold one while a pack goes on.
  std::unique_lock<std::mutex> keep_out() { return std::unique_lock(mutex_); }

 private:
  // All of these REQUIRE mutex_.

  PackMark next_mark(Tid target, Tid last) const;
  void write_mark(const PackMark& mark);
  void drop_transactions();
  bool drops_by_filter() const;
  bool delete_at_seams();
  bool purge(const PackRequest& request, PackResult& result);

  const PackedStore store_;
  std::mutex mutex_;  // taken before the store's commit_mutex
  PackMark mark_;     // guarded by mutex_
  std::atomic<std::uint64_t> oldest_;
};

}  // namespace cow::detail
