// Iterators over the revisions, reused from load to load: making one costs as much as several loads.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. An iterator is lent to one thread at a time.
//  2. A lent iterator sees at least the commits up to the tid that the borrower asked for.
//  3. At most `kSlots` iterators are idle, and those from before a flush or compaction go at the next load or commit:
//     an idle iterator pins the memory buffers and files of its time.
#pragma once

#include <rocksdb/db.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "cow_cache/types.hpp"

namespace cow::detail {

/// A bounded pool of iterators over one column family.
class IteratorPool {
  struct Item {
    std::unique_ptr<rocksdb::Iterator> by_prefix;
    Tid seen;
    std::uint64_t generation = 0;
    std::unique_ptr<rocksdb::Iterator> total_order;  // made when first needed, and brought up to date when it is
    Tid total_order_seen;
    std::uint64_t total_order_generation = 0;
  };

 public:
  /// An iterator on loan; goes back to the pool, unless its status went bad.
  class Lease {
   public:
    Lease(IteratorPool& pool, std::unique_ptr<Item> item) noexcept : pool_(pool), item_(std::move(item)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (item_->total_order && !item_->total_order->status().ok()) item_->total_order.reset();
      if (item_->by_prefix->status().ok()) pool_.give_back(std::move(item_));
    }

    /// Sees the revisions of one oid at a time, and skips files that do not have it. Only Seek and Next.
    rocksdb::Iterator& by_prefix() noexcept { return *item_->by_prefix; }

    /// Goes backwards too, and is twice as slow. Sees at least what `by_prefix` sees.
    rocksdb::Iterator& total_order() {
      Item& item = *item_;
      if (item.total_order && item.total_order_seen < item.seen && !item.total_order->Refresh().ok())
        item.total_order.reset();
      if (!item.total_order) item.total_order = pool_.make(true);
      item.total_order_seen = item.seen;
      item.total_order_generation = item.generation;
      return *item.total_order;
    }

   private:
    IteratorPool& pool_;
    std::unique_ptr<Item> item_;
  };

  IteratorPool(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family) noexcept : db_(db), family_(family) {}
  IteratorPool(const IteratorPool&) = delete;
  IteratorPool& operator=(const IteratorPool&) = delete;
  ~IteratorPool() { drop_idle(); }

  /// Lends an iterator that sees the commits up to `tid`. REQUIRES: that commit has returned; `generation` counts the
  /// flushes and compactions so far.
  Lease borrow(Tid tid, std::uint64_t generation) {
    drop_outdated(generation);
    std::unique_ptr<Item> item = take();
    // History only grows: without a commit or a flush in between there is nothing new to see, and nothing to let go.
    if (item && (item->seen < tid || item->generation < generation)) {
      if (!item->by_prefix->Refresh().ok()) item.reset();
    }
    if (!item) {
      item = std::make_unique<Item>();
      item->by_prefix = make(false);
    }
    item->seen = std::max(item->seen, tid);
    item->generation = std::max(item->generation, generation);
    // It would pin the files of before while it is idle.
    if (item->total_order_generation < item->generation) item->total_order.reset();
    return Lease(*this, std::move(item));
  }

  /// Drops the idle iterators if a flush or compaction has happened since they were last dropped.
  void drop_outdated(std::uint64_t generation) noexcept {
    std::uint64_t dropped = dropped_.load(std::memory_order_relaxed);
    if (dropped < generation && dropped_.compare_exchange_strong(dropped, generation, std::memory_order_relaxed)) {
      drop_idle();
    }
  }

 private:
  static constexpr std::size_t kSlots = 32;

  // A cache line each: threads start their search in different slots.
  struct alignas(64) Slot {
    std::atomic<Item*> item{nullptr};
  };

  static std::size_t first_slot() noexcept { return std::hash<std::thread::id>{}(std::this_thread::get_id()); }

  std::unique_ptr<rocksdb::Iterator> make(bool total_order) {
    rocksdb::ReadOptions read;
    read.total_order_seek = total_order;
    read.prefix_same_as_start = !total_order;
    return std::unique_ptr<rocksdb::Iterator>(db_.NewIterator(read, &family_));
  }

  std::unique_ptr<Item> take() noexcept {
    const std::size_t first = first_slot();
    for (std::size_t i = 0; i < kSlots; ++i) {
      std::atomic<Item*>& slot = slots_[(first + i) % kSlots].item;
      if (slot.load(std::memory_order_relaxed) == nullptr) continue;
      if (Item* item = slot.exchange(nullptr, std::memory_order_acq_rel)) return std::unique_ptr<Item>(item);
    }
    return nullptr;
  }

  void give_back(std::unique_ptr<Item> item) noexcept {
    if (item->generation < dropped_.load(std::memory_order_relaxed)) return;  // outdated while it was lent
    const std::size_t first = first_slot();
    for (std::size_t i = 0; i < kSlots; ++i) {
      std::atomic<Item*>& slot = slots_[(first + i) % kSlots].item;
      Item* empty = nullptr;
      if (slot.load(std::memory_order_relaxed) == nullptr &&
          slot.compare_exchange_strong(empty, item.get(), std::memory_order_acq_rel, std::memory_order_relaxed)) {
        static_cast<void>(item.release());
        return;
      }
    }
  }

  void drop_idle() noexcept {
    for (Slot& slot : slots_) delete slot.item.exchange(nullptr, std::memory_order_acq_rel);
  }

  rocksdb::DB& db_;
  rocksdb::ColumnFamilyHandle& family_;
  std::array<Slot, kSlots> slots_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace cow::detail
