// SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is simpler than LRU", NSDI 2024): a hand goes from the oldest object
// to the newest; what was read stays where it is.
//
// Staying in place needs no list: what the hand has passed is one queue, what lies before it another, where new objects
// line up; when the second is empty the hand begins again with the first.
//
// Thread safety: see policy.hpp.
#pragma once

#include <deque>

#include "policy.hpp"

namespace cow::detail {

class SievePolicy final : public ReplacementPolicy {
 public:
  void admit(Oid oid) override { ahead_.push_back(oid); }

  std::optional<Oid> victim(const Ask& ask) override {
    for (int chances = kMaxSecondChances; !ahead_.empty();) {
      Oid oid = ahead_.front();
      ahead_.pop_front();
      Residency residency = ask(oid);
      bool stays = residency == Residency::read && chances-- > 0 && append(passed_, oid);
      if (ahead_.empty()) ahead_.swap(passed_);  // from the newest on to the oldest
      if (!stays && residency != Residency::gone) return oid;
    }
    return std::nullopt;
  }

  void clear() noexcept override {
    ahead_.clear();
    passed_.clear();
  }
  std::size_t bytes() const noexcept override { return (ahead_.size() + passed_.size()) * sizeof(Oid); }

 private:
  std::deque<Oid> passed_, ahead_;
};

}  // namespace cow::detail
