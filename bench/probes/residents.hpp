// The states that a shared cache holds, for readers beside it.
//
// Thread safety: filled by one thread, and then read by any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "cow_cache/cow_cache.hpp"

namespace cow::bench {

using cow::detail::kTypeMask;
using cow::detail::oid_in;
using cow::detail::OidTable;
using cow::detail::SharedCache;
using cow::detail::state_at;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::TransactionRegistry;

/// REQUIRES: they stay resident, and nobody writes.
class Residents {
 public:
  /// `some` is the value of one of them.
  template <class T>
  Residents(Database& database, const T& some) : frontier_(database.last_tid().value) {
    auto* address = const_cast<std::byte*>(reinterpret_cast<const std::byte*>(&some));
    cache_bits_ = state_at(address)->key.load(std::memory_order_acquire) & ~(kTypeMask | kMaxOid.value);
    for_each_state([&](StateHeader& state) {
      if (!state.is_superseded()) add(state, state.oid());  // nobody writes meanwhile
    });
  }
  /// The same, with their records.
  template <class T>
  Residents(Database& database, Store& store, const T& some) : Residents(database, some) {
    for_each_state([&](const StateHeader& state) {
      const Oid oid = state.oid();
      if (records_.size() <= oid.value) records_.resize(oid.value + 1);
      records_[oid.value] = store.load(oid, kInfinity).value().record;
    });
  }

  /// Objects.
  std::size_t count() const noexcept { return count_; }

  /// Calls `visit(StateHeader&)` for every state, those that were superseded as well.
  template <class Visitor>
  void for_each_state(Visitor&& visit) const {
    StateMemory& memory = StateMemory::instance();
    memory.sweep(0, memory.slot_count(), [&](StateHeader& state) {
      std::uint64_t key = state.key.load(std::memory_order_acquire);
      if ((key & ~(kTypeMask | kMaxOid.value)) == cache_bits_) visit(state);
      return true;
    });
  }

  /// The newest state of an object, or null. Throws OidRangeError.
  StateHeader* newest(Oid oid) const { return table_.find(oid); }
  /// REQUIRES: the object is resident, and records were asked for.
  const std::string& record_of(Oid oid) const noexcept { return records_[oid.value]; }

  /// Of the transactions beside the cache; its snapshots are of when this was filled.
  TransactionRegistry& registry() noexcept { return registry_; }
  /// In the keys of the states.
  std::uint64_t cache_bits() const noexcept { return cache_bits_; }

 private:
  void add(StateHeader& state, Oid oid) {
    std::scoped_lock lock(table_.mutex_of(oid));
    table_.set(oid, state);
    ++count_;
  }

  const std::atomic<std::uint64_t> frontier_;
  TransactionRegistry registry_{frontier_};
  OidTable table_;
  std::vector<std::string> records_;  // by oid
  std::uint64_t cache_bits_ = 0;
  std::size_t count_ = 0;
};

/// For workloads, which name a database: one of readers that go by a shared cache's references.
template <class Reader>
struct DatabaseOf {
  using Pointers = SharedCache::Pointers;
  using Transaction = Reader;
  template <class T>
  using Ref = Pointers::Ref<T>;
};

}  // namespace cow::bench
