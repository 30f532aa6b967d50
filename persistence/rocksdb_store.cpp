#include "rocksdb_store.hpp"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <new>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "detail/backup.hpp"
#include "detail/directory_lock.hpp"
#include "detail/encoding.hpp"
#include "detail/file_keepers.hpp"
#include "detail/group_check.hpp"
#include "detail/history_reader.hpp"
#include "detail/housekeeping.hpp"
#include "detail/info_log.hpp"
#include "detail/iterator_pool.hpp"
#include "detail/log_mark.hpp"
#include "detail/log_writer.hpp"
#include "detail/pack_filter.hpp"
#include "detail/pack_mark.hpp"
#include "detail/packer.hpp"
#include "detail/rocksdb_handle.hpp"
#include "detail/rocksdb_status.hpp"
#include "detail/store_directory.hpp"
#include "detail/store_env.hpp"
#include "detail/store_place.hpp"
#include "detail/transaction_record.hpp"
#include "detail/verify_chain.hpp"
#include "detail/verify_content.hpp"
#include "detail/watch.hpp"
#include "detail/witness.hpp"
#include "detail/witness_listener.hpp"
#include "rocksdb_options.hpp"

namespace cow {
namespace {

using namespace detail;

RocksDbHandle open_database(const std::filesystem::path& path, const RocksDbOptions& options, bool create,
                            std::shared_ptr<Watch> watch, Witness& witness, std::shared_ptr<PackFilterFactory> filter) {
  rocksdb::Options rocks = make_rocksdb_options(options);
  rocks.env = store_env();
  rocks.create_if_missing = create;
  rocks.create_missing_column_families = create;
  rocks.listeners.push_back(std::move(watch));
  rocks.listeners.push_back(std::make_shared<WitnessListener>(witness));
  rocks.info_log = std::make_shared<InfoLog>(path);
  const rocksdb::ColumnFamilyOptions plain = make_rocksdb_plain_family_options(rocks);
  rocks.compaction_filter_factory = std::move(filter);
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors{
      {rocksdb::kDefaultColumnFamilyName, plain}, {kTransactionsFamily, plain}, {kRevisionsFamily, rocks}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  require_ok(path, "open", rocksdb::DB::Open(rocks, path.string(), descriptors, &handles, &db));
  return {db, std::move(handles)};
}

std::uint64_t microseconds_now() {
  using namespace std::chrono;
  const auto now = duration_cast<microseconds>(system_clock::now().time_since_epoch());
  return static_cast<std::uint64_t>(std::max(now, microseconds::zero()).count());  // a clock may say anything
}

}  // namespace

class RocksDbStore::Impl {
 public:
  Impl(const std::filesystem::path& directory, RocksDbOptions options, Mode mode)
      : options_(std::move(options)),
        place_(directory, mode != Mode::open),
        lock_(path_),
        content_(inspect_directory(path_, {options_.accept_loss, std::max<std::uint64_t>(options_.verify_at_open, 1)})),
        creation_(path_, must_create(mode)),
        witness_(path_),
        handle_(open_database(path_, options_, begin_witness(), watch_, witness_, filter_)),
        writer_(*handle_, watch_, path_, options_.reserve_bytes, options_.write_buffer_bytes),
        iterators_(*handle_, *handle_.revisions()),
        packer_({path_, handle_, writer_, iterators_, *watch_, commit_mutex_, *filter_, keepers_,
                 [this](rocksdb::WriteBatch& batch) { add_mark(batch); },
                 StoreFormat{store_id_, StoreFormat::kPackedVersion}.encode()},
                read_pack_mark(path_, handle_).value_or(PackMark{})) {
    if (!content_.is_store) create_format();
    oids_ = read_oids();
    oids_.limit = std::max(oids_.limit, oids_.next);
    durable_oid_limit_.store(oids_.limit, std::memory_order_relaxed);
    if (oids_.next < content_.oids_lost_below) skip_oids(content_.oids_lost_below);
    // What a crash left reserved is not given away again; what a clean close gave back is.
    pool_end_ = oids_.next;
    const VerifiedHistory newest = verify_history(path_, handle_, 1);
    chain_ = newest.end;
    last_time_us_ = newest.committed_at_us;
    if (chain_ != content_.end) {
      throw StoreCorruptError(store_message(path_, "open",
                                            "recovery brought back tid " + std::to_string(chain_.tid.value) +
                                                ", not tid " + std::to_string(content_.end.tid.value)));
    }
    if (content_.is_store && content_.format.version < StoreFormat::kVersion) adopt();
    synced_tid_.store(chain_.tid.value, std::memory_order_relaxed);
    last_tid_.store(chain_.tid.value, std::memory_order_release);
    witness_.opened(chain_, oids_.next, oids_.limit);
    // A new store is on the device before its first commit; of an old one the witness knows enough.
    if (content_.is_store) {
      witness_.note_files(current_log(*handle_));
    } else {
      witness_.checkpoint(current_log(*handle_));
    }
    remove_empty_logs(path_, handle_);
    creation_.done();
    place_.keep();
  }

  ~Impl() {
    if (watch_->failed()) return;
    try {
      close_cleanly();
    } catch (const std::exception&) {
      // Nothing is lost: the log has it all.
    }
  }

  std::optional<Revision> load(Oid oid, Tid at) {
    loads_.fetch_add(1, std::memory_order_relaxed);
    const Tid last = last_tid();
    IteratorPool::Lease lease = iterators_.borrow(last, watch_->generation());
    return load_kept(lease, oid, at, last);
  }

  // One iterator for all, in the order of the keys: what is side by side in a block is found without looking for the block.
  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) {
    loads_.fetch_add(oids.size(), std::memory_order_relaxed);
    std::vector<std::size_t> order(oids.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) { return oids[i]; });
    std::vector<std::optional<Revision>> found(oids.size());
    const Tid last = last_tid();
    IteratorPool::Lease lease = iterators_.borrow(last, watch_->generation());
    for (const std::size_t i : order) found[i] = load_kept(lease, oids[i], at, last);
    return found;
  }

  const HistoryReader& history() const noexcept { return history_; }

  Tid last_tid() const noexcept { return Tid{last_tid_.load(std::memory_order_acquire)}; }

  OidBlock allocate_oids(std::uint64_t count) {
    if (count == 0) throw std::invalid_argument("allocate_oids: count must be at least 1");
    require_own("reserve oids");
    const std::lock_guard lock(oid_mutex_);
    if (count > pool_end_ - oids_.next) reserve_oids(count);
    const OidBlock block{Oid{oids_.next}, count};
    oids_.next += count;
    return block;
  }

  void commit(std::span<const TransactionWrite> group) {
    require_own("commit");
    const std::lock_guard lock(commit_mutex_);
    if (group.empty()) return;
    group_check_.require_valid(group, last_tid());
    writer_.require_writable("commit");
    batch_.Clear();
    add_mark(batch_);
    const std::uint64_t now = std::max(microseconds_now(), last_time_us_);  // the clock may have gone back
    ChainEnd chain = chain_;
    for (const TransactionWrite& transaction : group) chain = add_transaction(transaction, chain, now);
    writer_.write(make_rocksdb_write_options(options_), batch_, "commit",
                  [&](const std::string& cause) { throw OutcomeUnknownError(group.front().tid, cause); });
    chain_ = chain;
    last_time_us_ = now;
    if (options_.durable) {
      synced_tid_.store(chain.tid.value, std::memory_order_release);
      witness_.committed(chain);
    }
    last_tid_.store(chain.tid.value, std::memory_order_release);
    iterators_.drop_outdated(watch_->generation());
    if (batch_.GetDataSize() > kMaxKeptBatch) batch_ = rocksdb::WriteBatch();
  }

  std::uint64_t loads() const noexcept { return loads_.load(std::memory_order_relaxed); }
  bool writable() const noexcept { return !watch_->failed(); }
  std::string trouble() const { return watch_->cause(); }
  void warn(const std::string& text) const noexcept {
    try {
      rocksdb::Warn(handle_->GetDBOptions().info_log, "%s", text.c_str());
    } catch (const std::bad_alloc&) {  // it is said again when the store is opened next
    }
  }
  bool is_own() const noexcept { return lock_.held(); }
  const std::filesystem::path& path() const noexcept { return path_; }
  Tid oldest_tid() const noexcept { return Tid{packer_.oldest().load(std::memory_order_acquire)}; }
  PackResult pack(const PackRequest& request) {
    require_own("pack");
    return packer_.pack(request, last_tid());
  }
  BackupResult backup(const std::filesystem::path& directory) {
    require_own("back up");
    writer_.require_writable("back up");
    BackedUp content{store_id_, {}, durable_oid_limit_.load(std::memory_order_acquire)};
    {
      const std::lock_guard lock(commit_mutex_);
      content.end = chain_;
    }
    const std::uint64_t bytes = make_backup(path_, handle_, keepers_, content, directory);
    return {content.end.tid, bytes};
  }
  std::uint64_t verify() {
    const std::unique_lock no_pack = packer_.keep_out();
    return verify_history(path_, handle_, std::numeric_limits<std::uint64_t>::max()).transactions;
  }
  VerifyReport verify(const VerifyOptions& options) {
    const std::unique_lock no_pack = packer_.keep_out();
    return verify_store(path_, handle_, store_id_, last_tid(), options);
  }

 private:
  // From so many newer revisions on, seeking backwards from the wanted one is cheaper than walking to it.
  static constexpr int kMaxNewer = 4;
  // From so many commits ago on, it is not looked for among the newest first: that would be a third look where it has been changed since.
  static constexpr std::uint64_t kFarBack = 64;
  // Tids above a snapshot, among which what supersedes a revision is looked for first.
  static constexpr std::uint64_t kNear = 2;
  // A batch grows to its largest group; after an extraordinary one the memory is given back.
  static constexpr std::size_t kMaxKeptBatch = std::size_t{8} << 20;

  // --- Opening and closing

  bool must_create(Mode mode) const {
    if (content_.is_store && mode == Mode::create) {
      throw StoreExistsError(store_message(path_, "create", "there is a store already"));
    }
    if (!content_.is_store && mode == Mode::open) {
      throw StoreMissingError(
          store_message(path_, "open", "no store in this directory; RocksDbStore::create makes one"));
    }
    return !content_.is_store;
  }

  // Before RocksDB changes anything: `clean` is withdrawn, or a creation announced. Returns whether to create.
  bool begin_witness() {
    const bool create = !content_.is_store;
    WitnessRecord record = content_.witness.value_or(WitnessRecord{});
    if (create) {
      if (!content_.witness) record.store_id = random_id();
      store_id_ = record.store_id;
    } else {
      store_id_ = record.store_id = content_.format.store_id;
      record.state = WitnessRecord::State::open;
      record.log = 0;  // opening makes the logs of before obsolete
      // Opening deletes what else tells of lost oids, before they are skipped.
      record.oid_limit = std::max(record.oid_limit, content_.oids_lost_below);
    }
    // A store without one gets its witness when all of it was found to be in order.
    if (create || content_.format.version > StoreFormat::kVersionWithoutWitness) witness_.begin(record);
    return create;
  }

  static std::uint64_t random_id() {
    std::random_device random;
    return std::uint64_t{random()} << 32 | random();
  }

  void create_format() const {
    rocksdb::WriteOptions write;
    write.sync = true;
    const std::string entry = StoreFormat{store_id_}.encode();
    require_ok(path_, "create", handle_->Put(write, handle_.metadata(), to_slice(kFormatKey), entry));
    // In a database file the entry cannot be taken for the torn end of a log.
    require_ok(path_, "create", handle_->Flush({}, handle_.metadata()));
  }

  // A store of an earlier version becomes one of this version, and gets a witness if it has none. From then on only this
  // version opens it.
  void adopt() {
    if (content_.format.version == StoreFormat::kVersionWithoutWitness) {
      WitnessRecord record;
      record.store_id = store_id_;
      record.state = WitnessRecord::State::open;
      witness_.begin(record);
    }
    create_format();
  }

  // Oids below `limit` may have been given away, but their reservation is lost.
  void skip_oids(std::uint64_t limit) {
    rocksdb::WriteOptions write;
    write.sync = true;
    oids_ = {limit, limit};
    require_ok(path_, "open", handle_->Put(write, handle_.metadata(), to_slice(kOidsKey), oids_.encode()));
    durable_oid_limit_.store(limit, std::memory_order_relaxed);
  }

  OidReservation read_oids() const {
    std::string bytes;
    const rocksdb::Status status = handle_->Get({}, handle_.metadata(), to_slice(kOidsKey), &bytes);
    if (status.IsNotFound()) return {};
    require_ok(path_, "open", status);
    return OidReservation::decode(path_, bytes);
  }

  void close_cleanly() {
    writer_.require_writable("close");
    witness_.closing();
    if (oids_.next != pool_end_) {
      rocksdb::WriteOptions write;
      write.sync = true;
      require_ok(path_, "close", handle_->Put(write, handle_.metadata(), to_slice(kOidsKey), oids_.encode()));
    }
    require_ok(path_, "close", handle_->Flush({}, handle_.families()));
    merge_small_files(handle_);
    witness_.closed_cleanly(chain_, oids_.next, oids_.limit);
  }

  // --- Reading

  void require_kept(Oid oid, Tid at) const {
    if (const Tid oldest = oldest_tid(); at < oldest) [[unlikely]]
      throw SnapshotTooOldError(oid, at, oldest);
  }

  // As `load`, and refuses what a pack has dropped. That is asked last, of the oldest tid as of then: if an iterator sees
  // what is deleted, then this sees for which tid (packer.hpp, [raise-first]).
  std::optional<Revision> load_kept(IteratorPool::Lease& lease, Oid oid, Tid at, Tid last) const {
    try {
      std::optional<Revision> found = load(lease, oid, at, last);
      require_kept(oid, at);
      return found;
    } catch (const Error&) {
      require_kept(oid, at);  // what it misses may be what was dropped meanwhile
      throw;
    }
  }

  // REQUIRES: the lease sees the commits up to `last`. What is above that is not committed yet, even if RocksDB shows it already.
  std::optional<Revision> load(IteratorPool::Lease& lease, Oid oid, Tid at, Tid last) const {
    at = std::min(at, last);
    if (last.value - at.value > kFarBack) return load_old(lease, oid, at, last);
    rocksdb::Iterator& it = lease.by_prefix();
    const RevisionKey newest(oid, last);
    Tid end = kInfinity;
    int newer = 0;
    for (it.Seek(to_slice(newest.bytes())); it.Valid(); it.Next()) {
      const Tid begin = tid_at(it, oid, at);
      if (begin <= at) {
        if (newer > 0) require_none_between(it, oid, begin, end);
        return decode(it, oid, begin, end);
      }
      end = begin;
      if (++newer == kMaxNewer) return load_old(lease, oid, at, last);
    }
    require_readable(it, oid, at);
    if (newer > 0) require_none_between(it, oid, Tid{0}, end);
    return std::nullopt;
  }

  Tid tid_at(const rocksdb::Iterator& it, Oid oid, Tid at) const {
    const rocksdb::Slice key = it.key();
    if (key.size() != RevisionKey::kSize || RevisionKey::oid_of(key.data()) != oid) {
      throw CorruptRecordError(oid, at, "a key of the store '" + path_.string() + "' is damaged");
    }
    return RevisionKey::tid_of(key.data());
  }

  Revision decode(const rocksdb::Iterator& it, Oid oid, Tid begin, Tid end) const {
    const std::optional<std::string_view> record = record_in(oid, begin, it.value().ToStringView());
    if (!record) throw CorruptRecordError(oid, begin, "wrong checksum in the store '" + path_.string() + "'");
    return Revision{begin, end, record->empty(), std::string(*record)};
  }

  void require_readable(const rocksdb::Iterator& it, Oid oid, Tid at) const {
    const rocksdb::Status status = it.status();
    if (status.ok()) return;
    if (status.IsCorruption()) throw CorruptRecordError(oid, at, store_message(path_, "load", status.ToString()));
    throw_status(path_, "load oid " + std::to_string(oid.value) + " at tid " + std::to_string(at.value), status);
  }

  // When Next comes to a file that cannot be opened, RocksDB goes on without that file, and says nothing. A Seek reports
  // it. So this seeks what was walked to: the newest revision below `end`, which must be `begin` (0: there is none).
  void require_none_between(rocksdb::Iterator& it, Oid oid, Tid begin, Tid end) const {
    const RevisionKey newest(oid, Tid{end.value - 1});
    it.Seek(to_slice(newest.bytes()));
    require_readable(it, oid, begin);
    if ((it.Valid() ? tid_at(it, oid, begin) : Tid{0}) == begin) return;
    throw StoreError(store_message(path_, "load oid " + std::to_string(oid.value),
                                   "a revision before tid " + std::to_string(end.value) + " cannot be read"));
  }

  // Whether the iterator stands on a revision of the object.
  static bool stands_on(const rocksdb::Iterator& it, Oid oid) {
    return it.Valid() && it.key().size() == RevisionKey::kSize && RevisionKey::oid_of(it.key().data()) == oid;
  }

  // Without a look at the newest one. What supersedes it is the oldest revision above `at`: of an object that is changed all the time it
  // is among the next few, of others it is sought backwards, which costs more than a second Seek.
  std::optional<Revision> load_old(IteratorPool::Lease& lease, Oid oid, Tid at, Tid last) const {
    rocksdb::Iterator& it = lease.by_prefix();
    const RevisionKey from(oid, Tid{at.value + kNear});
    Tid end = kInfinity;
    for (it.Seek(to_slice(from.bytes())); stands_on(it, oid); it.Next()) {
      const Tid begin = tid_at(it, oid, at);
      if (begin > at) {
        end = begin;
        continue;
      }
      if (end != kInfinity) {
        require_none_between(it, oid, begin, end);
      } else {
        end = superseded(lease, oid, at, last);
      }
      return decode(it, oid, begin, end);
    }
    require_readable(it, oid, at);
    if (end != kInfinity) require_none_between(it, oid, Tid{0}, end);
    return std::nullopt;
  }

  // The oldest revision above `at`; kInfinity: there is none. Backwards, as nothing but a Seek reports a file that cannot be opened.
  Tid superseded(IteratorPool::Lease& lease, Oid oid, Tid at, Tid last) const {
    rocksdb::Iterator& it = lease.total_order();
    const RevisionKey successor(oid, Tid{at.value + 1});
    it.SeekForPrev(to_slice(successor.bytes()));
    require_readable(it, oid, at);
    const Tid found = stands_on(it, oid) ? RevisionKey::tid_of(it.key().data()) : kInfinity;
    return found > last ? kInfinity : found;  // as in `load`
  }

  // --- Writing

  void add_mark(rocksdb::WriteBatch& batch) const {
    const LogMark mark{Tid{synced_tid_.load(std::memory_order_acquire)},
                       durable_oid_limit_.load(std::memory_order_acquire)};
    const auto bytes = encode_log_mark(mark, store_id_);
    require_ok(path_, "commit", batch.PutLogData({bytes.data(), bytes.size()}));
  }

  ChainEnd add_transaction(const TransactionWrite& transaction, const ChainEnd& predecessor, std::uint64_t now) {
    entry_.begin(predecessor, now, transaction.objects.size(), transaction.note);
    for (const ObjectWrite& object : transaction.objects) {
      const RevisionKey key(object.oid, transaction.tid);
      const std::uint32_t checksum = record_checksum(object.oid, transaction.tid, object.record);
      std::array<char, kRecordChecksumSize> tail;
      store_int(tail.data(), checksum);
      // In parts, so that the record is copied once only, into the batch.
      const rocksdb::Slice key_part = to_slice(key.bytes());
      const std::array<rocksdb::Slice, 2> value_parts{to_slice(object.record),
                                                      rocksdb::Slice(tail.data(), tail.size())};
      require_ok(path_, "commit",
                 batch_.Put(handle_.revisions(), rocksdb::SliceParts(&key_part, 1),
                            rocksdb::SliceParts(value_parts.data(), static_cast<int>(value_parts.size()))));
      entry_.add(object.oid, checksum);
    }
    const ChainEnd end = entry_.finish(transaction.tid);
    const TransactionKey key(transaction.tid);
    require_ok(path_, "commit", batch_.Put(handle_.transactions(), to_slice(key.bytes()), to_slice(entry_.bytes())));
    return end;
  }

  // REQUIRES: oid_mutex_ is held.
  void reserve_oids(std::uint64_t count) {
    const std::uint64_t end = kMaxOid.value + 1;
    if (oids_.next > end || count > end - oids_.next) throw OidRangeError(Oid{oids_.next});
    writer_.require_writable("reserve oids");
    const std::uint64_t wanted = count + std::min(options_.oid_block, end - oids_.next - count);
    const std::uint64_t limit = std::max(oids_.limit, oids_.next + wanted);
    rocksdb::WriteBatch batch;
    add_mark(batch);
    const std::string entry = OidReservation{limit, limit}.encode();
    require_ok(path_, "reserve oids", batch.Put(handle_.metadata(), to_slice(kOidsKey), entry));
    rocksdb::WriteOptions write;
    write.sync = true;
    writer_.write(write, batch, "reserve oids", [](const std::string& cause) { throw StoreError(cause); });
    oids_.limit = limit;
    pool_end_ = limit;
    durable_oid_limit_.store(limit, std::memory_order_release);
    witness_.reserved(limit);
  }

  // Comes before any lock: in a forked child the thread that holds one may be missing.
  void require_own(const char* operation) const {
    if (is_own()) return;
    throw StoreError(store_message(path_, operation, "this process was forked after the store was opened"));
  }

  const RocksDbOptions options_;
  StorePlace place_;
  const std::filesystem::path& path_ = place_.path();
  const DirectoryLock lock_;
  const DirectoryContent content_;
  CreationGuard creation_;
  std::uint64_t store_id_ = 0;  // set by begin_witness
  Witness witness_;             // outlives the database: it says `clean` when that is closed
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  const std::shared_ptr<PackFilterFactory> filter_ = std::make_shared<PackFilterFactory>();
  FileKeepers keepers_;
  const RocksDbHandle handle_;
  LogWriter writer_;
  IteratorPool iterators_;

  std::mutex commit_mutex_;
  ChainEnd chain_;                  // as are the next four, guarded by commit_mutex_
  std::uint64_t last_time_us_ = 0;  // of the last commit
  GroupCheck group_check_;
  rocksdb::WriteBatch batch_;
  TransactionRecordWriter entry_;

  Packer packer_;
  const HistoryReader history_{path_, handle_, packer_.oldest()};

  std::mutex oid_mutex_;
  OidReservation oids_;         // guarded by oid_mutex_
  std::uint64_t pool_end_ = 0;  // guarded by oid_mutex_; oids_.next to here can be given away at once

  // What the next mark will say: it speaks of acknowledged, durable writes only.
  std::atomic<std::uint64_t> synced_tid_{0};
  std::atomic<std::uint64_t> durable_oid_limit_{0};

  alignas(64) std::atomic<std::uint64_t> last_tid_{0};
  alignas(64) std::atomic<std::uint64_t> loads_{0};
};

RocksDbStore::RocksDbStore(std::filesystem::path path, RocksDbOptions options)
    : RocksDbStore(path, options, options.create_if_missing ? Mode::open_or_create : Mode::open) {}
RocksDbStore::RocksDbStore(const std::filesystem::path& path, const RocksDbOptions& options, Mode mode)
    : impl_(std::make_unique<Impl>(path, options, mode)) {}
RocksDbStore RocksDbStore::create(const std::filesystem::path& path, const RocksDbOptions& options) {
  return RocksDbStore(path, options, Mode::create);
}
RocksDbStore::~RocksDbStore() {
  // In a forked child RocksDB's threads are missing, and the files are the parent's.
  if (!impl_->is_own()) static_cast<void>(impl_.release());
}

std::optional<Revision> RocksDbStore::load(Oid oid, Tid at) { return impl_->load(oid, at); }
Tid RocksDbStore::last_tid() { return impl_->last_tid(); }
OidBlock RocksDbStore::allocate_oids(std::uint64_t count) { return impl_->allocate_oids(count); }
void RocksDbStore::commit(std::span<const TransactionWrite> group) { impl_->commit(group); }
std::vector<TransactionInfo> RocksDbStore::transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) {
  return impl_->history().transactions(from, to, order, most, last_tid());
}
std::vector<RevisionInfo> RocksDbStore::revisions(Oid oid, Tid newest, std::size_t most) {
  return impl_->history().revisions(oid, newest, most, last_tid());
}
Tid RocksDbStore::tid_at(CommitTime time) { return impl_->history().tid_at(time, last_tid()); }
Tid RocksDbStore::oldest_tid() noexcept { return impl_->oldest_tid(); }
PackResult RocksDbStore::pack(const PackRequest& request) { return impl_->pack(request); }
std::vector<std::optional<Revision>> RocksDbStore::load_many(std::span<const Oid> oids, Tid at) {
  return impl_->load_many(oids, at);
}
void RocksDbStore::warn(const std::string& text) noexcept { impl_->warn(text); }
std::uint64_t RocksDbStore::loads() const noexcept { return impl_->loads(); }
bool RocksDbStore::writable() const noexcept { return impl_->writable(); }
std::string RocksDbStore::trouble() const { return impl_->trouble(); }
const std::filesystem::path& RocksDbStore::path() const noexcept { return impl_->path(); }
BackupResult RocksDbStore::backup(const std::filesystem::path& directory) { return impl_->backup(directory); }
std::uint64_t RocksDbStore::verify() { return impl_->verify(); }
VerifyReport RocksDbStore::verify(const VerifyOptions& options) { return impl_->verify(options); }

}  // namespace cow
