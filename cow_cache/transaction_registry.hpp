// The registry of active transactions: where they announce their epoch and snapshot, in contiguous slots.
//
// Thread safety: all functions may be called from any thread; `begin` and `end` of one transaction may run on different
// threads.
//
// Invariants:
//  1. Epoch rule. Whoever unlinks a state marks it dead, then stamps it with the epoch inside `retire_stamp`, whose lock
//     also guards every advance of the epoch. A state may be freed once `oldest_announced()` is above its stamp.
//     Proof: let a transaction T have announced e. If e <= stamp, the scan sees T and keeps the state, or sees T idle: then
//     all reads of T happen before (release in `end`, acquire in the scan). If the scan missed T's announcement (an
//     exchange, seq_cst), the scan's load precedes it in the total order S; the epoch's advance precedes the scan in S, so
//     T's later load of the epoch in `begin` (seq_cst) reads that advance or a later one and synchronises with it; the dead
//     mark happens before the advance, so every look of T reads dead. If e > stamp the same holds by the load that read e.
//  2. Slots are never unmapped before the registry; each is used by one transaction at a time.
//  3. A snapshot in use is never above the frontier, and never below the frontier at the call of its `begin`.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "read_log.hpp"
#include "transaction_slot.hpp"
#include "types.hpp"

namespace cow {

class TransactionRegistry {
 public:
  /// `frontier`: the tid of the last published commit, as the committer maintains it.
  explicit TransactionRegistry(const std::atomic<std::uint64_t>& frontier) : frontier_(frontier) {
    void* range = ::mmap(nullptr, kMostSlots * sizeof(TransactionSlot), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    slots_ = static_cast<TransactionSlot*>(range);
    std::scoped_lock lock(living_mutex());
    living()[id_] = this;
  }

  TransactionRegistry(const TransactionRegistry&) = delete;
  TransactionRegistry& operator=(const TransactionRegistry&) = delete;

  /// REQUIRES: no transaction is active.
  ~TransactionRegistry() {
    {
      std::scoped_lock lock(living_mutex());
      living().erase(id_);
    }
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) LogTable::destroy(slots_[i].log.load(std::memory_order_relaxed));
    ::munmap(slots_, kMostSlots * sizeof(TransactionSlot));
  }

  /// Announces a transaction; its snapshot is in the slot. Throws std::bad_alloc when kMostSlots are in use.
  TransactionSlot& begin() {
    TransactionSlot& slot = idle_slot();
    // Relaxed: the epoch may be an old one, which only protects more.
    std::uint64_t epoch = epoch_.load(std::memory_order_relaxed);
    // Acquire: pairs with the committer's release of the frontier, so all that it published is seen.
    slot.snapshot.store(frontier_.load(std::memory_order_acquire), std::memory_order_relaxed);
    slot.announced.exchange(epoch, std::memory_order_seq_cst);  // the one real fence of a transaction
    (void)epoch_.load(std::memory_order_seq_cst);               // see invariant 1
    return slot;
  }

  /// REQUIRES: the slot's log is closed and none of its states is used any more.
  void end(TransactionSlot& slot) noexcept {
    bool owned_by_thread = slot.owned_by_thread;  // read before the slot can be another transaction's
    slot.announced.store(TransactionSlot::kIdle, std::memory_order_release);  // pairs with the scans' acquire
    if (!owned_by_thread) {
      std::scoped_lock lock(free_mutex_);
      free_.push_back(&slot);
    }
  }

  /// The epoch of a state that is dead and unlinked now. REQUIRES: the caller holds the lock that `advance_epoch` needs.
  std::uint64_t retire_stamp() const noexcept {
    return epoch_.load(std::memory_order_relaxed);  // ordered by the caller's lock
  }

  /// REQUIRES: the lock of `retire_stamp`.
  void advance_epoch() noexcept { epoch_.fetch_add(1, std::memory_order_seq_cst); }

  /// The lowest announced epoch; kIdle if nobody is active.
  std::uint64_t oldest_announced() const noexcept {
    std::uint64_t oldest = TransactionSlot::kIdle;
    for_each_slot([&](const TransactionSlot&, std::uint64_t announced) { oldest = std::min(oldest, announced); });
    return oldest;
  }

  /// The snapshots in use, ascending, without repetition. One that begins meanwhile may be missing. Its snapshot may
  /// even lie below the frontier, if its thread was preempted in the middle of `begin`; pruning what it would have seen
  /// costs it a load from the store, no more.
  std::vector<std::uint64_t> active_snapshots() const {
    std::vector<std::uint64_t> snapshots;
    for_each_slot([&](const TransactionSlot& slot, std::uint64_t announced) {
      // Relaxed: written before `announced`, which was read with seq_cst (slot invariant 2).
      if (announced != TransactionSlot::kIdle) snapshots.push_back(slot.snapshot.load(std::memory_order_relaxed));
    });
    std::sort(snapshots.begin(), snapshots.end());
    snapshots.erase(std::unique(snapshots.begin(), snapshots.end()), snapshots.end());
    return snapshots;
  }

  /// Calls `visit(StateHandle)` for every state that a transaction announced at or below `epoch` holds in its log.
  /// REQUIRES: detail::heavy_fence() since the states of interest were marked dead.
  template <class Visitor>
  void for_each_logged(std::uint64_t epoch, Visitor&& visit) {
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) {
      TransactionSlot& slot = slots_[i];
      if (slot.announced.load(std::memory_order_seq_cst) > epoch) continue;  // idle ones too: kIdle is the maximum
      slot.lock_log();
      LogTable& table = *slot.log.load(std::memory_order_seq_cst);
      for (std::uint32_t lane = 0; lane < table.lanes; ++lane) {
        StateHandle entry = table.entries()[lane].load(std::memory_order_seq_cst);
        if (entry != 0) visit(ReadLog::handle_in(entry));
      }
      slot.unlock_log();
    }
  }

  /// Number of active transactions, as of some time during the call.
  std::size_t active_count() const noexcept {
    std::size_t active = 0;
    for_each_slot(
        [&](const TransactionSlot&, std::uint64_t announced) { active += announced != TransactionSlot::kIdle; });
    return active;
  }

  /// Bytes of slots and read logs, of idle transactions too.
  std::size_t bytes() noexcept {
    std::size_t bytes = 0;
    for (std::uint32_t i = 0, count = slot_count(); i < count; ++i) {
      slots_[i].lock_log();
      bytes += sizeof(TransactionSlot) + sizeof(LogTable) +
               slots_[i].log.load(std::memory_order_acquire)->lanes * sizeof(StateHandle);
      slots_[i].unlock_log();
    }
    return bytes;
  }

  static constexpr std::uint32_t kMostSlots = 1u << 20;

 private:
  /// A thread keeps a slot for its next transaction, for the few registries that it used last.
  struct ThreadSlots {
    struct Entry {
      std::uint64_t registry = 0;
      TransactionSlot* slot = nullptr;
    };
    Entry entries[4];
    unsigned next_victim = 0;

    ~ThreadSlots() {
      for (Entry& entry : entries) give_back(entry);
    }
    static void give_back(Entry& entry) {
      if (entry.slot == nullptr) return;
      std::scoped_lock lock(living_mutex());
      if (auto found = living().find(entry.registry); found != living().end()) found->second->disown(*entry.slot);
      entry = {};
    }
  };

  /// Used only inside `begin`, which never suspends: safe under fibers and coroutines.
  static ThreadSlots& thread_slots() noexcept {
    thread_local ThreadSlots slots;
    return slots;
  }

  TransactionSlot& idle_slot() {
    ThreadSlots& mine = thread_slots();
    for (ThreadSlots::Entry& entry : mine.entries) {
      if (entry.registry != id_) continue;
      // Acquire: pairs with the release in `end`, which may have run on another thread.
      if (entry.slot->announced.load(std::memory_order_acquire) == TransactionSlot::kIdle) return *entry.slot;
      return free_slot();
    }
    ThreadSlots::Entry& entry = mine.entries[mine.next_victim++ % std::size(mine.entries)];
    ThreadSlots::give_back(entry);
    TransactionSlot& slot = free_slot();
    slot.owned_by_thread = true;
    entry = {id_, &slot};
    return slot;
  }

  TransactionSlot& free_slot() {
    std::scoped_lock lock(free_mutex_);
    std::erase_if(orphans_, [&](TransactionSlot* slot) {
      // Acquire: pairs with the release in `end`; from here on nobody else touches the slot.
      if (slot->announced.load(std::memory_order_acquire) != TransactionSlot::kIdle) return false;
      slot->owned_by_thread = false;
      free_.push_back(slot);
      return true;
    });
    if (!free_.empty()) {
      TransactionSlot* slot = free_.back();
      free_.pop_back();
      return *slot;
    }
    std::uint32_t index = slot_count_.load(std::memory_order_relaxed);  // written only under this mutex
    if (index == kMostSlots) throw std::bad_alloc();
    free_.reserve(index + 1);  // so that `end` cannot fail
    LogTable* log = LogTable::make(LogTable::kFewestLanes);
    TransactionSlot* slot = ::new (slots_ + index) TransactionSlot;
    slot->log.store(log, std::memory_order_relaxed);
    slot_count_.store(index + 1, std::memory_order_seq_cst);  // a scan that misses the slot precedes its announcement
    return *slot;
  }

  /// A thread that ends lets go of its slot, in which a transaction that moved elsewhere may still be active.
  void disown(TransactionSlot& slot) {
    std::scoped_lock lock(free_mutex_);
    orphans_.push_back(&slot);
  }

  template <class Visitor>
  void for_each_slot(Visitor&& visit) const noexcept(noexcept(visit(*slots_, 0))) {
    std::uint32_t count = slot_count();
    for (std::uint32_t i = 0; i < count; ++i) visit(slots_[i], slots_[i].announced.load(std::memory_order_seq_cst));
  }

  std::uint32_t slot_count() const noexcept { return slot_count_.load(std::memory_order_seq_cst); }

  static std::mutex& living_mutex() {
    static std::mutex* const mutex = new std::mutex;  // outlives every thread
    return *mutex;
  }
  static std::unordered_map<std::uint64_t, TransactionRegistry*>& living() {
    static auto* const registries = new std::unordered_map<std::uint64_t, TransactionRegistry*>;
    return *registries;
  }

  static inline std::atomic<std::uint64_t> next_id_{1};

  const std::uint64_t id_ = next_id_.fetch_add(1, std::memory_order_relaxed);
  const std::atomic<std::uint64_t>& frontier_;
  TransactionSlot* slots_ = nullptr;
  std::atomic<std::uint32_t> slot_count_{0};
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  alignas(64) std::mutex free_mutex_;
  std::vector<TransactionSlot*> free_;
  std::vector<TransactionSlot*> orphans_;  // of threads that ended; some may still be active elsewhere
};

}  // namespace cow
