#include "verify_chain.hpp"

#include <rocksdb/snapshot.h>

#include <memory>
#include <optional>
#include <string>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

class Verifier {
 public:
  Verifier(const std::filesystem::path& path, const RocksDbHandle& handle,
           const std::function<void(std::uint64_t)>& on_read)
      : path_(path), handle_(handle), on_read_(on_read), snapshot_(&*handle) {
    read_.snapshot = snapshot_.snapshot();
    read_.fill_cache = false;
    read_.total_order_seek = true;
  }

  VerifiedHistory run(std::uint64_t max_reads) {
    VerifiedHistory history;
    history.mark = read_pack_mark(path_, handle_, read_);
    const PackMark mark = history.mark.value_or(PackMark{});
    bool at_base = false;
    std::optional<ChainEnd> expected;  // what the successor says of the transaction to come
    std::uint64_t objects = 0;
    std::uint64_t reads = 0;
    const std::unique_ptr<rocksdb::Iterator> it(handle_->NewIterator(read_, handle_.transactions()));
    for (it->SeekToLast(); it->Valid() && reads < max_reads; it->Prev(), ++reads) {
      const auto [end, record] = decode(it->key(), it->value());
      if (on_read_) on_read_(reads + 1);
      if (!expected) {
        history.end = end;
        history.committed_at_us = record.committed_at_us;
      }
      if (expected && *expected != end) refuse_link(*expected, end);
      if (end.tid <= mark.oldest) {  // what is before it may be gone, and what it has written, too
        if (end != mark.base) refuse_link(mark.base, end);
        ++history.transactions;
        at_base = true;
        break;
      }
      for (const TransactionRecord::Object& object : record.objects) {
        if (++reads >= max_reads) break;
        if (on_read_) on_read_(reads + 1);
        require_revision(end.tid, object);
        ++objects;
      }
      expected = record.predecessor;
      ++history.transactions;
    }
    require_ok(path_, "verify", it->status());
    if (!at_base && !it->Valid() && reads < max_reads && expected.value_or(ChainEnd{}) != mark.base) {
      const ChainEnd lost = expected.value_or(ChainEnd{}) == ChainEnd{} ? mark.base : *expected;
      // Prev says nothing of a file that it cannot open, and goes on without it; Seek does.
      const TransactionKey key(lost.tid);
      it->Seek(to_slice(key.bytes()));
      require_ok(path_, "verify", it->status());
      refuse_link(lost, ChainEnd{});
    }
    // So many are left to be read, if what a pack has kept is not too much for that.
    if ((at_base || !it->Valid()) && reads < max_reads && mark.kept.count <= max_reads - reads) {
      require_these_only(objects, reads, mark);
    }
    return history;
  }

 private:
  std::pair<ChainEnd, TransactionRecord> decode(const rocksdb::Slice& key, const rocksdb::Slice& value) const {
    if (key.size() != TransactionKey::kSize) refuse("a transaction's key is damaged");
    const Tid tid = TransactionKey::tid_of(key.data());
    std::optional<TransactionRecord> record = TransactionRecord::decode(tid, value.ToStringView());
    if (!record) refuse("the entry of tid " + std::to_string(tid.value) + " is damaged");
    return {ChainEnd{tid, record->checksum}, *std::move(record)};
  }

  void require_revision(Tid tid, const TransactionRecord::Object& object) {
    const RevisionKey key(object.oid, tid);
    const rocksdb::Status status = handle_->Get(read_, handle_.revisions(), to_slice(key.bytes()), &value_);
    const std::string name = "oid " + std::to_string(object.oid.value) + " at tid " + std::to_string(tid.value);
    if (status.IsNotFound()) refuse(name + " is lost");
    require_ok(path_, "verify " + name, status);
    if (!record_in(object.oid, tid, value_.ToStringView()) ||
        stored_checksum(value_.ToStringView()) != object.checksum) {
      refuse(name + " is not what was committed");
    }
    value_.Reset();
  }

  // Each revision that a transaction names was found; so a greater number means some that no transaction names. What a pack has kept
  // only its mark names, all together.
  void require_these_only(std::uint64_t objects, std::uint64_t reads, const PackMark& mark) const {
    std::uint64_t revisions = 0;
    RevisionDigest kept;
    CountedRevisions counted(mark.oldest, mark.loose);
    const std::unique_ptr<rocksdb::Iterator> it(handle_->NewIterator(read_, handle_.revisions()));
    for (it->SeekToFirst(); it->Valid(); it->Next()) {
      if (on_read_) on_read_(++reads);
      if (it->key().size() != RevisionKey::kSize) refuse("a revision's key is damaged");
      const Oid oid = RevisionKey::oid_of(it->key().data());
      const Tid tid = RevisionKey::tid_of(it->key().data());
      if (tid > mark.oldest) {
        ++revisions;
        continue;
      }
      const std::string_view value = it->value().ToStringView();
      if (!record_in(oid, tid, value)) {
        refuse("oid " + std::to_string(oid.value) + " at tid " + std::to_string(tid.value) +
               " is not what was committed");
      }
      if (counted.counts(oid, tid)) kept.add(oid, tid, stored_checksum(value));
    }
    require_ok(path_, "verify", it->status());
    if (kept != mark.kept) {
      refuse("the pack up to tid " + std::to_string(mark.oldest.value) + " has left " +
             std::to_string(mark.kept.count) + " revisions, and " + std::to_string(kept.count) + " are there" +
             (kept.count == mark.kept.count ? ", not the same" : ""));
    }
    // Next says nothing of a file that it cannot open either; but all that were named were found, one by one.
    if (revisions < objects) {
      throw StoreError(store_message(path_, "verify",
                                     "a scan of all revisions found " + std::to_string(revisions) + " of " +
                                         std::to_string(objects) + ": a file cannot be opened for it"));
    }
    if (revisions != objects) {
      refuse(std::to_string(revisions) + " revisions, but transactions wrote " + std::to_string(objects));
    }
  }

  [[noreturn]] void refuse_link(const ChainEnd& expected, const ChainEnd& found) const {
    refuse("the transactions are not a chain: after tid " + std::to_string(found.tid.value) + " should come tid " +
           std::to_string(expected.tid.value) + (expected.tid == found.tid ? " with other content" : ", it is lost"));
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw StoreCorruptError(store_message(path_, "verify", why));
  }

  const std::filesystem::path& path_;
  const RocksDbHandle& handle_;
  const std::function<void(std::uint64_t)>& on_read_;
  rocksdb::ManagedSnapshot snapshot_;
  rocksdb::ReadOptions read_;
  rocksdb::PinnableSlice value_;
};

}  // namespace

VerifiedHistory verify_history(const std::filesystem::path& path, const RocksDbHandle& handle, std::uint64_t max_reads,
                               const std::function<void(std::uint64_t)>& on_read) {
  return Verifier(path, handle, on_read).run(max_reads);
}

}  // namespace cow::detail
