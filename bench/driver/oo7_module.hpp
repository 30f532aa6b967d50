// Which of OO7's modules: what the workloads have in common that run on it.
//
// Thread safety: a plain value.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/workloads/oo7/model.hpp"

namespace cow::bench {

struct Oo7Module {
  std::string size = "small";
  std::uint32_t fan_out = 3;

  void add_options(CLI::App& own) {
    own.add_option("--size", size)->check(CLI::IsMember({"small", "medium"}))->capture_default_str();
    own.add_option("--fan-out", fan_out, "Connections per part")
        ->check(CLI::IsMember({3, 6, 9}))
        ->capture_default_str();
  }

  nlohmann::json parameters() const { return {{"size", size}, {"fan_out", fan_out}}; }
  oo7::Parameters of(std::uint64_t seed) const { return oo7::Parameters::named(size, fan_out, seed); }
};

}  // namespace cow::bench
