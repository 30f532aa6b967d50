// Checks a store that is looked into from outside (StoreReader), and says all that is wrong.
//
//   cow::StoreReader reader("bank.db", [](const cow::UnreadablePart& part) { print(part.part); });
//   const cow::VerifyReport report = cow::verify_stored(reader);
//
// What it checks, in this order: the chain of transactions and every checksum, and if no program has the store open also the witness, as
// StoreReader::verify_chain does; that tids ascend; and of every revision what `cow::verify` checks (cow_cache/verify.hpp). What cannot
// be read is the business of the function that the reader was given.
//
// Thread safety: as the reader's.
#pragma once

#include "cow_cache/version.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "cow_cache/verify.hpp"
#include "store_reader.hpp"

namespace cow {
namespace detail {

template <class Reader>
class StoredVerification {
 public:
  StoredVerification(const Reader& reader, const VerifyOptions& options)
      : reader_(reader), options_(options), summary_(reader.summary()), check_(report_, summary_.oldest_tid) {
    report_.most_faults = options.most_faults;
  }

  VerifyReport run() {
    if (check_chain() && read_transactions() && options_.records && find_objects()) check_records();
    return std::move(report_);
  }

 private:
  using Step = VerifyProgress::Step;
  struct Stopped {};

  bool check_chain() {
    if (!summary_.whole) return true;  // what cannot be read was said
    VerifySteps steps(options_, report_, Step::chain,
                      summary_.estimated_transactions + 2 * summary_.estimated_revisions);
    try {
      reader_.verify_chain([&](std::uint64_t) {
        if (!steps.step()) throw Stopped();
      });
    } catch (const Stopped&) {
      return false;
    } catch (const StoreError& error) {
      report_.add({VerifyFault::Kind::store, {}, {}, {}, error.what()});
    }
    return true;
  }

  bool read_transactions() {
    VerifySteps steps(options_, report_, Step::transactions, summary_.estimated_transactions);
    reader_.transactions(reader_.last_tid(), Tid{1}, [&](const StoredTransaction& transaction) {
      if (!steps.step()) return false;
      ++report_.transactions;
      if (transaction.predecessor >= transaction.tid) {
        report_.add({VerifyFault::Kind::order,
                     {},
                     transaction.tid,
                     {},
                     "tids do not ascend: its predecessor is tid " + std::to_string(transaction.predecessor.value)});
      }
      return true;
    });
    return report_.complete;
  }

  bool find_objects() {
    VerifySteps steps(options_, report_, Step::objects, summary_.estimated_revisions);
    reader_.revisions(Oid{0}, kLast, [&](const StoredRevision& revision) {
      check_.find(revision.oid, revision.end == kInfinity, revision.erased);
      return steps.step();
    });
    return report_.complete;
  }

  void check_records() {
    VerifySteps steps(options_, report_, Step::records, summary_.estimated_revisions);
    reader_.revisions(Oid{0}, kLast, [&](const StoredRevision& revision) {
      if (revision.sound) {
        check_.check(revision.oid, revision.tid, revision.end == kInfinity, revision.record);
      } else {
        check_.check_altered(revision.oid, revision.tid);
      }
      return steps.step();
    });
    if (!report_.complete) return;
    VerifySteps reaching(options_, report_, Step::what_is_reached, 0);
    check_.finish(
        [&](const auto& visit) {
          reader_.revisions(Oid{0}, kLast, [&](const StoredRevision& revision) {
            visit(revision.oid, revision.tid);
            return true;
          });
        },
        [&](Oid oid, const auto& visit) {
          reader_.revisions(oid, oid, [&](const StoredRevision& revision) {
            if (revision.sound) visit(revision.oid, revision.tid, revision.record);
            return true;
          });
        },
        [&] { return reaching.step(); });
  }

  static constexpr Oid kLast{std::numeric_limits<std::uint64_t>::max()};

  const Reader& reader_;
  const VerifyOptions& options_;
  const StoreSummary summary_;
  VerifyReport report_;
  ContentCheck check_;
};

}  // namespace detail

/// `Reader`: StoreReader, or what has the same functions. Throws what these throw but for what is a fault.
template <class Reader>
VerifyReport verify_stored(const Reader& reader, const VerifyOptions& options = {}) {
  return detail::StoredVerification<Reader>(reader, options).run();
}

}  // namespace cow
