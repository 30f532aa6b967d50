// SegmentedPolicy: a new object is on probation. One that was read there is protected; one that was not leaves. Protected objects that
// are read no more go back on probation, where they have a second chance.
//
// Segmented LRU (Karedla, Love, Wherry, "Caching strategies to improve disk system performance", IEEE Computer 27(3), 1994), with queues
// and a visited bit in place of its lists in the order of reads: a hit moves nothing.
//
// Thread safety: see policy.hpp.
//
// Invariants: those of policy.hpp; and protected objects are at most kProtectedPerProbationer times those on probation, or the next
// victim is looked for among them.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "cow_cache/detail/replacement/policy.hpp"

namespace cow::bench {

class SegmentedPolicy final : public cow::detail::ReplacementPolicy {
 public:
  void admit(Oid oid) override { probation_.push_back(oid); }

  std::optional<Oid> victim(const Ask& ask) override {
    for (int chances = kMaxSecondChances;;) {
      const bool is_protected = protected_.size() > kProtectedPerProbationer * probation_.size();
      Queue& queue = is_protected ? protected_ : probation_;
      if (queue.empty()) return std::nullopt;  // so both are
      const Oid oid = queue.front();
      queue.pop_front();
      const cow::detail::Residency residency = ask(oid);
      if (residency == cow::detail::Residency::gone) continue;
      const bool was_read = residency == cow::detail::Residency::read;
      const bool stays = (was_read || is_protected) && chances-- > 0 && append(was_read ? protected_ : probation_, oid);
      if (!stays) return oid;
    }
  }

  void clear() noexcept override {
    probation_.clear();
    protected_.clear();
  }
  std::size_t bytes() const noexcept override { return (probation_.size() + protected_.size()) * sizeof(Oid); }

 private:
  using Queue = std::deque<Oid>;
  static constexpr std::size_t kProtectedPerProbationer = 4;  // a fifth is on probation
  Queue probation_, protected_;                               // the next one to be asked about is in front
};

}  // namespace cow::bench
