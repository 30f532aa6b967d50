// A model of the database, for tests that compare: the history of each object in a map, transactions as sets.
//
// Thread safety: none; everything happens in one thread, so that there is one right answer to each question.
//
// Invariants:
//  1. A transaction sees the commits up to its snapshot, and its own writes over them.
//  2. The first committer wins. A serializable transaction fails, too, if anything that it has read has a newer revision;
//     that an object was not there counts as read.
//  3. A transaction that has written nothing commits always.
//  4. What a pack has collected does not exist any more. Transactions that have read it may go on to see it; no commit brings it back.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "cow_cache/isolation.hpp"
#include "cow_cache/types.hpp"
#include "model_objects.hpp"

namespace cow::testing {

/// Null: the object does not exist.
using ImagePointer = std::shared_ptr<Image>;

class ModelDatabase {
 public:
  Tid last_tid() const { return last_tid_; }

  /// The object at a snapshot, or null.
  ImagePointer at(Oid oid, Tid snapshot) const {
    return collected_.contains(oid) ? nullptr : before_packs(oid, snapshot);
  }

  /// The same, whether it was collected since or not.
  ImagePointer before_packs(Oid oid, Tid snapshot) const {
    auto history = histories_.find(oid);
    if (history == histories_.end()) return nullptr;
    auto after = history->second.upper_bound(snapshot);
    return after == history->second.begin() ? nullptr : std::prev(after)->second;
  }

  /// The tid of the newest revision, tombstones included; `Tid{}`: it never was.
  Tid newest(Oid oid) const {
    auto history = histories_.find(oid);
    return history == histories_.end() ? Tid{} : history->second.rbegin()->first;
  }

  /// Whether the transaction of that tid has changed the object.
  bool has_revision(Oid oid, Tid tid) const {
    auto history = histories_.find(oid);
    return history != histories_.end() && history->second.contains(tid);
  }

  /// What the transaction of that tid has changed, and how it was before: what undoing it brings back.
  std::map<Oid, ImagePointer> before(Tid tid) const {
    std::map<Oid, ImagePointer> images;
    for (const auto& [oid, history] : histories_) {
      if (history.contains(tid)) images[oid] = at(oid, Tid{tid.value - 1});
    }
    return images;
  }

  /// The oldest snapshot that was not packed away.
  Tid oldest() const { return oldest_; }
  bool is_collected(Oid oid) const { return collected_.contains(oid); }

  void pack(Tid end) { oldest_ = end; }

  /// What snapshots from `end` on cannot reach, and what nobody has written since.
  void collect(Tid end) {
    std::set<Oid> reachable;
    std::vector<Oid> pending{kRootOid};
    for (const auto& [oid, history] : histories_) {
      if (history.rbegin()->first > end) pending.push_back(oid);
    }
    while (!pending.empty()) {
      const Oid oid = pending.back();
      pending.pop_back();
      if (!reachable.insert(oid).second || !histories_.contains(oid)) continue;
      std::vector<ImagePointer> visible{before_packs(oid, end)};
      for (auto later = histories_[oid].upper_bound(end); later != histories_[oid].end(); ++later)
        visible.push_back(later->second);
      for (const ImagePointer& image : visible) {
        if (image) for_each_reference(*image, [&](Oid to) { pending.push_back(to); });
      }
    }
    for (const auto& [oid, history] : histories_) {
      if (!reachable.contains(oid)) collected_.insert(oid);
    }
  }

  template <class Visit>
  static void for_each_reference(const Image& image, Visit&& visit) {
    if (image.next) visit(image.next);
    if (image.text) visit(image.text);
    for (const auto& [entry, oid] : image.names) visit(oid);
  }

  /// One committed transaction.
  void apply(const std::map<Oid, ImagePointer>& writes) {
    last_tid_ = Tid{last_tid_.value + 1};
    for (const auto& [oid, image] : writes) {
      // A copy: the transaction's own images may be changed no more, but held references point at them.
      histories_[oid].emplace(last_tid_, image ? std::make_shared<Image>(*image) : nullptr);
    }
  }

 private:
  std::map<Oid, std::map<Tid, ImagePointer>> histories_;
  std::set<Oid> collected_;
  Tid last_tid_{}, oldest_{};
};

class ModelTransaction {
 public:
  /// `snapshot`: the last commit that its database knows.
  ModelTransaction(const ModelDatabase& database, Isolation isolation, Tid snapshot)
      : database_(&database), isolation_(isolation), snapshot_(snapshot) {}
  /// One that reads the past.
  ModelTransaction(const ModelDatabase& database, Tid snapshot)
      : database_(&database), isolation_(Isolation::snapshot), snapshot_(snapshot), is_past_(true) {}

  bool is_past() const { return is_past_; }
  Tid snapshot() const { return snapshot_; }
  Isolation isolation() const { return isolation_; }
  const std::map<Oid, ImagePointer>& writes() const { return writes_; }

  /// What this transaction sees. Null: the object does not exist.
  ImagePointer see(Oid oid) const {
    auto own = writes_.find(oid);
    return own != writes_.end() ? own->second : database_->at(oid, snapshot_);
  }

  /// It has been told what it sees: that is a read, unless the object is its own by now.
  void note_read(Oid oid) {
    if (!writes_.contains(oid)) reads_.insert(oid);
  }

  /// It has been told that the object is of another type: it must not have been erased since, whatever it holds.
  void note_probe(Oid oid) {
    if (!writes_.contains(oid)) probes_.insert(oid);
  }

  bool has_written(Oid oid) const { return writes_.contains(oid); }
  bool has_created(Oid oid) const { return created_.contains(oid); }

  /// The private image of an object that it sees. The same one at each call, so that who holds it sees later changes.
  ImagePointer divert(Oid oid) {
    if (auto own = writes_.find(oid); own != writes_.end()) return own->second;
    reads_.insert(oid);
    return writes_[oid] = std::make_shared<Image>(*database_->at(oid, snapshot_));
  }

  ImagePointer create(Oid oid, Image image) {
    created_.insert(oid);
    return writes_[oid] = std::make_shared<Image>(std::move(image));
  }

  void erase(Oid oid) {
    divert(oid);
    writes_[oid] = nullptr;
  }

  /// The objects for which a commit must fail now; none: it must succeed.
  std::set<Oid> conflicts() const {
    std::set<Oid> conflicts;
    if (writes_.empty()) return conflicts;
    for (const auto& [oid, image] : writes_) {
      if (!created_.contains(oid) && database_->newest(oid) > snapshot_) conflicts.insert(oid);
    }
    if (isolation_ == Isolation::serializable) {
      for (Oid oid : reads_) {
        if (database_->newest(oid) > snapshot_) conflicts.insert(oid);
      }
      for (Oid oid : probes_) {
        if (database_->newest(oid) > snapshot_ && !database_->at(oid, database_->last_tid())) conflicts.insert(oid);
      }
    }
    return conflicts;
  }

  /// Whether a commit would change what was collected, or refer to it.
  bool brings_back_garbage() const {
    bool found = false;
    for (const auto& [oid, image] : writes_) {
      found = found || database_->is_collected(oid);
      if (image) {
        ModelDatabase::for_each_reference(*image, [&](Oid to) { found = found || database_->is_collected(to); });
      }
    }
    return found;
  }

  /// Objects for which a commit may fail, or not: only their type was asked for, and that is as it was.
  std::set<Oid> possible_conflicts() const {
    std::set<Oid> conflicts;
    if (writes_.empty() || isolation_ != Isolation::serializable) return conflicts;
    for (Oid oid : probes_) {
      if (database_->newest(oid) > snapshot_) conflicts.insert(oid);
    }
    return conflicts;
  }

  /// Upper bound of the bytes of the distinct shared states that it may hold.
  std::size_t held_bytes() const {
    std::size_t bytes = 0;
    for (Oid oid : reads_) {
      auto image = database_->before_packs(oid, snapshot_);
      bytes += image ? bytes_of(*image) : 256;
    }
    return bytes;
  }

 private:
  const ModelDatabase* database_;
  Isolation isolation_;
  Tid snapshot_;
  bool is_past_ = false;
  std::map<Oid, ImagePointer> writes_;
  std::set<Oid> created_, reads_, probes_;
};

}  // namespace cow::testing
