// One pass of a pack over all revisions: which of them go, and the batches that delete them.
//
// Thread safety: belongs to the thread that packs, which has another one look and writes itself. Commits and loads go on beside it.
//
// Invariants: see packer.hpp.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cow_cache/store/pack.hpp"
#include "cow_cache/types.hpp"
#include "encoding.hpp"
#include "low_priority_thread.hpp"
#include "pack_mark.hpp"
#include "packer.hpp"

namespace cow::detail {

class PackSweep {
 public:
  /// `mark`: changes with each batch. `by_filter`: it leaves what is superseded to a PackFilter, but for objects that go altogether.
  PackSweep(const PackedStore& store, const PackRequest& request, PackMark& mark, PackProgress& dropped, bool by_filter,
            LowPriorityThread& thread)
      : store_(store),
        request_(request),
        mark_(mark),
        progress_(dropped),
        by_filter_(by_filter),
        thread_(thread),
        counted_(mark.oldest, mark.loose) {}
  PackSweep(const PackSweep&) = delete;
  PackSweep& operator=(const PackSweep&) = delete;

  /// False: `request.progress` has stopped it. Throws StoreCorruptError if the revisions are not those that the mark counts.
  bool run();

  /// What is the newest revision up to the mark's tid, of each object that stays. REQUIRES: `run` has come to the end.
  const RevisionDigest& newest() const noexcept { return newest_; }

  /// What was left to the filter.
  const PackProgress& left() const noexcept { return left_; }

 private:
  static constexpr std::size_t kMaxDeletes = 256;     // of a batch; commits wait for one at a time
  static constexpr std::uint64_t kStretch = 1 << 14;  // revisions that one iterator goes through
  static constexpr double kShare = 0.7;               // of the whole pack, as `done` tells it

  struct Found {
    Oid oid;
    Tid tid;
    std::uint32_t checksum = 0;
    std::size_t record_bytes = 0;
    bool is_counted = false;  ///< by the mark
  };

  bool visit_stretch();
  bool is_full() const { return batch_.Count() + garbage_.size() >= kMaxDeletes; }
  void visit(const Found& found);
  void drop_all(const Found& newest, bool is_garbage);
  void keep(const Found& newest);
  void drop_superseded(const Found& found);
  void drop_counted();
  void drop(const Found& found);
  void write();
  bool report();

  Found found_at(const rocksdb::Iterator& it);
  bool was_written_since(const Found& found) const;
  Oid last_oid() const;

  const PackedStore& store_;
  const PackRequest& request_;
  PackMark& mark_;
  PackProgress& progress_;
  const bool by_filter_;
  LowPriorityThread& thread_;
  CountedRevisions counted_;

  std::unique_ptr<rocksdb::Iterator> it_;
  std::string position_;  // the next key; empty: the first
  bool at_end_ = false;
  bool is_stopped_ = false;  // by `request.progress`, in the midst of an object
  Oid last_oid_;

  // The object that it is at.
  Oid oid_;
  bool has_newer_ = false;            // above the oldest tid
  bool has_newest_ = false;           // of those up to it, one that stays
  std::optional<Found> counted_one_;  // goes once all are dropped that it supersedes

  RevisionDigest seen_;    // of those that the mark counts and that stay
  RevisionDigest newest_;  // of the newest of each object that stays
  PackProgress left_;

  // The batch to come.
  rocksdb::WriteBatch batch_;
  RevisionDigest deleted_;
  PackProgress deleted_progress_;
  std::vector<Found> garbage_;  // the newest revisions of garbage, to be deleted unless a commit came in between
};

}  // namespace cow::detail
