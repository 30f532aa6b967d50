// A store that counts what is committed to the one below.
//
// Thread safety: as the store below; the counts are exact while no commit is under way.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "cow_cache/store.hpp"

namespace cow::bench {

class CountingStore final : public Store {
 public:
  struct Counts {
    std::uint64_t transactions = 0, records = 0, bytes = 0;
  };

  /// `below` must outlive it.
  explicit CountingStore(Store& below) : below_(below) {}

  std::optional<Revision> load(Oid oid, Tid at) override { return below_.load(oid, at); }
  Tid last_tid() override { return below_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return below_.allocate_oids(count); }

  void commit(std::span<const TransactionWrite> group) override {
    below_.commit(group);
    for (const TransactionWrite& transaction : group) {
      transactions_.fetch_add(1, std::memory_order_relaxed);  // statistics, all three
      records_.fetch_add(transaction.objects.size(), std::memory_order_relaxed);
      for (const ObjectWrite& object : transaction.objects)
        bytes_.fetch_add(object.record.size(), std::memory_order_relaxed);
    }
  }

  Counts counts() const noexcept {
    return {transactions_.load(std::memory_order_relaxed), records_.load(std::memory_order_relaxed),
            bytes_.load(std::memory_order_relaxed)};
  }

 private:
  Store& below_;
  std::atomic<std::uint64_t> transactions_{0}, records_{0}, bytes_{0};
};

}  // namespace cow::bench
