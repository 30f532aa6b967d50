// One cache among many, simulated request by request, with the changes of others: for policies that no closed form knows,
// and to check the one that there is.
//
// Thread safety: plain functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "bench/workloads/random.hpp"
#include "closed_forms.hpp"
#include "cow_cache/detail/replacement/replacement.hpp"

namespace cow::bench::simulation {

using cow::detail::make_replacement_policy;
using cow::detail::ReplacementPolicy;
using cow::detail::Residency;

/// Draws objects by their probabilities.
class Draw {
 public:
  explicit Draw(const std::vector<double>& probabilities) {
    double sum = 0;
    for (double probability : probabilities) cumulative_.push_back(sum += probability);
  }
  bool empty() const { return cumulative_.empty(); }
  std::uint32_t operator()(Random& random) const {
    auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), random.unit() * cumulative_.back());
    return static_cast<std::uint32_t>(
        std::min<std::ptrdiff_t>(found - cumulative_.begin(), static_cast<std::ptrdiff_t>(cumulative_.size()) - 1));
  }

 private:
  std::vector<double> cumulative_;
};

/// Least recently used.
class LruContents {
 public:
  explicit LruContents(std::size_t objects) : place_(objects, order_.end()) {}
  bool touch(std::uint32_t object) {
    if (place_[object] == order_.end()) return false;
    order_.splice(order_.end(), order_, place_[object]);
    return true;
  }
  void admit(std::uint32_t object) { place_[object] = order_.insert(order_.end(), object); }
  std::optional<std::uint32_t> evict() {
    if (order_.empty()) return std::nullopt;
    const std::uint32_t victim = order_.front();
    order_.pop_front();
    place_[victim] = order_.end();
    return victim;
  }
  bool drop(std::uint32_t object) {
    if (place_[object] == order_.end()) return false;
    order_.erase(place_[object]);
    place_[object] = order_.end();
    return true;
  }

 private:
  std::list<std::uint32_t> order_;  // least recent first
  std::vector<std::list<std::uint32_t>::iterator> place_;
};

/// A policy of the cache itself, with the one bit that hits leave.
class PolicyContents {
 public:
  PolicyContents(std::size_t objects, Replacement replacement)
      : resident_(objects), visited_(objects), policy_(make_replacement_policy(replacement)) {}
  bool touch(std::uint32_t object) {
    if (!resident_[object]) return false;
    visited_[object] = true;
    return true;
  }
  void admit(std::uint32_t object) {
    resident_[object] = true;
    visited_[object] = false;
    policy_->admit(Oid{object + std::uint64_t{1}});  // no object has oid 0
  }
  std::optional<std::uint32_t> evict() {
    const auto victim = policy_->victim([&](Oid oid) {
      const std::size_t object = oid.value - 1;
      if (!resident_[object]) return Residency::gone;
      const bool read = visited_[object];
      visited_[object] = false;
      return read ? Residency::read : Residency::unread;
    });
    if (!victim) return std::nullopt;
    resident_[victim->value - 1] = false;
    return static_cast<std::uint32_t>(victim->value - 1);
  }
  bool drop(std::uint32_t object) {
    const bool was = resident_[object];
    resident_[object] = false;
    return was;
  }

 private:
  std::vector<bool> resident_, visited_;
  std::unique_ptr<ReplacementPolicy> policy_;
};

/// The miss ratio of the second half of `requests` requests.
template <class Contents>
double simulated_miss_ratio(const Popularity& popularity, double capacity, double changes_per_request,
                            Contents contents, std::uint64_t requests, std::uint64_t seed) {
  Random random(seed);
  const Draw request(popularity.requests), change(popularity.changes);
  const double change_share = change.empty() ? 0 : changes_per_request / (1 + changes_per_request);
  double occupied = 0;
  std::uint64_t misses = 0, counted = 0;
  for (std::uint64_t done = 0; done < requests;) {
    if (random.chance(change_share)) {
      const std::uint32_t object = change(random);
      if (contents.drop(object)) occupied -= popularity.size(object);
      continue;
    }
    const bool counts = 2 * done >= requests;
    ++done;
    const std::uint32_t object = request(random);
    counted += counts;
    if (contents.touch(object)) continue;
    misses += counts;
    contents.admit(object);
    occupied += popularity.size(object);
    while (occupied > capacity) {
      const auto victim = contents.evict();
      if (!victim) throw std::logic_error("a policy lost an object");
      occupied -= popularity.size(*victim);
    }
  }
  return static_cast<double>(misses) / static_cast<double>(counted);
}

inline double lru_miss_ratio(const Popularity& popularity, double capacity, double changes_per_request,
                             std::uint64_t requests, std::uint64_t seed) {
  return simulated_miss_ratio(popularity, capacity, changes_per_request, LruContents(popularity.requests.size()),
                              requests, seed);
}

inline double policy_miss_ratio(const Popularity& popularity, double capacity, double changes_per_request,
                                Replacement replacement, std::uint64_t requests, std::uint64_t seed) {
  return simulated_miss_ratio(popularity, capacity, changes_per_request,
                              PolicyContents(popularity.requests.size(), replacement), requests, seed);
}

}  // namespace cow::bench::simulation
