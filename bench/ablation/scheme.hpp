// Ways to give back memory, to be compared under the same cache.
//
// Thread safety: the functions of a scheme are called by the thread that they are about.
#pragma once

#include <string_view>
#include <vector>

#include "cow_cache/detail/reclaim/reclaimer.hpp"

namespace cow::bench {

/// What limits the garbage behind transactions that sleep, by class of scheme.
enum class Bound {
  none,     ///< nothing: it grows for as long as one of them sleeps
  visible,  ///< what was alive at the snapshot of one of them
  logged,   ///< what they have read
  budget,   ///< a number of bytes: they are aborted above it
};

constexpr std::string_view name_of(Bound bound) noexcept {
  switch (bound) {
    case Bound::none:
      return "no bound";
    case Bound::visible:
      return "what some snapshot can see";
    case Bound::logged:
      return "what transactions have read";
    case Bound::budget:
      return "a budget, by aborting";
  }
  return "";
}

/// A reclaimer, and what threads do for it around their transactions. The cache logs what is read in any case: the log is
/// its read set as well. So what differs is only how garbage is found to be garbage. What a reclaimer wants to be told of reads
/// is its Attachment's (attachment.hpp).
struct Scheme {
  std::string_view name;
  std::string_view about;
  Bound bound;  ///< and a constant: what is collected before anybody looks at it
  cow::detail::MakeReclaimer make;
  void (*enter_thread)() = [] {};
  void (*leave_thread)() = [] {};
  void (*begin)() = [] {};            ///< before a transaction begins
  void (*end)() = [] {};              ///< after it has ended
  bool transactions_may_move = true;  ///< from one thread to another
};

/// Registers a thread with a scheme for as long as it lives.
class Membership {
 public:
  explicit Membership(const Scheme& scheme) : scheme_(scheme) { scheme_.enter_thread(); }
  ~Membership() { scheme_.leave_thread(); }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

 private:
  const Scheme& scheme_;
};

// In urcu.cpp.
Scheme urcu_memb_scheme();
Scheme urcu_qsbr_scheme();

/// All of them, the cache's own first.
std::vector<Scheme> schemes();

}  // namespace cow::bench
