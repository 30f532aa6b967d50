#include "history_reader.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

CommitTime time_of(const TransactionRecord& record) {
  return CommitTime(std::chrono::microseconds(record.committed_at_us));
}

}  // namespace

std::vector<TransactionInfo> HistoryReader::transactions(Tid from, Tid to, HistoryOrder order, std::size_t most,
                                                         Tid last) const {
  std::vector<TransactionInfo> page;
  from = std::max(from, Tid{1});
  to = std::min(to, last);
  if (from > to || most == 0) return page;
  const bool ascends = order == HistoryOrder::oldest_first;
  const std::unique_ptr<rocksdb::Iterator> it = iterate_transactions();
  const TransactionKey start(ascends ? from : to);
  if (ascends) {
    it->Seek(to_slice(start.bytes()));
  } else {
    it->SeekForPrev(to_slice(start.bytes()));
  }
  std::optional<Tid> expected;  // newest first: what the successor says; oldest first: the last one that was seen
  std::size_t objects = 0;
  while (it->Valid() && page.size() < most && objects < kMaxObjects) {
    Tid tid{};
    TransactionRecord record = record_at(*it, tid);
    if (ascends) {
      const Tid before = record.predecessor.tid;
      if ((expected ? before != *expected : before >= from) && !may_be_gone(before)) refuse_gap(before, tid);
      if (tid > to) return page;
      expected = tid;
    } else {
      if (expected && tid != *expected && !may_be_gone(*expected)) refuse_gap(*expected, page.back().tid);
      if (tid < from) return page;
      expected = record.predecessor.tid;
    }
    TransactionInfo& info = page.emplace_back();
    info.tid = tid;
    info.time = time_of(record);
    info.note = std::move(record.note);
    info.objects.reserve(record.objects.size());
    for (const TransactionRecord::Object& object : record.objects) info.objects.push_back(object.oid);
    objects += record.objects.size() + 1;
    ascends ? it->Next() : it->Prev();
  }
  require_ok(path_, "read transactions", it->status());
  if (it->Valid()) return page;
  // It came to an end of the chain: is it the end?
  if (ascends && from <= last && expected.value_or(Tid{}) != last) refuse_gap(last, last);
  if (!ascends && expected.value_or(Tid{}) != Tid{} && !may_be_gone(*expected)) refuse_gap(*expected, page.back().tid);
  return page;
}

std::vector<RevisionInfo> HistoryReader::revisions(Oid oid, Tid newest, std::size_t most, Tid last) const {
  std::vector<RevisionInfo> page;
  newest = std::min(newest, last);
  const auto it = handle_.iterate(handle_.revisions());
  Tid end = newer_than(*it, oid, newest, last);
  while (page.size() < most) {
    const RevisionKey key(oid, newest);
    it->Seek(to_slice(key.bytes()));
    const std::string what = "read the history of oid " + std::to_string(oid.value);
    require_ok(path_, what, it->status());
    if (!it->Valid() || it->key().size() != RevisionKey::kSize || RevisionKey::oid_of(it->key().data()) != oid) break;
    const Tid begin = RevisionKey::tid_of(it->key().data());
    const std::optional<std::string_view> record = record_in(oid, begin, it->value().ToStringView());
    if (!record) throw CorruptRecordError(oid, begin, "wrong checksum in the store '" + path_.string() + "'");
    RevisionInfo& revision = page.emplace_back();
    revision.begin = begin;
    revision.end = std::exchange(end, begin);
    revision.erased = record->empty();
    revision.bytes = record->size();
    describe(revision);
    if (begin == Tid{}) break;
    newest = Tid{begin.value - 1};
  }
  return page;
}

// Between two tids that are known there may be none: tids have gaps. So a bound moves to the middle, or to the transaction
// that was found there.
Tid HistoryReader::tid_at(CommitTime time, Tid last) const {
  const std::unique_ptr<rocksdb::Iterator> it = iterate_transactions();
  Tid early{};               // it was in time, or there is none
  Tid late{last.value + 1};  // from here on all were later
  while (late.value - early.value > 1) {
    const Tid middle{early.value + (late.value - early.value) / 2};
    const TransactionKey key(middle);
    it->Seek(to_slice(key.bytes()));
    require_ok(path_, "look for a time", it->status());
    Tid tid = kInfinity;
    if (it->Valid() && TransactionKey::tid_of(it->key().data()) < late) {
      const TransactionRecord record = record_at(*it, tid);
      if (time_of(record) > time) tid = kInfinity;
    }
    if (tid == kInfinity) {
      late = middle;
    } else {
      early = tid;
    }
  }
  return early;
}

std::unique_ptr<rocksdb::Iterator> HistoryReader::iterate_transactions() const {
  return handle_.iterate(handle_.transactions());
}

TransactionRecord HistoryReader::record_at(const rocksdb::Iterator& it, Tid& tid) const {
  if (it.key().size() != TransactionKey::kSize)
    throw StoreCorruptError(store_message(path_, "read transactions", "a transaction's key is damaged"));
  tid = TransactionKey::tid_of(it.key().data());
  return decode(tid, it.value().ToStringView());
}

TransactionRecord HistoryReader::decode(Tid tid, std::string_view entry) const {
  std::optional<TransactionRecord> record = TransactionRecord::decode(tid, entry);
  if (!record) {
    throw StoreCorruptError(
        store_message(path_, "read transactions", "the entry of tid " + std::to_string(tid.value) + " is damaged"));
  }
  return *std::move(record);
}

// The next revision of the object above `tid`, if its commit has returned; else infinity.
Tid HistoryReader::newer_than(rocksdb::Iterator& revisions, Oid oid, Tid tid, Tid last) const {
  if (tid >= last) return kInfinity;
  const RevisionKey key(oid, Tid{tid.value + 1});
  revisions.SeekForPrev(to_slice(key.bytes()));
  require_ok(path_, "read the history of oid " + std::to_string(oid.value), revisions.status());
  if (!revisions.Valid() || revisions.key().size() != RevisionKey::kSize ||
      RevisionKey::oid_of(revisions.key().data()) != oid) {
    return kInfinity;
  }
  const Tid newer = RevisionKey::tid_of(revisions.key().data());
  return newer <= last ? newer : kInfinity;
}

void HistoryReader::describe(RevisionInfo& revision) const {
  const TransactionKey key(revision.begin);
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = handle_->Get({}, handle_.transactions(), to_slice(key.bytes()), &value);
  if (status.IsNotFound() && may_be_gone(revision.begin)) return;
  if (status.IsNotFound()) refuse_gap(revision.begin, revision.begin);
  require_ok(path_, "read tid " + std::to_string(revision.begin.value), status);
  TransactionRecord record = decode(revision.begin, value.ToStringView());
  revision.time = time_of(record);
  revision.note = std::move(record.note);
}

// A file that cannot be opened is a StoreError, what is not there any more a StoreCorruptError.
void HistoryReader::refuse_gap(Tid lost, Tid successor) const {
  const TransactionKey key(lost);
  const std::unique_ptr<rocksdb::Iterator> it = iterate_transactions();
  it->Seek(to_slice(key.bytes()));
  require_ok(path_, "read tid " + std::to_string(lost.value), it->status());
  const std::string before =
      lost == successor ? std::string() : ", the one before tid " + std::to_string(successor.value) + ",";
  throw StoreCorruptError(
      store_message(path_, "read transactions", "tid " + std::to_string(lost.value) + before + " is lost"));
}

}  // namespace cow::detail
