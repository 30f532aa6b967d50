// Checks what revisions hold: that their bytes are records, and that their references lead somewhere.
//
// A pack that collects garbage drops one object after the other. If it is stopped or killed, garbage that is still there refers to garbage that is
// not; and so it stays until another pack collects. That is no fault: who finds such a reference, in a revision that a pack has left, asks
// whether anything leads there.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. Every revision goes through `find` before the first goes through `check`.
//  2. Memory: two bits for each object; where there are such references, another one, and the oids that are still to be looked at.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/detail/oid_bitmap.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "cow_cache/verify_report.hpp"
#include "envelope.hpp"
#include "references.hpp"

namespace cow::detail {

class ContentCheck {
 public:
  /// `oldest`: the last pack's tid; `Tid{0}`: there was none.
  ContentCheck(VerifyReport& report, Tid oldest) noexcept : report_(report), oldest_(oldest) {}

  /// `newest`: no later revision of the object is there.
  void find(Oid oid, bool newest, bool erased) {
    if (erased) return;
    ever_.insert(oid);
    if (newest) report_.objects += now_.insert(oid);
  }

  /// `record`: empty if it is a tombstone.
  void check(Oid oid, Tid tid, bool newest, std::string_view record) {
    ++report_.revisions;
    if (record.empty()) return;
    try {
      const RecordHeader header = read_record_header(record, oid, tid);
      const std::string_view value = record.substr(header.value_offset);
      // Two walks: what refers to something before it turns out to be no MessagePack refers to nothing.
      if (!for_each_reference(value, [](Oid) {})) {
        ++report_.opaque[header.type_name];
        return;
      }
      for_each_reference(value, [&](Oid target) { require(oid, tid, newest, target); });
    } catch (const CorruptRecordError& error) {
      report_.add({VerifyFault::Kind::record, oid, tid, {}, error.what()});
    }
  }

  /// In the place of `check`: the store's checksum says that its bytes are others.
  void check_altered(Oid oid, Tid tid) {
    ++report_.revisions;
    report_.add({VerifyFault::Kind::record, oid, tid, {}, "its bytes are not those that were committed"});
  }

  /// Behind the last `check`. `scan(visit)` calls `visit(Oid, Tid)` for all revisions, `revisions_of(Oid, visit)` calls `visit(Oid, Tid, record)` for all of
  /// an object; `step()` says whether to go on. False: it was told to stop.
  template <class Scan, class RevisionsOf, class Step>
  bool finish(const Scan& scan, const RevisionsOf& revisions_of, const Step& step) {
    if (suspects_.empty()) return true;
    // What a pack keeps: what leads on from the root, and what was written since.
    OidBitmap reached;
    std::vector<Oid> pending;
    const auto reach = [&](Oid oid) {
      if (reached.insert(oid)) pending.push_back(oid);
    };
    reach(kRootOid);
    scan([&](Oid oid, Tid tid) {
      if (tid > oldest_) reach(oid);
    });
    while (!pending.empty()) {
      if (!step()) return false;
      const Oid next = pending.back();
      pending.pop_back();
      revisions_of(next, [&](Oid oid, Tid tid, std::string_view record) {
        if (record.empty()) return;
        try {
          for_each_reference_of(record, oid, tid, reach);
        } catch (const CorruptRecordError&) {  // `check` has said so
        }
      });
    }
    for (VerifyFault& suspect : suspects_) {
      if (reached.contains(suspect.oid)) {
        report_.add(std::move(suspect));
      } else {
        ++report_.of_garbage;
      }
    }
    return true;
  }

 private:
  // An old revision may refer to what was erased since, and gone with a pack; the newest one may not.
  void require(Oid oid, Tid tid, bool newest, Oid target) {
    ++report_.references;
    if ((newest ? now_ : ever_).contains(target) || (!newest && oldest_ > Tid{})) return;
    VerifyFault fault{VerifyFault::Kind::dangling, oid, tid, target,
                      "it refers to oid " + std::to_string(target.value) + ", which " +
                          (ever_.contains(target) ? "was erased" : "is not there")};
    if (tid <= oldest_) {
      suspects_.push_back(std::move(fault));
    } else {
      report_.add(std::move(fault));
    }
  }

  VerifyReport& report_;
  const Tid oldest_;
  OidBitmap ever_, now_;
  std::vector<VerifyFault> suspects_;
};

}  // namespace cow::detail
