// From memory to hits: how often the caches of a cluster miss.
//
// Thread safety: plain functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/workloads/random.hpp"
#include "closed_forms.hpp"
#include "simulated_cache.hpp"

namespace cow::bench::simulation {

/// Objects of one size, asked for by Zipf's law, changed all alike.
inline Popularity plain_objects(std::uint32_t objects, double theta) {
  return {zipf_probabilities(objects, theta), zipf_probabilities(objects, 0), {}};
}

/// Records behind an index, as YCSB's are: a request reads a leaf of the index and a record. Keys are hashed, so a leaf
/// has records of any popularity.
inline Popularity indexed_records(std::uint32_t records, double theta, std::uint32_t records_per_leaf,
                                  double record_bytes, double leaf_bytes, std::uint64_t seed) {
  const std::vector<double> of_record = zipf_probabilities(records, theta);
  Random random(seed);
  const std::vector<std::uint32_t> order = random_permutation(records, random);
  Popularity popularity;
  popularity.requests.resize(records + (records + records_per_leaf - 1) / records_per_leaf);
  for (std::uint32_t i = 0; i < records; ++i) {
    popularity.requests[i] = of_record[i] / 2;
    popularity.requests[records + order[i] / records_per_leaf] += of_record[i] / 2;
  }
  popularity.sizes.assign(popularity.requests.size(), leaf_bytes);
  std::fill_n(popularity.sizes.begin(), records, record_bytes);
  return popularity;
}

/// Changes by others for each request of one cache: every cache reads and writes alike, and a cache need not be told of
/// what was committed through it.
inline double changes_per_request(std::uint64_t caches, double write_share, std::uint32_t reads) {
  return static_cast<double>(caches - 1) * write_share / reads;
}

}  // namespace cow::bench::simulation
