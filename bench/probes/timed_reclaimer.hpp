// TimedReclaimer: a scheme's own reclaimer, each of whose calls by those who retire is timed.
//
// Thread safety: as Reclaimer; a call that retires takes a lock for its entry in the record, after the time was taken.
//
// A call looks if its scheme has read the logs, seats or lists of those who may be in the way (hybrid: more than their epochs), or aborted
// some of them. Others only free, or do nothing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "bench/ablation/attachment.hpp"
#include "bench/support/latency_histogram.hpp"

namespace cow::bench {

/// Of the calls since the last `restart`.
struct ReclamationRecord {
  LatencyHistogram looks, frees;  ///< ns of each call that has looked, and of each other one that has freed something
  std::uint64_t states = 0, bytes = 0;  ///< retired
  std::uint64_t ns = 0;                 ///< of all calls
  std::uint64_t longest_ns = 0;         ///< of a call
  std::size_t most_limbo_bytes = 0;     ///< after one

  /// How long it takes to reclaim so much, all calls together.
  double ns_for(std::size_t of_bytes) const {
    return bytes == 0 ? 0 : static_cast<double>(ns) * static_cast<double>(of_bytes) / static_cast<double>(bytes);
  }
};

class TimedReclaimer final : public AttachedReclaimer {
 public:
  /// What a database is opened with. REQUIRES: it is used before the next call; so of one database at a time.
  static cow::detail::MakeReclaimer around(cow::detail::MakeReclaimer make) noexcept {
    inner_of_the_next_ = make;
    return
        [](cow::detail::TransactionRegistry& registry, std::size_t budget) -> std::unique_ptr<cow::detail::Reclaimer> {
          return std::make_unique<TimedReclaimer>(registry, inner_of_the_next_(registry, budget));
        };
  }

  TimedReclaimer(cow::detail::TransactionRegistry& registry, std::unique_ptr<cow::detail::Reclaimer> inner)
      : AttachedReclaimer(registry), inner_(std::move(inner)), told_(dynamic_cast<AttachedReclaimer*>(inner_.get())) {}

  /// Null, and nothing more to do for a session, where the scheme wants to be told of nothing.
  std::unique_ptr<Attachment> attach() override { return told_ == nullptr ? nullptr : told_->attach(); }
  std::uint64_t aborted() const noexcept override { return told_ == nullptr ? 0 : told_->aborted(); }

  void retire(cow::detail::StateChain states) noexcept override {
    const std::size_t count = states.size(), bytes = states.bytes();
    const std::uint64_t looks = inner_->deep_scans() + aborted();
    const std::size_t before = inner_->limbo_bytes();
    const auto start = std::chrono::steady_clock::now();
    inner_->retire(std::move(states));
    const auto ns =
        static_cast<std::uint64_t>((std::chrono::steady_clock::now() - start) / std::chrono::nanoseconds(1));
    const std::size_t after = inner_->limbo_bytes();
    const bool looked = inner_->deep_scans() + aborted() != looks;
    std::scoped_lock lock(mutex_);
    record_.states += count;
    record_.bytes += bytes;
    record_.ns += ns;
    record_.longest_ns = std::max(record_.longest_ns, ns);
    record_.most_limbo_bytes = std::max(record_.most_limbo_bytes, after);
    if (looked) {
      record_.looks.record(ns);
    } else if (after < before + bytes) {
      record_.frees.record(ns);
    }
  }

  void reclaim_all() noexcept override { inner_->reclaim_all(); }
  std::size_t limbo_bytes() const noexcept override { return inner_->limbo_bytes(); }
  std::uint64_t deep_scans() const noexcept override { return inner_->deep_scans(); }

  ReclamationRecord record() const {
    std::scoped_lock lock(mutex_);
    return record_;
  }
  void restart() {
    std::scoped_lock lock(mutex_);
    record_ = {};
  }

 private:
  static inline cow::detail::MakeReclaimer inner_of_the_next_ = nullptr;

  const std::unique_ptr<cow::detail::Reclaimer> inner_;
  AttachedReclaimer* const told_;
  mutable std::mutex mutex_;
  ReclamationRecord record_;  // guarded by mutex_
};

}  // namespace cow::bench
