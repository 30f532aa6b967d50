// Checks of numbers on a command line that CLI11 does not have.
//
// Thread safety: functions and values.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <string>
#include <system_error>

namespace cow::bench {

/// A number from `least` to `most`. CLI::Range lets "nan" pass, for it compares false with every bound.
inline CLI::Validator finite_from(double least, double most) {
  const std::string range = CLI::detail::to_string(least) + " to " + CLI::detail::to_string(most);
  return CLI::Validator(
      [least, most, range](std::string& text) -> std::string {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool is_number = error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
        if (is_number && value >= least && value <= most) return {};
        return "'" + text + "' is not a number from " + range;
      },
      range);
}

}  // namespace cow::bench
