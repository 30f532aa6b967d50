// The error of a command line that parses and yet makes no sense.
//
// Thread safety: a plain value.
#pragma once

#include <stdexcept>

namespace cow::bench {

/// The options contradict each other: exit code 2 (command_line.hpp).
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace cow::bench
