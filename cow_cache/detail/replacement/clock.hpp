// CLOCK (Corbató: "A paging experiment with the Multics system", 1968) as a queue: what was read goes round once more.
// New objects start unread, so what is loaded once and never read again leaves after one round.
//
// Thread safety: see policy.hpp.
#pragma once

#include <deque>

#include "policy.hpp"

namespace cow::detail {

class ClockPolicy final : public ReplacementPolicy {
 public:
  void admit(Oid oid) override { queue_.push_back(oid); }

  std::optional<Oid> victim(const Ask& ask) override {
    for (int chances = kMaxSecondChances; !queue_.empty();) {
      Oid oid = queue_.front();
      queue_.pop_front();
      Residency residency = ask(oid);
      if (residency == Residency::gone) continue;
      if (residency == Residency::unread || chances-- == 0 || !append(queue_, oid)) return oid;
    }
    return std::nullopt;
  }

  void clear() noexcept override { queue_.clear(); }
  std::size_t bytes() const noexcept override { return queue_.size() * sizeof(Oid); }

 private:
  std::deque<Oid> queue_;
};

}  // namespace cow::detail
