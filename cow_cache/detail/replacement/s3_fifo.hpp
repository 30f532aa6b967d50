// S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023): a small queue
// that sorts out what is never read again, a main queue for the rest, and ghosts, which go to the main queue at once.
//
// The paper counts up to three reads; a hit here sets one bit, so one read promotes.
//
// Thread safety: see policy.hpp.
#pragma once

#include <deque>

#include "ghosts.hpp"
#include "policy.hpp"

namespace cow::detail {

class S3FifoPolicy final : public ReplacementPolicy {
 public:
  void admit(Oid oid) override {
    (ghosts_.has(oid) ? main_ : small_).push_back(oid);
    (void)ghosts_.take(oid);
  }

  std::optional<Oid> victim(const Ask& ask) override {
    for (int chances = kMaxSecondChances;;) {
      std::size_t entries = small_.size() + main_.size();
      if (entries == 0) return std::nullopt;
      bool from_small = small_.size() * kSmallPart > entries || main_.empty();
      std::deque<Oid>& queue = from_small ? small_ : main_;
      Oid oid = queue.front();
      queue.pop_front();
      Residency residency = ask(oid);
      if (residency == Residency::gone) continue;
      if (residency == Residency::read && chances-- > 0 && append(main_, oid)) continue;
      if (from_small) ghosts_.add(oid, entries - entries / kSmallPart);
      return oid;
    }
  }

  void clear() noexcept override {
    small_.clear();
    main_.clear();
    ghosts_.clear();
  }
  std::size_t bytes() const noexcept override { return (small_.size() + main_.size()) * sizeof(Oid) + ghosts_.bytes(); }

 private:
  static constexpr std::size_t kSmallPart = 10;  // one in ten, the paper's

  std::deque<Oid> small_, main_;
  Ghosts ghosts_;
};

}  // namespace cow::detail
