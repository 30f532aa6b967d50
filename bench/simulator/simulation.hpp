// Simulation: how often a cache of equal objects misses, under the very policies of the cache and under references that
// the cache cannot have.
//
// Thread safety: all functions may be called from any thread.
//
// A simulated cache is asked for units: one object, or a cluster of adjacent keys that come and go together. A miss is
// one request to the store.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <memory>
#include <queue>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cow_cache/detail/replacement/replacement.hpp"
#include "key_sequences.hpp"

namespace cow::bench {

using cow::detail::make_replacement_policy;
using cow::detail::ReplacementPolicy;
using cow::detail::Residency;

/// A sequence of accesses to units that are numbered from 0.
struct Accesses {
  std::vector<std::uint32_t> units;
  std::size_t distinct = 0;
};

/// Numbers the units of a key sequence: `cluster` adjacent keys make one.
inline Accesses number_units(const Keys& keys, std::uint32_t cluster = 1) {
  Accesses accesses;
  accesses.units.reserve(keys.size());
  std::unordered_map<std::uint32_t, std::uint32_t> number_of;
  for (std::uint32_t key : keys) {
    auto fresh = static_cast<std::uint32_t>(number_of.size());
    accesses.units.push_back(number_of.try_emplace(key / cluster, fresh).first->second);
  }
  accesses.distinct = number_of.size();
  return accesses;
}

/// Misses of one of the cache's own policies with room for `capacity` units (at least one).
inline std::uint64_t count_misses(const Accesses& accesses, std::size_t capacity, ReplacementPolicy& policy) {
  std::vector<bool> resident(accesses.distinct), visited(accesses.distinct);
  // No object has oid 0.
  auto ask = [&](Oid oid) {
    std::size_t unit = oid.value - 1;
    if (!resident[unit]) return Residency::gone;
    bool read = visited[unit];
    visited[unit] = false;
    return read ? Residency::read : Residency::unread;
  };
  std::uint64_t misses = 0;
  std::size_t residents = 0;
  for (std::uint32_t unit : accesses.units) {
    if (resident[unit]) {
      visited[unit] = true;
      continue;
    }
    ++misses;
    if (residents == capacity) {
      std::optional<Oid> victim = policy.victim(ask);
      if (!victim) throw std::logic_error("a policy lost an object");
      resident[victim->value - 1] = false;
      --residents;
    }
    resident[unit] = true;
    visited[unit] = false;
    ++residents;
    policy.admit(Oid{unit + std::uint64_t{1}});
  }
  return misses;
}

// References: they need every hit, or the future.

/// Least recently used.
inline std::uint64_t count_lru_misses(const Accesses& accesses, std::size_t capacity) {
  std::list<std::uint32_t> order;  // least recent first
  std::vector<std::list<std::uint32_t>::iterator> place(accesses.distinct, order.end());
  std::uint64_t misses = 0;
  for (std::uint32_t unit : accesses.units) {
    if (place[unit] != order.end()) {
      order.splice(order.end(), order, place[unit]);
      continue;
    }
    ++misses;
    if (order.size() == capacity) {
      place[order.front()] = order.end();
      order.pop_front();
    }
    place[unit] = order.insert(order.end(), unit);
  }
  return misses;
}

/// S3-FIFO as published, with counters of two bits that every hit increments (Yang et al., SOSP 2023, algorithm 1).
inline std::uint64_t count_s3_fifo_misses(const Accesses& accesses, std::size_t capacity) {
  const std::size_t most_small = std::max<std::size_t>(1, capacity / 10), most_ghosts = capacity - most_small;
  std::deque<std::uint32_t> small, main;
  std::deque<std::pair<std::uint32_t, std::uint64_t>> ghosts;  // unit, access at which it became one
  std::vector<std::uint64_t> ghost_since(accesses.distinct);   // 0: none
  std::vector<bool> resident(accesses.distinct);
  std::vector<std::uint8_t> reads(accesses.distinct);
  std::size_t ghost_count = 0;
  std::uint64_t misses = 0, now = 0;
  auto take = [](std::deque<std::uint32_t>& queue) {
    std::uint32_t unit = queue.front();
    queue.pop_front();
    return unit;
  };
  auto remember = [&](std::uint32_t unit) {
    ghosts.emplace_back(unit, ghost_since[unit] = now);
    ++ghost_count;
    while (ghost_count > most_ghosts) {
      auto [oldest, since] = ghosts.front();
      ghosts.pop_front();
      if (ghost_since[oldest] != since) continue;  // came back meanwhile
      ghost_since[oldest] = 0;
      --ghost_count;
    }
  };
  auto evict = [&] {
    for (;;) {
      if (small.size() >= most_small || main.empty()) {
        std::uint32_t unit = take(small);
        if (reads[unit] > 1) {
          reads[unit] = 0;
          main.push_back(unit);
          continue;
        }
        remember(unit);
        return unit;
      }
      std::uint32_t unit = take(main);
      if (reads[unit] == 0) return unit;
      --reads[unit];
      main.push_back(unit);
    }
  };
  for (std::uint32_t unit : accesses.units) {
    ++now;
    if (resident[unit]) {
      reads[unit] = std::min<std::uint8_t>(reads[unit] + 1, 3);
      continue;
    }
    ++misses;
    if (small.size() + main.size() == capacity) resident[evict()] = false;
    resident[unit] = true;
    reads[unit] = 0;
    if (std::exchange(ghost_since[unit], 0) != 0) {
      --ghost_count;
      main.push_back(unit);
    } else {
      small.push_back(unit);
    }
  }
  return misses;
}

/// The limit: evicts what is needed again last (Belady, IBM Systems Journal 1966).
inline std::uint64_t count_min_misses(const Accesses& accesses, std::size_t capacity) {
  constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> next(accesses.units.size()), seen(accesses.distinct, kNever);
  for (std::size_t i = next.size(); i-- > 0;) next[i] = std::exchange(seen[accesses.units[i]], i);
  std::vector<bool> resident(accesses.distinct);
  std::priority_queue<std::pair<std::size_t, std::uint32_t>>
      farthest;  // entries of old uses are not on top: they are past
  std::size_t residents = 0;
  std::uint64_t misses = 0;
  for (std::size_t i = 0; i < next.size(); ++i) {
    std::uint32_t unit = accesses.units[i];
    if (!resident[unit]) {
      ++misses;
      if (residents == capacity) {
        resident[farthest.top().second] = false;
        farthest.pop();
        --residents;
      }
      resident[unit] = true;
      ++residents;
    }
    farthest.emplace(next[i], unit);
  }
  return misses;
}

/// One column of a result: a name and how to count.
struct SimulatedPolicy {
  std::string_view name;
  std::uint64_t (*misses)(const Accesses& accesses, std::size_t capacity);
};

template <Replacement kReplacement>
std::uint64_t count_policy_misses(const Accesses& accesses, std::size_t capacity) {
  return count_misses(accesses, capacity, *make_replacement_policy(kReplacement));
}

/// The rivals come first, then the default, then the limit.
inline constexpr std::array<SimulatedPolicy, 7> kSimulatedPolicies{{
    {"lru", count_lru_misses},
    {"clock", count_policy_misses<Replacement::clock>},
    {"s3-fifo", count_s3_fifo_misses},
    {"s3-fifo-1bit", count_policy_misses<Replacement::s3_fifo>},
    {"sieve", count_policy_misses<Replacement::sieve>},
    {"adaptive", count_policy_misses<Replacement::adaptive>},
    {"min", count_min_misses},
}};
inline constexpr std::size_t kRivals = 5;
static_assert(kSimulatedPolicies[kRivals].name == "adaptive");

/// The least misses of the rivals.
inline std::uint64_t best_of_rivals(const std::array<std::uint64_t, kSimulatedPolicies.size()>& misses) {
  return *std::min_element(misses.begin(), misses.begin() + kRivals);
}

inline std::array<std::uint64_t, kSimulatedPolicies.size()> simulate(const Accesses& accesses, std::size_t capacity) {
  std::array<std::uint64_t, kSimulatedPolicies.size()> misses;
  std::transform(kSimulatedPolicies.begin(), kSimulatedPolicies.end(), misses.begin(),
                 [&](const SimulatedPolicy& policy) { return policy.misses(accesses, capacity); });
  return misses;
}

/// `share` of the distinct units, at least one.
inline std::size_t capacity_of(const Accesses& accesses, double share) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(share * static_cast<double>(accesses.distinct)));
}

inline constexpr std::array<double, 6> kCapacityShares{0.001, 0.01, 0.05, 0.10, 0.25, 0.50};

}  // namespace cow::bench
