// That a history of several processes over one PostgreSQL shows nothing that its isolation forbids, and loses nothing: peer-history.
#include "claim.hpp"

#ifdef COW_BENCH_HAS_POSTGRES

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "bench/history/peer_run.hpp"
#include "bench/support/postgres_server.hpp"

namespace cow::bench {
namespace {

/// What a variable of the environment says, or `otherwise`. Throws std::runtime_error.
std::uint64_t number_in(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(text, &end, 10);
  if (number == 0 || *end != '\0') throw std::runtime_error(fmt::format("{} is '{}', and no number", name, text));
  return number;
}

// Rounds, each with tables of its own and its own seed, in turn of either isolation. The checker has one of them in memory at a time.
Measured measure_history() {
  constexpr std::uint64_t kLongest = 50'000, kUsual = 100'000;
  if (!postgres_programs()) throw NotMeasurable("PostgreSQL is not installed (scripts/setup --postgres)");
  const std::uint64_t wanted =
      number_in("COW_CACHE_HISTORY_TRANSACTIONS", static_cast<std::uint64_t>(static_cast<double>(kUsual) * effort));
  const std::uint64_t first_seed = number_in("COW_CACHE_SEED", 1);
  const std::uint64_t rounds = std::max<std::uint64_t>(2, (wanted + kLongest - 1) / kLongest);
  const PostgresServer server;
  history::PeerRun all;
  Measured measured;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    history::PeerRunOptions options{.level = round % 2 == 0 ? Isolation::snapshot : Isolation::serializable,
                                    .seed = first_seed + round,
                                    .transactions = (wanted + rounds - 1) / rounds,
                                    .kills = 12,
                                    .outages = 3};
    const history::PeerRun run = history::PeerRunner(server, options).run();
    const history::Verdict& verdict = run.verdict;
    fmt::print(stderr, "peer-history: seed {}, {}: {}\n", options.seed,
               options.level == Isolation::snapshot ? "snapshot" : "serializable", run.text());
    if (verdict.wrongs() > 0) fmt::print(stderr, "{}", verdict.text());
    measured.value += static_cast<double>(verdict.wrongs());
    all += run;
  }
  measured.detail =
      fmt::format("{} rounds, seeds {} to {}; {}", rounds, first_seed, first_seed + rounds - 1, all.text());
  return measured;
}

}  // namespace
}  // namespace cow::bench

#else

namespace cow::bench {
namespace {

Measured measure_history() {
  throw NotMeasurable("built without libpq (scripts/setup --postgres, Meson's option postgres)");
}

}  // namespace
}  // namespace cow::bench

#endif

namespace cow::bench {

std::vector<Claim> history_claims() {
  using enum Claim::Comparison;
  return {
      {"peer-history",
       "anomalies, lost and doubled commits and the like in what 4 processes over one PostgreSQL have done under both "
       "isolations, while "
       "connections fail and processes are killed",
       at_most, 0, "", measure_history},
  };
}

}  // namespace cow::bench
