// The replacement policies that a cache can have.
//
// Thread safety: see replacement/policy.hpp.
#pragma once

#include <memory>
#include <stdexcept>

#include "adaptive.hpp"
#include "clock.hpp"
#include "cow_cache/options.hpp"
#include "policy.hpp"
#include "s3_fifo.hpp"
#include "sieve.hpp"

namespace cow::detail {

/// An empty policy. Throws std::invalid_argument for what is none of the enumeration.
inline std::unique_ptr<ReplacementPolicy> make_replacement_policy(Replacement replacement) {
  switch (replacement) {
    case Replacement::adaptive:
      return std::make_unique<AdaptivePolicy>();
    case Replacement::clock:
      return std::make_unique<ClockPolicy>();
    case Replacement::s3_fifo:
      return std::make_unique<S3FifoPolicy>();
    case Replacement::sieve:
      return std::make_unique<SievePolicy>();
  }
  throw std::invalid_argument("no such replacement policy");
}

}  // namespace cow::detail
