// What numbers and files on a command line must be, before anything is measured: a figure of nonsense is refused with exit
// code 2, never measured. CLI11's own ranges let "nan" pass, because every comparison with it is false, and its sizes take
// "-1" for the largest one.
//
// Thread safety: plain functions.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>

#include "descriptors.hpp"
#include "usage_error.hpp"

namespace cow::bench {

/// A finite number in [low, high].
inline CLI::Validator within(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& input) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(input, value) && std::isfinite(value) && value >= low && value <= high) return {};
        char bounds[80];
        std::snprintf(bounds, sizeof bounds, "%g to %g", low, high);
        return input + " is no number from " + bounds;
      },
      "");
}

/// A time that something is measured for, in seconds: above zero, at most a day.
inline CLI::Validator measured_seconds() { return within(1e-6, 86'400); }
/// A time before or beside that: zero is none.
inline CLI::Validator seconds_or_none() { return within(0, 86'400); }
/// Of a whole: 0 to 1.
inline CLI::Validator share() { return within(0, 1); }
/// So many of something, at least one.
inline CLI::Validator at_least_one() { return within(1, std::numeric_limits<std::uint32_t>::max()); }

/// A size in bytes, with the suffixes KB, MB, ... of 2^10, 2^20, ...; neither negative nor beyond all memory.
inline CLI::Validator byte_size() {
  return CLI::Validator(
      [](std::string& input) -> std::string {
        if (input.find('-') != input.npos) return input + " is no size";
        std::string bytes = input;
        if (std::string wrong = CLI::AsSizeValue(false)(bytes); !wrong.empty()) return wrong;
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
        if (error != std::errc() || end != bytes.data() + bytes.size() || value > (std::uint64_t{1} << 48)) {
          return input + " is no size that a machine has";
        }
        input = bytes;
        return {};
      },
      "SIZE");
}

/// A file that rows can be appended to: asked before they are measured. What was not there is not there afterwards.
inline CLI::Validator writable_file() {
  return CLI::Validator(
      [](std::string& input) -> std::string {
        std::error_code ignored;
        const bool was_there = std::filesystem::exists(input, ignored);
        const bool opens = std::ofstream(input, std::ios::app).is_open();
        if (opens && !was_there) std::filesystem::remove(input, ignored);
        return opens ? std::string() : "cannot write to " + input;
      },
      "FILE");
}

/// Takes all descriptors that the process may have. Debian's usual limit of 1,024 is one that a process may raise itself.
/// Throws UsageError if fewer than `wanted` are to be had.
inline void require_descriptors(std::size_t wanted) {
  const std::size_t limit = raise_descriptor_limit();
  if (limit >= wanted) return;
  throw UsageError(std::to_string(wanted) + " descriptors are needed, and this process may have " +
                   std::to_string(limit) + " (ulimit -Hn)");
}

}  // namespace cow::bench
