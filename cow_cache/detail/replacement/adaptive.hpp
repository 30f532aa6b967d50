// The adaptive policy: a window, a probation and a main queue, whose shares follow the ghosts. The default.
//
// New objects enter the window. What is read there says little: a transaction that loads an object reads it some times
// more right away (2Q: Johnson, Shasha, VLDB 1994, call these correlated references). So marks are cleared as objects go
// on to probation. What is read there is promoted to the main queue, which is a CLOCK with counters (GCLOCK: Smith, TODS
// 1978): an object that was read on several rounds survives as many rounds unread. The counters are the policy's own,
// so that a hit sets one bit and no more.
//
// How large window and probation are together adapts as in CAR (Bansal, Modha: "CAR: Clock with Adaptive Replacement",
// FAST 2004): a ghost of probation that comes back says that it was too small, one of the main queue that it was too
// large. Both go to the main queue at once.
//
// The constants were chosen on the first half of the trace of the claim orm-misses, on Zipf's distribution with and without
// scans, and on a sequence like OO7's; only the second half of the trace was held out. Neighbouring values differ by a
// percent.
//
// Thread safety: see policy.hpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "ghosts.hpp"
#include "policy.hpp"

namespace cow::detail {

class AdaptivePolicy final : public ReplacementPolicy {
 public:
  void admit(Oid oid) override {
    bool has_ghost = probation_ghosts_.has(oid) || main_ghosts_.has(oid);
    (has_ghost ? main_ : window_).push_back({oid.value & kOidMask, 0});  // first: it may fail
    if (probation_ghosts_.take(oid)) {
      share_ = std::min(kMaxShare, share_ + step(main_ghosts_, probation_ghosts_));
    } else if (main_ghosts_.take(oid)) {
      share_ = std::max(kWindowShare, share_ - step(probation_ghosts_, main_ghosts_));
    }
  }

  std::optional<Oid> victim(const Ask& ask) override {
    close_window(ask);
    for (int chances = kMaxSecondChances;;) {
      if (entries() == 0) return std::nullopt;
      bool enough_early = !probation_.empty() && early() > most_early();
      bool from_main = !main_.empty() && !enough_early;
      Queue& queue = from_main ? main_ : probation_.empty() ? window_ : probation_;
      Entry entry = queue.front();
      queue.pop_front();
      Oid oid{entry.oid};
      Residency residency = ask(oid);
      if (residency == Residency::gone) continue;
      bool read = residency == Residency::read;
      if ((read || entry.rounds > 0) && chances-- > 0) {
        if (!read) {
          --entry.rounds;
        } else if (from_main && entry.rounds < kMaxRounds) {
          ++entry.rounds;
        }
        if (append(main_, entry)) continue;
      }
      (from_main ? main_ghosts_ : probation_ghosts_).add(oid, entries() / kGhostPart);
      return oid;
    }
  }

  void clear() noexcept override {
    window_.clear();
    probation_.clear();
    main_.clear();
    probation_ghosts_.clear();
    main_ghosts_.clear();
    share_ = kWindowShare;
  }
  std::size_t bytes() const noexcept override {
    return entries() * sizeof(Oid) + probation_ghosts_.bytes() + main_ghosts_.bytes();
  }

 private:
  struct Entry {
    std::uint64_t oid : kOidBits;
    std::uint64_t rounds : 64 - kOidBits;  ///< in the main queue: those in which it was read, less those in which not
  };
  static_assert(sizeof(Entry) == sizeof(Oid));
  static constexpr std::uint64_t kOidMask = kMaxOid.value;  // no oid has other bits; the compiler can see it so
  using Queue = std::deque<Entry>;

  // Shares are parts of all entries.
  static constexpr double kWindowShare = 0.05, kMaxShare = 0.9;
  static constexpr double kMinEarly = 4;
  static constexpr double kPace = 8;  // entries by which a ghost moves the share, at least
  static constexpr std::uint64_t kMaxRounds = 3;
  static constexpr std::size_t kGhostPart = 3;  // of each kind at most a third as many as entries

  /// A cache of a few objects still gives half of its room to what is new, or new objects would leave at the next miss.
  double most_early() const noexcept {
    auto all = static_cast<double>(entries());
    return std::max(share_ * all, std::min(all / 2, kMinEarly));
  }
  double early() const noexcept { return static_cast<double>(window_.size() + probation_.size()); }
  std::size_t entries() const noexcept { return window_.size() + probation_.size() + main_.size(); }

  /// A ghost of the rarer kind says more. REQUIRES: its object has an entry by now.
  double step(const Ghosts& others, const Ghosts& own) const noexcept {
    double rarity = static_cast<double>(others.size()) / static_cast<double>(own.size() + 1);
    return kPace * std::max(1.0, rarity) / static_cast<double>(entries());
  }

  /// Moves on what has been in the window for long enough; in steps, if that is much.
  void close_window(const Ask& ask) {
    auto most = static_cast<std::size_t>(kWindowShare * static_cast<double>(entries()));
    for (int moves = kMaxSecondChances; window_.size() > most && moves > 0; --moves) {
      // In a cache that has just filled up the window holds everything, and most marks are of later reads: they stay.
      bool marked_late = window_.size() > 2 * most + 1;
      bool stays = marked_late || ask(Oid{window_.front().oid}) != Residency::gone;
      if (stays && !append(probation_, window_.front())) break;  // it stays where it is
      window_.pop_front();
    }
  }

  Queue window_, probation_, main_;
  Ghosts probation_ghosts_, main_ghosts_;
  double share_ = kWindowShare;  ///< of window and probation together
};

}  // namespace cow::detail
