// What is known without simulating: queues with several servers, and the hit ratio of a cache under independent requests.
//
// Thread safety: plain functions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace cow::bench::simulation {

/// M/M/c: the mean time in the queue, for arrivals and services at these rates (Erlang's formula C). REQUIRES: the
/// servers keep up.
inline double mean_wait_mmc(double arrivals, double services, std::uint32_t servers) {
  const double offered = arrivals / services;
  if (offered >= servers) throw std::invalid_argument("the queue grows for ever");
  // Erlang's formula B by its recurrence, which does not overflow.
  double blocked = 1;
  for (std::uint32_t k = 1; k <= servers; ++k) blocked = offered * blocked / (k + offered * blocked);
  const double utilisation = offered / servers;
  const double waits = blocked / (1 - utilisation * (1 - blocked));
  return waits / (servers * services - arrivals);
}

/// How a cache is used: what is asked for, what others change, and how large everything is.
struct Popularity {
  std::vector<double> requests;  ///< probability of each object; adds up to 1
  std::vector<double> changes;   ///< probability of each object to be what a change is about; empty: no changes
  std::vector<double> sizes;     ///< in any unit; empty: 1 each

  double size(std::size_t i) const { return sizes.empty() ? 1.0 : sizes[i]; }
  double change(std::size_t i) const { return changes.empty() ? 0.0 : changes[i]; }
};

/// The probabilities of Zipf's law over `count` objects; theta 0: all alike.
inline std::vector<double> zipf_probabilities(std::size_t count, double theta) {
  std::vector<double> probabilities(count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += probabilities[i] = std::pow(static_cast<double>(i + 1), -theta);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

/// The miss ratio of an LRU cache of `capacity` under independent requests: Che, Tung, Wang ("Hierarchical Web Caching
/// Systems", IEEE JSAC 2002). An object is there if the last thing that happened to it within the cache's characteristic
/// time was a request. Others' changes, `changes_per_request` of them for each request of this cache, remove what they are
/// about: then the last thing must have been a request and not a change.
inline double che_miss_ratio(const Popularity& popularity, double capacity, double changes_per_request) {
  const std::size_t count = popularity.requests.size();
  auto present = [&](std::size_t i, double time) {
    const double requests = popularity.requests[i], changes = changes_per_request * popularity.change(i);
    if (requests == 0) return 0.0;
    return requests / (requests + changes) * -std::expm1(-(requests + changes) * time);
  };
  auto occupied = [&](double time) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += popularity.size(i) * present(i, time);
    return sum;
  };
  double time = std::numeric_limits<double>::infinity();
  if (occupied(time) > capacity) {
    double low = 0, high = 1;
    while (occupied(high) < capacity) high *= 2;
    for (int step = 0; step < 50; ++step) {
      time = (low + high) / 2;
      (occupied(time) < capacity ? low : high) = time;
    }
  }
  double hits = 0;
  for (std::size_t i = 0; i < count; ++i) hits += popularity.requests[i] * present(i, time);
  return 1 - hits;
}

/// The share of misses among the first `requests` requests of a cache that has room for everything, and has everything when it begins: others'
/// changes alone make it miss. In the end that is changes / (requests + changes) of each object's requests, but objects that are seldom
/// asked for take long to get there.
inline double miss_ratio_of_changes(const Popularity& popularity, double changes_per_request, double requests) {
  double misses = 0;
  for (std::size_t i = 0; i < popularity.requests.size(); ++i) {
    const double asked = popularity.requests[i], changes = changes_per_request * popularity.change(i);
    if (asked == 0 || changes == 0) continue;
    // It is absent at time t with probability changes / (asked + changes) * (1 - e^-(asked + changes) t): the mean over the requests.
    const double rate = asked + changes, time = rate * requests;
    const double reached = time == 0 ? 0 : 1 + std::expm1(-time) / time;
    misses += asked * changes / rate * reached;
  }
  return misses;
}

}  // namespace cow::bench::simulation
