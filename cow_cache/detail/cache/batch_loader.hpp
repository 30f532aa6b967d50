// SharedCache::BatchLoader: loads many objects with one question to the store, before anybody reads them.
//
// Thread safety: lives on the stack of one thread, whose transaction it uses; see reader.hpp.
//
// Invariants:
//  1. Each object has a ticket from before the store is asked, as in a load of one object: what a commit has withdrawn meanwhile is not
//     installed. What is resident, or somebody else is loading, is left out, so nobody is waited for.
//  2. While it has tickets, user code runs in codecs only. There a thread waits for nobody's load, so not for its own other tickets
//     either (loader.hpp, invariant 1). Values are destroyed, and room is made, when all tickets are finished.
//  3. What fails for one object fails for nobody: its ticket is finished as if nothing had been tried, and who needs it loads it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "cow_cache/store/batch.hpp"
#include "shared_cache.hpp"  // and so reader.hpp and loader.hpp, in the order that they need

namespace cow::detail {

class SharedCache::BatchLoader {
 public:
  /// Objects that are loaded at a time: a thread that needs one of them waits for all.
  static constexpr std::size_t kMost = 64;

  BatchLoader(Reader& reader, BatchStore& store, const TypeOperations& operations) noexcept
      : reader_(reader), cache_(*reader.cache_), store_(store), operations_(operations) {}

  /// Makes the newest revisions of objects resident. REQUIRES: an active transaction; not in user code that it has called. Throws what the
  /// store throws (nothing is loaded then), std::bad_alloc, TransactionEndedError.
  void load(std::span<const Oid> oids) {
    if (oids.empty()) return;
    HeapPause not_of_an_outer_value;
    Operation operation(reader_.operation_, Operation::Doing::loading, oids.front());
    {
      std::deque<Item> items;  // destroyed after the tickets are finished, and the values with them
      Finish tickets(items, cache_.pruner_);
      std::vector<Oid> wanted;
      for (const Oid oid : oids.first(std::min(oids.size(), kMost))) {
        if (take(oid, items)) wanted.push_back(oid);
      }
      if (wanted.empty()) return;
      const std::vector<std::optional<Revision>> revisions = store_.load_many(wanted, kInfinity);
      cache_.loads_.fetch_add(wanted.size(), std::memory_order_relaxed);
      for (std::size_t i = 0; i < items.size(); ++i) install(items[i], revisions[i]);
    }
    cache_.make_room();
    operation.require_here();
  }

 private:
  struct Item {
    Item(Oid of, SharedCache& cache)
        : oid(of), ticket(std::make_shared<LoadTicket>(of, cache.ticket_bytes_)), place(cache.evictor_) {}

    const Oid oid;
    const std::shared_ptr<LoadTicket> ticket;
    Evictor::Place place;
    Loader::OwnedState owned;
    VersionChains::Linked linked = VersionChains::Linked::no;
    std::optional<TicketHolder> holder;  // from when the ticket is in the list
  };

  /// Finishes the tickets, and admits what is resident now, however it ends.
  class Finish {
   public:
    Finish(std::deque<Item>& items, Pruner& pruner) noexcept : items_(items), pruner_(pruner) {}
    Finish(const Finish&) = delete;
    Finish& operator=(const Finish&) = delete;
    ~Finish() {
      for (Item& item : items_) item.holder.reset();
      for (Item& item : items_) {
        if (item.linked == VersionChains::Linked::as_new) item.place.admit(item.oid);
        if (item.linked == VersionChains::Linked::before_old_ones) pruner_.note_old_revision(item.oid);
      }
    }

   private:
    std::deque<Item>& items_;
    Pruner& pruner_;
  };

  /// False: there is nothing to load, or somebody else does.
  bool take(Oid oid, std::deque<Item>& items) {
    VersionChains& chains = cache_.chains_;
    if (!oid || chains.has_current(oid)) return false;
    Item& item = items.emplace_back(oid, cache_);
    BackoffLock& mutex = chains.mutex_of(oid);
    LoadTickets& tickets = chains.tickets_of(oid);
    {
      std::scoped_lock lock(mutex);
      if (!chains.has_current(oid) && tickets.find(oid) == nullptr) {
        tickets.add(item.ticket);
        item.holder.emplace(item.ticket, tickets, mutex);
        return true;
      }
    }
    items.pop_back();
    return false;
  }

  void install(Item& item, const std::optional<Revision>& revision) {
    if (!revision) return;
    Operation operation(reader_.operation_, Operation::Doing::loading, item.oid);
    try {
      item.owned = Loader(reader_, item.oid, operations_).state_of(revision, operation);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const TransactionEndedError&) {  // by its codec
      throw;
    } catch (...) {
      return;  // invariant 3
    }
    operation.require_here();
    std::scoped_lock lock(cache_.chains_.mutex_of(item.oid));
    if (!item.holder->withdraw()) return;  // a commit has
    item.linked = cache_.chains_.insert_newest(*item.owned, item.oid, revision->begin);
    if (item.linked != VersionChains::Linked::no) (void)item.owned.release();
  }

  Reader& reader_;
  SharedCache& cache_;
  BatchStore& store_;
  const TypeOperations& operations_;
};

}  // namespace cow::detail
