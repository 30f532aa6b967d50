// A peer that misbehaves on demand: its loads are held up, its polls fail, its history has gaps.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "persistence/memory_peer.hpp"

namespace cow::testing {

class TestPeer : public MemoryPeer {
 public:
  using MemoryPeer::MemoryPeer;

  // ---- loads: of one object they have read the store, and do not return until they are let go

  void hold_loads(Oid oid) {
    const std::lock_guard lock(mutex_);
    held_ = oid;
    arrived_ = 0;
  }
  void await_held_load() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ > 0; });
  }
  std::exception_ptr load_failure;  ///< of every load, unless null; changed while there is none
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = Oid{};
    changed_.notify_all();
  }
  std::optional<Revision> load(Oid oid, Tid at) override {
    ++loads;
    std::optional<Revision> found = MemoryPeer::load(oid, at);
    std::unique_lock lock(mutex_);
    if (held_ == oid) {
      ++arrived_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return held_ != oid; });
    }
    if (load_failure) std::rethrow_exception(load_failure);
    return found;
  }
  std::vector<std::optional<Revision>> load_many(std::span<const Oid> oids, Tid at) override {
    std::vector<std::optional<Revision>> found;
    for (const Oid oid : oids) found.push_back(load(oid, at));
    return found;
  }

  // ---- polls

  /// From when this returns on its poller learns nothing, until `is_deaf` is false again. REQUIRES: nobody else waits.
  void make_deaf() {
    is_deaf = true;
    const int before = deaf_waits_;
    while (deaf_waits_ == before)
      std::this_thread::yield();  // so the wait before that one, and what came of it, is over
  }

  Tid wait_beyond(Tid seen, std::chrono::milliseconds longest) override {
    if (is_deaf) {  // knows nothing new, and says so
      std::this_thread::sleep_for(std::min(longest, std::chrono::milliseconds(1)));
      ++deaf_waits_;
      return seen;
    }
    if (is_cut_off) throw StoreError("the store cannot be reached");
    if (has_lost_commits) return Tid{seen.value - 1};
    return MemoryPeer::wait_beyond(seen, longest);
  }
  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    if (is_cut_off || history_fails) throw StoreError("the store cannot be reached");
    if (commits_meanwhile) before_history();
    if (history_is_damaged) throw StoreCorruptError("a transaction is missing");
    std::vector<TransactionInfo> found = MemoryPeer::transactions(from, to, order, most);
    if (const Tid missing{hidden_tid.load()}; missing != Tid{})
      std::erase_if(found, [&](const TransactionInfo& one) { return one.tid == missing; });
    return found;
  }
  std::vector<Outcome> propose(std::span<const Proposal> group) override {
    if (is_cut_off) throw StoreError("the store cannot be reached");
    ++proposals;
    std::vector<Outcome> outcomes = MemoryPeer::propose(group);
    if (const auto act = std::exchange(after_propose, nullptr)) act(outcomes);
    return outcomes;
  }
  void hold(Tid oldest) override {
    if (holds_nothing) return;
    if (const auto act = std::exchange(before_hold, nullptr)) act();
    MemoryPeer::hold(oldest);
  }

  void commit(std::span<const TransactionWrite> /*group*/) override {
    throw StoreError("what others commit to is proposed to");
  }

  std::atomic<int> loads = 0, proposals = 0;
  /// Called once, by the leader: the engine has decided, and the database does not know it yet.
  std::function<void(const std::vector<Outcome>&)> after_propose;
  std::function<void()> before_history;  ///< called each time, while `commits_meanwhile`
  std::function<void()> before_hold;     ///< called once
  std::atomic<bool> commits_meanwhile = false;
  std::atomic<bool> is_deaf = false, is_cut_off = false, has_lost_commits = false, history_fails = false,
                    history_is_damaged = false, holds_nothing = false;
  std::atomic<std::uint64_t> hidden_tid = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Oid held_{};
  int arrived_ = 0;
  std::atomic<int> deaf_waits_ = 0;
};

}  // namespace cow::testing
