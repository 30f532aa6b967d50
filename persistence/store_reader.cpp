#include "store_reader.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <set>
#include <system_error>
#include <utility>

#include "detail/encoding.hpp"
#include "detail/file_descriptor.hpp"
#include "detail/pack_mark.hpp"
#include "detail/rocksdb_status.hpp"
#include "detail/store_directory.hpp"
#include "detail/store_place.hpp"
#include "detail/store_sources.hpp"
#include "detail/transaction_record.hpp"
#include "detail/verify_chain.hpp"
#include "detail/witness.hpp"

namespace cow {
namespace {

using namespace detail;  // NOLINT(google-build-using-namespace): machinery of stores, in this file only
using Family = StoreSources::Family;

}  // namespace

class StoreReader::Impl {
 public:
  Impl(const std::filesystem::path& directory, OnUnreadable on_unreadable)
      : place_(directory, false), on_unreadable_(std::move(on_unreadable)) {
    place_.keep();
    open();
  }

  // What is reported is what cannot be read of the store as it is now; a reader that is refreshed for years keeps no more.
  void refresh() {
    std::set<std::string> before = std::exchange(reported_, {});
    try {
      open();
    } catch (...) {
      reported_ = std::move(before);
      throw;
    }
  }

  void open() {
    require_store();
    // Before the database is read: what the witness says of it is there then.
    const std::optional<WitnessRecord> witness = witness_of();
    auto sources = std::make_unique<StoreSources>(
        path(), [this](const std::string& part, const std::string& why) { report(part, why); });
    StoreSummary summary;
    const std::optional<std::string> format = sources->metadata(kFormatKey);
    if (format) {
      const StoreFormat decoded = StoreFormat::decode(path(), *format);
      summary.format_version = decoded.version;
      summary.store_id = decoded.store_id;
    } else if ((witness && witness->state != WitnessRecord::State::creating) ||
               sources->estimated_keys(Family::transactions) > 0) {
      // No other program has families of these names, with entries in them.
      if (witness) summary.store_id = witness->store_id;
      report("the format entry", "it is not in what can be read");
    } else {
      throw StoreFormatError(
          store_message(path(), "open", "not a store: another program's database, or an unfinished one"));
    }
    if (!witness && summary.format_version > StoreFormat::kVersionWithoutWitness) {
      report(std::string(kWitnessName), "missing: nothing shows which transaction was the last");
    }
    if (witness) summary.cleanly_closed = witness->state == WitnessRecord::State::clean;
    std::optional<PackMark> pack;
    if (const auto bytes = sources->metadata(kPackKey)) {
      pack = PackMark::decode(*bytes);
      if (!pack) report("the pack's mark", "its bytes are not those that were written");
    }
    summary.oldest_tid = pack ? pack->oldest : Tid{};
    if (const auto oids = sources->metadata(kOidsKey)) summary.next_oid = OidReservation::decode(path(), *oids).next;
    summary.whole = sources->whole();
    summary.estimated_revisions = sources->estimated_keys(Family::revisions);
    summary.estimated_transactions = sources->estimated_keys(Family::transactions);
    // The cursors are the old sources'.
    loads_.reset();
    sources_ = std::move(sources);
    summary_ = summary;
    base_ = pack ? pack->base.tid : Tid{};
    last_tid_ = newest_tid();
    if (witness && witness->end.tid > last_tid_) {
      report("tids " + std::to_string(last_tid_.value + 1) + " to " + std::to_string(witness->end.tid.value),
             "lost: the witness says that they were committed");
    }
  }

  const std::filesystem::path& path() const noexcept { return place_.path(); }
  const StoreSummary& summary() const noexcept { return summary_; }
  Tid last_tid() const noexcept { return last_tid_; }

  bool open_elsewhere() const {
    // RocksDB locks this file; a question takes nothing, so nobody who opens the store meanwhile is refused.
    const FileDescriptor file(path() / "LOCK", O_RDONLY);
    if (!file) return false;
    struct flock lock = {};
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    return ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  }

  std::optional<Revision> load(Oid oid, Tid at) const {
    if (at < summary_.oldest_tid) throw SnapshotTooOldError(oid, at, summary_.oldest_tid);
    if (!loads_) loads_.emplace(sources_->cursor(Family::revisions));
    const Tid visible = std::min(at, last_known());
    Tid end = kInfinity;
    // From the newest, as only so the end of what is found is known.
    const RevisionKey newest(oid, last_known());
    for (loads_->seek(newest.bytes()); loads_->valid(); loads_->next()) {
      const std::string_view key = loads_->key();
      if (key.size() != RevisionKey::kSize || RevisionKey::oid_of(key.data()) != oid) break;
      const Tid begin = RevisionKey::tid_of(key.data());
      if (begin <= visible) {
        const std::optional<std::string_view> record = record_in(oid, begin, loads_->value());
        if (!record) throw CorruptRecordError(oid, begin, "wrong checksum in the store '" + path().string() + "'");
        return Revision{begin, end, record->empty(), std::string(*record)};
      }
      end = begin;
    }
    return std::nullopt;
  }

  void revisions(Oid first, Oid last, const Visitor<StoredRevision>& visit) const {
    TolerantCursor cursor = sources_->cursor(Family::revisions);
    const RevisionKey from(first, kInfinity);
    StoredRevision revision;
    for (cursor.seek(from.bytes()); cursor.valid(); cursor.next()) {
      const std::string_view key = cursor.key();
      if (key.size() != RevisionKey::kSize) {
        report("a key of the revisions", "it has " + std::to_string(key.size()) + " bytes");
        continue;
      }
      const Oid oid = RevisionKey::oid_of(key.data());
      const Tid tid = RevisionKey::tid_of(key.data());
      if (oid > last) return;
      if (tid > last_known()) continue;
      revision.end = oid == revision.oid ? revision.tid : kInfinity;
      revision.oid = oid;
      revision.tid = tid;
      const std::optional<std::string_view> record = record_in(oid, tid, cursor.value());
      revision.sound = record.has_value();
      revision.record = record.value_or(cursor.value());
      revision.erased = record && record->empty();
      if (!visit(revision)) return;
    }
  }

  void transactions(Tid newest, Tid oldest, const Visitor<StoredTransaction>& visit) const {
    TolerantCursor cursor = sources_->cursor(Family::transactions);
    const TransactionKey from(newest);
    std::optional<Tid> expected;
    StoredTransaction transaction;
    cursor.seek_back(from.bytes());
    for (; cursor.valid(); cursor.next()) {
      if (cursor.key().size() != TransactionKey::kSize) {
        report("a key of the transactions", "it has " + std::to_string(cursor.key().size()) + " bytes");
        continue;
      }
      transaction.tid = TransactionKey::tid_of(cursor.key().data());
      if (transaction.tid < std::max(oldest, base_)) break;  // below the base, entries may be there still
      if (expected && *expected != transaction.tid) report_lost(*expected);
      const std::optional<TransactionRecord> record = TransactionRecord::decode(transaction.tid, cursor.value());
      if (!record) {
        report("the entry of tid " + std::to_string(transaction.tid.value),
               "its bytes are not those that were committed");
        expected.reset();
        continue;
      }
      transaction.predecessor = record->predecessor.tid;
      transaction.time = CommitTime(std::chrono::microseconds(record->committed_at_us));
      transaction.note = record->note;
      transaction.objects.clear();
      for (const TransactionRecord::Object& object : record->objects) transaction.objects.push_back(object.oid);
      if (!visit(transaction)) return;
      expected = transaction.predecessor;
    }
    if (!cursor.valid() && expected && *expected != Tid{} && *expected >= std::max(oldest, base_))
      report_lost(*expected);
  }

  std::uint64_t verify_chain(const std::function<void(std::uint64_t)>& on_read) const {
    if (!sources_->whole())
      throw StoreCorruptError(store_message(path(), "verify", "a part of the files cannot be read"));
    if (!open_elsewhere()) {
      // Reads the witness, and the marks in the log. That a program opens the store meanwhile looks like damage at worst.
      const DirectoryContent content = inspect_directory(path(), {false, 1});
      if (content.end.tid < last_tid_) {
        throw StoreCorruptError(store_message(path(), "verify", "the store has changed meanwhile"));
      }
    }
    return verify_history(path(), sources_->handle(), std::numeric_limits<std::uint64_t>::max(), on_read).transactions;
  }

 private:
  void require_store() const {
    std::error_code failure;
    if (std::filesystem::exists(path() / "CURRENT", failure)) return;
    const std::vector<std::string> names = names_in(path());
    const auto is_table = [](const std::string& name) { return name.ends_with(".sst"); };
    if (std::ranges::any_of(names, is_table)) return;
    if (std::ranges::all_of(names, [](const std::string& name) { return is_leftover_of_creation(name); })) {
      throw StoreMissingError(store_message(path(), "open", "no store in this directory"));
    }
    throw StoreFormatError(store_message(path(), "open", "not a store: no database in it"));
  }

  std::optional<WitnessRecord> witness_of() {
    try {
      return read_witness(path());
    } catch (const StoreCorruptError& error) {
      report(std::string(kWitnessName), error.what());
      return std::nullopt;
    }
  }

  Tid newest_tid() const {
    TolerantCursor cursor = sources_->cursor(Family::transactions);
    const TransactionKey last(kInfinity);
    for (cursor.seek_back(last.bytes()); cursor.valid(); cursor.next()) {
      if (cursor.key().size() == TransactionKey::kSize) return TransactionKey::tid_of(cursor.key().data());
    }
    return Tid{};
  }

  // Revisions above it are not committed, unless the entries of the transactions are what cannot be read.
  Tid last_known() const noexcept { return summary_.whole ? last_tid_ : Tid{kInfinity.value - 1}; }

  void report_lost(Tid tid) const {
    report("the entry of tid " + std::to_string(tid.value), "lost: its successor says that there was one");
  }

  void report(const std::string& part, const std::string& why) const {
    if (!on_unreadable_) throw StoreCorruptError(store_message(path(), "read " + part, why));
    if (reported_.insert(part).second) on_unreadable_({part, why});
  }

  StorePlace place_;
  OnUnreadable on_unreadable_;
  mutable std::set<std::string> reported_;
  std::unique_ptr<StoreSources> sources_;
  StoreSummary summary_;
  Tid base_;  // the last transaction up to the pack: those before it are gone, or as good as gone
  Tid last_tid_;
  mutable std::optional<TolerantCursor> loads_;
};

StoreReader::StoreReader(const std::filesystem::path& directory, OnUnreadable on_unreadable)
    : impl_(std::make_unique<Impl>(directory, std::move(on_unreadable))) {}
StoreReader::~StoreReader() = default;
StoreReader::StoreReader(StoreReader&&) noexcept = default;
StoreReader& StoreReader::operator=(StoreReader&&) noexcept = default;

void StoreReader::refresh() { impl_->refresh(); }
const std::filesystem::path& StoreReader::path() const noexcept { return impl_->path(); }
StoreSummary StoreReader::summary() const { return impl_->summary(); }
bool StoreReader::open_elsewhere() const { return impl_->open_elsewhere(); }
Tid StoreReader::last_tid() const noexcept { return impl_->last_tid(); }
std::optional<Revision> StoreReader::load(Oid oid, Tid at) const { return impl_->load(oid, at); }
void StoreReader::revisions(Oid first, Oid last, const Visitor<StoredRevision>& visit) const {
  impl_->revisions(first, last, visit);
}
void StoreReader::transactions(Tid newest, Tid oldest, const Visitor<StoredTransaction>& visit) const {
  impl_->transactions(newest, oldest, visit);
}

std::optional<StoredTransaction> StoreReader::transaction(Tid tid) const {
  std::optional<StoredTransaction> found;
  impl_->transactions(tid, tid, [&](const StoredTransaction& transaction) {
    found = transaction;
    return false;
  });
  return found;
}

std::optional<Tid> StoreReader::tid_at(CommitTime time) const {
  std::optional<Tid> found;
  impl_->transactions(last_tid(), Tid{1}, [&](const StoredTransaction& transaction) {
    if (transaction.time > time) return true;
    found = transaction.tid;
    return false;
  });
  return found;
}

std::uint64_t StoreReader::verify_chain(const std::function<void(std::uint64_t)>& on_read) const {
  return impl_->verify_chain(on_read);
}

}  // namespace cow
