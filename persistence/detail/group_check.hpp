// The precondition of `Store::commit`, checked before anything is written.
//
// Thread safety: one object per store, used under the store's commit lock.
//
// Invariants:
//  1. A group that passes can be written without leaving one revision in two forms.
#pragma once

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cow_cache/store.hpp"
#include "cow_cache/store/note.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// Checks groups; keeps its scratch memory between them, so that a check allocates nothing in the long run.
class GroupCheck {
 public:
  /// Throws std::invalid_argument, naming tid and oid, unless the tids of `group` ascend above `last` and stay below
  /// `kInfinity`, each oid occurs once per transaction, each record is empty exactly if the object is erased, and no note is too
  /// large.
  void require_valid(std::span<const TransactionWrite> group, Tid last) {
    for (const TransactionWrite& transaction : group) {
      if (transaction.tid <= last || transaction.tid == kInfinity) {
        throw std::invalid_argument("commit: tid " + std::to_string(transaction.tid.value) + " does not ascend from " +
                                    std::to_string(last.value));
      }
      last = transaction.tid;
      if (transaction.note != nullptr && transaction.note->bytes() > kMaxNoteBytes) [[unlikely]] {
        throw std::invalid_argument("commit: tid " + std::to_string(transaction.tid.value) + ": its note has " +
                                    std::to_string(transaction.note->bytes()) + " bytes, more than " +
                                    std::to_string(kMaxNoteBytes));
      }
      bool sorted = true;
      for (std::size_t i = 0; i < transaction.objects.size(); ++i) {
        const ObjectWrite& object = transaction.objects[i];
        if (object.record.empty() != object.erase) {
          refuse(transaction.tid, object.oid, object.erase ? "erased, yet with a record" : "empty record");
        }
        sorted = sorted && (i == 0 || transaction.objects[i - 1].oid < object.oid);
      }
      if (!sorted) require_distinct(transaction);
    }
  }

 private:
  void require_distinct(const TransactionWrite& transaction) {
    oids_.clear();
    for (const ObjectWrite& object : transaction.objects) oids_.push_back(object.oid);
    std::ranges::sort(oids_);
    const auto twice = std::ranges::adjacent_find(oids_);
    if (twice != oids_.end()) refuse(transaction.tid, *twice, "written twice");
  }

  [[noreturn]] static void refuse(Tid tid, Oid oid, const char* why) {
    throw std::invalid_argument("commit: tid " + std::to_string(tid.value) + ", oid " + std::to_string(oid.value) +
                                ": " + why);
  }

  std::vector<Oid> oids_;
};

}  // namespace cow::detail
