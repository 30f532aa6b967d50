// Drops superseded revisions while RocksDB rewrites files, for a pack that has much to drop.
//
// Of an object's revisions up to the pack's tid that one compaction meets, it keeps the first, which is the newest. What it drops is
// superseded by what it has kept, whatever lies in other files. What it keeps may be superseded by a revision in another file: then
// a later compaction meets both, or the pack deletes it (Packer::delete_at_seams).
//
// Thread safety: the factory is called by RocksDB's threads and by the thread that packs; a filter belongs to one compaction.
//
// Invariants:
//  1. It is active only while the mark says `loose` for the same tid (pack_mark.hpp).
#pragma once

#include <rocksdb/compaction_filter.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cow_cache/types.hpp"
#include "encoding.hpp"

namespace cow::detail {

class PackFilter final : public rocksdb::CompactionFilter {
 public:
  explicit PackFilter(Tid oldest) noexcept : oldest_(oldest) {}
  const char* Name() const override { return "PackFilter"; }

  // Called in the order of keys.
  Decision FilterV2(int, const rocksdb::Slice& key, ValueType type, const rocksdb::Slice&, std::string*,
                    std::string*) const override {
    if (type != ValueType::kValue || key.size() != RevisionKey::kSize) return Decision::kKeep;
    if (RevisionKey::tid_of(key.data()) > oldest_) return Decision::kKeep;
    const Oid oid = RevisionKey::oid_of(key.data());
    if (has_kept_ && oid == kept_) return Decision::kRemove;
    has_kept_ = true;
    kept_ = oid;
    return Decision::kKeep;
  }

 private:
  const Tid oldest_;
  mutable bool has_kept_ = false;
  mutable Oid kept_;  // of this object one up to the oldest tid was kept
};

class PackFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  const char* Name() const override { return "PackFilterFactory"; }

  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    // Acquire: pairs with `activate`; what the pack has written before is on the device by then.
    const Tid oldest{oldest_.load(std::memory_order_acquire)};
    return oldest == Tid{} ? nullptr : std::make_unique<PackFilter>(oldest);
  }

  void activate(Tid oldest) noexcept { oldest_.store(oldest.value, std::memory_order_release); }
  void deactivate() noexcept { activate(Tid{}); }

 private:
  std::atomic<std::uint64_t> oldest_{0};  // 0: nothing is filtered
};

}  // namespace cow::detail
