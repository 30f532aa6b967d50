// Measures what the project claims and says which claims hold on this machine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/option_checks.hpp"
#include "bench/support/paired.hpp"
#include "claim.hpp"
#include "own_process.hpp"
#ifdef COW_BENCH_HAS_POSTGRES
#include "bench/history/peer_process.hpp"
#endif

namespace {

using cow::bench::Claim;

std::vector<Claim> all_claims() {
  std::vector<Claim> all;
  for (auto group :
       {cow::bench::read_claims, cow::bench::fresh_claims, cow::bench::oid_claims, cow::bench::memory_claims,
        cow::bench::transaction_claims, cow::bench::sleeper_claims, cow::bench::write_claims, cow::bench::commit_claims,
        cow::bench::idle_claims, cow::bench::replacement_claims, cow::bench::async_claims, cow::bench::publisher_claims,
        cow::bench::peer_claims, cow::bench::pack_claims, cow::bench::peer_store_claims, cow::bench::history_claims}) {
    std::vector<Claim> claims = group();
    all.insert(all.end(), claims.begin(), claims.end());
  }
  return all;
}

/// Without a measurement `measured` and `holds` are null. There is an `upper_end` where that is what the bound is for.
nlohmann::json as_json(const Claim& claim, std::string detail) {
  return {{"name", claim.name},
          {"measured", nullptr},
          {"bound", claim.bound},
          {"unit", claim.unit},
          {"comparison", claim.comparison == Claim::Comparison::at_most ? "<=" : ">="},
          {"holds", nullptr},
          {"required", claim.required},
          {"description", claim.description},
          {"detail", std::move(detail)}};
}

nlohmann::json as_json(const Claim& claim, const cow::bench::Measured& measured) {
  nlohmann::json row = as_json(claim, measured.detail);
  row["measured"] = measured.value;
  if (measured.upper_end) row["upper_end"] = *measured.upper_end;
  row["holds"] = claim.holds(measured);
  return row;
}

}  // namespace

int main(int argc, char** argv) {
#ifdef COW_BENCH_HAS_POSTGRES
  if (const auto exit_code = cow::bench::history::run_as_peer(argc, argv)) return *exit_code;
#endif
  std::vector<Claim> claims = all_claims();
  std::vector<std::string> names;
  std::string json_path;
  bool list = false, verbose = false, quick = false;
  CLI::App app(
      "Measures the project's claims. One line each: NAME measured bound holds|fails; \"is not reached\" for a goal.\n"
      "What this machine lacks something for is NAME - bound \"not measurable: ...\", which is no failure.\n"
      "COW_CACHE_TRACE names the trace file of orm-misses; COW_CACHE_HISTORY_TRANSACTIONS is how many transactions "
      "peer-history looks\n"
      "at (default: 100000), COW_CACHE_SEED its first seed.\n"
      "Exit code: 0 all that are required hold, 1 one fails, 2 bad usage or a measurement that went wrong.");
  app.add_option("NAME", names, "measure these (default: all)");
  app.add_option("--json", json_path, "also write the results to this file")->check(cow::bench::writable_file());
  app.add_flag("--list", list, "print names, bounds and descriptions, and measure nothing");
  app.add_flag("--quick", quick, "take a fifth of the time where measuring takes long");
  app.add_flag("--verbose", verbose, "also print what each figure is made of");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (quick) cow::bench::effort = cow::bench::kQuickEffort;
  auto bound_text = [](const Claim& claim) {
    return fmt::format("{}{:g}{}", claim.comparison == Claim::Comparison::at_most ? "<=" : ">=", claim.bound,
                       claim.unit);
  };
  if (list) {
    for (const Claim& claim : claims)
      fmt::print("{:<18} {:<10} {}\n", claim.name, bound_text(claim), claim.description);
    return 0;
  }
  std::vector<Claim> chosen;
  for (const std::string& name : names) {
    auto found = std::find_if(claims.begin(), claims.end(), [&](const Claim& claim) { return claim.name == name; });
    if (found == claims.end()) {
      fmt::print(stderr, "claims: no claim '{}' (see --list)\n", name);
      return 2;
    }
    chosen.push_back(*found);
  }
  if (names.empty()) chosen = claims;

  nlohmann::json results = nlohmann::json::array();
  bool all_hold = true;
  for (const Claim& claim : chosen) {
    try {
      fmt::print(stderr, "measuring {} ...\n", claim.name);
      double start = cow::bench::seconds_now();
      cow::bench::Measured measured = measure_alone(claim.measure);
      bool holds = claim.holds(measured);
      all_hold = all_hold && (holds || !claim.required);
      fmt::print(
          "{:<18} {:>9.3f}{:<3} {:<10} {}{}\n", claim.name, measured.value, claim.unit, bound_text(claim),
          holds            ? "holds"
          : claim.required ? "fails"
                           : "is not reached",
          measured.upper_end ? fmt::format(", its interval ends at {:.3f}{}", *measured.upper_end, claim.unit) : "");
      if (verbose)
        fmt::print("    {}\n    {} ({:.1f} s)\n", claim.description, measured.detail,
                   cow::bench::seconds_now() - start);
      std::fflush(stdout);
      results.push_back(as_json(claim, measured));
    } catch (const cow::bench::NotMeasurable& reason) {
      fmt::print("{:<18} {:>9}{:<3} {:<10} not measurable: {}\n", claim.name, "-", "", bound_text(claim),
                 reason.what());
      results.push_back(as_json(claim, reason.what()));
    } catch (const std::exception& error) {
      fmt::print(stderr, "claims: {} could not be measured: {}\n", claim.name, error.what());
      return 2;
    }
  }
  if (!json_path.empty()) {
    std::ofstream file(json_path);
    file << results.dump(2) << '\n';
    if (!file.flush()) {
      fmt::print(stderr, "claims: cannot write {}\n", json_path);
      return 2;
    }
  }
  return all_hold ? 0 : 1;
}
