// Ways to give back memory, to be compared under the same cache.
//
// Thread safety: the functions of a scheme are called by the thread that they are about.
#pragma once

#include <string_view>
#include <vector>

#include "cow_cache/detail/reclaim/reclaimer.hpp"

namespace cow::bench {

/// A reclaimer, and what threads do for it around their transactions. The cache logs what is read in any case: the log is
/// its read set as well. So what differs is only how garbage is found to be garbage.
struct Scheme {
  std::string_view name;
  std::string_view about;
  cow::detail::MakeReclaimer make;
  void (*enter_thread)() = [] {};
  void (*leave_thread)() = [] {};
  void (*begin)() = [] {};  ///< before a transaction begins
  void (*end)() = [] {};    ///< after it has ended
};

// In urcu.cpp.
Scheme urcu_memb_scheme();
Scheme urcu_qsbr_scheme();

/// All of them, the cache's own first.
std::vector<Scheme> schemes();

}  // namespace cow::bench
