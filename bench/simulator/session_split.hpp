// One cache for all sessions against a cache for each, in the same memory in all.
//
// Thread safety: all functions may be called from any thread.
//
// A sequence of accesses is cut into requests of kRequest accesses, which are dealt out to sessions at random. The shared
// cache sees all of them, in their order, with the whole capacity; each private cache sees those of its session, with its
// part of the capacity.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "bench/workloads/random.hpp"
#include "simulation.hpp"

namespace cow::bench {

/// Whose objects the sessions read.
enum class SessionObjects {
  same,      ///< all of them the same
  disjoint,  ///< each its own: the sequence's objects once for each session
  scanned,   ///< as disjoint, but every second session reads its objects in turn, over and over
};

inline constexpr std::array<std::string_view, 3> kSessionObjectsNames{"same", "disjoint", "scanned"};

struct SessionSplit {
  Accesses shared;
  std::vector<Accesses> sessions;
};

inline constexpr std::size_t kRequest = 64;  ///< accesses that one session does without another's in between

/// REQUIRES: sessions > 0, and so few that each session's objects have numbers of their own in 32 bits.
inline SessionSplit split(const Accesses& accesses, std::uint32_t sessions, SessionObjects objects,
                          std::uint64_t seed) {
  Random random(seed);
  if (objects != SessionObjects::same && accesses.distinct * sessions > UINT32_MAX)
    throw std::invalid_argument("too many objects for so many sessions");
  std::vector<Keys> own(sessions);
  Keys all;
  all.reserve(accesses.units.size());
  std::vector<std::uint32_t> scanned(sessions);
  std::uint32_t session = 0;
  for (std::size_t i = 0; i < accesses.units.size(); ++i) {
    if (i % kRequest == 0) session = static_cast<std::uint32_t>(random.below(sessions));
    std::uint32_t unit = accesses.units[i];
    if (objects == SessionObjects::scanned && session % 2 == 1)
      unit = scanned[session]++ % static_cast<std::uint32_t>(accesses.distinct);
    if (objects != SessionObjects::same) unit += session * static_cast<std::uint32_t>(accesses.distinct);
    own[session].push_back(unit);
    all.push_back(unit);
  }
  SessionSplit result{number_units(all), {}};
  for (const Keys& keys : own) result.sessions.push_back(number_units(keys));
  return result;
}

/// What the private caches miss together. Each has an equal part of `capacity`, the first ones what is left over; a
/// session whose part is nothing misses always.
inline std::uint64_t count_private_misses(const SessionSplit& split, std::size_t capacity,
                                          const SimulatedPolicy& policy) {
  std::uint64_t misses = 0;
  for (std::size_t i = 0; i < split.sessions.size(); ++i) {
    std::size_t part = capacity / split.sessions.size() + (i < capacity % split.sessions.size() ? 1 : 0);
    misses += part == 0 ? split.sessions[i].units.size() : policy.misses(split.sessions[i], part);
  }
  return misses;
}

}  // namespace cow::bench
