// What the environment says of tests that search: how long, and with which seed.
//
// Thread safety: nobody changes the environment meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>

namespace cow::testing {

inline const char* variable(const char* name) { return std::getenv(name); }  // NOLINT(concurrency-mt-unsafe): see above

/// True for a long run, as `scripts/test --stress` asks for.
inline bool stress() { return variable("COW_CACHE_STRESS_SECONDS") != nullptr; }

/// How long to go on: COW_CACHE_STRESS_SECONDS, or as usual.
inline std::chrono::duration<double> stress_time(double usual = 2.0) {
  return std::chrono::duration<double>(stress() ? std::strtod(variable("COW_CACHE_STRESS_SECONDS"), nullptr) : usual);
}

/// COW_CACHE_SEED: run that seed only.
inline std::optional<std::uint64_t> chosen_seed() {
  const char* seed = variable("COW_CACHE_SEED");
  if (seed == nullptr) return std::nullopt;
  return std::strtoull(seed, nullptr, 10);
}

/// Where the seeds begin if none was chosen: the same ones each time, but others in each long run.
inline std::uint64_t first_seed() { return stress() ? std::random_device{}() * std::uint64_t{1'000'000} : 1; }

}  // namespace cow::testing
