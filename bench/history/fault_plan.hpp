// Which batches between a process and its server fail, and how; and when they did. From a seed.
//
// Thread safety: every function may be called from any number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/postgres_proxy.hpp"
#include "client.hpp"
#include "journal.hpp"

namespace cow::bench::history {

class FaultPlan {
 public:
  static constexpr std::size_t kKinds = static_cast<std::size_t>(Fault::delay) + 1;
  using Counts = std::array<std::uint64_t, kKinds>;

  /// One batch in so many fails; 0: none does.
  FaultPlan(std::uint64_t seed, unsigned one_in) : random_(seed), one_in_(one_in) {}

  /// What the proxy does to a batch.
  Fault operator()(std::string_view batch) {
    const std::scoped_lock lock(mutex_);
    const bool asks = asks_what_became(batch);
    Fault fault = Fault::none;
    if (is_down_) {
      static constexpr std::array kCuts{Fault::cut_before, Fault::cut_within, Fault::cut_after, Fault::cut_answer};
      fault = kCuts[random_() % kCuts.size()];
    } else if (one_in_ != 0 && random_() % one_in_ == 0) {
      fault = static_cast<Fault>(1 + random_() % (kKinds - 1));
    }
    ++counts_[static_cast<std::size_t>(fault)];
    if (fault != Fault::none && fault != Fault::delay) {
      failed_.push_back(now());
    } else if (asks) {
      answered_.push_back(now());
    }
    return fault;
  }
  std::size_t boundary(std::size_t ends) {
    const std::scoped_lock lock(mutex_);
    return random_() % ends;
  }

  /// From now on every batch fails, or none but those that would otherwise.
  void set_down(bool is_down) {
    const std::scoped_lock lock(mutex_);
    is_down_ = is_down;
  }

  Counts counts() const {
    const std::scoped_lock lock(mutex_);
    return counts_;
  }

  /// How often somebody got through with the question what became of a commit.
  std::uint64_t questions() const {
    const std::scoped_lock lock(mutex_);
    return answered_.size();
  }

  /// Whether a transaction's outcome could not be found out: something has failed meanwhile, and after that nobody has got through with the
  /// question what became of a commit.
  bool may_be_open(const Recorded& one) const {
    const std::scoped_lock lock(mutex_);
    const auto last_within = [&](const std::vector<std::int64_t>& times) {
      std::int64_t last = INT64_MIN;
      for (const std::int64_t time : times) {
        if (time >= one.asked && time <= one.what.end) last = std::max(last, time);
      }
      return last;
    };
    const std::int64_t failed = last_within(failed_);
    return failed != INT64_MIN && last_within(answered_) <= failed;
  }

 private:
  static constexpr std::string_view kQuestion =
      "0, $3, '{}')";  // stands in no other statement (persistence/detail/postgres/statements.hpp)

  /// Whether a batch burns a token. A statement that was prepared is known by its name from then on.
  bool asks_what_became(std::string_view batch) {
    bool asks = false;
    for (std::size_t at = 0; at + 5 <= batch.size();) {
      std::size_t length = 0;
      for (std::size_t i = 1; i <= 4; ++i) length = length << 8 | static_cast<unsigned char>(batch[at + i]);
      const std::string_view body = batch.substr(at + 5, length - 4);
      const std::string_view first = body.substr(0, body.find('\0'));
      if (batch[at] == 'P') {
        if (body.find(kQuestion) != body.npos) {
          asks = true;
          if (!first.empty()) names_.emplace(first);
        } else {
          names_.erase(std::string(first));  // of another process that was there before
        }
      } else if (batch[at] == 'B' && first.size() < body.size()) {
        const std::string_view rest = body.substr(first.size() + 1);
        asks = asks || names_.contains(std::string(rest.substr(0, rest.find('\0'))));
      }
      at += 1 + length;
    }
    return asks;
  }

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  const unsigned one_in_;
  bool is_down_ = false;
  Counts counts_{};
  std::vector<std::int64_t> failed_, answered_;
  std::set<std::string> names_;
};

}  // namespace cow::bench::history
