// One of several peers over one store, which fails on demand, and whose poller learns nothing but when it is let.
//
// Thread safety: as the store; make_deaf by one thread at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <span>
#include <thread>
#include <vector>

#include "cow_cache/store/capabilities.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow::testing {

class UnreliablePeer final : public UnreliablePackableStore, public SharedStore {
 public:
  explicit UnreliablePeer(Store& inner) : UnreliablePackableStore(inner), shared_(*StoreCapabilities(inner).shared) {}

  std::vector<Outcome> propose(std::span<const Proposal> group) override {
    if (commits_to_fail.load() > 0 && commits_to_fail.fetch_sub(1) > 0) throw StoreFullError("disk full");
    return shared_.propose(group);
  }
  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override {
    if (!is_deaf) return shared_.wait_beyond(seen, longest);
    std::this_thread::sleep_for(std::min(longest, std::chrono::milliseconds(1)));
    ++deaf_waits_;
    return seen;
  }
  void hold(Tid oldest) override { shared_.hold(oldest); }

  /// From when this returns on, its database learns nothing by itself.
  void make_deaf() {
    is_deaf = true;
    const int before = deaf_waits_;
    while (deaf_waits_ == before) std::this_thread::yield();  // the wait before that one is over, and what came of it
  }

  std::atomic<bool> is_deaf = true;

 private:
  SharedStore& shared_;
  std::atomic<int> deaf_waits_ = 0;
};

}  // namespace cow::testing
