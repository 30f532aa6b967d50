#include "packer.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "housekeeping.hpp"
#include "low_priority_thread.hpp"
#include "pack_sweep.hpp"
#include "rocksdb_status.hpp"
#include "store_directory.hpp"
#include "store_env.hpp"
#include "transaction_record.hpp"

namespace cow::detail {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{128}
                                      << 20;  // of database files that are rewritten between two calls of `progress`

// Of files, from which on a filter drops what is superseded. To delete a revision costs as much as to rewrite it; but a
// filter cannot be stopped in the midst of a file.
constexpr std::uint64_t kFilterBytes = std::uint64_t{4} << 20;

/// Keys that divide the revisions into pieces of about `kPieceBytes`, each between two objects.
std::vector<std::string> pieces_of(const RocksDbHandle& handle) {
  rocksdb::ColumnFamilyMetaData family;
  handle->GetColumnFamilyMetaData(handle.revisions(), &family);
  std::vector<rocksdb::SstFileMetaData> files;
  for (const rocksdb::LevelMetaData& level : family.levels)
    files.insert(files.end(), level.files.begin(), level.files.end());
  std::ranges::sort(files, {}, &rocksdb::SstFileMetaData::smallestkey);
  std::vector<std::string> borders;
  std::uint64_t bytes = 0;
  for (const rocksdb::SstFileMetaData& file : files) {
    if (bytes >= kPieceBytes && file.smallestkey.size() == RevisionKey::kSize) {
      borders.emplace_back(RevisionKey(RevisionKey::oid_of(file.smallestkey.data()), kInfinity).bytes());
      bytes = 0;
    }
    bytes += file.size;
  }
  return borders;
}

void rewrite(const PackedStore& store, rocksdb::ColumnFamilyHandle* family, const std::string* from,
             const std::string* to) {
  rocksdb::CompactRangeOptions all;
  all.exclusive_manual_compaction = false;  // others, that commits may wait for, go on
  all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const rocksdb::Slice first = from != nullptr ? *from : rocksdb::Slice();
  const rocksdb::Slice last = to != nullptr ? *to : rocksdb::Slice();
  store.require_ok(
      store.handle->CompactRange(all, family, from != nullptr ? &first : nullptr, to != nullptr ? &last : nullptr));
}

}  // namespace

PackResult Packer::pack(const PackRequest& request, Tid last) {
  const std::lock_guard lock(mutex_);
  PackResult result;
  const Tid target = std::max(std::min({request.before, request.oldest_pin, last}), mark_.oldest);
  result.oldest = target;
  if (target == mark_.oldest && mark_.complete && !request.is_garbage) {
    result.dropped.done = 1;
    result.complete = true;
    return result;
  }
  store_.writer.require_writable(kPackOperation);
  LowPriorityThread thread(store_.path, kPackOperation);
  write_mark(next_mark(target, last));
  // Pairs with the acquire load by which a load asks: whoever sees what is deleted from here on, sees this.
  oldest_.store(target.value, std::memory_order_release);
  PackSweep sweep(store_, request, mark_, result.dropped, drops_by_filter(), thread);
  if (!sweep.run()) return result;
  if (sweep.left().revisions_dropped > 0) {
    PackMark loose = mark_;
    loose.loose = loose.oldest;
    loose.kept = sweep.newest();
    write_mark(loose);
    store_.filter.activate(mark_.oldest);
  }
  struct Deactivation {
    PackFilterFactory& filter;
    ~Deactivation() { filter.deactivate(); }
  } const deactivation{store_.filter};
  drop_transactions();
  const CompactsInThread compacts(thread);
  if (!purge(request, result)) return result;
  result.dropped.revisions_dropped += sweep.left().revisions_dropped;
  result.dropped.bytes_dropped += sweep.left().bytes_dropped;
  PackMark done = mark_;
  done.complete = true;
  write_mark(done);
  result.dropped.done = 1;
  result.complete = true;
  if (request.progress) request.progress(result.dropped);
  return result;
}

// Follows the chain from the last pack to the target, and counts what its transactions have written: that, and what the last pack has
// left, must be what the sweep finds.
PackMark Packer::next_mark(Tid target, Tid last) const {
  PackMark next{target, mark_.base, mark_.kept, mark_.loose, false};
  const auto it = store_.handle.iterate(store_.handle.transactions(), false);
  const auto refuse = [&](const std::string& why) {
    throw StoreCorruptError(store_message(store_.path, kPackOperation, why + "; nothing was dropped"));
  };
  const TransactionKey start(Tid{mark_.base.tid.value + 1});
  bool goes_further = false;
  for (it->Seek(to_slice(start.bytes())); it->Valid() && !goes_further; it->Next()) {
    if (it->key().size() != TransactionKey::kSize) refuse("a transaction's key is damaged");
    const Tid tid = TransactionKey::tid_of(it->key().data());
    const auto record = TransactionRecord::decode(tid, it->value().ToStringView());
    if (!record) refuse("the entry of tid " + std::to_string(tid.value) + " is damaged");
    if (record->predecessor != next.base) {
      refuse("the transaction before tid " + std::to_string(tid.value) + " is lost, or its file cannot be opened");
    }
    goes_further = tid > target;
    if (goes_further) break;
    next.base = {tid, record->checksum};
    if (tid <= mark_.oldest) continue;  // it is counted already
    for (const TransactionRecord::Object& object : record->objects) next.kept.add(object.oid, tid, object.checksum);
  }
  store_.require_ok(it->status());
  if (!goes_further && next.base.tid != last) {
    refuse("tid " + std::to_string(last.value) + " is lost, or its file cannot be opened");
  }
  return next;
}

void Packer::write_mark(const PackMark& mark) {
  rocksdb::WriteBatch batch;
  store_.begin_batch(batch);
  store_.require_ok(batch.Put(store_.handle.metadata(), to_slice(kPackKey), mark.encode()));
  store_.require_ok(batch.Put(store_.handle.metadata(), to_slice(kFormatKey), store_.packed_format));
  rocksdb::WriteOptions write;
  write.sync = true;
  store_.writer.write(write, batch, kPackOperation, [](const std::string& cause) { throw StoreError(cause); });
  mark_ = mark;
  // In a database file the mark cannot be taken for the torn end of a log.
  store_.require_ok(store_.handle->Flush({}, store_.handle.metadata()));
}

void Packer::drop_transactions() {
  if (mark_.base.tid == Tid{}) return;
  rocksdb::WriteBatch batch;
  store_.begin_batch(batch);
  const TransactionKey first(Tid{}), end(mark_.base.tid);
  store_.require_ok(batch.DeleteRange(store_.handle.transactions(), to_slice(first.bytes()), to_slice(end.bytes())));
  store_.writer.write({}, batch, kPackOperation, [](const std::string& cause) { throw StoreError(cause); });
}

bool Packer::drops_by_filter() const {
  std::uint64_t files = 0;
  store_.handle->GetIntProperty(store_.handle.revisions(), rocksdb::DB::Properties::kLiveSstFilesSize, &files);
  return files >= kFilterBytes;
}

// Two compactions may have met an object's revisions where one file ends and the next begins: each has kept one. True: there were such, and
// now they are deleted.
bool Packer::delete_at_seams() {
  std::set<Oid> oids;
  rocksdb::ColumnFamilyMetaData family;
  store_.handle->GetColumnFamilyMetaData(store_.handle.revisions(), &family);
  for (const rocksdb::LevelMetaData& level : family.levels) {
    for (const rocksdb::SstFileMetaData& file : level.files) {
      for (const std::string& key : {file.smallestkey, file.largestkey}) {
        if (key.size() == RevisionKey::kSize) oids.insert(RevisionKey::oid_of(key.data()));
      }
    }
  }
  const auto it = store_.handle.iterate(store_.handle.revisions());
  bool any = false;
  for (const Oid oid : oids) {
    rocksdb::WriteBatch batch;
    store_.begin_batch(batch);
    bool is_newest = true;
    const RevisionKey first(oid, mark_.oldest);
    for (it->Seek(to_slice(first.bytes()));
         it->Valid() && it->key().size() == RevisionKey::kSize && RevisionKey::oid_of(it->key().data()) == oid;
         it->Next()) {
      if (!std::exchange(is_newest, false)) {
        store_.require_ok(batch.Delete(store_.handle.revisions(), it->key()));
      }
    }
    store_.require_ok(it->status());
    if (batch.Count() == 0) continue;
    any = true;
    store_.writer.write({}, batch, kPackOperation, [](const std::string& cause) { throw StoreError(cause); });
    store_.require_ok(store_.handle->Flush({}, store_.handle.revisions()));
    const std::string from(RevisionKey(oid, kInfinity).bytes()), to(RevisionKey(oid, Tid{}).bytes());
    rewrite(store_, store_.handle.revisions(), &from, &to);
  }
  return any;
}

// What was deleted is in old logs and in database files. Both go once all is flushed and rewritten, and nobody reads them any more.
bool Packer::purge(const PackRequest& request, PackResult& result) {
  store_.require_ok(store_.handle->Flush({}, store_.handle.families()));
  rewrite(store_, store_.handle.transactions(), nullptr, nullptr);
  const std::vector<std::string> borders = pieces_of(store_.handle);
  const double begun = result.dropped.done;
  for (std::size_t i = 0; i <= borders.size(); ++i) {
    rewrite(store_, store_.handle.revisions(), i == 0 ? nullptr : &borders[i - 1],
            i == borders.size() ? nullptr : &borders[i]);
    result.dropped.done = begun + (0.99 - begun) * static_cast<double>(i + 1) / static_cast<double>(borders.size() + 1);
    if (request.progress && !request.progress(result.dropped)) return false;
  }
  while (mark_.loose == mark_.oldest && delete_at_seams()) {
  }
  FileKeepers::Removal removal(store_.keepers);
  if (!removal.wait([&] { return !request.progress || request.progress(result.dropped); })) return false;
  store_.iterators.drop_outdated(store_.watch.generation());
  remove_obsolete_files(store_.path, store_.handle);
  return true;
}

}  // namespace cow::detail
