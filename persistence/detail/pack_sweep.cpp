#include "pack_sweep.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "cow_cache/errors.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

bool is_of(const rocksdb::Iterator& it, Oid oid) {
  return it.key().size() == RevisionKey::kSize && RevisionKey::oid_of(it.key().data()) == oid;
}

std::unique_ptr<rocksdb::Iterator> iterate_revisions(const RocksDbHandle& handle) {
  return handle.iterate(handle.revisions(), false);
}

}  // namespace

bool PackSweep::run() {
  last_oid_ = last_oid();
  bool goes_on = true;
  while (goes_on && !at_end_) goes_on = visit_stretch();
  if (!at_end_) return false;
  if (seen_ != mark_.kept) {
    throw StoreCorruptError(store_message(
        store_.path, kPackOperation,
        "up to tid " + std::to_string(mark_.oldest.value) + " there should be " + std::to_string(mark_.kept.count) +
            " revisions, " + std::to_string(seen_.count) + " were found" +
            (seen_.count == mark_.kept.count ? ", not the same" : "") + ": damage, or a file that cannot be opened"));
  }
  return goes_on;
}

// A new iterator each time: what it pins of memory and files is let go. The other thread looks, this one writes.
bool PackSweep::visit_stretch() {
  for (std::uint64_t count = 0; count < kStretch && !at_end_;) {
    if (is_full()) {
      write();
      if (!report()) return false;
    }
    thread_.run([&] {
      if (it_ == nullptr) {
        it_ = iterate_revisions(store_.handle);
        position_.empty() ? it_->SeekToFirst() : it_->Seek(position_);
      }
      for (; it_->Valid() && count < kStretch && !is_full() && !is_stopped_; ++count) visit(found_at(*it_));
      if (is_stopped_) return;
      store_.require_ok(it_->status());
      at_end_ = !it_->Valid();
      if (at_end_) drop_counted();
    });
    if (is_stopped_) return false;
  }
  if (!at_end_) position_ = it_->key().ToString();
  it_.reset();
  write();
  return report();
}

// Leaves the iterator on the next revision to be visited.
void PackSweep::visit(const Found& found) {
  if (found.oid != oid_) {
    drop_counted();
    oid_ = found.oid;
    has_newer_ = has_newest_ = false;
  }
  ++progress_.revisions_seen;
  if (found.tid > mark_.oldest) {
    has_newer_ = true;
    it_->Next();
    return;
  }
  if (has_newest_) {
    if (by_filter_) {
      if (found.is_counted) seen_.add(found.oid, found.tid, found.checksum);
      ++left_.revisions_dropped;
      left_.bytes_dropped += found.record_bytes;
    } else {
      drop_superseded(found);
    }
    it_->Next();
    return;
  }
  const bool is_garbage = !has_newer_ && request_.is_garbage && request_.is_garbage(found.oid);
  if (is_garbage || found.record_bytes == 0) {
    drop_all(found, is_garbage);
    return;
  }
  has_newest_ = true;
  keep(found);
  it_->Next();
}

// Sought one by one (invariant 5), and in batches of their own if there are many.
void PackSweep::drop_all(const Found& newest, bool is_garbage) {
  for (Tid next = newest.tid; next > Tid{};) {
    const RevisionKey key(newest.oid, Tid{next.value - 1});
    it_->Seek(to_slice(key.bytes()));
    store_.require_ok(it_->status());
    // What is not of this object is visited later, and taken apart once only: `counted_` is asked of each in turn.
    if (!it_->Valid() || !is_of(*it_, newest.oid)) break;
    const Found older = found_at(*it_);
    ++progress_.revisions_seen;
    drop_superseded(older);
    if (batch_.Count() >= kMaxDeletes) {
      thread_.call_back([this] {
        write();
        is_stopped_ = !report();
      });
      if (is_stopped_) return;
    }
    next = older.tid;
  }
  drop_counted();
  if (is_garbage) {
    garbage_.push_back(newest);
  } else {
    drop(newest);
  }
}

void PackSweep::keep(const Found& newest) {
  if (newest.is_counted) seen_.add(newest.oid, newest.tid, newest.checksum);
  newest_.add(newest.oid, newest.tid, newest.checksum);
}

void PackSweep::drop_superseded(const Found& found) {
  if (found.is_counted && found.tid <= mark_.loose) {
    counted_one_ = found;  // invariant 4: until `drop_counted`
  } else {
    drop(found);
  }
}

void PackSweep::drop_counted() {
  if (counted_one_) drop(*std::exchange(counted_one_, std::nullopt));
}

void PackSweep::drop(const Found& found) {
  if (batch_.Count() == 0) store_.begin_batch(batch_);
  const RevisionKey key(found.oid, found.tid);
  store_.require_ok(batch_.Delete(store_.handle.revisions(), to_slice(key.bytes())));
  if (found.is_counted) deleted_.add(found.oid, found.tid, found.checksum);
  ++deleted_progress_.revisions_dropped;
  deleted_progress_.bytes_dropped += found.record_bytes;
}

void PackSweep::write() {
  if (batch_.Count() == 0 && garbage_.empty()) return;
  std::unique_lock<std::mutex> no_commit(store_.commit_mutex, std::defer_lock);
  if (!garbage_.empty()) {
    no_commit.lock();
    for (const Found& found : garbage_) {
      if (was_written_since(found)) {
        keep(found);
      } else {
        drop(found);
      }
    }
    garbage_.clear();
    if (batch_.Count() == 0) return;
  }
  PackMark next = mark_;
  next.kept.remove(deleted_);
  store_.require_ok(batch_.Put(store_.handle.metadata(), to_slice(kPackKey), next.encode()));
  // Not synced: what is lost with it is deleted again by the next pack.
  store_.writer.write({}, batch_, kPackOperation, [](const std::string& cause) { throw StoreError(cause); });
  mark_ = next;
  progress_.revisions_dropped += deleted_progress_.revisions_dropped;
  progress_.bytes_dropped += deleted_progress_.bytes_dropped;
  batch_.Clear();
  deleted_ = {};
  deleted_progress_ = {};
}

bool PackSweep::report() {
  const double part =
      at_end_ || last_oid_ == Oid{} ? 1 : static_cast<double>(oid_.value) / static_cast<double>(last_oid_.value);
  progress_.done = std::max(progress_.done, kShare * std::min(part, 1.0));
  return !request_.progress || request_.progress(progress_);
}

PackSweep::Found PackSweep::found_at(const rocksdb::Iterator& it) {
  const rocksdb::Slice key = it.key();
  if (key.size() != RevisionKey::kSize)
    throw StoreCorruptError(store_message(store_.path, kPackOperation, "a revision's key is damaged"));
  const Oid oid = RevisionKey::oid_of(key.data());
  const Tid tid = RevisionKey::tid_of(key.data());
  const std::string_view value = it.value().ToStringView();
  const std::optional<std::string_view> record = record_in(oid, tid, value);
  if (!record) throw CorruptRecordError(oid, tid, "wrong checksum in the store '" + store_.path.string() + "'");
  return {oid, tid, stored_checksum(value), record->size(), counted_.counts(oid, tid)};
}

// REQUIRES: nobody commits.
bool PackSweep::was_written_since(const Found& found) const {
  const std::unique_ptr<rocksdb::Iterator> it = iterate_revisions(store_.handle);
  const RevisionKey newest(found.oid, kInfinity);
  it->Seek(to_slice(newest.bytes()));
  store_.require_ok(it->status());
  const RevisionKey key(found.oid, found.tid);
  return !it->Valid() || it->key() != to_slice(key.bytes());
}

Oid PackSweep::last_oid() const {
  const std::unique_ptr<rocksdb::Iterator> it = iterate_revisions(store_.handle);
  it->SeekToLast();
  store_.require_ok(it->status());
  return it->Valid() && it->key().size() == RevisionKey::kSize ? RevisionKey::oid_of(it->key().data()) : Oid{};
}

}  // namespace cow::detail
