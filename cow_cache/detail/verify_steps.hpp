// How a check of a store says how far it is.
//
// Thread safety: one thread at a time.
#pragma once

#include <cstdint>

#include "cow_cache/verify_report.hpp"

namespace cow::detail {

/// Calls `progress` for the first of some entries, and for some of the others.
class VerifySteps {
 public:
  VerifySteps(const VerifyOptions& options, VerifyReport& report, VerifyProgress::Step step, std::uint64_t total)
      : options_(options), report_(report), now_{step, 0, total} {}

  /// False: stop.
  bool step() {
    if (now_.done++ % kBetween != 0 || !options_.progress || options_.progress(now_)) return true;
    report_.complete = false;
    return false;
  }

 private:
  static constexpr std::uint64_t kBetween = 64;

  const VerifyOptions& options_;
  VerifyReport& report_;
  VerifyProgress now_;
};

}  // namespace cow::detail
