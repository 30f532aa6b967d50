// A store that dawdles and fails at random.
//
// Thread safety: that of the store below.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "tests/stress/async_stress/chance.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow::testing {

class FaultyStore final : public ForwardingStore {
 public:
  struct Delays {
    std::size_t load_one_in = 0, commit_one_in = 0;  ///< 0: none
    double longest_us = 1;
  };

  FaultyStore(Store& inner, std::uint64_t seed, const Delays& delays)
      : ForwardingStore(inner), dice_(seed), delays_(delays) {}

  std::optional<Revision> load(Oid oid, Tid at) override {
    dawdle(delays_.load_one_in);
    auto revision = ForwardingStore::load(oid, at);
    dawdle(delays_.load_one_in);  // others commit, evict and load in between
    if (faults.strikes(Fault::load)) fail_load(oid, at);
    return revision;
  }

  OidBlock allocate_oids(std::uint64_t count) override {
    if (faults.strikes(Fault::oids)) throw StoreError(text(Fault::oids));
    return ForwardingStore::allocate_oids(count);
  }

  /// All or nothing.
  void commit(std::span<const TransactionWrite> group) override {
    dawdle(delays_.commit_one_in);
    if (faults.strikes(Fault::commit)) {
      if (dice_.one_in(2)) throw StoreFullError(text(Fault::commit));
      throw ThrownOnPurpose(Fault::commit);
    }
    ForwardingStore::commit(group);
    dawdle(delays_.commit_one_in);
  }

 private:
  static std::string text(Fault fault) { return ThrownOnPurpose(fault).what(); }

  [[noreturn]] void fail_load(Oid oid, Tid at) {
    switch (dice_.below(4)) {
      case 0:
        throw ThrownOnPurpose(Fault::load);
      case 1:
        throw CorruptRecordError(oid, at, text(Fault::load));
      case 2:
        throw StoreCorruptError(text(Fault::load));
      default:
        throw StoreError(text(Fault::load));
    }
  }

  void dawdle(std::size_t one_in) {
    if (!dice_.one_in(one_in)) return;
    auto time = dice_.time(1, delays_.longest_us);
    if (time.count() < 5) return std::this_thread::yield();
    std::this_thread::sleep_for(time);
  }

  Dice dice_;
  const Delays delays_;
};

}  // namespace cow::testing
