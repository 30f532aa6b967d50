// Checks a store of any kind, as long as it has a history (HistoryStore): what is in it, without C++ types.
//
//   cow::VerifyReport report = cow::verify(store);
//   for (const cow::VerifyFault& fault : report.faults) print(fault.what);
//
// What it checks, as of the last commit: that tids ascend; that each revision can be loaded; that its bytes are a record, whole by the checksum
// that each record has; that each reference of an object's newest revision leads to an object, and each of older ones to something that was once
// there (or may have been, before a pack). References are found in MessagePack; a value that is none, which no database writes but
// a program that makes records by itself may, is no fault, but is counted (VerifyReport::opaque).
//
// Garbage that a pack has begun to collect, and was stopped over, may refer to what is gone (VerifyReport::of_garbage).
//
// What it cannot check: that nothing is missing at the end, or altered in a way that keeps checksums right. That is the business of a store's own
// check, such as RocksDbStore::verify, which does all of this too. And objects that a pack has left, which no transaction names any more, are
// found only if something refers to them.
//
// Thread safety: as the store: commits and packs may go on. What a pack drops meanwhile is not looked at.
#pragma once

#include "version.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "detail/oid_bitmap.hpp"
#include "detail/record/content_check.hpp"
#include "detail/record/references.hpp"
#include "detail/verify_steps.hpp"
#include "errors.hpp"
#include "store.hpp"
#include "store/capabilities.hpp"
#include "store/history.hpp"
#include "types.hpp"
#include "verify_report.hpp"

namespace cow {
namespace detail {

/// The content of a store, by way of its history and its loads.
class HistoryVerification {
 public:
  HistoryVerification(Store& store, const VerifyOptions& options)
      : store_(store),
        capabilities_(store),
        history_(capabilities_.require_history("verify")),
        options_(options),
        last_(store.last_tid()) {
    report_.most_faults = options.most_faults;
  }

  VerifyReport run() {
    if (!read_transactions() || !options_.records) return std::move(report_);
    add(kRootOid);
    if (!read_revisions()) return std::move(report_);
    check_references();
    return std::move(report_);
  }

 private:
  static constexpr std::size_t kPage = 256;

  void add(Oid oid) {
    if (known_.insert(oid)) oids_.push_back(oid);
  }

  bool read_transactions() {
    VerifySteps steps(options_, report_, VerifyProgress::Step::transactions, 0);
    Tid before = capabilities_.oldest_tid();
    if (before > Tid{}) before = Tid{before.value - 1};
    for (Tid next{before.value + 1}; next <= last_;) {
      std::vector<TransactionInfo> page;
      try {
        page = history_.transactions(next, last_, HistoryOrder::oldest_first, kPage);
      } catch (const StoreCorruptError& error) {
        report_.add({VerifyFault::Kind::store, {}, next, {}, error.what()});
      }
      if (page.empty()) break;
      for (const TransactionInfo& transaction : page) {
        if (!steps.step()) return false;
        ++report_.transactions;
        if (transaction.tid <= before || transaction.tid > last_) {
          report_.add({VerifyFault::Kind::order,
                       {},
                       transaction.tid,
                       {},
                       "tids do not ascend: it comes after tid " + std::to_string(before.value)});
        }
        before = std::max(before, transaction.tid);
        for (const Oid oid : transaction.objects) add(oid);
      }
      next = Tid{before.value + 1};
    }
    return true;
  }

  // What is referred to is looked at as well: so `oids_` grows meanwhile.
  bool read_revisions() {
    VerifySteps steps(options_, report_, VerifyProgress::Step::objects, 0);
    for (std::size_t i = 0; i < oids_.size(); ++i) {
      if (!steps.step()) return false;
      const Oid oid = oids_[i];
      for_each_revision(oid, false, [&](Tid tid, bool newest, bool erased) {
        check_.find(oid, newest, erased);
        if (erased) return;
        const std::optional<std::string> record = load(oid, tid, false);
        if (!record) return;
        try {
          for_each_reference_of(*record, oid, tid, [&](Oid target) { add(target); });
        } catch (const CorruptRecordError&) {  // is said below
        }
      });
    }
    return true;
  }

  void check_references() {
    VerifySteps steps(options_, report_, VerifyProgress::Step::records, oids_.size());
    for (const Oid oid : oids_) {
      if (!steps.step()) return;
      for_each_revision(oid, true, [&](Tid tid, bool newest, bool erased) {
        const std::optional<std::string> record = erased ? std::string() : load(oid, tid, true);
        if (record) check_.check(oid, tid, newest, *record);
      });
    }
    VerifySteps reaching(options_, report_, VerifyProgress::Step::what_is_reached, 0);
    check_.finish(
        [&](const auto& visit) {
          for (const Oid oid : oids_) for_each_revision(oid, false, [&](Tid tid, bool, bool) { visit(oid, tid); });
        },
        [&](Oid oid, const auto& visit) {
          for_each_revision(oid, false, [&](Tid tid, bool, bool erased) {
            const std::optional<std::string> record = erased ? std::nullopt : load(oid, tid, false);
            if (record) visit(oid, tid, *record);
          });
        },
        [&] { return reaching.step(); });
  }

  template <class Visit>
  void for_each_revision(Oid oid, bool report, const Visit& visit) {
    bool newest = true;
    for (Tid below{last_.value + 1}; below > Tid{};) {
      std::vector<RevisionInfo> page;
      try {
        page = history_.revisions(oid, Tid{below.value - 1}, kPage);
      } catch (const CorruptRecordError& error) {
        if (report) report_.add({VerifyFault::Kind::record, oid, error.tid, {}, error.what()});
      }
      if (page.empty()) return;
      for (const RevisionInfo& revision : page) visit(revision.begin, std::exchange(newest, false), revision.erased);
      below = page.back().begin;
    }
  }

  /// Nothing: it cannot be loaded. That is a fault, unless a pack has dropped it.
  std::optional<std::string> load(Oid oid, Tid tid, bool report) {
    try {
      // A revision of before a pack is loaded at the oldest snapshot that can be.
      std::optional<Revision> revision = store_.load(oid, std::max(tid, capabilities_.oldest_tid()));
      if (revision && revision->begin == tid) return std::move(revision->record);
      if (report && tid >= capabilities_.oldest_tid()) {
        report_.add({VerifyFault::Kind::store, oid, tid, {}, "the history says that it is there, and it is not"});
      }
    } catch (const SnapshotTooOldError&) {
    } catch (const CorruptRecordError& error) {
      if (report) report_.add({VerifyFault::Kind::record, oid, tid, {}, error.what()});
    }
    return std::nullopt;
  }

  Store& store_;
  const StoreCapabilities capabilities_;
  HistoryStore& history_;
  const VerifyOptions& options_;
  const Tid last_;
  VerifyReport report_;
  ContentCheck check_{report_, capabilities_.oldest_tid()};
  OidBitmap known_;
  std::vector<Oid> oids_;
};

}  // namespace detail

/// Looks at the whole store, twice at each record, and takes ten bytes of memory or so for each object. Throws MissingCapabilityError if it
/// has no history, and what its functions throw but for what is a fault.
inline VerifyReport verify(Store& store, const VerifyOptions& options = {}) {
  return detail::HistoryVerification(store, options).run();
}

}  // namespace cow
