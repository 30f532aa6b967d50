#include "verify_content.hpp"

#include <rocksdb/db.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"
#include "cow_cache/verify.hpp"
#include "encoding.hpp"
#include "pack_mark.hpp"
#include "rocksdb_status.hpp"
#include "transaction_record.hpp"
#include "verify_chain.hpp"
#include "witness.hpp"

namespace cow::detail {
namespace {

using Step = VerifyProgress::Step;

/// Calls `visit(oid, tid, newest, value)` for all revisions up to `last`, until it returns false. False: it has.
template <class Visit>
bool for_each_revision(const std::filesystem::path& path, const RocksDbHandle& handle, Tid last, const Visit& visit) {
  const std::unique_ptr<rocksdb::Iterator> it = handle.iterate(handle.revisions(), false);
  Oid before;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (it->key().size() != RevisionKey::kSize) continue;  // the check of the history has said so
    const Oid oid = RevisionKey::oid_of(it->key().data());
    const Tid tid = RevisionKey::tid_of(it->key().data());
    if (tid > last) continue;
    const bool newest = oid != before;
    before = oid;
    if (!visit(oid, tid, newest, it->value().ToStringView())) return false;
  }
  require_ok(path, "verify", it->status());
  return true;
}

// `witness`: as it was before the history was verified, so all that it knows must be there; nothing: it is missing.
void verify_witness(const RocksDbHandle& handle, const std::optional<WitnessRecord>& witness, std::uint64_t store_id,
                    const VerifiedHistory& history, VerifyReport& report) {
  const auto fault = [&](Tid tid, std::string what) {
    report.add({VerifyFault::Kind::store, {}, tid, {}, "the witness " + std::move(what)});
  };
  if (!witness) return fault({}, "is missing");
  if (witness->store_id != store_id) return fault({}, "is another store's");
  const Tid tid = witness->end.tid;
  if (tid > history.end.tid) return fault(tid, "says that it was committed, and it is lost");
  if (tid == Tid{} || (history.mark && tid < history.mark->base.tid)) return;  // a pack has dropped its entry
  const TransactionKey key(tid);
  std::string entry;
  if (!handle->Get({}, handle.transactions(), to_slice(key.bytes()), &entry).ok()) return;  // the chain's business
  const std::optional<TransactionRecord> record = TransactionRecord::decode(tid, entry);
  if (record && record->checksum != witness->end.checksum) fault(tid, "knows it with other content");
}

// Goes through all revisions twice: what they are, and what they refer to.
void verify_content(const std::filesystem::path& path, const RocksDbHandle& handle, const VerifiedHistory& history,
                    const VerifyOptions& options, VerifyReport& report) {
  std::uint64_t about = 0;
  handle->GetIntProperty(handle.revisions(), rocksdb::DB::Properties::kEstimateNumKeys, &about);
  ContentCheck check(report, history.mark ? history.mark->oldest : Tid{});
  VerifySteps finding(options, report, Step::objects, about), checking(options, report, Step::records, about);
  // A tombstone is an empty record.
  const bool found =
      for_each_revision(path, handle, history.end.tid, [&](Oid oid, Tid tid, bool newest, std::string_view value) {
        const std::optional<std::string_view> record = record_in(oid, tid, value);
        check.find(oid, newest, record && record->empty());
        return finding.step();
      });
  if (!found) return;
  const bool checked =
      for_each_revision(path, handle, history.end.tid, [&](Oid oid, Tid tid, bool newest, std::string_view value) {
        if (const std::optional<std::string_view> record = record_in(oid, tid, value)) {
          check.check(oid, tid, newest, *record);
        } else {
          check.check_altered(oid, tid);
        }
        return checking.step();
      });
  if (!checked) return;
  VerifySteps reaching(options, report, Step::what_is_reached, 0);
  const std::unique_ptr<rocksdb::Iterator> it = handle.iterate(handle.revisions());
  check.finish(
      [&](const auto& visit) {
        for_each_revision(path, handle, history.end.tid, [&](Oid oid, Tid tid, bool, std::string_view) {
          visit(oid, tid);
          return true;
        });
      },
      [&](Oid of, const auto& visit) {
        const RevisionKey newest(of, history.end.tid);
        for (it->Seek(to_slice(newest.bytes())); it->Valid() && it->key().size() == RevisionKey::kSize; it->Next()) {
          if (RevisionKey::oid_of(it->key().data()) != of) break;
          const Tid tid = RevisionKey::tid_of(it->key().data());
          const std::optional<std::string_view> record = record_in(of, tid, it->value().ToStringView());
          if (record) visit(of, tid, *record);
        }
        require_ok(path, "verify", it->status());
      },
      [&] { return reaching.step(); });
}

}  // namespace

VerifyReport verify_store(const std::filesystem::path& path, const RocksDbHandle& handle, std::uint64_t store_id,
                          Tid last, const VerifyOptions& options) {
  struct Stopped {};
  VerifyReport report;
  report.most_faults = options.most_faults;
  // If the history cannot be verified as a whole, what it has is looked at piece by piece all the same.
  VerifiedHistory history;
  history.end.tid = last;
  try {
    history.mark = read_pack_mark(path, handle);
    const std::optional<WitnessRecord> witness = read_witness(path);
    VerifySteps steps(options, report, Step::chain, 0);
    history = verify_history(path, handle, std::numeric_limits<std::uint64_t>::max(), [&](std::uint64_t) {
      if (!steps.step()) throw Stopped();
    });
    report.transactions = history.transactions;
    verify_witness(handle, witness, store_id, history, report);
  } catch (const Stopped&) {
    return report;
  } catch (const StoreCorruptError& error) {
    report.add({VerifyFault::Kind::store, {}, {}, {}, error.what()});
  } catch (const StoreFormatError& error) {
    report.add({VerifyFault::Kind::store, {}, {}, {}, error.what()});
  }
  if (options.records) verify_content(path, handle, history, options, report);
  return report;
}

}  // namespace cow::detail
