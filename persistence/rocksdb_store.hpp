// The default store: the whole history of all objects in an embedded RocksDB database, one directory per store.
//
// Thread safety: every function may be called from any number of threads at once, except `commit`, which one thread at
// a time calls. Open a store after `fork`, never before: RocksDB's background threads do not survive it.
//
// Invariants:
//  1. With `durable`, an acknowledged commit survives kill -9 and power loss; without, it survives kill -9 only, and a
//     power loss costs the last commits, never one in the middle.
//  2. A transaction is one atomic batch: whole or absent after every crash.
//  3. Every transaction names its predecessor and its records by checksum. Lost or altered history is reported when
//     the store is opened or read, never served; `detail/log_mark.hpp` tells what can be found out and what cannot.
//  4. After a failed write the store accepts no other, so that nothing is ever built on a commit of unknown outcome.
//  5. Opening a directory that is not a store of this format changes nothing in it. What an open or a creation that
//     failed has made, it removes.
//  6. A full disk costs nothing that was committed and ends no process: commits are refused until there is room.
//  7. A child process that is forked while a store is open has no part in it: it does not keep the store locked, its
//     commits are refused, and its copy of the object does nothing when it is destroyed.
#pragma once

#include "cow_cache/version.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/batch.hpp"
#include "cow_cache/store/hears_of_types.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/store/pack.hpp"
#include "cow_cache/types.hpp"
#include "cow_cache/verify_report.hpp"

namespace cow {

/// How to open a `RocksDbStore`. The defaults suit a database of some gigabytes.
struct RocksDbOptions {
  /// True: `commit` returns once the group is on the device (one fdatasync per group, 0.2 to 0.5 ms on an SSD).
  /// False: once it is with the operating system.
  bool durable = true;

  /// True: make a store in a directory that has none, and the directory if need be, instead of refusing it. A mistyped
  /// path is then a new, empty store; `RocksDbStore::create` makes one on purpose.
  bool create_if_missing = false;

  /// Memory for uncompressed blocks of the database files, in bytes.
  std::size_t block_cache_bytes = std::size_t{64} << 20;

  /// Memory for what is not in database files yet, in bytes: a buffer of this size is filled while another is flushed.
  std::size_t write_buffer_bytes = std::size_t{32} << 20;

  /// Length of the write-ahead log, in bytes, beyond which buffers are flushed. Recovery replays it at about 55 MB/s.
  std::uint64_t max_log_bytes = std::uint64_t{64} << 20;

  /// Commits are refused with StoreFullError while the file system has less than this free, in bytes. What it buys:
  /// flushes and a clean close still have room on a disk that others have filled up, so a commit that was accepted is
  /// hardly ever one whose outcome is unknown, and a flush does not have to wait. For that it should be at least two
  /// write buffers. 0: commits go on until the device itself refuses one, which closes the store for writing.
  /// Nothing that was acknowledged is lost in either case, and the process goes on.
  std::uint64_t reserve_bytes = std::uint64_t{64} << 20;

  /// Oids reserved on the device in advance, so that allocating them is cheap. At most this many are lost in a crash.
  std::uint64_t oid_block = 4096;

  /// Threads that flush and compact. Less than 1 counts as 1.
  int background_jobs = 2;

  /// Database files that are kept open, 20 at least whatever it says; more are opened and closed as they are read.
  /// 0: half of the descriptors that the process may have (the soft limit of RLIMIT_NOFILE) at the time of the open.
  int max_open_files = 0;

  /// How many entries of the history are read and checked at open, newest first: transactions and the records that they
  /// wrote; 2 us for each that is in memory. 0 counts as 1. `verify()` checks all.
  std::uint64_t verify_at_open = 1024;

  /// True: open a store although its witness (the file WITNESS) is missing or damaged, or although the witness or the log
  /// shows that commits are lost, with the history that can still be read; all of it is checked first. What cannot be
  /// reached any more is deleted from the directory. False: such a store is refused and left as it is.
  bool accept_loss = false;
};

/// What a backup has.
struct BackupResult {
  Tid last;                 ///< every commit up to this one; it may have later ones
  std::uint64_t bytes = 0;  ///< of its files, those that it shares with the store included
};

/// A `Store` on RocksDB, with a history, which loads in batches, too. It keeps every revision until it is packed.
class RocksDbStore final : public Store,
                           public HistoryStore,
                           public PackableStore,
                           public BatchStore,
                           public HearsOfTypes {
 public:
  /// Opens the store in the directory `path`. Recovery after a crash happens here.
  /// Throws StoreMissingError (no store there, and not `create_if_missing`), StoreLockedError (open elsewhere, in this
  /// process or another), StoreFormatError (not a store, or of an unknown version), StoreCorruptError (history is lost
  /// or altered; if found in the write-ahead log, the files are left as they were), StoreFullError, or StoreError.
  explicit RocksDbStore(std::filesystem::path path, RocksDbOptions options = {});

  /// Makes a store in the directory `path`, which is made too if need be, and must be empty otherwise:
  ///   cow::RocksDbStore store = cow::RocksDbStore::create("bank.db");
  /// Throws StoreExistsError if there is one already, and whatever opening throws. `options.create_if_missing` says
  /// nothing here.
  static RocksDbStore create(const std::filesystem::path& path, const RocksDbOptions& options = {});

  /// Flushes what is in memory, so that the next open has no log to replay, and closes. A failure to do so is ignored:
  /// the log still has everything that was committed.
  ~RocksDbStore() override;

  RocksDbStore(const RocksDbStore&) = delete;
  RocksDbStore& operator=(const RocksDbStore&) = delete;

  /// The newest revision with `begin <= at`, or nothing. About 2 us when its block is in memory. Sees every commit that
  /// returned before the call. Throws SnapshotTooOldError, CorruptRecordError, or StoreError if the device cannot be read.
  std::optional<Revision> load(Oid oid, Tid at) override;

  /// The tid of the last commit; `Tid{0}` when there is none. Never throws.
  Tid last_tid() override;

  /// Reserves `count` fresh oids; one call in `oid_block / count` waits for the device, whatever `durable` says.
  /// Throws std::invalid_argument if `count` is 0, OidRangeError beyond `kMaxOid`, StoreFullError, StoreReadOnlyError,
  /// or StoreError if the reservation failed (no oid was given away; the store is then closed for writing).
  OidBlock allocate_oids(std::uint64_t count) override;

  /// Appends a group as one batch. Throws, with nothing written: std::invalid_argument (tids that do not ascend from
  /// `last_tid()`, an empty record, an oid twice in a transaction, a note that is too large), StoreFullError (the store remains usable; when there
  /// is room again, commits are accepted again) and StoreReadOnlyError. Throws OutcomeUnknownError, naming the first tid of
  /// the group, if the write itself failed: the group is invisible now, whole or absent after reopening, and the store is
  /// closed for writing while reads go on.
  void commit(std::span<const TransactionWrite> group) override;

  // ---- HistoryStore. A damaged or missing entry is a StoreCorruptError that names the tid.

  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override;
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most) override;
  Tid tid_at(CommitTime time) override;

  // ---- PackableStore

  Tid oldest_tid() noexcept override;

  /// Commits and loads go on, a second pack and `verify` wait: the request's functions must not call them, nor `backup`. Takes as much
  /// room on the device, for a while, as the files that it rewrites at a time: some hundred megabytes, and the log of what it deletes.
  /// What is dropped is in no file of the directory once this has returned with `complete`, but for files that a load is reading at that
  /// moment: they go when it has returned. A backup that is being made keeps files, too, and so a pack waits at its end until that is
  /// done; stopped then, it is not complete, and the files go with the end of the backup. Checks each record that it passes, and the chain
  /// up to the pack's tid. Throws, beside what PackableStore says: StoreCorruptError, CorruptRecordError (what was not dropped yet stays, and
  /// the store is refused when it is verified), StoreFullError, StoreReadOnlyError.
  PackResult pack(const PackRequest& request) override;

  // ---- BatchStore

  /// One iterator goes through all of them in the order of their keys.
  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override;

  // ---- HearsOfTypes: a line in the store's file LOG, or none if that cannot be written.

  void warn(const std::string& text) noexcept override;

  /// Number of objects loaded since the store was opened. Never throws.
  std::uint64_t loads() const noexcept;

  /// False for ever after a write that failed, in the foreground, or in the background for another reason than want of
  /// room: commits throw StoreReadOnlyError until the store is reopened. Never throws.
  bool writable() const noexcept;

  /// What is the matter, in words: why the store is closed for writing, or that a flush waits for room on the device
  /// (commits then throw StoreFullError until there is some). Empty if nothing is.
  std::string trouble() const;

  /// The directory: absolute, without symbolic links.
  const std::filesystem::path& path() const noexcept;

  /// Makes a copy of the store in `directory`, which must not exist, while commits, loads and packs go on (but for the end of a pack, which
  /// waits for backups, and which a new one waits for): a store by itself, with every
  /// commit that has returned before the call. To restore it is to open it, there or where it is copied to. On the same file
  /// system it takes little time and room: database files, which never change, are shared as hard links, and the next
  /// backup shares them, too; elsewhere they are copied. While it is made its name ends in ".part". A backup keeps what a later pack
  /// drops. Throws StoreExistsError (`directory`, or the same with ".part", is there), StoreFullError, StoreReadOnlyError, StoreError;
  /// nothing is left then.
  BackupResult backup(const std::filesystem::path& directory);

  /// Reads the whole history as of now and checks every link and every record; commits may go on meanwhile. Returns the
  /// number of transactions that are left. Waits for a pack that goes on. Throws StoreCorruptError that names the first tid (and oid) that is wrong, or StoreError.
  std::uint64_t verify();

  /// The same, and says all that is wrong, with its progress: the chain and every checksum; whether the witness knows of nothing else; and of every
  /// revision whether its bytes are a record and its references lead somewhere, as `cow::verify` does for any store (cow_cache/verify.hpp) but
  /// with every object that the store has, whoever names it. A value that is no MessagePack is no fault. Throws StoreError if the device
  /// cannot be read.
  VerifyReport verify(const VerifyOptions& options);

 private:
  enum class Mode { open, open_or_create, create };
  class Impl;

  RocksDbStore(const std::filesystem::path& path, const RocksDbOptions& options, Mode mode);

  std::unique_ptr<Impl> impl_;
};

}  // namespace cow
